//! Calls of handlers, the same for every transport: bounded in time, safe against panics, at most once under a key.

use std::any::Any;
use std::ops::Deref;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use forge_core::context::Seen;
use forge_core::handler::{HandlerDef, HandlerKind, Json};
use forge_core::runtime::MutationAnswer;
use forge_core::{Auth, Caller, Db, Error, ErrorCode, RequestHeaders, Result, Runtime};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tracing::instrument::Instrumented;
use tracing::{Instrument as _, Span};

use crate::Limits;
use crate::auth::{self, Authenticator};
use crate::carried::Carried;
use crate::databases::Databases;
use crate::gates::Gates;
use crate::idempotency::kept::{Claimed, Kept};
use crate::idempotency::{Claim, IdempotencyKey, IdempotencyStore, StoredAnswer};
use crate::json;
use crate::live::hub::Hub;
use crate::live::snapshot::Snapshot;
use crate::metrics::Metrics;
use crate::trace;

/// How calls that succeed are counted.
const OK: &str = "ok";
/// The HTTP status of results.
const OK_STATUS: u16 = 200;
/// How much longer than its deadline a mutation may take to say that it was undone.
const GRACE: Duration = Duration::from_secs(1);
/// How much longer than it may run the claim of a mutation without a transaction stands, so that its answer is there first.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// The longest idempotency key, in bytes.
const MAX_KEY: usize = 255;

/// What every transport calls handlers through. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Calls(Arc<Shared>);

impl Deref for Calls {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// What all calls share.
pub(crate) struct Shared {
    pub(crate) runtime: Runtime,
    pub(crate) hub: Hub,
    pub(crate) limits: Arc<Limits>,
    pub(crate) auth: Authenticator,
    pub(crate) metrics: Metrics,
    databases: Databases,
    gates: Gates,
    answers: Answers,
    /// Mutations under way.
    active: watch::Sender<usize>,
    draining: watch::Receiver<bool>,
}

/// How callers are known, and which database they mean.
pub(crate) struct Callers {
    pub(crate) auth: Authenticator,
    pub(crate) databases: Databases,
}

/// Where answers to mutations with a key are kept.
#[derive(Clone)]
pub(crate) struct Answers {
    /// What makes equal requests to this process wait for each other.
    pub(crate) store: Arc<dyn IdempotencyStore>,
    /// Whether they are kept in the database of the request as well.
    pub(crate) durable: bool,
}

/// The result of a query.
pub(crate) struct Answer {
    /// The JSON text.
    pub(crate) json: Arc<str>,
    /// What it depends on of the caller.
    pub(crate) seen: Seen,
}

impl Calls {
    /// `draining` says when the server stops and takes no new mutations.
    pub(crate) fn new(
        runtime: Runtime,
        hub: Hub,
        limits: Arc<Limits>,
        (callers, metrics, gates): (Callers, Metrics, Gates),
        answers: Answers,
        draining: watch::Receiver<bool>,
    ) -> Self {
        let Callers { auth, databases } = callers;
        let active = watch::Sender::new(0);
        let shared =
            Shared { runtime, hub, limits, auth, metrics, databases, gates, answers, active, draining };
        Self(Arc::new(shared))
    }

    /// The caller behind the headers of a request.
    ///
    /// # Errors
    /// `bad_request` for a database that there cannot be, and as [`Calls::identify`], for the token of an `Authorization: Bearer` header.
    pub(crate) async fn caller(&self, headers: RequestHeaders) -> Result<Caller> {
        let mut caller = Caller { headers, ..Caller::default() };
        // In boxes: most programs have neither resolver, and every request carries this future.
        if self.databases.is_on() {
            caller.database = self.databases.of(&caller.headers, self.limits.deadline).boxed().await?;
        }
        let token = auth::bearer(&caller.headers)?;
        if self.auth.is_on() || token.is_some() {
            caller.auth = self.identify(token, &caller.headers).boxed().await?;
        }
        Ok(caller)
    }

    /// The identity behind a token and headers.
    ///
    /// # Errors
    /// As [`Authenticator::identify`].
    pub(crate) async fn identify(
        &self,
        token: Option<String>,
        headers: &RequestHeaders,
    ) -> Result<Option<Arc<Auth>>> {
        // It decides who the caller is: there is nobody yet whom a policy could look at.
        let db = self.runtime.db().without_policies();
        self.auth.identify(token, headers, &db, self.limits.deadline).await
    }

    /// The database that a caller means.
    pub(crate) fn database_of(&self, caller: &Caller) -> Db {
        let db = self.runtime.db();
        caller.database.as_ref().map_or_else(|| db.clone(), |name| db.database(name))
    }

    /// Whether the server stops.
    pub(crate) fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// Runs a query.
    ///
    /// # Errors
    /// `not_found`, `timeout`, or what the query answers.
    pub(crate) async fn query(
        &self,
        name: &str,
        args: &Map<String, Value>,
        caller: Caller,
    ) -> Result<Answer> {
        let handler = self.runtime.registry().public(HandlerKind::Query, name)?;
        let started = Instant::now();
        let span = trace::call(HandlerKind::Query, handler.name);
        let answer = self.run_query(handler, args, caller).instrument(span.clone()).await;
        let code = answer.as_ref().map_or_else(|error| error.code().as_str(), |_| OK);
        trace::called(&span, code);
        self.metrics.called(HandlerKind::Query, handler.name, code, started.elapsed());
        answer
    }

    async fn run_query(
        &self,
        handler: &'static HandlerDef,
        args: &Map<String, Value>,
        caller: Caller,
    ) -> Result<Answer> {
        let (name, deadline) = (handler.name, self.gates.deadline(handler));
        let until = Instant::now() + deadline;
        let _turn = self.gates.enter(handler, until).await?;
        let run = pin!(async {
            let answer = self.runtime.query(name, raw(args)?, caller).await?;
            Ok(Answer { json: answer.data?.0, seen: answer.seen })
        });
        match timeout_at(until, AssertUnwindSafe(run).catch_unwind()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(panic)) => Err(panicked(name, panic.as_ref())),
            Err(_) => Err(too_slow("query", name, deadline)),
        }
    }

    /// Runs a mutation, or gives the first answer under `key` again.
    ///
    /// It goes on when the caller goes away or its deadline is over, so that no mutation stops half-way because of a
    /// client; its answer is then there under the key.
    pub(crate) async fn mutation(
        &self,
        name: &str,
        args: Map<String, Value>,
        caller: Caller,
        key: Option<&str>,
    ) -> StoredAnswer {
        let work = self.clone().keyed_mutation(name.to_owned(), args, caller, key.map(str::to_owned));
        let active = self.busy();
        let handler = self.runtime.registry().public(HandlerKind::Mutation, name).ok();
        let started = Instant::now();
        let span =
            handler.map_or_else(Span::none, |handler| trace::call(HandlerKind::Mutation, handler.name));
        // In a box from here on: it is moved into another task where the caller goes away.
        let work = work.boxed().instrument(span.clone());
        let answer = self.watched_mutation(name, handler, active, work).await;
        if !span.is_none() {
            trace::called(&span, &code(&answer));
        }
        if let Some(handler) = handler.filter(|_| self.metrics.is_on()) {
            self.metrics.called(HandlerKind::Mutation, handler.name, &code(&answer), started.elapsed());
        }
        answer
    }

    /// How long a caller is kept waiting for a mutation that runs. One that is undone at its own deadline says so itself.
    fn grace(handler: &HandlerDef) -> Duration {
        let undone = handler.transaction && handler.limits.deadline.is_some();
        if undone { GRACE } else { Duration::ZERO }
    }

    /// After how long a mutation is cut off.
    fn longest(&self, handler: &HandlerDef) -> Duration {
        self.limits.mutation_deadline.max(self.gates.deadline(handler) + Self::grace(handler))
    }

    async fn watched_mutation(
        &self,
        name: &str,
        handler: Option<&'static HandlerDef>,
        active: Busy,
        work: Instrumented<BoxFuture<'static, StoredAnswer>>,
    ) -> StoredAnswer {
        // After it is counted, so that a drain either waits for it or is seen here.
        if self.is_draining() {
            return refusal(&Error::unavailable("the server is stopping"));
        }
        let deadline = handler.map_or(self.limits.deadline, |handler| self.gates.deadline(handler));
        let until = Instant::now() + deadline;
        let turn = match handler {
            Some(handler) => self.gates.enter(handler, until).await.map(Some),
            None => Ok(None),
        };
        let held = match turn {
            Ok(turn) => (active, turn),
            Err(error) => return refusal(&error),
        };
        let work = Carried::new(async move {
            let _held = held;
            work.await
        });
        let grace = handler.map_or(Duration::ZERO, Self::grace);
        match timeout_at(until + grace, AssertUnwindSafe(work).catch_unwind()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(panic)) => refusal(&panicked(name, panic.as_ref())),
            Err(_) => refusal(&too_slow("mutation", name, deadline)),
        }
    }

    /// Keeps [`Calls::idle`] waiting until it is dropped.
    pub(crate) fn busy(&self) -> Busy {
        // Nobody waits for more of them.
        self.active.send_if_modified(|active| {
            *active += 1;
            false
        });
        Busy(self.active.clone())
    }

    /// The state of the server, for its metrics.
    pub(crate) async fn look(&self) -> Snapshot {
        let now = self.hub.look().await;
        Snapshot { mutations: *self.active.borrow(), ..now }
    }

    /// Waits until no mutation is under way.
    pub(crate) async fn idle(&self) {
        // The sender lives in `self`: it cannot be gone.
        let _ = self.active.subscribe().wait_for(|active| *active == 0).await;
    }

    async fn keyed_mutation(
        self,
        name: String,
        args: Map<String, Value>,
        caller: Caller,
        key: Option<String>,
    ) -> StoredAnswer {
        // Checked first, so that wrong names leave nothing behind in the store.
        let handler = match self.runtime.registry().public(HandlerKind::Mutation, &name) {
            Ok(handler) => handler,
            Err(error) => return refusal(&error),
        };
        let Some(key) = key else { return self.bare_mutation(handler, &args, caller, None).await };
        let key = match idempotency_key(&name, &caller, &key) {
            Ok(key) => key,
            Err(error) => return refusal(&error),
        };
        let fingerprint = json::short_hash(json::canonical(&args).as_bytes()).to_string();
        match self.answers.store.begin(&key, &fingerprint).await {
            Ok(Claim::Answered(answer)) => return answer,
            Ok(Claim::New) => {}
            Err(error) => return refusal(&error),
        }
        let kept = self.answers.durable.then(|| {
            Kept::new(&key, &fingerprint, self.limits.idempotency_age, self.longest(handler) + LAST_WORDS)
        });
        let mut held = Held { store: self.answers.store.clone(), key, answer: None };
        let answer = match kept {
            Some(kept) if handler.transaction => {
                self.bare_mutation(handler, &args, caller, Some(&kept)).await
            }
            Some(kept) => self.claimed_mutation(handler, &args, caller, &kept).boxed().await,
            None => self.bare_mutation(handler, &args, caller, None).await,
        };
        if is_final(&answer) {
            held.answer = Some(answer.clone());
        }
        answer
    }

    /// Runs a mutation without a transaction after it was written down that it is begun, and then its answer.
    async fn claimed_mutation(
        &self,
        handler: &'static HandlerDef,
        args: &Map<String, Value>,
        caller: Caller,
        kept: &Kept,
    ) -> StoredAnswer {
        let db = self.database_of(&caller);
        let begun = match kept.claim(&db).await {
            Ok(Claimed::Answered(answer)) => return answer,
            Ok(Claimed::At(begun)) => begun,
            Err(error) => return refusal(&error),
        };
        let answer = self.bare_mutation(handler, args, caller, None).await;
        let last = Some(&answer).filter(|answer| is_final(answer));
        if let Err(error) = kept.settle(&db, begun, last).await {
            tracing::error!(%error, mutation = handler.name, "the answer under an idempotency key could not be kept");
        }
        answer
    }

    async fn bare_mutation(
        &self,
        handler: &'static HandlerDef,
        args: &Map<String, Value>,
        caller: Caller,
        kept: Option<&Kept>,
    ) -> StoredAnswer {
        let database = self.hub.database_of(&caller);
        let before = self.hub.followed(&database);
        match self.run_mutation(handler, args, caller, kept).await {
            Ok(answer) => {
                let version = self.hub.version_of_write(&database, answer.version, before).await;
                StoredAnswer { status: OK_STATUS, body: answer.data.0, version }
            }
            Err(error) => refusal(&error),
        }
    }

    async fn run_mutation(
        &self,
        handler: &'static HandlerDef,
        args: &Map<String, Value>,
        caller: Caller,
        kept: Option<&Kept>,
    ) -> Result<MutationAnswer> {
        let name = handler.name;
        let args = raw(args)?;
        // Pinned before it is wrapped: what is wrapped is moved, and this is large.
        let run = pin!(async {
            let Some(kept) = kept else { return self.runtime.mutation(name, args, caller).await };
            let find = async |tx: Db| Ok(kept.find(&tx).await?.map(|answer| Json(answer.body)));
            let keep = async |tx: Db, answer: Json| kept.keep(&tx, OK_STATUS, &answer.0).await;
            self.runtime.mutation_once(name, args, caller, find, keep).boxed().await
        });
        match tokio::time::timeout(self.longest(handler), AssertUnwindSafe(run).catch_unwind()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(panic)) => Err(panicked(name, panic.as_ref())),
            // Its outcome is unknown: the code must not be one that invites another try.
            Err(_) => Err(Error::internal(format!(
                "the mutation {name} was cut off; it may or may not have happened"
            ))),
        }
    }
}

/// Whether an answer stands: these ask the client to try again.
fn is_final(answer: &StoredAnswer) -> bool {
    ![ErrorCode::Unavailable.http_status(), ErrorCode::Timeout.http_status()].contains(&answer.status)
}

/// How a call ended: `ok`, or the code of its error.
fn code(answer: &StoredAnswer) -> String {
    #[derive(Deserialize)]
    struct Body {
        code: String,
    }
    if answer.is_ok() {
        return OK.to_owned();
    }
    serde_json::from_str(&answer.body)
        .map_or_else(|_| ErrorCode::Internal.as_str().to_owned(), |body: Body| body.code)
}

/// A mutation that is under way, or whose answer is.
pub(crate) struct Busy(watch::Sender<usize>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.send_if_modified(|active| {
            *active -= 1;
            *active == 0
        });
    }
}

/// A claimed key; given up when dropped without an answer.
struct Held {
    store: Arc<dyn IdempotencyStore>,
    key: IdempotencyKey,
    answer: Option<StoredAnswer>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.store.finish(&self.key, self.answer.take());
    }
}

fn raw(args: &Map<String, Value>) -> Result<Box<RawValue>> {
    Ok(RawValue::from_string(json::canonical(args))?)
}

/// Callers are told apart by who they are or else by their credentials: a key that somebody else guesses is of no use to
/// them, and one stays good when its owner's token is renewed.
fn idempotency_key(name: &str, caller: &Caller, key: &str) -> Result<IdempotencyKey> {
    if key.is_empty() || key.len() > MAX_KEY || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::bad_request(format!(
            "an idempotency key has 1 to {MAX_KEY} visible ASCII characters and no spaces"
        )));
    }
    let header = |name: &str| caller.headers.get(name).unwrap_or("");
    let who = match &caller.auth {
        Some(auth) => ["subject", &auth.subject],
        None => [header("authorization"), header("cookie")],
    };
    let signed_in = caller.auth.is_some();
    let caller = json::short_hash(format!("{signed_in}{who:?}{:?}", caller.database).as_bytes()).to_string();
    Ok(IdempotencyKey { handler: name.into(), caller: caller.into(), key: key.into() })
}

/// A failed answer. Defects are logged here, since their text goes no further.
pub(crate) fn refusal(error: &Error) -> StoredAnswer {
    if error.code() == ErrorCode::Internal {
        tracing::error!(?error, "a call failed");
    }
    StoredAnswer { status: error.code().http_status(), body: error_body(error).into(), version: 0 }
}

/// The body of an error, without a request id.
pub(crate) fn error_body(error: &Error) -> String {
    serde_json::to_string(&error.to_body())
        .unwrap_or_else(|_| r#"{"code":"internal","message":"an error has no JSON form"}"#.to_owned())
}

/// The error of a handler that took too long.
pub(crate) fn too_slow(kind: &str, name: &str, deadline: Duration) -> Error {
    let hint = if kind == "mutation" {
        "; it may yet happen, so retry it only under the same idempotency key"
    } else {
        ""
    };
    Error::timeout(format!("the {kind} {name} took longer than {} s{hint}", deadline.as_secs_f32()))
}

fn panicked(name: &str, panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().copied();
    let text =
        text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message");
    Error::internal(format!("the handler {name} panicked: {text}"))
}
