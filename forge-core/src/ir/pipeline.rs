//! Pipelines as plain data, and the checks of stages that a program wrote itself.

use bson::{Bson, Document};
use serde::{Deserialize, Serialize};

use super::{Aggregate, Filter, Path, ReadOptions, Search, SortKey};
use crate::error::{Error, Result};
use crate::model::ModelRef;

/// Documents of one model, sent through stages.
///
/// Expressions are in MongoDB's own form, which is data already.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pipeline {
    /// What goes in.
    pub source: Source,
    /// What finds and ranks the documents, beside the filter of the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<Box<Search>>,
    /// Whether it ends by writing into a collection; it answers nothing then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub writes: bool,
    /// How it is run.
    #[serde(default, skip_serializing_if = "ReadOptions::is_default")]
    pub options: ReadOptions,
}

/// Documents of a model, and the stages that they go through.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// The model.
    pub model: ModelRef,
    /// Which documents.
    pub filter: Filter,
    /// The stages, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<Stage>,
    /// Whether soft-deleted documents are read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub with_deleted: bool,
}

/// What a source reads, by one of its parts.
#[derive(Debug, Clone, Copy)]
pub enum SourceRead<'a> {
    /// The documents of a model that meet a condition before any other stage.
    Documents(ModelRef, &'a Filter),
    /// What a condition after other stages looks at beside the document itself.
    Condition(&'a Filter),
    /// A collection that a raw stage joins.
    Collection(&'a str),
}

impl Source {
    /// Calls `see` with all that is read, joined sources included, in the order of the stages.
    pub fn each_read<'a>(&'a self, see: &mut dyn FnMut(SourceRead<'a>)) {
        see(SourceRead::Documents(self.model, &self.filter));
        reads_of(&self.stages, see);
    }
}

fn reads_of<'a>(stages: &'a [Stage], see: &mut dyn FnMut(SourceRead<'a>)) {
    for stage in stages {
        match stage {
            Stage::Match(filter) => see(SourceRead::Condition(filter)),
            Stage::Lookup(lookup) => lookup.from.each_read(see),
            Stage::Union(source) => source.each_read(see),
            Stage::Graph(graph) => see(SourceRead::Documents(graph.model, &graph.filter)),
            Stage::Facet(facets) => facets.iter().for_each(|(_, stages)| reads_of(stages, see)),
            Stage::Raw(stage) => {
                joined_collections(stage).into_iter().for_each(|name| see(SourceRead::Collection(name)));
            }
            _ => {}
        }
    }
}

/// One step of a [`Pipeline`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stage {
    /// Only documents that match: `$match`.
    Match(Filter),
    /// Documents of another model beside each document: `$lookup`.
    Lookup(Lookup),
    /// The documents of another model as well: `$unionWith`.
    Union(Source),
    /// What is reached by following a field again and again: `$graphLookup`.
    Graph(Graph),
    /// Several pipelines over the same documents, each with a name: `$facet`.
    Facet(Vec<(String, Vec<Stage>)>),
    /// Groups: `$group`. The keys and values are fields of the answer.
    Group {
        /// The keys by their names. Without any there is one group.
        keys: Vec<(String, Bson)>,
        /// The values by their names.
        values: Vec<(String, Aggregate)>,
    },
    /// Groups by ranges: `$bucket`, or `$bucketAuto` without bounds. The key is the field `_id`.
    Bucket {
        /// What decides the bucket.
        by: Bson,
        /// The bounds, or how many buckets.
        bounds: Bounds,
        /// The values by their names; without any, `count`.
        values: Vec<(String, Aggregate)>,
    },
    /// Values computed from the documents around each one: `$setWindowFields`.
    Window {
        /// What divides the documents.
        partition: Option<Bson>,
        /// Their order within a part.
        sort: Vec<SortKey>,
        /// The values by their names.
        values: Vec<(String, WindowFunction, Option<Document>)>,
    },
    /// By the distance from a point: `$geoNear`. Only the first stage.
    Near {
        /// The stored path of the places.
        key: Path,
        /// Degrees: longitude, latitude.
        point: [f64; 2],
        /// The path that gets the distance in metres.
        distance: String,
        /// The largest distance in metres.
        max_metres: Option<f64>,
        /// The smallest distance in metres.
        min_metres: Option<f64>,
    },
    /// A stage in MongoDB's own form that reads no other collection.
    Plain(Document),
    /// A stage that the program wrote itself, in MongoDB's own form. Soft-deleted documents of what it joins are not
    /// left out.
    Raw(Document),
}

/// How the buckets of a [`Stage::Bucket`] are divided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bounds {
    /// At these values, in ascending order; everything else goes to the bucket `default`, or is an error.
    At {
        /// The lower bound of each bucket, and the end of the last one.
        values: Vec<Bson>,
        /// The `_id` of the bucket of everything else.
        default: Option<Bson>,
    },
    /// Into so many buckets of about the same number of documents.
    Count(u32),
}

/// What a [`Stage::Window`] computes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowFunction {
    /// An aggregate over the documents of the window.
    Aggregate(Aggregate),
    /// A function of windows alone, in MongoDB's own form: `{$rank: {}}`.
    Own(Document),
}

/// Documents of another model beside each document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lookup {
    /// What is joined.
    pub from: Source,
    /// The paths that have to be equal: here, and there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equal: Option<(Path, Path)>,
    /// What the stages of `from` see of the document, as `$$name`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<(String, Bson)>,
    /// The field that gets them: a list.
    pub target: String,
    /// Only the first one, by itself; nothing where there is none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub single: bool,
}

/// What is reached by following a field again and again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Graph {
    /// The model that is followed through.
    pub model: ModelRef,
    /// Which of its documents take part.
    pub filter: Filter,
    /// Whether soft-deleted documents take part.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub with_deleted: bool,
    /// The values to begin with.
    pub start: Bson,
    /// The stored path that leads on.
    pub connect_from: Path,
    /// The stored path that is led to.
    pub connect_to: Path,
    /// The field that gets what is reached: a list.
    pub target: String,
    /// How many steps at most, after the first look-up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_depth: Option<u32>,
    /// The field of each reached document that tells the number of its step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth_field: Option<String>,
}

impl Source {
    /// All documents of `model`.
    pub fn new(model: ModelRef) -> Self {
        Self { model, filter: Filter::All, stages: Vec::new(), with_deleted: false }
    }

    /// Adds a stage. A leading condition becomes the source's own.
    pub fn push(&mut self, stage: Stage) {
        match stage {
            Stage::Match(filter) if self.stages.is_empty() => self.filter.narrow(filter),
            stage => self.stages.push(stage),
        }
    }

    /// Whether a condition asks for related documents, at any depth.
    pub fn has_relations(&self) -> bool {
        self.filter.has_relations() || self.stages.iter().any(stage_has_relations)
    }

    /// Narrows every model that is read, at any depth, by what `condition` says of it; those with `with_deleted` too.
    pub(crate) fn narrow(&mut self, condition: &dyn Fn(ModelRef) -> Filter) {
        if !self.with_deleted {
            self.filter.narrow(condition(self.model));
        }
        narrow_stages(&mut self.stages, condition);
    }
}

fn stage_has_relations(stage: &Stage) -> bool {
    match stage {
        Stage::Match(filter) => filter.has_relations(),
        Stage::Lookup(lookup) => lookup.from.has_relations(),
        Stage::Union(source) => source.has_relations(),
        Stage::Graph(graph) => graph.filter.has_relations(),
        Stage::Facet(facets) => facets.iter().any(|(_, stages)| stages.iter().any(stage_has_relations)),
        _ => false,
    }
}

fn narrow_stages(stages: &mut [Stage], condition: &dyn Fn(ModelRef) -> Filter) {
    for stage in stages {
        match stage {
            Stage::Lookup(lookup) => lookup.from.narrow(condition),
            Stage::Union(source) => source.narrow(condition),
            Stage::Graph(graph) if !graph.with_deleted => graph.filter.narrow(condition(graph.model)),
            Stage::Facet(facets) => {
                facets.iter_mut().for_each(|(_, stages)| narrow_stages(stages, condition));
            }
            _ => {}
        }
    }
}

impl Pipeline {
    /// A pipeline without stages.
    pub fn new(source: Source) -> Self {
        Self { source, search: None, writes: false, options: ReadOptions::default() }
    }
}

/// What runs code on the server, or writes: no pipeline that reads has it.
const REFUSED: [&str; 5] = ["$out", "$merge", "$where", "$function", "$accumulator"];

/// Checks a stage that somebody wrote: it has one operator, and neither writes nor runs code on the server.
///
/// # Errors
/// `forbidden` names what is refused, `bad_request` says what is wrong.
pub fn check_raw(stage: &Document) -> Result<()> {
    let name = stage.keys().next().map_or("", String::as_str);
    if stage.len() != 1 || !name.starts_with('$') {
        return Err(Error::bad_request(format!(
            "a stage is a document with one operator, as {{\"$match\": …}}, not {stage}"
        )));
    }
    match refused(stage, 0)? {
        None => Ok(()),
        Some(operator) => Err(Error::forbidden(format!("a pipeline that reads has no `{operator}`"))),
    }
}

/// As deep as BSON of servers may be.
const MAX_DEPTH: usize = 180;

fn refused(document: &Document, depth: usize) -> Result<Option<&'static str>> {
    if depth > MAX_DEPTH {
        return Err(Error::too_large(format!("a stage nests deeper than {MAX_DEPTH} levels")));
    }
    for (key, value) in document {
        if let Some(operator) = REFUSED.into_iter().find(|operator| operator == key) {
            return Ok(Some(operator));
        }
        // What is quoted is data.
        if key != "$literal"
            && let Some(operator) = refused_in(value, depth + 1)?
        {
            return Ok(Some(operator));
        }
    }
    Ok(None)
}

fn refused_in(value: &Bson, depth: usize) -> Result<Option<&'static str>> {
    match value {
        Bson::Document(document) => refused(document, depth),
        Bson::Array(items) if depth <= MAX_DEPTH => {
            for item in items {
                if let Some(operator) = refused_in(item, depth + 1)? {
                    return Ok(Some(operator));
                }
            }
            Ok(None)
        }
        Bson::Array(_) => Err(Error::too_large(format!("a stage nests deeper than {MAX_DEPTH} levels"))),
        Bson::JavaScriptCode(_) | Bson::JavaScriptCodeWithScope(_) => Ok(Some("JavaScript")),
        _ => Ok(None),
    }
}

/// The collections that raw stages join.
pub fn joined_collections(stage: &Document) -> Vec<&str> {
    let mut found = Vec::new();
    gather(stage, &mut found);
    found
}

fn gather<'d>(document: &'d Document, found: &mut Vec<&'d str>) {
    for (key, value) in document {
        match (key.as_str(), value) {
            ("$lookup" | "$graphLookup", Bson::Document(form)) => found.extend(form.get_str("from").ok()),
            ("$unionWith", Bson::Document(form)) => found.extend(form.get_str("coll").ok()),
            ("$unionWith", Bson::String(collection)) => found.push(collection),
            _ => {}
        }
        match value {
            Bson::Document(inner) => gather(inner, found),
            Bson::Array(items) => {
                items.iter().filter_map(Bson::as_document).for_each(|item| gather(item, found));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorCode;
    use bson::doc;

    #[test]
    fn what_writes_or_runs_code_is_refused_at_any_depth() {
        let stages = [
            doc! { "$out": "x" },
            doc! { "$merge": { "into": "x" } },
            doc! { "$match": { "$where": "1" } },
            doc! { "$facet": { "a": [{ "$group": { "_id": 1, "x": { "$accumulator": {} } } }] } },
            doc! { "$lookup": { "from": "x", "pipeline": [{ "$set": { "y": { "$function": {} } } }] } },
            doc! { "$match": { "x": Bson::JavaScriptCode("1".into()) } },
        ];
        for stage in stages {
            assert_eq!(check_raw(&stage).unwrap_err().code(), ErrorCode::Forbidden, "{stage}");
        }
        check_raw(&doc! { "$set": { "x": { "$literal": { "$where": 1 } } } }).unwrap();
        for stage in [doc! {}, doc! { "match": {} }, doc! { "$match": {}, "$limit": 1 }] {
            assert_eq!(check_raw(&stage).unwrap_err().code(), ErrorCode::BadRequest, "{stage}");
        }
        let mut deep = doc! {};
        for _ in 0..500 {
            deep = doc! { "a": deep };
        }
        assert_eq!(check_raw(&doc! { "$set": deep }).unwrap_err().code(), ErrorCode::TooLarge);
    }

    #[test]
    fn the_collections_of_raw_joins_are_found_at_any_depth() {
        let stage = doc! { "$facet": { "a": [
            { "$lookup": { "from": "x", "as": "x", "pipeline": [{ "$unionWith": "y" }] } },
            { "$unionWith": { "coll": "z", "pipeline": [] } },
        ] } };
        assert_eq!(joined_collections(&stage), ["x", "y", "z"]);
    }
}
