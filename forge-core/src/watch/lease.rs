//! The record of a durable watch: who runs it, until when, and how far it is.

use std::time::Duration;

use bson::raw::RawBsonRef;
use bson::{Bson, rawdoc};

use crate::adapter::{Exec, ResumeToken};
use crate::db::Handle;
use crate::error::{Error, ErrorCode, Result};
use crate::ir::{Change, Filter, Operation, Outcome, Predicate, Select, Update};
use crate::model::{FieldDef, ModelDef, ModelRef};
use crate::types::{DateTime, Uuid};

/// Where the records are.
pub(super) const COLLECTION: &str = "forge_watch";

/// The records have no Rust type: they are read field by field.
static RECORD: ModelDef = ModelDef::new(
    "WatchRecord",
    COLLECTION,
    &[FieldDef::new("id", "_id", "id", crate::record::schema_of::<String>)],
    0,
);

/// The right of one process to run a durable watch, for a while.
pub(super) struct Lease {
    handle: Handle,
    name: String,
    owner: Uuid,
    length: Duration,
}

impl Lease {
    pub(super) fn new(handle: &Handle, name: &str, owner: Uuid, length: Duration) -> Self {
        let exec = Exec { database: handle.exec.database.clone(), ..Exec::default() };
        let handle = Handle { shared: handle.shared.clone(), exec };
        Self { handle, name: name.to_owned(), owner, length }
    }

    /// Takes the lease, unless somebody else has it.
    pub(super) async fn take(&self) -> Result<bool> {
        let now = self.handle.now();
        let free = Filter::Field("until".into(), Predicate::Lt(now.into()));
        let filter = Filter::eq("_id", self.name.as_str()).and(free.or(self.own()));
        let mut update = self.update(filter, vec![]);
        update.upsert = Some(rawdoc! { "_id": self.name.as_str() });
        match self.handle.execute(Operation::Update(update)).await {
            Ok(Outcome::Written { matched, upserted, .. }) => Ok(matched > 0 || upserted),
            Ok(_) => Err(crate::query::wrong_outcome("watch")),
            // It is there and did not match: it is held.
            Err(error) if error.code() == ErrorCode::UniqueViolation => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Keeps the lease and, where one is given, the place.
    ///
    /// # Errors
    /// `conflict` where somebody else has it by now.
    pub(super) async fn keep(&self, token: Option<&ResumeToken>) -> Result<()> {
        let token = token.map(|token| Change::Set("token".into(), token.0.clone()));
        let filter = Filter::eq("_id", self.name.as_str()).and(self.own());
        let update = self.update(filter, token.into_iter().collect());
        match self.handle.execute(Operation::Update(update)).await? {
            Outcome::Written { matched: 0, .. } => Err(lost(&self.name)),
            _ => Ok(()),
        }
    }

    /// The place that was kept.
    pub(super) async fn place(&self) -> Result<Option<ResumeToken>> {
        let mut select = Select::new(ModelRef(&RECORD));
        select.filter = Filter::eq("_id", self.name.as_str());
        select.limit = Some(1);
        let Outcome::Rows(rows) = self.handle.execute(Operation::Select(select)).await? else {
            return Err(crate::query::wrong_outcome("watch"));
        };
        let token = rows.documents.first().and_then(|record| record.get("token").ok().flatten());
        match token {
            None | Some(RawBsonRef::Null) => Ok(None),
            Some(token) => Ok(Some(ResumeToken(Bson::try_from(token)?))),
        }
    }

    /// Forgets the place.
    pub(super) async fn forget_place(&self) -> Result<()> {
        let filter = Filter::eq("_id", self.name.as_str()).and(self.own());
        let update = self.update(filter, vec![Change::Unset("token".into())]);
        self.handle.execute(Operation::Update(update)).await.map(|_| ())
    }

    /// Lets others have it at once.
    pub(super) async fn release(&self) {
        let filter = Filter::eq("_id", self.name.as_str()).and(self.own());
        let mut update = Update::new(ModelRef(&RECORD), filter);
        update.changes = vec![Change::Set("until".into(), DateTime::UNIX_EPOCH.into())];
        if let Err(error) = self.handle.execute(Operation::Update(update)).await {
            tracing::debug!(%error, "the lease of a durable watch is left to run out");
        }
    }

    fn own(&self) -> Filter {
        Filter::eq("owner", self.owner)
    }

    fn update(&self, filter: Filter, more: Vec<Change>) -> Update {
        let now = self.handle.now();
        let length = i64::try_from(self.length.as_millis()).unwrap_or(i64::MAX);
        let until = DateTime::from_millis(now.millis().saturating_add(length));
        let mut update = Update::new(ModelRef(&RECORD), filter);
        update.changes = vec![
            Change::Set("owner".into(), self.owner.into()),
            Change::Set("until".into(), until.into()),
            Change::Set("updatedAt".into(), now.into()),
        ];
        update.changes.extend(more);
        update
    }
}

struct LeaseLost;

impl std::fmt::Debug for LeaseLost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LeaseLost")
    }
}
impl std::fmt::Display for LeaseLost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("another process runs the watch by now")
    }
}
impl std::error::Error for LeaseLost {}

fn lost(name: &str) -> Error {
    Error::conflict(format!("another process runs the watch {name:?} by now")).with_source(LeaseLost)
}

/// Whether `error` says that somebody else runs the watch.
pub(super) fn is_lost(error: &Error) -> bool {
    std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<LeaseLost>)
}
