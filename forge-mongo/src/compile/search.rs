//! Searches, as the first stages of pipelines: `$vectorSearch`, `$search`, `$rankFusion`; and text scores.

use bson::{Bson, Document, doc};
use forge_core::ir::{
    Area, Compound, Filter, IndexSearch, RankedBy, Ranking, SCORE, Search, SearchOperator, Select, SortKey,
    VectorSearch,
};
use forge_core::model::{DELETED_AT, ModelDef, ModelRef, VectorDef};
use forge_core::{Error, Result};

use super::{Joined, Place, artifact, checked_path, filter, is_nothing, mapped, nothing, projection, sort};
use crate::artifact::{Command, MongoArtifact};

/// Candidates of an approximate search for each document that is wanted, and at least.
const CANDIDATES: (u64, u64) = (10, 100);

/// The most candidates that servers take.
const MAX_CANDIDATES: u64 = 10_000;

/// A field that no document has.
const NOWHERE: &str = "__forge_nowhere";

/// The name of the vector index that `push` makes for a field.
pub fn vector_index_name(path: &str) -> String {
    format!("{}_vector_index", path.replace('.', "_"))
}

/// The name of the search index that `push` makes for a model.
pub fn search_index_name(model: &ModelDef) -> String {
    format!("forge_{}_search", model.collection)
}

/// The text score of a `find`, as a value of its projection or its sort.
pub(super) fn text_score() -> Document {
    doc! { "$meta": "textScore" }
}

/// Whether the order has to do with scores.
pub(super) fn sorts_by_score(keys: &[SortKey]) -> bool {
    keys.iter().any(|key| key.path == SCORE)
}

/// Refuses scores where nothing makes them.
pub(super) fn check_score(op: &Select) -> Result<()> {
    let wanted = op.score || sorts_by_score(&op.sort);
    if wanted && op.search.is_none() && op.filter.text().is_none() {
        return Err(Error::bad_request(
            "there is a score only in a search: text, nearest_vector, search or rank_fusion",
        ));
    }
    Ok(())
}

/// A read that a search begins.
///
/// # Errors
/// As [`filter`]; `bad_request` where a field has no vector index, the vector another length than the index, or the
/// condition asks for a field that the vector index does not filter by.
pub(super) fn select(op: &Select, search: &Search) -> Result<MongoArtifact> {
    let condition = filter(&op.filter, Place::Elsewhere)?;
    if op.limit == Some(0) || is_nothing(&condition) {
        let pipeline = vec![doc! { "$match": nothing() }];
        return Ok(artifact(&op.model, Command::Aggregate { pipeline }).with(&op.options));
    }
    refuse_words(&op.filter)?;
    let found = op.limit.map(|limit| limit.saturating_add(op.skip.unwrap_or(0)));
    let (mut pipeline, meta) = match search {
        Search::Vector(vector) => {
            let limit = found.unwrap_or(vector.limit.saturating_add(op.skip.unwrap_or(0)));
            (vec![vector_stage(&op.model, vector, &op.filter, limit)?], "vectorSearchScore")
        }
        Search::Index(search) => (index_stages(&op.model, search, condition)?, "searchScore"),
        Search::Fusion(rankings) => (vec![fusion_stage(op, rankings)?], "score"),
        other => return Err(unknown(other)),
    };
    let scored = op.score || sorts_by_score(&op.sort);
    if scored {
        pipeline.push(doc! { "$set": { SCORE: { "$meta": meta } } });
    }
    if let Some(order) = sort(&op.sort, op.limit.is_some() || op.skip.is_some())? {
        pipeline.push(doc! { "$sort": by_value(order) });
    }
    for (stage, number) in [("$skip", op.skip), ("$limit", op.limit)] {
        if let Some(number) = number.filter(|number| *number > 0) {
            pipeline.push(doc! { stage: integer(number) });
        }
    }
    pipeline.extend(last_stage(op, scored)?);
    Ok(artifact(&op.model, Command::Aggregate { pipeline }).with(&op.options))
}

fn refuse_words(condition: &Filter) -> Result<()> {
    match condition.text() {
        Some(_) => {
            Err(Error::unsupported("a text condition and another search do not combine; use rank_fusion"))
        }
        None => Ok(()),
    }
}

fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// In a pipeline the score is a field by now.
fn by_value(mut order: Document) -> Document {
    if let Some(direction) = order.get_mut(SCORE) {
        *direction = Bson::Int32(-1);
    }
    order
}

fn last_stage(op: &Select, scored: bool) -> Result<Option<Document>> {
    Ok(match projection(&op.projection)? {
        Some(mut fields) => {
            let including = fields.values().any(|on| *on == Bson::Int32(1));
            if op.score && including {
                fields.insert(SCORE, 1);
            } else if scored && !op.score && !including {
                fields.insert(SCORE, 0);
            }
            Some(doc! { "$project": fields })
        }
        None => (scored && !op.score).then(|| doc! { "$unset": SCORE }),
    })
}

/// The stages of a search that begins a pipeline, narrowed by a condition.
///
/// # Errors
/// As [`select`].
pub(super) fn stages(model: ModelRef, search: &Search, condition: &Filter) -> Result<Vec<Document>> {
    let compiled = filter(condition, Place::Elsewhere)?;
    if is_nothing(&compiled) {
        return Ok(vec![doc! { "$match": nothing() }]);
    }
    refuse_words(condition)?;
    match search {
        Search::Vector(vector) => Ok(vec![vector_stage(&model, vector, condition, vector.limit)?]),
        Search::Index(search) => index_stages(&model, search, compiled),
        Search::Fusion(rankings) => {
            let op = Select { filter: condition.clone(), ..Select::new(model) };
            Ok(vec![fusion_stage(&op, rankings)?])
        }
        other => Err(unknown(other)),
    }
}

/// Whether conditions stand behind a search, as any stages do: the others find by a condition that they know themselves.
pub fn can_join(search: &Search) -> bool {
    matches!(search, Search::Index(_))
}

/// A read that a search begins which [can join](can_join), by a condition with lookups; `op.filter` is its part without.
///
/// # Errors
/// As [`select`](super::select).
pub fn search_joined(op: &Select, joined: &Joined) -> Result<MongoArtifact> {
    let mut artifact = super::select(op)?;
    if let Command::Aggregate { pipeline } = &mut artifact.command {
        let own = |stage: &&Document| stage.contains_key("$search") || stage.contains_key("$match");
        let at = pipeline.iter().take_while(own).count();
        pipeline.splice(at..at, joined.related_stages()?);
    }
    Ok(artifact)
}

/// `$vectorSearch`.
fn vector_stage(model: &ModelDef, search: &VectorSearch, condition: &Filter, limit: u64) -> Result<Document> {
    let index = vector_of(model, search)?;
    let filter = filter(condition, Place::Nested)?;
    check_filter(model, index, condition)?;
    let vector: Vec<Bson> = search.vector.iter().map(|number| Bson::Double((*number).into())).collect();
    let mut stage = doc! {
        "index": vector_index_name(index.path),
        "path": checked_path(&search.path)?,
        "queryVector": vector,
    };
    if search.exact {
        stage.insert("exact", true);
    } else {
        let wanted = search.candidates.unwrap_or(limit.saturating_mul(CANDIDATES.0).max(CANDIDATES.1));
        stage.insert("numCandidates", integer(wanted.max(limit).min(MAX_CANDIDATES.max(limit))));
    }
    stage.insert("limit", integer(limit));
    if !filter.is_empty() {
        stage.insert("filter", filter);
    }
    Ok(doc! { "$vectorSearch": stage })
}

fn vector_of(model: &ModelDef, search: &VectorSearch) -> Result<&'static VectorDef> {
    let index = model.vectors.iter().find(|index| search.path == index.path).ok_or_else(|| {
        Error::bad_request(format!(
            "`{}` of {} has no vector index; mark it with #[model(vector(dims = {}))]",
            search.path,
            model.name,
            search.vector.len()
        ))
    })?;
    if search.vector.len() != index.dims as usize {
        return Err(Error::bad_request(format!(
            "the vectors in `{}` of {} have {} numbers, the one to be near to has {}",
            search.path,
            model.name,
            index.dims,
            search.vector.len()
        )));
    }
    Ok(index)
}

/// The stored paths that the vector index on a field filters by: those that are declared, and those that Forge itself
/// compares.
pub(crate) fn filter_paths(model: &ModelDef, index: &VectorDef) -> Vec<&'static str> {
    let deleted = model.soft_delete.then_some(DELETED_AT);
    let mut paths = index.filters.to_vec();
    for path in model.tenant.into_iter().chain(deleted) {
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    paths
}

/// Servers filter by the fields that a vector index names, and by no others.
fn check_filter(model: &ModelDef, index: &VectorDef, condition: &Filter) -> Result<()> {
    let mut paths = Vec::new();
    collect(condition, &mut paths);
    let known = filter_paths(model, index);
    match paths.into_iter().find(|path| !known.contains(path)) {
        None => Ok(()),
        Some(path) => Err(Error::bad_request(format!(
            "the vector index on `{}` of {} does not filter by `{path}`; add it: #[model(vector(dims = {}, filter({path})))]",
            index.path, model.name, index.dims
        ))),
    }
}

fn collect<'f>(condition: &'f Filter, paths: &mut Vec<&'f str>) {
    match condition {
        Filter::And(list) | Filter::Or(list) => list.iter().for_each(|part| collect(part, paths)),
        Filter::Not(inner) => collect(inner, paths),
        Filter::Field(path, _) => paths.push(path),
        Filter::Compare(left, _, right) => paths.extend([&**left, &**right]),
        _ => {}
    }
}

/// `$search`, and what else has to hold.
fn index_stages(model: &ModelDef, search: &IndexSearch, condition: Document) -> Result<Vec<Document>> {
    if let (None, Some(declared)) = (&search.index, &model.search) {
        mapped::check(model, declared, &search.operator)?;
    }
    let index = search.index.clone().unwrap_or_else(|| search_index_name(model));
    let mut stage = doc! { "index": index };
    stage.extend(operator(&search.operator)?);
    let mut stages = vec![doc! { "$search": stage }];
    if !condition.is_empty() {
        stages.push(doc! { "$match": condition });
    }
    Ok(stages)
}

/// `{text: {…}}` and its like.
fn operator(search: &SearchOperator) -> Result<Document> {
    Ok(match search {
        SearchOperator::Text { query, paths, fuzzy } => {
            let mut text = doc! { "query": query, "path": paths_of(paths)? };
            text.extend(edits(*fuzzy));
            doc! { "text": text }
        }
        SearchOperator::Phrase { query, paths, slop } => {
            let mut phrase = doc! { "query": query, "path": paths_of(paths)? };
            if *slop > 0 {
                phrase.insert("slop", i64::from(*slop));
            }
            doc! { "phrase": phrase }
        }
        SearchOperator::Autocomplete { query, path, fuzzy } => {
            let mut typed = doc! { "query": query, "path": checked_path(path)? };
            typed.extend(edits(*fuzzy));
            doc! { "autocomplete": typed }
        }
        SearchOperator::Equals { path, value } => {
            doc! { "equals": { "path": checked_path(path)?, "value": value.clone() } }
        }
        SearchOperator::In { path: _, values } if values.is_empty() => {
            doc! { "exists": { "path": NOWHERE } }
        }
        SearchOperator::In { path, values } => {
            doc! { "in": { "path": checked_path(path)?, "value": values.clone() } }
        }
        SearchOperator::Range { path, low, high } => {
            let mut range = doc! { "path": checked_path(path)? };
            let ends = [(low, ["gt", "gte"]), (high, ["lt", "lte"])];
            for (end, names) in ends.into_iter().filter_map(|(end, names)| Some((end.as_ref()?, names))) {
                range.insert(names[usize::from(end.included)], end.value.clone());
            }
            doc! { "range": range }
        }
        SearchOperator::Near { path, origin, pivot } => {
            doc! { "near": { "path": checked_path(path)?, "origin": origin.clone(), "pivot": *pivot } }
        }
        SearchOperator::WithinCircle { path, centre: [longitude, latitude], metres } => {
            let center = point(*longitude, *latitude);
            let circle = doc! { "center": center, "radius": *metres };
            doc! { "geoWithin": { "path": checked_path(path)?, "circle": circle } }
        }
        SearchOperator::Within { path, area } => {
            let mut within = doc! { "path": checked_path(path)? };
            let (name, shape) = within_area(area)?;
            within.insert(name, shape);
            doc! { "geoWithin": within }
        }
        SearchOperator::Pattern { query, paths, regex } => {
            let name = if *regex { "regex" } else { "wildcard" };
            doc! { name: { "query": query, "path": paths_of(paths)?, "allowAnalyzedField": true } }
        }
        SearchOperator::Exists { path } => doc! { "exists": { "path": checked_path(path)? } },
        SearchOperator::Compound(all) => doc! { "compound": compound(all)? },
        SearchOperator::Boost { operator: inner, factor } => {
            scored(operator(inner)?, &doc! { "boost": { "value": *factor } })
        }
        SearchOperator::Constant { operator: inner, score } => {
            scored(operator(inner)?, &doc! { "constant": { "value": *score } })
        }
        other => return Err(unknown(other)),
    })
}

/// An operator that counts in a way of its own. It can do so once: a second way is around a compound of the first.
fn scored(mut operator: Document, score: &Document) -> Document {
    let has_one = |body: &Bson| body.as_document().is_some_and(|body| body.contains_key("score"));
    if operator.values().any(has_one) {
        operator = doc! { "compound": { "must": [operator] } };
    }
    for (_, body) in operator.iter_mut() {
        if let Bson::Document(body) = body {
            body.insert("score", score.clone());
        }
    }
    operator
}

fn point(longitude: f64, latitude: f64) -> Document {
    doc! { "type": "Point", "coordinates": [longitude, latitude] }
}

fn within_area(area: &Area) -> Result<(&'static str, Bson)> {
    match area {
        Area::Polygon(polygon) => Ok(("geometry", polygon.clone().into())),
        Area::Box { west, south, east, north } if west <= east => {
            let corners = doc! { "bottomLeft": point(*west, *south), "topRight": point(*east, *north) };
            Ok(("box", corners.into()))
        }
        Area::Box { .. } => Err(Error::unsupported(
            "a box of a search index does not reach across the date line; search for two boxes, by `should`",
        )),
        other => Err(unknown(other)),
    }
}

fn edits(fuzzy: u8) -> Option<(String, Bson)> {
    (fuzzy > 0).then(|| ("fuzzy".to_owned(), doc! { "maxEdits": i32::from(fuzzy) }.into()))
}

fn paths_of(paths: &[forge_core::ir::Path]) -> Result<Bson> {
    Ok(match paths {
        [] => doc! { "wildcard": "*" }.into(),
        [path] => checked_path(path)?.into(),
        paths => {
            let paths = paths.iter().map(|path| checked_path(path).map(Bson::from));
            Bson::Array(paths.collect::<Result<_>>()?)
        }
    })
}

fn compound(all: &Compound) -> Result<Document> {
    let mut out = Document::new();
    for (name, list) in
        [("must", &all.must), ("mustNot", &all.must_not), ("should", &all.should), ("filter", &all.filter)]
    {
        if !list.is_empty() {
            out.insert(name, list.iter().map(operator).collect::<Result<Vec<_>>>()?);
        }
    }
    if out.is_empty() {
        return Err(Error::bad_request("a compound search has at least one condition"));
    }
    if let Some(least) = all.minimum_should_match {
        out.insert("minimumShouldMatch", i64::from(least));
    }
    Ok(out)
}

/// `$rankFusion`.
fn fusion_stage(op: &Select, rankings: &[Ranking]) -> Result<Document> {
    let (mut pipelines, mut weights) = (Document::new(), Document::new());
    for ranking in rankings {
        if ranking.name.is_empty() || ranking.name.starts_with('$') || ranking.name.contains(['.', '\0']) {
            return Err(Error::bad_request(format!("{:?} is no name for a ranking", ranking.name)));
        }
        pipelines.insert(&ranking.name, ranked(op, ranking)?);
        weights.insert(&ranking.name, ranking.weight);
    }
    Ok(doc! { "$rankFusion": { "input": { "pipelines": pipelines }, "combination": { "weights": weights } } })
}

fn ranked(op: &Select, ranking: &Ranking) -> Result<Vec<Document>> {
    let mut stages = match &ranking.by {
        RankedBy::Text(text) => {
            let condition = op.filter.clone().and(Filter::Text(text.clone()));
            vec![
                doc! { "$match": filter(&condition, Place::Elsewhere)? },
                doc! { "$sort": { SCORE: text_score() } },
            ]
        }
        RankedBy::Vector(vector) => {
            return Ok(vec![vector_stage(&op.model, vector, &op.filter, ranking.limit)?]);
        }
        RankedBy::Index(search) => index_stages(&op.model, search, filter(&op.filter, Place::Elsewhere)?)?,
        other => return Err(unknown(other)),
    };
    stages.push(doc! { "$limit": integer(ranking.limit) });
    Ok(stages)
}

fn unknown(part: &impl std::fmt::Debug) -> Error {
    Error::internal(format!("this adapter does not know the search {part:?}"))
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
