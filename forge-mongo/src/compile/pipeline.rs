//! Typed pipelines.

use bson::{Bson, Document, doc};
use forge_core::ir::{Aggregate, Bounds, Graph, Lookup, Pipeline, SortKey, Source, Stage, WindowFunction};
use forge_core::model::ViewDef;
use forge_core::{Error, Result};

use super::group::{accumulator, finished};
use super::{Place, artifact, checked_path, filter, scores, search, sort};
use crate::artifact::{Command, MongoArtifact};

/// Stages that only begin a pipeline.
const FIRST: [&str; 7] =
    ["$geoNear", "$search", "$searchMeta", "$vectorSearch", "$rankFusion", "$scoreFusion", "$documents"];

/// An `aggregate`.
///
/// # Errors
/// As [`filter`].
pub fn pipeline(op: &Pipeline) -> Result<MongoArtifact> {
    let source = &op.source;
    let stages = match &op.search {
        Some(search) => {
            let mut stages = search::stages(source.model, search, &source.filter)?;
            stages.extend(compiled(&source.stages)?);
            stages
        }
        None => of_source(source)?,
    };
    let pipeline = scores::placed(stages)?;
    Ok(artifact(&source.model, Command::Aggregate { pipeline }).with(&op.options))
}

/// The stages of a view.
///
/// # Errors
/// What its function finds wrong; as [`filter`].
pub fn view(view: &ViewDef) -> Result<Vec<Document>> {
    scores::placed(of_source(&view.contents()?)?)
}

/// Whether a stage can only be the first one.
pub fn begins_pipeline(stage: &Stage) -> bool {
    match stage {
        Stage::Near { .. } => true,
        Stage::Plain(stage) | Stage::Raw(stage) => {
            stage.keys().next().is_some_and(|name| FIRST.contains(&name.as_str()))
        }
        _ => false,
    }
}

/// The stages of a source, its own condition first.
fn of_source(source: &Source) -> Result<Vec<Document>> {
    let condition = filter(&source.filter, Place::Elsewhere)?;
    let stages = compiled(&source.stages)?;
    Ok(begin(condition, stages))
}

/// A condition before stages; after the first one, where that has to stay the first.
fn begin(condition: Document, mut stages: Vec<Document>) -> Vec<Document> {
    if condition.is_empty() {
        return stages;
    }
    let matched = |condition| doc! { "$match": condition };
    match stages.first_mut().and_then(|stage| stage.iter_mut().next()) {
        Some((name, Bson::Document(near))) if name == "$geoNear" => match near.get_document_mut("query") {
            Ok(query) if !query.is_empty() => {
                let both = [std::mem::take(query), condition];
                near.insert("query", doc! { "$and": both });
            }
            _ => drop(near.insert("query", condition)),
        },
        Some((name, _)) if FIRST.contains(&name.as_str()) => stages.insert(1, matched(condition)),
        _ => stages.insert(0, matched(condition)),
    }
    stages
}

fn compiled(stages: &[Stage]) -> Result<Vec<Document>> {
    let mut out = Vec::with_capacity(stages.len());
    for stage in stages {
        add(stage, &mut out)?;
    }
    Ok(out)
}

fn add(stage: &Stage, out: &mut Vec<Document>) -> Result<()> {
    match stage {
        Stage::Match(condition) => {
            let condition = filter(condition, Place::Elsewhere)?;
            if !condition.is_empty() {
                out.push(doc! { "$match": condition });
            }
        }
        Stage::Lookup(lookup) => join(lookup, out)?,
        Stage::Union(source) => {
            out.push(
                doc! { "$unionWith": { "coll": source.model.collection, "pipeline": of_source(source)? } },
            );
        }
        Stage::Graph(found) => out.push(doc! { "$graphLookup": graph(found)? }),
        Stage::Facet(facets) => {
            let mut form = Document::new();
            for (name, stages) in facets {
                form.insert(name, compiled(stages)?);
            }
            out.push(doc! { "$facet": form });
        }
        Stage::Group { keys, values } => group(keys, values, out)?,
        Stage::Bucket { by, bounds, values } => bucket(by, bounds, values, out)?,
        Stage::Window { partition, sort: order, values } => window(partition.as_ref(), order, values, out)?,
        Stage::Near { key, point, distance, max_metres, min_metres } => {
            let near = doc! { "type": "Point", "coordinates": point.to_vec() };
            let mut form = doc! { "near": near, "distanceField": distance, "key": checked_path(key)?, "spherical": true };
            form.extend(max_metres.map(|metres| ("maxDistance".to_owned(), Bson::Double(metres))));
            form.extend(min_metres.map(|metres| ("minDistance".to_owned(), Bson::Double(metres))));
            out.push(doc! { "$geoNear": form });
        }
        Stage::Plain(stage) | Stage::Raw(stage) => out.push(stage.clone()),
        other => return Err(Error::internal(format!("this adapter does not know the stage {other:?}"))),
    }
    Ok(())
}

fn join(lookup: &Lookup, out: &mut Vec<Document>) -> Result<()> {
    let mut form = doc! { "from": lookup.from.model.collection };
    if let Some((local, foreign)) = &lookup.equal {
        form.insert("localField", checked_path(local)?);
        form.insert("foreignField", checked_path(foreign)?);
    }
    let mut inner = of_source(&lookup.from)?;
    if lookup.single && inner.iter().all(|stage| stage.contains_key("$match")) {
        inner.push(doc! { "$limit": 1_i64 });
    }
    let variables: Document = lookup.variables.iter().cloned().collect();
    if !variables.is_empty() {
        form.insert("let", variables);
    }
    if lookup.equal.is_none() || !inner.is_empty() {
        form.insert("pipeline", inner);
    }
    form.insert("as", &lookup.target);
    out.push(doc! { "$lookup": form });
    if lookup.single {
        // What `$first` gives of an empty list is nothing: the field is left out.
        out.push(doc! { "$set": { &lookup.target: { "$first": format!("${}", lookup.target) } } });
    }
    Ok(())
}

fn graph(found: &Graph) -> Result<Document> {
    let mut form = doc! {
        "from": found.model.collection,
        "startWith": found.start.clone(),
        "connectFromField": checked_path(&found.connect_from)?,
        "connectToField": checked_path(&found.connect_to)?,
        "as": &found.target,
    };
    form.extend(found.max_depth.map(|depth| ("maxDepth".to_owned(), Bson::Int64(depth.into()))));
    form.extend(found.depth_field.clone().map(|field| ("depthField".to_owned(), Bson::String(field))));
    let condition = filter(&found.filter, Place::Elsewhere)?;
    if !condition.is_empty() {
        form.insert("restrictSearchWithMatch", condition);
    }
    Ok(form)
}

/// The accumulators by their names, and what becomes of their answers, where that is anything.
fn accumulators(values: &[(String, Aggregate)]) -> Result<(Document, Document)> {
    let (mut form, mut after) = (Document::new(), Document::new());
    for (name, aggregate) in values {
        form.insert(name, accumulator(aggregate)?);
        match finished(aggregate, name) {
            Bson::Int32(1) => {}
            expression => drop(after.insert(name, expression)),
        }
    }
    Ok((form, after))
}

fn group(keys: &[(String, Bson)], values: &[(String, Aggregate)], out: &mut Vec<Document>) -> Result<()> {
    let (accumulators, after) = accumulators(values)?;
    let mut id = Document::new();
    let mut shape = doc! { "_id": 0 };
    for (i, (name, key)) in keys.iter().enumerate() {
        // Null and missing are one group, and names with any characters are kept away from `$group`.
        id.insert(format!("k{i}"), doc! { "$ifNull": [key.clone(), Bson::Null] });
        shape.insert(name, format!("$_id.k{i}"));
    }
    let mut form = doc! { "_id": if keys.is_empty() { Bson::Null } else { id.into() } };
    form.extend(accumulators);
    for (name, _) in values {
        shape.insert(name, after.get(name).cloned().unwrap_or(Bson::Int32(1)));
    }
    out.push(doc! { "$group": form });
    if shape.len() > 1 {
        out.push(doc! { "$project": shape });
    }
    Ok(())
}

fn bucket(by: &Bson, bounds: &Bounds, values: &[(String, Aggregate)], out: &mut Vec<Document>) -> Result<()> {
    let (accumulators, after) = accumulators(values)?;
    let mut form = doc! { "groupBy": by.clone() };
    let name = match bounds {
        Bounds::At { values, default } => {
            form.insert("boundaries", values.clone());
            form.extend(default.clone().map(|default| ("default".to_owned(), default)));
            "$bucket"
        }
        Bounds::Count(count) => {
            form.insert("buckets", i64::from(*count));
            "$bucketAuto"
        }
    };
    if !accumulators.is_empty() {
        form.insert("output", accumulators);
    }
    out.push(doc! { name: form });
    if !after.is_empty() {
        out.push(doc! { "$set": after });
    }
    Ok(())
}

fn window(
    partition: Option<&Bson>,
    order: &[SortKey],
    values: &[(String, WindowFunction, Option<Document>)],
    out: &mut Vec<Document>,
) -> Result<()> {
    let (mut output, mut after) = (Document::new(), Document::new());
    for (name, function, frame) in values {
        let mut form = match function {
            WindowFunction::Aggregate(aggregate) => {
                match finished(aggregate, name) {
                    Bson::Int32(1) => {}
                    expression => drop(after.insert(name, expression)),
                }
                accumulator(aggregate)?
            }
            WindowFunction::Own(form) => form.clone(),
        };
        if let Some(frame) = frame {
            form.insert("window", frame.clone());
        }
        output.insert(name, form);
    }
    let mut form = Document::new();
    form.extend(partition.map(|by| ("partitionBy".to_owned(), by.clone())));
    form.extend(sort(order, false)?.map(|order| ("sortBy".to_owned(), Bson::from(order))));
    form.insert("output", output);
    out.push(doc! { "$setWindowFields": form });
    if !after.is_empty() {
        out.push(doc! { "$set": after });
    }
    Ok(())
}
