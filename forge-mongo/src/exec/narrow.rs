//! Commands narrowed to some of the documents of the collections that they read, whatever built them.

use bson::{Bson, Document, doc};
use forge_core::{Error, Result};

use crate::artifact::Command;
use crate::compile;

/// What may be read of a collection.
#[derive(Debug, Clone, Default)]
pub(super) struct Condition {
    /// The part that a document tells by itself.
    pub(super) filter: Document,
    /// The stages of the part that related documents tell: for pipelines that [can join](can_join).
    pub(super) related: Vec<Document>,
}

impl From<Document> for Condition {
    fn from(filter: Document) -> Self {
        Self { filter, related: Vec::new() }
    }
}

impl Condition {
    /// The condition, where it has to stand alone.
    ///
    /// # Errors
    /// `internal` where it needs stages, which [`can_join`] tells before.
    fn alone(&self) -> Result<&Document> {
        match self.related.is_empty() {
            true => Ok(&self.filter),
            false => Err(Error::internal("a condition that joins stands where there is no room for a join")),
        }
    }
}

/// What cannot be narrowed by stages: what it finds, it finds by a condition that it knows itself.
const SEALED: [&str; 4] = ["$graphLookup", "$vectorSearch", "$rankFusion", "$scoreFusion"];
/// Conditions of a `find` that a pipeline has no room for.
const OF_FIND: [&str; 3] = ["$near", "$nearSphere", "$where"];

/// Whether a command is, or can be turned into, a pipeline that joins before anything else.
pub(super) fn can_join(command: &Command) -> bool {
    match command {
        Command::Aggregate { pipeline } => !pipeline.iter().any(|stage| mentions(stage, &SEALED)),
        Command::Find { filter, projection, .. } => {
            let plain = |form: &Document| {
                form.iter().all(|(path, shown)| !path.contains('$') && matches!(shown, Bson::Int32(0 | 1)))
            };
            !mentions(filter, &OF_FIND) && projection.as_ref().is_none_or(plain)
        }
        Command::Count { filter, .. } | Command::Distinct { filter, .. } => !mentions(filter, &OF_FIND),
        Command::Update { filter, .. }
        | Command::FindOneAndUpdate { filter, .. }
        | Command::Replace { filter, .. }
        | Command::Delete { filter, .. }
        | Command::FindOneAndDelete { filter } => !mentions(filter, &OF_FIND),
        _ => false,
    }
}

/// Whether one of these operators stands anywhere in `document`.
fn mentions(document: &Document, operators: &[&str]) -> bool {
    fn within(value: &Bson, operators: &[&str]) -> bool {
        match value {
            Bson::Document(inner) => mentions(inner, operators),
            Bson::Array(list) => list.iter().any(|value| within(value, operators)),
            _ => false,
        }
    }
    document.iter().any(|(name, value)| operators.contains(&name.as_str()) || within(value, operators))
}

/// What may be read of each collection.
pub(super) struct Narrowing<'a> {
    /// The condition on the documents of a collection; none where there is none, and writing pipelines may target it.
    pub(super) condition: &'a dyn Fn(&str) -> Result<Option<Condition>>,
    /// The error of a pipeline that would write into such a collection.
    pub(super) refusal: fn(&str) -> Error,
}

impl Narrowing<'_> {
    /// The stages, with everything narrowed that they read.
    pub(super) fn pipeline(&self, collection: &str, stages: &[Document]) -> Result<Vec<Document>> {
        let mut stages = stages.to_vec();
        for stage in &mut stages {
            self.stage(collection, stage)?;
        }
        if let Some(condition) = (self.condition)(collection)? {
            narrow_first(&mut stages, &condition)?;
        }
        Ok(stages)
    }

    fn stage(&self, collection: &str, stage: &mut Document) -> Result<()> {
        let Some((name, body)) = stage.iter_mut().next() else { return Ok(()) };
        match (name.as_str(), body) {
            ("$lookup", Bson::Document(lookup)) => {
                let from = lookup.get_str("from").unwrap_or(collection).to_owned();
                self.sub_pipeline(&from, lookup, "pipeline")
            }
            ("$graphLookup", Bson::Document(lookup)) => {
                let from = lookup.get_str("from").unwrap_or(collection).to_owned();
                if let Some(condition) = (self.condition)(&from)? {
                    narrow_field(lookup, "restrictSearchWithMatch", condition.alone()?);
                }
                Ok(())
            }
            ("$unionWith", body) => {
                if let Bson::String(from) = body {
                    *body = doc! { "coll": from.as_str() }.into();
                }
                let Bson::Document(union) = body else { return Ok(()) };
                let from = union.get_str("coll").unwrap_or(collection).to_owned();
                self.sub_pipeline(&from, union, "pipeline")
            }
            ("$facet", Bson::Document(facets)) => {
                for (_, pipeline) in facets.iter_mut() {
                    let Bson::Array(stages) = pipeline else { continue };
                    for stage in stages.iter_mut().filter_map(Bson::as_document_mut) {
                        self.stage(collection, stage)?;
                    }
                }
                Ok(())
            }
            ("$rankFusion" | "$scoreFusion", Bson::Document(fusion)) => {
                let pipelines =
                    fusion.get_document_mut("input").and_then(|input| input.get_document_mut("pipelines"));
                let Ok(pipelines) = pipelines else { return Ok(()) };
                let names: Vec<String> = pipelines.keys().cloned().collect();
                names.iter().try_for_each(|name| self.sub_pipeline(collection, pipelines, name))
            }
            ("$out" | "$merge", body) => self.refuse_target(body),
            _ => Ok(()),
        }
    }

    fn sub_pipeline(&self, collection: &str, holder: &mut Document, field: &str) -> Result<()> {
        let given = match holder.get(field) {
            Some(Bson::Array(stages)) => stages.iter().filter_map(Bson::as_document).cloned().collect(),
            _ => Vec::new(),
        };
        let stages = self.pipeline(collection, &given)?;
        if !stages.is_empty() || holder.contains_key(field) {
            holder.insert(field, stages);
        }
        Ok(())
    }

    /// What a pipeline writes is not looked at document by document.
    fn refuse_target(&self, body: &Bson) -> Result<()> {
        let into = match body {
            Bson::String(name) => Some(name.as_str()),
            Bson::Document(body) => match body.get("into") {
                Some(Bson::String(name)) => Some(name.as_str()),
                Some(Bson::Document(into)) => into.get_str("coll").ok(),
                _ => body.get_str("coll").ok(),
            },
            _ => None,
        };
        let Some(into) = into else { return Ok(()) };
        match (self.condition)(into)? {
            Some(_) => Err((self.refusal)(into)),
            None => Ok(()),
        }
    }
}

/// Adds to a condition, first, so that an index that starts with what is added serves. What was there stays at the top,
/// where some operators have to be.
pub(super) fn narrow(filter: &mut Document, condition: &Document) {
    if compile::is_nothing(condition) {
        *filter = condition.clone();
        return;
    }
    let given = std::mem::take(filter);
    let (mut more, mut clashing) = (Document::new(), Vec::new());
    for (name, value) in condition {
        match given.get(name) {
            None => _ = more.insert(name, value.clone()),
            Some(same) if same == value => {}
            Some(_) => clashing.push(Bson::Document(doc! { name: value.clone() })),
        }
    }
    *filter = more;
    filter.extend(given);
    if clashing.is_empty() {
        return;
    }
    match filter.get_array_mut("$and") {
        Ok(all) => all.extend(clashing),
        Err(_) => _ = filter.insert("$and", clashing),
    }
}

/// Adds to the condition in a field of a stage, which may be missing.
fn narrow_field(stage: &mut Document, field: &str, condition: &Document) {
    let mut filter = match stage.remove(field) {
        Some(Bson::Document(filter)) => filter,
        _ => Document::new(),
    };
    narrow(&mut filter, condition);
    stage.insert(field, filter);
}

/// Narrows what a pipeline reads. Some stages must stay the first.
fn narrow_first(stages: &mut Vec<Document>, condition: &Condition) -> Result<()> {
    let filter = &condition.filter;
    let first = stages.first_mut().and_then(|stage| stage.iter_mut().next());
    let at = match first.map(|(name, body)| (name.as_str(), body)) {
        Some(("$match", Bson::Document(given))) => {
            narrow(given, filter);
            1
        }
        Some(("$geoNear", Bson::Document(near))) => {
            if !filter.is_empty() {
                narrow_field(near, "query", filter);
            }
            1
        }
        Some(("$vectorSearch", Bson::Document(search))) => {
            if !condition.alone()?.is_empty() {
                narrow_field(search, "filter", filter);
            }
            1
        }
        // Its pipelines are narrowed each by itself.
        Some(("$rankFusion" | "$scoreFusion" | "$documents", _)) => return Ok(()),
        first => {
            let at = usize::from(matches!(first, Some(("$search" | "$searchMeta", _))));
            if filter.is_empty() {
                at
            } else {
                stages.insert(at, doc! { "$match": filter });
                at + 1
            }
        }
    };
    stages.splice(at..at, condition.related.iter().cloned());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clashes_is_added_beside_what_was_there() {
        let narrowed = |mut filter: Document, condition: Document| {
            narrow(&mut filter, &condition);
            filter
        };
        assert_eq!(narrowed(doc! { "n": 1 }, doc! { "a": 2 }), doc! { "a": 2, "n": 1 });
        assert_eq!(narrowed(doc! { "a": 2 }, doc! { "a": 2 }), doc! { "a": 2 });
        assert_eq!(narrowed(doc! { "a": 1 }, doc! { "a": 2 }), doc! { "a": 1, "$and": [{ "a": 2 }] });
        let both = narrowed(doc! { "$and": [{ "n": 1 }] }, doc! { "$and": [{ "m": 2 }] });
        assert_eq!(both, doc! { "$and": [{ "n": 1 }, { "$and": [{ "m": 2 }] }] });
        let either = narrowed(doc! { "$or": [{ "n": 1 }] }, doc! { "$or": [{ "m": 2 }] });
        assert_eq!(either, doc! { "$or": [{ "n": 1 }], "$and": [{ "$or": [{ "m": 2 }] }] });
        assert!(compile::is_nothing(&narrowed(doc! { "n": 1 }, compile::nothing())));
    }

    #[test]
    fn stages_stand_behind_the_condition_and_before_everything_else() {
        let condition = Condition { filter: doc! { "a": 1 }, related: vec![doc! { "$lookup": {} }] };
        let narrowed = |stages: Vec<Document>, condition: &Condition| {
            let mut stages = stages;
            narrow_first(&mut stages, condition).unwrap();
            stages.iter().map(|stage| stage.keys().next().unwrap().clone()).collect::<Vec<_>>().join(" ")
        };
        let limit = || doc! { "$limit": 1 };
        assert_eq!(narrowed(vec![limit()], &condition), "$match $lookup $limit");
        assert_eq!(narrowed(vec![doc! { "$match": {} }, limit()], &condition), "$match $lookup $limit");
        assert_eq!(narrowed(vec![doc! { "$geoNear": {} }], &condition), "$geoNear $lookup");
        assert_eq!(
            narrowed(vec![doc! { "$search": {} }, limit()], &condition),
            "$search $match $lookup $limit"
        );
        let related = Condition { filter: doc! {}, ..condition.clone() };
        assert_eq!(narrowed(vec![limit()], &related), "$lookup $limit");
        assert!(narrow_first(&mut vec![doc! { "$vectorSearch": {} }], &condition).is_err());
    }

    #[test]
    fn what_finds_by_its_own_condition_cannot_join() {
        let pipeline = |stage: Document| can_join(&Command::Aggregate { pipeline: vec![stage] });
        assert!(pipeline(doc! { "$match": { "$text": { "$search": "x" } } }));
        assert!(!pipeline(doc! { "$facet": { "x": [{ "$graphLookup": {} }] } }));
        assert!(!pipeline(doc! { "$vectorSearch": {} }));
        let find = |filter, projection| {
            can_join(&Command::Find { filter, projection, sort: None, skip: None, limit: None })
        };
        assert!(find(doc! { "a": 1 }, Some(doc! { "a": 1, "_id": 0 })));
        assert!(!find(doc! { "at": { "$near": [0, 0] } }, None));
        assert!(!find(doc! {}, Some(doc! { "a.$": 1 })));
        assert!(!find(doc! {}, Some(doc! { "a": { "$slice": 1 } })));
    }
}
