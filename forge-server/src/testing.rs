//! What the unit tests of this crate run on: an adapter that holds counters, its change feed, and handlers by hand.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bson::{Bson, RawDocumentBuf, rawdoc};
use forge_core::adapter::{
    Adapter, Capabilities, ChangeEvent, ChangeKind, Commit, Exec, Explanation, PushPlan, PushSettings,
    ResumeToken, Transaction,
};
use forge_core::ir::{Change, Filter, Operation, Outcome, Predicate, Rows};
use forge_core::{
    Auth, Catalog, DateTime, Db, Env, Error, MutationCtx, QueryCtx, Registry, RequestHeaders, Result, Runtime,
};
use forge_macros::{Model, mutation, query};
use futures_core::stream::BoxStream;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream;
use tokio::sync::mpsc;

use crate::auth::{AuthResolver, Authenticator, Credentials};
use crate::databases::Databases;
use crate::gates::Gates;
use crate::idempotency::MemoryStore;
use crate::metrics::Metrics;
use crate::origin::Origins;
use crate::server::Parts;
use crate::services::Services;
use crate::{Limits, Server};

/// A number.
#[derive(Debug, Clone, Model)]
#[model(collection = "counters")]
pub(crate) struct Counter {
    #[model(id)]
    pub(crate) id: i32,
    pub(crate) n: i32,
    #[model(private, default)]
    pub(crate) canary: String,
}

/// Leads to what no handler names.
#[derive(Debug, Clone, Model)]
#[model(collection = "marks")]
pub(crate) struct Mark {
    #[model(id)]
    pub(crate) id: i32,
    pub(crate) board_id: i32,
    #[model(belongs_to(key = board_id))]
    pub(crate) board: forge_core::BelongsTo<Board>,
}

/// Known by its marks only.
#[derive(Debug, Clone, Model)]
#[model(collection = "boards")]
pub(crate) struct Board {
    #[model(id)]
    pub(crate) id: i32,
    #[model(private, default)]
    pub(crate) canary: String,
    #[model(has_many(key = board_id))]
    pub(crate) marks: forge_core::HasMany<Mark>,
}

#[query]
async fn marks(_ctx: &QueryCtx) -> Result<Vec<Mark>> {
    Ok(Vec::new())
}

/// The value of a counter <live>.
#[query]
async fn counter(ctx: &QueryCtx, id: i32) -> Result<i32> {
    Ok(ctx.db.get::<Counter>(id).await?.map_or(0, |counter| counter.n))
}

#[query]
async fn language(ctx: &QueryCtx) -> Result<Option<String>> {
    Ok(ctx.headers.get("accept-language").map(str::to_owned))
}

#[query]
async fn whoami(ctx: &QueryCtx) -> Result<Option<String>> {
    Ok(ctx.auth.subject().map(str::to_owned))
}

/// For admins, the same for all of them.
#[query(roles("admin", "root"))]
async fn secrets(ctx: &QueryCtx) -> Result<i32> {
    Ok(ctx.db.get::<Counter>(1).await?.map_or(0, |counter| counter.n))
}

#[mutation(auth)]
async fn sign(ctx: &MutationCtx, text: String) -> Result<String> {
    ctx.db.update_many::<Counter>().filter(|c| c.id.eq(9)).inc(|c| c.n, 1).await?;
    Ok(format!("{text} {}", ctx.auth.require()?))
}

/// Five numbers, two a page.
#[query]
async fn numbers(ctx: &QueryCtx) -> Result<Vec<u64>> {
    Ok((0..ctx.window(2).min(5)).collect())
}

/// Tokens are names; `admin…` has the role, `gone` is not known any more, `old` has expired.
pub(crate) fn names() -> Arc<dyn AuthResolver> {
    Arc::new(async |credentials: Credentials| {
        let cookie = credentials.headers.get("cookie").and_then(|cookie| cookie.strip_prefix("user="));
        let Some(name) = credentials.token.as_deref().or(cookie) else { return Ok(None) };
        // A renewed token names the same user.
        let auth = Auth::new(name.trim_end_matches('+'));
        match name {
            "gone" => Ok(None),
            "broken" => panic!("secret"),
            "old" => Ok(Some(auth.expires_at(DateTime::from_millis(1_699_999_999_999)))),
            name if name.starts_with("admin") => Ok(Some(auth.role("admin"))),
            _ => Ok(Some(auth)),
        }
    })
}

/// One of many that take long.
#[query]
async fn slow_one(_ctx: &QueryCtx, id: i32) -> Result<i32> {
    tokio::time::sleep(std::time::Duration::from_secs(3_600)).await;
    Ok(id)
}

/// The numbers around 50, of which there are as many as anybody asks for.
#[query]
async fn around(ctx: &QueryCtx) -> Result<Vec<u64>> {
    Ok((50 - ctx.window_before(1)..50 + ctx.window(1)).collect())
}

#[query(internal)]
async fn hidden(_ctx: &QueryCtx) -> Result<i32> {
    Ok(7)
}

#[query]
async fn panics(_ctx: &QueryCtx) -> Result<i32> {
    panic!("secret")
}

#[query]
async fn slow(_ctx: &QueryCtx) -> Result<i32> {
    tokio::time::sleep(std::time::Duration::from_secs(3_600)).await;
    Ok(0)
}

#[mutation]
async fn add(ctx: &MutationCtx, id: i32, by: i32) -> Result<i32> {
    ctx.db.update_many::<Counter>().filter(|c| c.id.eq(id)).inc(|c| c.n, by).await?;
    Ok(by)
}

#[mutation]
async fn add_slowly(ctx: &MutationCtx, id: i32, by: i32) -> Result<i32> {
    tokio::time::sleep(std::time::Duration::from_millis(800)).await;
    ctx.db.update_many::<Counter>().filter(|c| c.id.eq(id)).inc(|c| c.n, by).await?;
    Ok(by)
}

/// A clock that stands still, and nothing random.
pub(crate) fn env() -> Env {
    struct Source;
    impl forge_core::env::Source for Source {
        fn now(&self) -> DateTime {
            DateTime::from_millis(1_700_000_000_000)
        }
        fn random(&self) -> [u8; 16] {
            [7; 16]
        }
    }
    Env::new(Source)
}

/// A server on `adapter` where everybody is anonymous.
pub(crate) fn server(adapter: Arc<FakeAdapter>, limits: Limits) -> Server {
    server_with(adapter, limits, None)
}

/// A server on `adapter`.
pub(crate) fn server_with(
    adapter: Arc<FakeAdapter>,
    limits: Limits,
    auth: Option<Arc<dyn AuthResolver>>,
) -> Server {
    start(adapter, Services::default(), limits, auth)
}

/// A server on `adapter` with services, where everybody is anonymous.
pub(crate) fn server_of(adapter: Arc<FakeAdapter>, services: Services) -> Server {
    start(adapter, services, Limits::default(), None)
}

fn start(
    adapter: Arc<FakeAdapter>,
    services: Services,
    limits: Limits,
    auth: Option<Arc<dyn AuthResolver>>,
) -> Server {
    let db = Db::new(adapter, Arc::new(Catalog::collect().unwrap()), env());
    let store = Arc::new(MemoryStore::new(limits.idempotency_keys, limits.idempotency_age));
    let origins = Origins::parse("https://app.example", None).unwrap();
    let runtime = Runtime::new(Registry::collect().unwrap(), db);
    let auth = Authenticator::new(auth);
    let gates = Gates::new(runtime.registry(), &limits);
    let parts = Parts {
        limits,
        gates,
        store,
        durable: false,
        databases: Databases(Some(Arc::new(async |headers: RequestHeaders| {
            Ok(headers.get("x-database").map(str::to_owned))
        }))),
        auth,
        metrics: Metrics::new(true),
        origins,
        operators: Default::default(),
        router: axum::Router::new(),
        services,
        index: None,
    };
    Server::new(runtime, parts).unwrap()
}

/// A commit without changes.
pub(crate) fn commit(version: u64) -> Commit {
    Commit { version, token: ResumeToken(Bson::Int64(version as i64)), changes: Vec::new() }
}

type Script = std::result::Result<Vec<Result<Commit>>, Error>;

/// Counters by id. Watches follow a script where there is one, else the writes.
#[derive(Default)]
pub(crate) struct FakeAdapter {
    /// The tokens that watches began with.
    pub(crate) tokens: Arc<Mutex<Vec<Option<ResumeToken>>>>,
    /// How many reads there were.
    pub(crate) reads: AtomicUsize,
    /// How often documents whose time is over were to go.
    pub(crate) purges: AtomicUsize,
    /// Pings fail.
    pub(crate) unreachable: AtomicBool,
    script: Mutex<VecDeque<Script>>,
    /// By database.
    state: Mutex<BTreeMap<String, State>>,
    /// Writes do not tell their versions: only the feed knows them.
    pub(crate) silent: AtomicBool,
}

#[derive(Default)]
struct State {
    counters: BTreeMap<i32, i32>,
    version: u64,
    watchers: Vec<mpsc::UnboundedSender<Commit>>,
}

impl FakeAdapter {
    /// The next watch brings these, and ends if the last is an error.
    pub(crate) fn next_watch(&self, commits: Vec<Result<Commit>>) {
        self.script.lock().unwrap().push_back(Ok(commits));
    }

    /// The next watch fails.
    pub(crate) fn fail_watch(&self, error: Error) {
        self.script.lock().unwrap().push_back(Err(error));
    }

    /// The databases whose changes are watched, once for each stream.
    pub(crate) fn watched(&self) -> Vec<String> {
        let states = self.state.lock().unwrap();
        let open = states.iter().map(|(database, state)| {
            let streams = state.watchers.iter().filter(|watcher| !watcher.is_closed());
            streams.map(|_| database.clone()).collect::<Vec<_>>()
        });
        open.flatten().collect()
    }

    /// Adds to a counter, as one commit.
    fn add(&self, exec: &Exec, id: i32, by: i32) {
        let database = exec.database.as_deref().unwrap_or("db");
        let mut states = self.state.lock().unwrap();
        let state = states.entry(database.to_owned()).or_default();
        let value = state.counters.entry(id).or_default();
        let before = counter_document(id, *value);
        *value += by;
        let after = counter_document(id, *value);
        state.version += 1;
        let change = ChangeEvent {
            collection: "counters".into(),
            kind: ChangeKind::Update,
            id: id.into(),
            before: Some(before),
            after: Some(after),
            touched: None,
            updated: None,
        };
        let commit = Commit { changes: vec![change], ..commit(state.version) };
        state.watchers.retain(|watcher| watcher.send(commit.clone()).is_ok());
        if let Some(written) = exec.written.as_ref().filter(|_| !self.silent.load(Ordering::SeqCst)) {
            written.record(database, state.version);
        }
    }
}

#[async_trait]
impl Adapter for FakeAdapter {
    fn name(&self) -> &'static str {
        "fake"
    }
    fn default_database(&self) -> &str {
        "db"
    }
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }
    async fn execute(&self, exec: &Exec, operation: Operation) -> Result<Outcome> {
        match operation {
            Operation::Select(select) => {
                let id = id_in(&select.filter);
                let database = exec.database.as_deref().unwrap_or("db");
                exec.record_read(database, "counters", || Filter::eq("_id", id));
                self.reads.fetch_add(1, Ordering::SeqCst);
                let n = self
                    .state
                    .lock()
                    .unwrap()
                    .get(database)
                    .and_then(|state| state.counters.get(&id).copied());
                let documents = n.map(|n| counter_document(id, n)).into_iter().collect();
                Ok(Outcome::Rows(Rows { documents, included: Vec::new() }))
            }
            Operation::Update(update) => {
                let by = match update.changes.as_slice() {
                    [Change::Inc(_, Bson::Int32(by)), ..] => *by,
                    other => panic!("{other:?}"),
                };
                self.add(exec, id_in(&update.filter), by);
                Ok(Outcome::Written { matched: 1, changed: 1, upserted: false, document: None })
            }
            other => Err(Error::unsupported(other.name())),
        }
    }
    async fn explain(&self, _: &Exec, _: Operation) -> Result<Explanation> {
        Err(Error::unsupported("explain"))
    }
    async fn begin(&self, _: &Exec) -> Result<Arc<dyn Transaction>> {
        Err(Error::unsupported("transactions"))
    }
    async fn watch(
        &self,
        database: &str,
        resume: Option<ResumeToken>,
    ) -> Result<BoxStream<'static, Result<Commit>>> {
        self.tokens.lock().unwrap().push(resume);
        match self.script.lock().unwrap().pop_front() {
            Some(script) => Ok(stream::iter(script?).boxed()),
            None => {
                let (sender, receiver) = mpsc::unbounded_channel();
                let mut states = self.state.lock().unwrap();
                states.entry(database.to_owned()).or_default().watchers.push(sender);
                let commits =
                    stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)));
                Ok(commits.map(Ok).boxed())
            }
        }
    }
    async fn push_with(&self, _: &str, _: &Catalog, _: &PushSettings) -> Result<PushPlan> {
        Ok(PushPlan::default())
    }
    async fn purge_expired(&self, _now: DateTime) -> Result<u64> {
        self.purges.fetch_add(1, Ordering::SeqCst);
        Ok(0)
    }
    async fn ping(&self) -> Result<()> {
        match self.unreachable.load(Ordering::SeqCst) {
            true => Err(Error::unavailable("gone")),
            false => Ok(()),
        }
    }
    async fn describe(&self) -> Result<Vec<(String, String)>> {
        Ok(Vec::new())
    }
    async fn close(&self) {}
    fn timer(&self, wait: Duration) -> Option<BoxFuture<'static, ()>> {
        Some(Box::pin(tokio::time::sleep(wait)))
    }
}

fn id_in(filter: &Filter) -> i32 {
    match filter {
        Filter::Field(_, Predicate::Eq(Bson::Int32(id))) => *id,
        other => panic!("{other:?}"),
    }
}

fn counter_document(id: i32, n: i32) -> RawDocumentBuf {
    rawdoc! { "_id": id, "n": n, "canary": "canary-1b" }
}

/// How many interleavings a simulation goes through: `usual`, or what `FORGE_TEST_INTERLEAVINGS` says.
pub(crate) fn interleavings(usual: u32) -> u32 {
    let wanted = std::env::var("FORGE_TEST_INTERLEAVINGS").ok();
    wanted.and_then(|text| text.parse().ok()).unwrap_or(usual)
}
