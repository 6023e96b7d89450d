//! Relation conditions that the server resolves itself, by `$lookup`: where the keys of the related documents are too
//! many to be sent.

use bson::{Document, doc};
use forge_core::Result;
use forge_core::ir::{Count, Distinct, Filter, Group, Predicate, Select, SortKey};
use forge_core::model::ModelDef;

use super::{Place, artifact, checked_path, filter, group, projection, search, sort};
use crate::artifact::{Command, MongoArtifact};

/// The name of the field that a `$lookup` fills, before its number.
const RELATED: &str = "__forge_r";

/// One related document of each kind, where there is one.
#[derive(Debug, Clone, PartialEq)]
pub struct Lookup {
    /// The other collection.
    pub from: &'static str,
    /// The stored path on this side.
    pub local: &'static str,
    /// The stored path on the other side.
    pub foreign: &'static str,
    /// Which of the others count.
    pub condition: Joined,
}

/// A condition, of which some parts are on related documents.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Joined {
    /// The condition; the parts on related documents are as [`Joined::relate`] gave them.
    pub filter: Option<Filter>,
    /// The related documents.
    pub lookups: Vec<Lookup>,
}

impl Joined {
    /// Adds related documents; answers with the condition that there is one.
    pub fn relate(&mut self, lookup: Lookup) -> Filter {
        let at = self.lookups.iter().position(|known| *known == lookup).unwrap_or_else(|| {
            self.lookups.push(lookup);
            self.lookups.len() - 1
        });
        Filter::Field(format!("{RELATED}{at}").into(), Predicate::Size(0)).negate()
    }

    /// The same, with one more condition before it.
    #[must_use]
    pub fn narrowed(&self, by: Filter) -> Self {
        let filter = by.and(self.filter.clone().unwrap_or(Filter::All));
        Self { filter: Some(filter), lookups: self.lookups.clone() }
    }

    /// The parts of the condition that need no related documents. Every document that matches, matches them.
    pub fn own(&self) -> Filter {
        self.conjuncts(false)
    }

    /// As [`own`](Joined::own), without a copy where nothing needs related documents: a condition can be long, a list of
    /// keys. Nothing else of it is left then.
    pub fn take_own(&mut self) -> Filter {
        if self.lookups.is_empty() { self.filter.take().unwrap_or(Filter::All) } else { self.own() }
    }

    fn conjuncts(&self, related: bool) -> Filter {
        let all = match &self.filter {
            None => &[][..],
            Some(Filter::And(list)) => list,
            Some(filter) => std::slice::from_ref(filter),
        };
        let wanted = all.iter().filter(|part| is_related(part) == related);
        wanted.cloned().fold(Filter::All, Filter::and)
    }

    /// The stages that leave the documents that match, as they are.
    ///
    /// # Errors
    /// As [`filter`].
    pub fn stages(&self) -> Result<Vec<Document>> {
        let own = filter(&self.own(), Place::Elsewhere)?;
        let mut stages = self.related_stages()?;
        if !own.is_empty() {
            stages.insert(0, doc! { "$match": own });
        }
        Ok(stages)
    }

    /// As [`stages`](Joined::stages), behind the condition that needs no related documents.
    ///
    /// # Errors
    /// As [`filter`].
    pub fn related_stages(&self) -> Result<Vec<Document>> {
        let mut stages = Vec::new();
        if self.lookups.is_empty() {
            return Ok(stages);
        }
        let mut names = Vec::with_capacity(self.lookups.len());
        for (at, lookup) in self.lookups.iter().enumerate() {
            let name = format!("{RELATED}{at}");
            let mut pipeline = lookup.condition.stages()?;
            pipeline.extend([doc! { "$limit": 1 }, doc! { "$project": { "_id": 1 } }]);
            stages.push(doc! { "$lookup": {
                "from": lookup.from,
                "localField": checked_path(lookup.local)?,
                "foreignField": checked_path(lookup.foreign)?,
                "pipeline": pipeline,
                "as": &name,
            } });
            names.push(name);
        }
        stages.push(doc! { "$match": filter(&self.conjuncts(true), Place::Elsewhere)? });
        stages.push(doc! { "$unset": names });
        Ok(stages)
    }
}

fn is_related(condition: &Filter) -> bool {
    match condition {
        Filter::And(list) | Filter::Or(list) => list.iter().any(is_related),
        Filter::Not(inner) => is_related(inner),
        Filter::Field(path, _) => path.starts_with(RELATED),
        _ => false,
    }
}

/// A read by a condition with lookups; `op.filter` is not looked at.
///
/// # Errors
/// As [`filter`].
pub fn select_joined(op: &Select, joined: &Joined) -> Result<MongoArtifact> {
    let mut pipeline = joined.stages()?;
    if let Some(order) = sort(&op.sort, op.limit.is_some() || op.skip.is_some())? {
        pipeline.push(doc! { "$sort": order });
    }
    for (stage, number) in [("$skip", op.skip), ("$limit", op.limit)] {
        if let Some(number) = number.filter(|number| *number > 0) {
            pipeline.push(doc! { stage: i64::try_from(number).unwrap_or(i64::MAX) });
        }
    }
    if op.score {
        pipeline.push(doc! { "$set": { forge_core::ir::SCORE: search::text_score() } });
    }
    if let Some(mut fields) = projection(&op.projection)? {
        if op.score && fields.values().any(|on| *on == bson::Bson::Int32(1)) {
            fields.insert(forge_core::ir::SCORE, 1);
        }
        pipeline.push(doc! { "$project": fields });
    }
    Ok(artifact(&op.model, Command::Aggregate { pipeline }).with(&op.options))
}

/// The ids of documents that a condition with lookups finds, in order.
///
/// # Errors
/// As [`filter`].
pub fn ids_joined(model: &ModelDef, joined: &Joined, order: &[SortKey], limit: u64) -> Result<MongoArtifact> {
    let mut pipeline = joined.stages()?;
    if let Some(order) = sort(order, true)? {
        // Before the lookups, which keep the order: then no more is joined than it takes.
        let own = usize::from(pipeline.first().is_some_and(|stage| stage.contains_key("$match")));
        pipeline.insert(own, doc! { "$sort": order });
    }
    pipeline.extend([
        doc! { "$limit": i64::try_from(limit.max(1)).unwrap_or(i64::MAX) },
        doc! { "$project": { "_id": 1 } },
    ]);
    Ok(artifact(model, Command::Aggregate { pipeline }))
}

/// The field that holds the number of what is counted by a pipeline.
pub const COUNTED: &str = "n";

/// A count by a condition with lookups: one document with the number in [`COUNTED`], or none.
///
/// # Errors
/// As [`filter`].
pub fn count_joined(op: &Count, joined: &Joined) -> Result<MongoArtifact> {
    let mut pipeline = joined.stages()?;
    if let Some(limit) = op.limit {
        pipeline.push(doc! { "$limit": i64::try_from(limit.max(1)).unwrap_or(i64::MAX) });
    }
    pipeline.push(doc! { "$count": COUNTED });
    Ok(artifact(&op.model, Command::Aggregate { pipeline }).with(&op.options))
}

/// Groups of what a condition with lookups finds; `op.filter` is not looked at.
///
/// # Errors
/// As [`filter`].
pub fn group_joined(op: Group, joined: &Joined) -> Result<MongoArtifact> {
    after(joined, group(&Group { filter: Filter::All, ..op })?)
}

/// The distinct values of what a condition with lookups finds: rows of `{_id: value}`, or where they are counted one with
/// the number in [`COUNTED`]; `op.filter` is not looked at.
///
/// # Errors
/// As [`filter`].
pub fn distinct_joined(op: &Distinct, joined: &Joined) -> Result<MongoArtifact> {
    let mut pipeline = joined.stages()?;
    pipeline.extend(distinct_stages(&op.path)?);
    if op.counted {
        for (stage, number) in [("$skip", op.skip), ("$limit", op.limit)] {
            if let Some(number) = number.filter(|number| *number > 0) {
                pipeline.push(doc! { stage: i64::try_from(number).unwrap_or(i64::MAX) });
            }
        }
        pipeline.push(doc! { "$count": COUNTED });
    }
    Ok(artifact(&op.model, Command::Aggregate { pipeline }).with(&op.options))
}

/// The stages that do what `distinct` does: rows of `{_id: value}`.
///
/// # Errors
/// `bad_request` for what is no path.
pub fn distinct_stages(path: &str) -> Result<Vec<Document>> {
    let path = checked_path(path)?;
    // Elements of lists one by one, null as a value, nothing of documents without the field.
    let ends = path.match_indices('.').map(|(end, _)| end).chain([path.len()]);
    let unwound = |end| doc! { "$unwind": { "path": format!("${}", &path[..end]), "preserveNullAndEmptyArrays": true } };
    let rest =
        [doc! { "$match": { path: { "$exists": true } } }, doc! { "$group": { "_id": format!("${path}") } }];
    Ok(ends.map(unwound).chain(rest).collect())
}

/// The pipeline of `artifact`, over what a condition with lookups finds.
///
/// # Errors
/// As [`filter`].
pub fn after(joined: &Joined, mut artifact: MongoArtifact) -> Result<MongoArtifact> {
    if let Command::Aggregate { pipeline } = &mut artifact.command {
        let mut stages = joined.stages()?;
        stages.append(pipeline);
        *pipeline = stages;
    }
    Ok(artifact)
}

/// The values of one path in the documents of a condition with lookups: rows of `{_id: value}`, each value once.
///
/// # Errors
/// As [`filter`].
pub fn keys_joined(
    collection: &str,
    path: &'static str,
    joined: &Joined,
    limit: u64,
) -> Result<MongoArtifact> {
    let path = checked_path(path)?;
    let mut pipeline = joined.stages()?;
    pipeline.extend([
        doc! { "$unwind": format!("${path}") },
        doc! { "$group": { "_id": format!("${path}") } },
        doc! { "$limit": i64::try_from(limit).unwrap_or(i64::MAX) },
    ]);
    Ok(MongoArtifact::new(collection, Command::Aggregate { pipeline }))
}
