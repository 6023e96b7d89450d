//! Runs handlers: what every transport calls.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError};

use serde_json::value::RawValue;

use crate::adapter::{Read, ReadLog, Written};
use crate::clusters::Clusters;
use crate::context::{Call, Caller, Seen};
use crate::db::Db;
use crate::error::{Error, Result};
use crate::handler::{HandlerDef, HandlerKind, Json, Registry};
use crate::schedule::Scheduler;
use crate::transaction::{TransactionOptions, Unit};

/// How deep handlers may call each other.
pub const MAX_CALL_DEPTH: u8 = 32;

/// The handlers of a program on a database. Cheap to clone.
#[derive(Clone)]
pub struct Runtime {
    registry: Arc<Registry>,
    db: Db,
    clusters: Clusters,
    scheduler: Option<Arc<dyn Scheduler>>,
    extension: Option<Arc<dyn Any + Send + Sync>>,
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("db", &self.db).finish_non_exhaustive()
    }
}

/// The answer of a query.
#[derive(Debug)]
pub struct QueryAnswer {
    /// The result.
    pub data: Result<Json>,
    /// What it read; also where it failed, since a change may mend it.
    pub reads: Vec<Read>,
    /// What it looked at of the caller.
    pub seen: Seen,
}

/// The answer of a mutation.
#[derive(Debug, Clone)]
pub struct MutationAnswer {
    /// The result.
    pub data: Json,
    /// The version of its last commit, where the engine knows it.
    pub version: Option<u64>,
}

impl Runtime {
    /// Handlers on a database.
    pub fn new(registry: Registry, db: Db) -> Self {
        let clusters = Clusters::default();
        Self { registry: Arc::new(registry), db, clusters, scheduler: None, extension: None }
    }

    /// The same handlers, with somebody who keeps calls for later.
    #[must_use]
    pub fn with_scheduler(mut self, scheduler: Arc<dyn Scheduler>) -> Self {
        self.scheduler = Some(scheduler);
        self
    }

    /// The same handlers, which reach databases of other clusters by name: see [`QueryCtx::cluster`](crate::QueryCtx::cluster).
    #[must_use]
    pub fn with_clusters(mut self, databases: BTreeMap<String, Db>) -> Self {
        self.clusters = Clusters::new(databases);
        self
    }

    /// The default databases of the other clusters.
    pub fn clusters(&self) -> impl Iterator<Item = &Db> {
        self.clusters.iter()
    }

    pub(crate) fn cluster(&self, name: &str) -> Result<(&str, &Db)> {
        self.clusters.get(name)
    }

    /// The database that the [reads](QueryAnswer::reads) of a query call so: one of another cluster, or of this one.
    pub fn database(&self, key: &str) -> Db {
        self.clusters.by_key(key).unwrap_or_else(|| self.db.database(key))
    }

    /// The same handlers, for which whoever runs them has something to offer.
    #[must_use]
    pub fn with_extension(mut self, extension: impl Any + Send + Sync) -> Self {
        self.extension = Some(Arc::new(extension));
        self
    }

    pub(crate) fn extension<T: Any>(&self) -> Option<&T> {
        self.extension.as_ref()?.downcast_ref()
    }

    pub(crate) fn scheduler(&self) -> Result<&dyn Scheduler> {
        self.scheduler.as_deref().ok_or_else(|| {
            Error::unsupported(
                "nobody keeps calls for later here: run the handlers in a forge::App, which does",
            )
        })
    }

    /// The database.
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// The handlers.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Runs a query for a client.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`](crate::ErrorCode::NotFound) where clients may not call such a query. What the query itself
    /// answers is in [`QueryAnswer::data`].
    pub async fn query(&self, name: &str, args: Box<RawValue>, caller: Caller) -> Result<QueryAnswer> {
        let handler = self.registry.public(HandlerKind::Query, name)?;
        let call = self.start(caller);
        let (reads, seen) = (call.reads.clone(), call.seen.clone());
        let data = match handler.admit(&call) {
            Ok(()) => handler.run(call, args).await,
            Err(refusal) => Err(refusal),
        };
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(QueryAnswer { data, reads: reads.take(), seen })
    }

    /// Runs a mutation for a client.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`](crate::ErrorCode::NotFound) where clients may not call such a mutation; what the mutation answers.
    pub async fn mutation(&self, name: &str, args: Box<RawValue>, caller: Caller) -> Result<MutationAnswer> {
        let handler = self.registry.public(HandlerKind::Mutation, name)?;
        let call = self.start(caller);
        let written = call.written.clone();
        let data = self.run_mutation(handler, call, args).await?;
        Ok(MutationAnswer { data, version: Some(written.version()).filter(|version| *version > 0) })
    }

    /// As [`mutation`](Runtime::mutation), for a mutation with a transaction that may have happened already: `find` is
    /// asked for its answer first, and `keep` given the one that it makes, both in its transaction.
    ///
    /// # Errors
    /// As [`mutation`](Runtime::mutation); what `find` and `keep` answer.
    pub async fn mutation_once<F, K>(
        &self,
        name: &str,
        args: Box<RawValue>,
        caller: Caller,
        find: impl Fn(Db) -> F,
        keep: impl Fn(Db, Json) -> K,
    ) -> Result<MutationAnswer>
    where
        F: Future<Output = Result<Option<Json>>>,
        K: Future<Output = Result<()>>,
    {
        let handler = self.registry.public(HandlerKind::Mutation, name)?;
        let call = self.start(caller);
        handler.admit(&call)?;
        let db = call.db.counting(call.written.clone());
        let (run, args, find, keep) = (&call, &args, &find, &keep);
        let data = db
            .transaction_with(options(handler), async |tx| {
                if let Some(answer) = find(tx.clone()).await? {
                    return Ok(answer);
                }
                let answer = handler.run(Call { db: tx.clone(), ..run.clone() }, args.clone()).await?;
                keep(tx, answer.clone()).await?;
                Ok(answer)
            })
            .await?;
        Ok(MutationAnswer { data, version: Some(call.written.version()).filter(|version| *version > 0) })
    }

    /// Runs a mutation that was scheduled, internal ones too, and then `done`: in the same transaction, where the mutation
    /// has one. Its guard was passed, or not, by whoever scheduled it.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`](crate::ErrorCode::NotFound) where there is no such mutation; what it or `done` answers.
    pub async fn scheduled<F>(
        &self,
        name: &str,
        args: Box<RawValue>,
        caller: Caller,
        done: impl Fn(Db) -> F,
    ) -> Result<()>
    where
        F: Future<Output = Result<()>>,
    {
        let handler = self.registry.any(HandlerKind::Mutation, name)?;
        let call = self.start(caller);
        if !handler.transaction {
            let db = call.db.clone();
            run_plain(handler, call, args).await?;
            return done(db).await;
        }
        let (call, args, done) = (&call, &args, &done);
        let transaction = call.db.transaction_with(options(handler), async |tx| {
            let call = Call { db: tx.clone(), ..call.clone() };
            handler.run(call, args.clone()).await?;
            done(tx).await
        });
        transaction.await
    }

    fn start(&self, caller: Caller) -> Call {
        let db = match &caller.database {
            Some(name) => self.db.database(name),
            None => self.db.clone(),
        };
        let seen = Arc::default();
        let db = db.seen_by(&caller, &seen);
        Call {
            runtime: self.clone(),
            caller,
            seen,
            reads: Arc::new(ReadLog::default()),
            written: Arc::new(Written::new(db.name())),
            db,
            depth: 0,
        }
    }

    async fn run_mutation(
        &self,
        handler: &'static HandlerDef,
        call: Call,
        args: Box<RawValue>,
    ) -> Result<Json> {
        handler.admit(&call)?;
        if !handler.transaction {
            return run_plain(handler, call, args).await;
        }
        let db = call.db.counting(call.written.clone());
        let (call, args) = (&call, &args);
        let transaction = db.transaction_with(options(handler), async |tx| {
            let call = Call { db: tx, ..call.clone() };
            handler.run(call, args.clone()).await
        });
        // Large, and not for the mutations without a transaction to carry about.
        Box::pin(transaction).await
    }

    pub(crate) async fn nested_query(&self, call: &Call, name: &str, args: Box<RawValue>) -> Result<Json> {
        let handler = self.registry.any(HandlerKind::Query, name)?;
        let call = deeper(call)?;
        handler.admit(&call)?;
        handler.run(call, args).await
    }

    pub(crate) async fn nested_mutation(&self, call: &Call, name: &str, args: Box<RawValue>) -> Result<Json> {
        let handler = self.registry.any(HandlerKind::Mutation, name)?;
        self.run_mutation(handler, deeper(call)?, args).await
    }
}

/// The transaction of a mutation, within the mutation's own deadline.
fn options(handler: &HandlerDef) -> TransactionOptions {
    let options = TransactionOptions::new();
    handler.limits.deadline.map_or_else(|| options.clone(), |deadline| options.clone().deadline(deadline))
}

/// Runs a mutation without a transaction of its own. What it leaves for after the commit happens when it has ended well,
/// or with the transaction or mutation that it is part of.
async fn run_plain(handler: &'static HandlerDef, mut call: Call, args: Box<RawValue>) -> Result<Json> {
    if call.db.has_unit() {
        return handler.run(call, args).await;
    }
    let unit = Arc::new(Unit::default());
    call.db = call.db.in_unit(unit.clone());
    let answer = handler.run(call, args).await?;
    unit.settle().await;
    Ok(answer)
}

fn deeper(call: &Call) -> Result<Call> {
    if call.depth >= MAX_CALL_DEPTH {
        return Err(Error::internal(format!("handlers call each other more than {MAX_CALL_DEPTH} deep")));
    }
    Ok(Call { depth: call.depth + 1, ..call.clone() })
}
