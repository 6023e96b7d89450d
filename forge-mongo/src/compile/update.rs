//! Changes, as documents of update operators.

use bson::{Bson, Document, RawDocumentBuf, doc};
use forge_core::ir::{
    BitOp, Change, ElementFilter, End, Filter, Predicate, PushOptions, PushSort, Replace, Returning, Update,
};
use forge_core::{Error, Result};

use super::{Place, artifact, checked_path, filter, is_inside, sort};
use crate::artifact::{Command, Modification, MongoArtifact};

/// The stages that an update may have.
const STAGES: [&str; 6] = ["$set", "$addFields", "$unset", "$project", "$replaceWith", "$replaceRoot"];

/// An `update` or, where a state or an order is wanted, a `findAndModify`. Without changes and upsert the documents are
/// only counted or found.
///
/// # Errors
/// `bad_request` where two changes touch the same path, or one path contains the other, for a state or an order of many
/// documents, and for stages that updates do not have; else as [`filter`].
pub fn update(op: &Update) -> Result<MongoArtifact> {
    if op.many {
        refuse_of_many(op)?;
    }
    let condition = filter(&op.filter, Place::Elsewhere)?;
    let command = if op.changes_anything() || op.upsert.is_some() {
        change(op, condition)?
    } else {
        only_find(op, condition)?
    };
    let mut artifact = artifact(&op.model, command);
    artifact.options.collation.clone_from(&op.collation);
    Ok(artifact)
}

fn refuse_of_many(op: &Update) -> Result<()> {
    if op.returning != Returning::Nothing {
        return Err(Error::bad_request("an update of many documents cannot return one of them"));
    }
    if !op.sort.is_empty() {
        return Err(Error::bad_request("an update of many documents has no order"));
    }
    Ok(())
}

/// A whole new document in place of one.
///
/// # Errors
/// As [`filter`].
pub fn replace(op: &Replace) -> Result<MongoArtifact> {
    let filter = filter(&op.filter, Place::Elsewhere)?;
    Ok(artifact(&op.model, Command::Replace { filter, replacement: op.document.clone() }))
}

fn only_find(op: &Update, filter: Document) -> Result<Command> {
    if op.returning == Returning::Nothing {
        return Ok(Command::Count { filter, limit: (!op.many).then_some(1), estimated: false });
    }
    Ok(Command::Find { filter, projection: None, sort: sort(&op.sort, true)?, skip: None, limit: Some(1) })
}

fn change(op: &Update, filter: Document) -> Result<Command> {
    let (update, upsert) = (modification(op)?, op.upsert.is_some());
    if op.returning == Returning::Nothing && op.sort.is_empty() {
        return Ok(Command::Update { filter, update, many: op.many, upsert });
    }
    let sort = if op.sort.is_empty() { None } else { sort(&op.sort, true)? };
    let return_after = op.returning == Returning::After;
    Ok(Command::FindOneAndUpdate { filter, update, upsert, return_after, sort })
}

fn modification(op: &Update) -> Result<Modification> {
    if !op.pipeline.is_empty() {
        return pipeline(op).map(Modification::Pipeline);
    }
    let operators = operators(op)?;
    if op.elements.is_empty() {
        return Ok(Modification::Operators(operators));
    }
    let array_filters = op.elements.iter().map(element_filter).collect::<Result<_>>()?;
    Ok(Modification::Elements { operators, array_filters })
}

fn pipeline(op: &Update) -> Result<Vec<Document>> {
    if !op.changes.is_empty() || op.upsert.is_some() {
        return Err(Error::bad_request(
            "an update is either a pipeline or a list of changes; say the changes as stages of the pipeline",
        ));
    }
    for stage in &op.pipeline {
        let name = stage.keys().next().map_or("", String::as_str);
        if stage.len() != 1 || !STAGES.contains(&name) {
            return Err(Error::bad_request(format!(
                "{stage} is no stage of an update; they are {}",
                STAGES.join(", ")
            )));
        }
    }
    Ok(op.pipeline.clone())
}

fn operators(op: &Update) -> Result<Document> {
    refuse_collisions(&op.changes)?;
    let mut operators = Document::new();
    for change in &op.changes {
        let (name, value) = operator(change)?;
        let path = checked_path(change.path())?;
        if let Some(Bson::Document(fields)) = operators.get_mut(name) {
            fields.insert(path, value);
            continue;
        }
        let mut fields = Document::new();
        fields.insert(path, value);
        operators.insert(name, Bson::Document(fields));
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

#[inline(never)]
fn operator(change: &Change) -> Result<(&'static str, Bson)> {
    let each = |values: &[Bson]| doc! { "$each": values.to_vec() };
    Ok(match change {
        Change::Set(_, value) => ("$set", value.clone()),
        Change::Unset(_) => ("$unset", "".into()),
        Change::Inc(_, value) => ("$inc", value.clone()),
        Change::Mul(_, value) => ("$mul", value.clone()),
        Change::Min(_, value) => ("$min", value.clone()),
        Change::Max(_, value) => ("$max", value.clone()),
        Change::Push(_, values) => ("$push", each(values).into()),
        Change::PushWith(_, values, options) => ("$push", push(each(values), options)?.into()),
        Change::AddToSet(_, values) => ("$addToSet", each(values).into()),
        Change::Pull(_, values) => ("$pullAll", values.clone().into()),
        Change::PullWhere(path, condition) => ("$pull", element_condition(path, condition)?),
        Change::Pop(_, End::First) => ("$pop", Bson::Int32(-1)),
        Change::Pop(_, End::Last) => ("$pop", Bson::Int32(1)),
        Change::Rename(_, to) => ("$rename", checked_path(to)?.into()),
        Change::CurrentDate(_) => ("$currentDate", true.into()),
        Change::Bit(_, bits, operand) => ("$bit", doc! { bit_name(*bits): operand }.into()),
        other => return Err(Error::internal(format!("this adapter does not know the change {other:?}"))),
    })
}

fn push(mut form: Document, options: &PushOptions) -> Result<Document> {
    if let Some(position) = options.position {
        form.insert("$position", position);
    }
    match &options.sort {
        None => {}
        Some(PushSort::Values { descending }) => _ = form.insert("$sort", if *descending { -1 } else { 1 }),
        Some(PushSort::Paths(keys)) => _ = form.insert("$sort", sort(keys, false)?),
    }
    if let Some(slice) = options.slice {
        form.insert("$slice", slice);
    }
    Ok(form)
}

fn bit_name(bits: BitOp) -> &'static str {
    match bits {
        BitOp::And => "and",
        BitOp::Or => "or",
        BitOp::Xor => "xor",
    }
}

/// The operand of `$pull`: conditions on the fields of elements, or on elements that are values.
fn element_condition(path: &str, condition: &Filter) -> Result<Bson> {
    if !names_the_element(condition) {
        return Ok(filter(condition, Place::Elsewhere)?.into());
    }
    let mut compiled = filter(&below("v", condition), Place::Elsewhere)?;
    match (compiled.len(), compiled.remove("v")) {
        (1, Some(operators)) => Ok(operators),
        _ => Err(Error::bad_request(format!(
            "the condition on the elements of {path:?} is too involved for one pull; pull in several updates"
        ))),
    }
}

/// Whether a condition is about elements that are values.
fn names_the_element(condition: &Filter) -> bool {
    match condition {
        Filter::And(list) | Filter::Or(list) => list.iter().any(names_the_element),
        Filter::Not(inner) => names_the_element(inner),
        Filter::Field(path, _) => path.is_empty(),
        _ => false,
    }
}

/// The condition of a `$[name]`.
fn element_filter(element: &ElementFilter) -> Result<Document> {
    let name = element.name.as_str();
    match &element.filter {
        // The conditions of "everything" and "nothing" have no path, and a server could not tell whose they are.
        Filter::All => Ok(doc! { name: { "$exists": true } }),
        Filter::Nothing => Ok(doc! { name: { "$in": [] } }),
        condition => filter(&below(name, condition), Place::Elsewhere),
    }
}

/// `condition` with its paths below `name`.
fn below(name: &str, condition: &Filter) -> Filter {
    let all = |list: &[Filter]| list.iter().map(|part| below(name, part)).collect();
    match condition {
        Filter::And(list) => Filter::And(all(list)),
        Filter::Or(list) => Filter::Or(all(list)),
        Filter::Not(inner) => Filter::Not(Box::new(below(name, inner))),
        Filter::Field(path, predicate) if path.is_empty() => {
            Filter::Field(name.to_owned().into(), predicate.clone())
        }
        Filter::Field(path, predicate) => Filter::Field(format!("{name}.{path}").into(), predicate.clone()),
        other => other.clone(),
    }
}

/// Two changes may not touch the same path, nor a path inside the other's. Elements by name are told apart by the server.
fn refuse_collisions(changes: &[Change]) -> Result<()> {
    for (position, change) in changes.iter().enumerate() {
        let before = &changes[..position];
        refuse_collisions_with(before, change.path())?;
        if let Some(to) = change.other_path() {
            refuse_collision(change.path(), to)?;
            refuse_collisions_with(before, to)?;
        }
    }
    Ok(())
}

fn refuse_collisions_with(changes: &[Change], path: &str) -> Result<()> {
    for change in changes {
        refuse_collision(change.path(), path)?;
        if let Some(to) = change.other_path() {
            refuse_collision(to, path)?;
        }
    }
    Ok(())
}

#[inline]
fn refuse_collision(before: &str, path: &str) -> Result<()> {
    // Neither begins with the other, as a rule already by its first letter.
    if before.as_bytes().first() != path.as_bytes().first() {
        return Ok(());
    }
    refuse_same(before, path)
}

#[inline(never)]
fn refuse_same(before: &str, path: &str) -> Result<()> {
    if path == before {
        return Err(Error::bad_request(format!(
            "path collision: one update changes {path:?} twice; give it one change"
        )));
    }
    if is_inside(path, before) || is_inside(before, path) {
        return Err(Error::bad_request(format!(
            "path collision: one update changes both {before:?} and {path:?}, and one contains the other; change only one \
             of them"
        )));
    }
    Ok(())
}

/// What an insert adds: the fields of `upsert` that neither the changes nor the equalities of the filter give.
fn on_insert(upsert: &RawDocumentBuf, op: &Update) -> Result<Document> {
    let changed = op.changes.iter().flat_map(|change| [Some(change.path()), change.other_path()]);
    let mut given: Vec<&str> = changed.flatten().map(|path| &**path).collect();
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
