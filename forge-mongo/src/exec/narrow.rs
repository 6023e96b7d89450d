//! Commands narrowed to some of the documents of the collections that they read, whatever built them.

use bson::{Bson, Document, doc};
use forge_core::{Error, Result};

use crate::compile;

/// What may be read of each collection.
pub(super) struct Narrowing<'a> {
    /// The condition on the documents of a collection; none where there is none, and writing pipelines may target it.
    pub(super) condition: &'a dyn Fn(&str) -> Result<Option<Document>>,
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
            narrow_first(&mut stages, &condition);
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
                    narrow_field(lookup, "restrictSearchWithMatch", &condition);
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
fn narrow_first(stages: &mut Vec<Document>, condition: &Document) {
    if condition.is_empty() {
        return;
    }
    let first = stages.first_mut().and_then(|stage| stage.iter_mut().next());
    match first.map(|(name, body)| (name.as_str(), body)) {
        Some(("$match", Bson::Document(filter))) => narrow(filter, condition),
        Some(("$geoNear", Bson::Document(near))) => narrow_field(near, "query", condition),
        Some(("$vectorSearch", Bson::Document(search))) => narrow_field(search, "filter", condition),
        // Its pipelines are narrowed each by itself.
        Some(("$rankFusion" | "$scoreFusion" | "$documents", _)) => {}
        Some(("$search" | "$searchMeta", _)) => stages.insert(1, doc! { "$match": condition }),
        _ => stages.insert(0, doc! { "$match": condition }),
    }
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
}
