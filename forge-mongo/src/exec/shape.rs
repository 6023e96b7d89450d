//! What a command asks for, without the values that it asks with: for logs.

use std::fmt::Write as _;

use bson::{Bson, Document};

use crate::artifact::{Command, Modification, MongoArtifact};

/// The most characters of a shape.
const MAX_LENGTH: usize = 1_000;

/// `{ delay: { $gt: ? }, origin_id: ? } sort { date: -1 } limit`: paths and operators, `?` for every value.
pub(super) fn shape(artifact: &MongoArtifact) -> String {
    let mut out = String::with_capacity(64);
    match &artifact.command {
        Command::Find { filter, projection, sort, skip, limit } => {
            condition(&mut out, filter);
            keys(&mut out, " sort ", sort.as_ref());
            keys(&mut out, " project ", projection.as_ref());
            out.push_str(if skip.is_some() { " skip" } else { "" });
            out.push_str(if limit.is_some() { " limit" } else { "" });
        }
        Command::Aggregate { pipeline } => stages(&mut out, pipeline),
        Command::Count { filter, .. }
        | Command::Delete { filter, .. }
        | Command::FindOneAndDelete { filter }
        | Command::Replace { filter, .. } => condition(&mut out, filter),
        Command::Distinct { key, filter } => {
            _ = write!(out, "{key} ");
            condition(&mut out, filter);
        }
        Command::Insert { documents, .. } => _ = write!(out, "{} documents", documents.len()),
        Command::Update { filter, update, .. } | Command::FindOneAndUpdate { filter, update, .. } => {
            condition(&mut out, filter);
            out.push(' ');
            modification(&mut out, update);
        }
    }
    if out.len() > MAX_LENGTH {
        let end = (0..=MAX_LENGTH).rev().find(|at| out.is_char_boundary(*at)).unwrap_or(0);
        out.truncate(end);
        out.push('…');
    }
    out
}

fn list<T>(
    out: &mut String,
    around: [&str; 2],
    items: impl Iterator<Item = T>,
    one: impl Fn(&mut String, T),
) {
    out.push_str(around[0]);
    for (at, item) in items.enumerate() {
        if out.len() > MAX_LENGTH {
            break;
        }
        out.push_str(if at == 0 { " " } else { ", " });
        one(out, item);
    }
    out.push(' ');
    out.push_str(around[1]);
}

fn condition(out: &mut String, filter: &Document) {
    list(out, ["{", "}"], filter.iter(), |out, (path, value)| {
        _ = write!(out, "{path}: ");
        match value {
            Bson::Array(parts) if matches!(path.as_str(), "$and" | "$or" | "$nor") => {
                list(out, ["[", "]"], parts.iter(), |out, part| match part {
                    Bson::Document(part) => condition(out, part),
                    _ => out.push('?'),
                });
            }
            Bson::Document(inner) if is_condition(path, inner) => condition(out, inner),
            _ => out.push('?'),
        }
    });
}

/// Whether the document is made of operators, or of paths: any other is a value.
fn is_condition(path: &str, inner: &Document) -> bool {
    let operators = inner.keys().next().is_some_and(|key| key.starts_with('$'));
    matches!(path, "$elemMatch" | "$not") || (operators && !path.starts_with('$'))
}

fn keys(out: &mut String, before: &str, keys: Option<&Document>) {
    let Some(keys) = keys else { return };
    out.push_str(before);
    list(out, ["{", "}"], keys.iter(), |out, (path, direction)| match direction {
        Bson::Int32(_) | Bson::Int64(_) => _ = write!(out, "{path}: {direction}"),
        _ => _ = write!(out, "{path}: ?"),
    });
}

fn modification(out: &mut String, update: &Modification) {
    match update {
        Modification::Pipeline(pipeline) => stages(out, pipeline),
        Modification::Operators(operators) | Modification::Elements { operators, .. } => {
            list(out, ["{", "}"], operators.iter(), |out, (operator, fields)| {
                _ = write!(out, "{operator}: ");
                match fields {
                    Bson::Document(fields) => list(out, ["{", "}"], fields.keys(), |out, path| {
                        _ = write!(out, "{path}: ?");
                    }),
                    _ => out.push('?'),
                }
            });
        }
    }
}

fn stages(out: &mut String, pipeline: &[Document]) {
    list(out, ["[", "]"], pipeline.iter(), |out, stage| {
        list(out, ["{", "}"], stage.iter(), |out, (name, body)| {
            _ = write!(out, "{name}: ");
            match body {
                Bson::Document(filter) if name == "$match" => condition(out, filter),
                Bson::Document(sort) if name == "$sort" => keys(out, "", Some(sort)),
                body => expression(out, body),
            }
        });
    });
}

/// Paths of documents are shown, which begin with `$`; every other value is not.
fn expression(out: &mut String, value: &Bson) {
    match value {
        Bson::Document(fields) => list(out, ["{", "}"], fields.iter(), |out, (name, value)| {
            _ = write!(out, "{name}: ");
            match (name.as_str(), value) {
                ("$literal", _) => out.push('?'),
                ("pipeline", Bson::Array(inner)) => {
                    let inner: Vec<Document> = inner.iter().filter_map(Bson::as_document).cloned().collect();
                    stages(out, &inner);
                }
                (
                    "from" | "as" | "localField" | "foreignField" | "coll" | "into" | "path",
                    Bson::String(name),
                ) => {
                    out.push_str(name);
                }
                (_, value) => expression(out, value),
            }
        }),
        Bson::String(path) if path.starts_with('$') => out.push_str(path),
        Bson::Array(values) if values.iter().any(|value| matches!(value, Bson::Document(_))) => {
            list(out, ["[", "]"], values.iter(), expression);
        }
        _ => out.push('?'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::doc;

    const SECRET: &str = "s3cret";

    fn of(command: Command) -> String {
        let shape = shape(&MongoArtifact::new("c", command));
        assert!(!shape.contains(SECRET), "{shape}");
        shape
    }

    #[test]
    fn finds_show_paths_and_operators_and_no_values() {
        let filter = doc! {
            "a": SECRET, "b": { "$in": [SECRET] }, "c": { "x": SECRET }, "$or": [{ "d": { "$gt": SECRET } }],
            "e": { "$elemMatch": { "f": SECRET } }, "g": { "$not": { "$regex": SECRET } },
        };
        let sort = Some(doc! { "a": -1 });
        let find =
            Command::Find { filter, projection: Some(doc! { "a": 1 }), sort, skip: None, limit: Some(1) };
        assert_eq!(
            of(find),
            "{ a: ?, b: { $in: ? }, c: ?, $or: [ { d: { $gt: ? } } ], e: { $elemMatch: { f: ? } }, g: { $not: { $regex: \
             ? } } } sort { a: -1 } project { a: 1 } limit"
        );
    }

    #[test]
    fn writes_show_which_fields_change() {
        let update = doc! { "$set": { "a": SECRET, "b": { "c": SECRET } } }.into();
        let update = Command::Update { filter: doc! { "_id": SECRET }, update, many: false, upsert: false };
        assert_eq!(of(update), "{ _id: ? } { $set: { a: ?, b: ? } }");
        let documents = vec![bson::rawdoc! { "a": SECRET }];
        assert_eq!(of(Command::Insert { documents, ordered: true }), "1 documents");
    }

    #[test]
    fn pipelines_show_stages_and_paths() {
        let pipeline = vec![
            doc! { "$match": { "a": format!("${SECRET}") } },
            doc! { "$group": { "_id": "$state", "n": { "$sum": 1 } } },
            doc! { "$set": { "x": { "$literal": SECRET }, "y": SECRET, "z": [SECRET] } },
        ];
        assert_eq!(
            of(Command::Aggregate { pipeline }),
            "[ { $match: { a: ? } }, { $group: { _id: $state, n: { $sum: ? } } }, { $set: { x: { $literal: ? }, y: ?, z: \
             ? } } ]"
        );
    }

    #[test]
    fn shapes_are_bounded() {
        let filter: Document = (0..10_000).map(|n| (format!("field{n}"), Bson::Int32(n))).collect();
        assert!(of(Command::Count { filter, limit: None, estimated: false }).len() < MAX_LENGTH + 50);
    }
}
