//! Pipelines whose stages look at one document at a time: they can be run batch by batch.

use bson::{Document, RawDocumentBuf};
use forge_core::{DateTime, Result};

use super::context::Context;
use super::{Rows, bare, stages, start, through};
use crate::collation::Strings;
use crate::query::Query;
use crate::read::View;

/// Stages that make of each document what they make of it, whatever the others are.
const SINGLE: [&str; 11] = [
    "$match",
    "$project",
    "$set",
    "$addFields",
    "$unset",
    "$unwind",
    "$replaceRoot",
    "$replaceWith",
    "$redact",
    "$lookup",
    "$graphLookup",
];

/// Whether a pipeline can be run batch by batch.
pub(crate) fn has_batches(pipeline: &[Document]) -> bool {
    let is = |stage: &Document, names: &[&str]| {
        stage.len() == 1 && stage.keys().all(|name| names.contains(&name.as_str()))
    };
    let found = |stage: &Document, name| is(stage, &[name]);
    let rest = match pipeline {
        [first, rest @ ..] if found(first, "$vectorSearch") || found(first, "$search") => rest,
        [first, second, rest @ ..] if found(first, "$match") && found(second, "$sort") => rest,
        [first, rest @ ..] if found(first, "$match") || found(first, "$sort") => rest,
        whole => whole,
    };
    rest.iter().all(|stage| is(stage, &SINGLE) || is(stage, &["$skip", "$limit"]))
}

/// What the first stages ask of the collection, by the index of the hint, and how many stages they are. What is random or
/// about the present moment is so as of `now`.
pub(crate) fn source(
    view: &View<'_, '_>,
    pipeline: &[Document],
    strings: Strings<'_>,
    hint: Option<&str>,
    now: DateTime,
) -> Result<(Query, usize)> {
    let cx = Context::new(view, strings).at_time(now);
    let (query, rest) = start(&cx, pipeline)?;
    Ok((query.hinted(hint), pipeline.len() - rest.len()))
}

/// Stages on their way through the batches.
pub(crate) struct Steps(Vec<Step>);

enum Step {
    Stages(Vec<Document>),
    Skip(usize),
    Limit(usize),
}

impl Steps {
    /// The steps of stages that [can be run](has_batches) batch by batch.
    pub(crate) fn new(pipeline: &[Document]) -> Result<Self> {
        let mut steps = Vec::new();
        for stage in pipeline {
            match (stage.get("$skip"), stage.get("$limit"), steps.last_mut()) {
                (Some(n), ..) => steps.push(Step::Skip(stages::amount("$skip", n, 0)?)),
                (_, Some(n), _) => steps.push(Step::Limit(stages::amount("$limit", n, 1)?)),
                (.., Some(Step::Stages(stages))) => stages.push(stage.clone()),
                _ => steps.push(Step::Stages(vec![stage.clone()])),
            }
        }
        Ok(Self(steps))
    }

    /// Whether nothing comes through any more.
    pub(crate) fn is_over(&self) -> bool {
        self.0.iter().any(|step| matches!(step, Step::Limit(0)))
    }

    /// What becomes of the next rows.
    pub(crate) fn apply(
        &mut self,
        view: &View<'_, '_>,
        mut rows: Rows,
        strings: Strings<'_>,
        now: DateTime,
    ) -> Result<Vec<RawDocumentBuf>> {
        let cx = Context::new(view, strings).at_time(now);
        for step in &mut self.0 {
            match step {
                Step::Stages(stages) => rows = through(&cx, rows, stages)?,
                Step::Skip(left) => {
                    let passed = (*left).min(rows.len());
                    rows.drain(..passed);
                    *left -= passed;
                }
                Step::Limit(left) => {
                    rows.truncate(*left);
                    *left -= rows.len();
                }
            }
        }
        rows.into_iter().map(bare).collect()
    }
}
