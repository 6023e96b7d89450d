//! Changes, as documents of update operators.

use bson::{Bson, Document, RawDocumentBuf, doc};
use forge_core::ir::{Change, End, Filter, Predicate, Returning, Update};
use forge_core::{Error, Result};

use super::{Place, artifact, checked_path, filter, is_inside};
use crate::artifact::{Command, MongoArtifact};

/// An `update` or, where a state is wanted, a `findAndModify`. Without changes and upsert the documents are only counted
/// or found.
///
/// # Errors
/// `bad_request` where two changes touch the same path, or one path contains the other, and for a state of many
/// documents; else as [`filter`].
pub fn update(op: &Update) -> Result<MongoArtifact> {
    if op.many && op.returning != Returning::Nothing {
        return Err(Error::bad_request("an update of many documents cannot return one of them"));
    }
    let condition = filter(&op.filter, Place::Elsewhere)?;
    let command = if op.changes.is_empty() && op.upsert.is_none() {
        only_find(op, condition)
    } else {
        change(op, condition)?
    };
    Ok(artifact(&op.model, command, None))
}

fn only_find(op: &Update, filter: Document) -> Command {
    if op.returning == Returning::Nothing {
        return Command::Count { filter, limit: (!op.many).then_some(1) };
    }
    Command::Find { filter, projection: None, sort: None, skip: None, limit: Some(1) }
}

fn change(op: &Update, filter: Document) -> Result<Command> {
    let (update, upsert) = (operators(op)?, op.upsert.is_some());
    Ok(match op.returning {
        Returning::Nothing => Command::Update { filter, update, many: op.many, upsert },
        returning => {
            Command::FindOneAndUpdate { filter, update, upsert, return_after: returning == Returning::After }
        }
    })
}

fn operators(op: &Update) -> Result<Document> {
    refuse_collisions(&op.changes)?;
    let mut operators = Document::new();
    for change in &op.changes {
        let (name, value) = operator(change)?;
        let path = checked_path(change.path())?;
        match operators.get_mut(name) {
            Some(Bson::Document(fields)) => _ = fields.insert(path, value),
            _ => _ = operators.insert(name, doc! { path: value }),
        }
    }
    if let Some(upsert) = &op.upsert {
        let on_insert = on_insert(upsert, op)?;
        // An update without operators would be a replacement; one with an empty `$setOnInsert` is none.
        if !on_insert.is_empty() || operators.is_empty() {
            operators.insert("$setOnInsert", on_insert);
        }
    }
    Ok(operators)
}

fn operator(change: &Change) -> Result<(&'static str, Bson)> {
    let each = |values: &[Bson]| Bson::from(doc! { "$each": values.to_vec() });
    Ok(match change {
        Change::Set(_, value) => ("$set", value.clone()),
        Change::Unset(_) => ("$unset", "".into()),
        Change::Inc(_, value) => ("$inc", value.clone()),
        Change::Mul(_, value) => ("$mul", value.clone()),
        Change::Min(_, value) => ("$min", value.clone()),
        Change::Max(_, value) => ("$max", value.clone()),
        Change::Push(_, values) => ("$push", each(values)),
        Change::AddToSet(_, values) => ("$addToSet", each(values)),
        Change::Pull(_, values) => ("$pullAll", values.clone().into()),
        Change::Pop(_, End::First) => ("$pop", Bson::Int32(-1)),
        Change::Pop(_, End::Last) => ("$pop", Bson::Int32(1)),
        other => return Err(Error::internal(format!("this adapter does not know the change {other:?}"))),
    })
}

fn refuse_collisions(changes: &[Change]) -> Result<()> {
    for (i, change) in changes.iter().enumerate() {
        for earlier in &changes[..i] {
            let (path, before) = (change.path(), earlier.path());
            if path == before {
                return Err(Error::bad_request(format!(
                    "one update changes {path:?} twice; give it one change"
                )));
            }
            if overlap(path, before) {
                return Err(Error::bad_request(format!(
                    "one update changes both {before:?} and {path:?}, and one contains the other; change only one of them"
                )));
            }
        }
    }
    Ok(())
}

fn overlap(a: &str, b: &str) -> bool {
    a == b || is_inside(a, b) || is_inside(b, a)
}

/// What an insert adds: the fields of `upsert` that neither the changes nor the equalities of the filter give.
fn on_insert(upsert: &RawDocumentBuf, op: &Update) -> Result<Document> {
    let mut given: Vec<&str> = op.changes.iter().map(|change| &**change.path()).collect();
    equalities(&op.filter, &mut |path, _| given.push(path));
    let document = Document::try_from(upsert)?;
    let mut out = Document::new();
    for (field, value) in document {
        keep(&mut out, field, value, &given);
    }
    Ok(out)
}

/// Adds `path: value` without its parts that are given already.
fn keep(out: &mut Document, path: String, value: Bson, given: &[&str]) {
    if given.iter().any(|g| *g == path || is_inside(&path, g)) {
        return;
    }
    if !given.iter().any(|g| is_inside(g, &path)) {
        out.insert(path, value);
        return;
    }
    // A part of it is given: what is beside that part goes in by its own path.
    if let Bson::Document(parts) = value {
        for (name, part) in parts {
            keep(out, format!("{path}.{name}"), part, given);
        }
    }
}

/// The equalities that a server copies from a condition into the document it inserts.
fn equalities<'a>(filter: &'a Filter, found: &mut impl FnMut(&'a str, &'a Bson)) {
    match filter {
        Filter::Field(path, Predicate::Eq(value)) => found(path, value),
        Filter::Field(path, Predicate::In(values)) if values.len() == 1 => found(path, &values[0]),
        Filter::And(list) => list.iter().for_each(|part| equalities(part, found)),
        Filter::Or(list) if list.len() == 1 => equalities(&list[0], found),
        _ => {}
    }
}

/// Whether `filter` says which `_id` an inserted document gets, so that the id does not tell whether it is new.
pub fn upsert_fixes_id(filter: &Filter) -> bool {
    let mut fixed = false;
    equalities(filter, &mut |path, _| fixed |= path == "_id");
    fixed
}
