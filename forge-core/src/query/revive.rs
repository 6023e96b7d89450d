//! The end of soft deletes, with everything that the same delete took along: on plain data, inside a transaction.

use std::collections::HashMap;

use bson::oid::ObjectId;
use bson::{Bson, RawDocumentBuf};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::wrong_outcome;
use crate::catalog::Referrer;
use crate::db::Db;
use crate::error::Result;
use crate::ir::{Change, Filter, Operation, Outcome, Path, Predicate, Projection, Select, SortKey, Update};
use crate::model::{DELETED_AT, DELETED_WITH, ModelDef, ModelRef, OnDelete};

/// Documents in one command.
const BATCH: usize = 1_000;

/// The condition on documents that are deleted.
pub(super) fn deleted() -> Filter {
    Filter::Field(DELETED_AT.into(), Predicate::Ne(Bson::Null))
}

/// The end of a soft delete.
pub(super) fn revival(model: &'static ModelDef, filter: Filter) -> Update {
    Update {
        changes: vec![Change::Unset(DELETED_AT.into()), Change::Unset(DELETED_WITH.into())],
        with_deleted: true,
        ..Update::new(ModelRef(model), filter.and(deleted()))
    }
}

/// The relations by which a soft delete of `model` takes documents along that can come back.
fn followers<'d>(db: &'d Db, model: &ModelDef) -> impl Iterator<Item = &'d Referrer> + use<'d> {
    let cascades = |referrer: &&Referrer| referrer.relation.on_delete == OnDelete::Cascade;
    db.catalog().referrers(model).iter().filter(cascades).filter(|referrer| referrer.model.soft_delete)
}

/// Whether a soft delete of `model` may take documents along that can come back.
pub(super) fn takes_along(db: &Db, model: &ModelDef) -> bool {
    followers(db, model).next().is_some()
}

/// Ends the deletes of documents of `model` that match, a batch at a time, with what went along with them; answers with
/// how many of them there were.
pub(super) async fn revive(db: &Db, model: &'static ModelDef, filter: Filter) -> Result<u64> {
    let mut count = 0;
    loop {
        let found = find(db, model, filter.clone().and(deleted())).await?;
        count += back(db, model, &found).await?;
        if found.len() < BATCH {
            return Ok(count);
        }
    }
}

/// Ends the deletes of these documents, then of what each delete took along from under them.
fn back<'f>(db: &'f Db, model: &'static ModelDef, found: &'f [RawDocumentBuf]) -> BoxFuture<'f, Result<u64>> {
    async move {
        if found.is_empty() {
            return Ok(0);
        }
        let ids = found.iter().map(|document| value(document, "_id")).collect::<Result<Vec<_>>>()?;
        let update = Update { many: true, ..revival(model, among("_id", ids)) };
        let count = match db.handle.execute(Operation::Update(update)).await? {
            Outcome::Written { changed, .. } => changed,
            _ => return Err(wrong_outcome("restore")),
        };
        for referrer in followers(db, model) {
            for (mark, keys) in by_mark(found, referrer.relation.foreign)? {
                let taken = among(referrer.relation.local(), keys).and(Filter::eq(DELETED_WITH, mark));
                revive(db, referrer.model, taken).await?;
            }
        }
        Ok(count)
    }
    .boxed()
}

/// The keys of documents, by the delete that took them.
fn by_mark(found: &[RawDocumentBuf], path: &str) -> Result<HashMap<ObjectId, Vec<Bson>>> {
    let mut keys: HashMap<_, Vec<_>> = HashMap::new();
    for document in found {
        if let Bson::ObjectId(mark) = value(document, DELETED_WITH)? {
            keys.entry(mark).or_default().push(value(document, path)?);
        }
    }
    Ok(keys)
}

async fn find(db: &Db, model: &'static ModelDef, filter: Filter) -> Result<Vec<RawDocumentBuf>> {
    let keys = followers(db, model).map(|referrer| Path::from(referrer.relation.foreign));
    let select = Select {
        filter,
        sort: vec![SortKey { path: "_id".into(), descending: false }],
        limit: Some(BATCH as u64),
        projection: Projection::Only([DELETED_WITH.into()].into_iter().chain(keys).collect()),
        with_deleted: true,
        ..Select::new(ModelRef(model))
    };
    match db.handle.execute(Operation::Select(select)).await? {
        Outcome::Rows(rows) => Ok(rows.documents),
        _ => Err(wrong_outcome("restore")),
    }
}

fn among(path: &'static str, values: Vec<Bson>) -> Filter {
    Filter::Field(Path::Borrowed(path), Predicate::In(values))
}

fn value(document: &RawDocumentBuf, path: &str) -> Result<Bson> {
    Ok(document.get(path)?.map(Bson::try_from).transpose()?.unwrap_or(Bson::Null))
}
