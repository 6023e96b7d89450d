//! Relation filters: semi-joins, innermost first.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use bson::{Bson, RawDocumentBuf};
use forge_core::ir::{Filter, Group, Predicate, Projection, Quantifier, RelationFilter, Select};
use forge_core::model::{ModelDef, ModelRef, RelationDef, ThroughDef};
use forge_core::{Error, Result};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::keys::{Key, owned, values_at};
use super::run::Run;
use crate::artifact::MongoArtifact;
use crate::compile::{self, Joined, Lookup};

/// More keys than this are not sent: the condition would come near the largest command (48 MB).
const MAX_KEYS: usize = 100_000;

/// Where conditions go whose keys are too many to be sent.
type Sink<'s> = Option<&'s Mutex<Joined>>;

impl Run<'_> {
    /// `filter` with every relation filter replaced by a condition on keys; each look-up is recorded as a read.
    pub(super) async fn resolve(&self, filter: Filter) -> Result<Filter> {
        self.check_text(&filter)?;
        if filter.has_relations() { self.resolve_deep(filter, None).await } else { Ok(filter) }
    }

    /// As [`resolve`](Run::resolve); relation filters with many keys become `$lookup`s, where the server has them.
    pub(super) async fn resolve_joined(&self, filter: Filter) -> Result<Joined> {
        if !filter.has_relations() || !self.driver.capabilities().lookup {
            return Ok(Joined { filter: Some(self.resolve(filter).await?), ..Joined::default() });
        }
        self.check_text(&filter)?;
        let sink = Mutex::new(Joined::default());
        let filter = self.resolve_deep(filter, Some(&sink)).await?;
        let joined = sink.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(Joined { filter: Some(filter), ..joined })
    }

    /// The command of a read, its relation filters resolved, and the read recorded, under the number.
    pub(super) async fn reading(&self, select: &mut Select) -> Result<(MongoArtifact, Option<usize>)> {
        let filter = std::mem::replace(&mut select.filter, Filter::All);
        let asking = self.under(&select.options);
        if select.search.is_some() {
            self.check_search()?;
        }
        let mut joined = match &select.search {
            Some(search) if !compile::can_join(search) => {
                Joined { filter: Some(asking.resolve(filter).await?), ..Joined::default() }
            }
            _ => asking.resolve_joined(filter).await?,
        };
        let is_plain = joined.lookups.is_empty();
        select.filter = joined.take_own();
        let recorded = self.record_under(&select.options, &select.model, &select.filter);
        let artifact = match (is_plain, &select.search) {
            (true, _) => compile::select(select)?,
            (false, None) => compile::select_joined(select, &joined)?,
            (false, Some(_)) => compile::search_joined(select, &joined)?,
        };
        Ok((artifact, recorded))
    }

    /// As [`reading`](Run::reading), of a select without relations and search.
    pub(super) fn plain(&self, select: &Select) -> Result<MongoArtifact> {
        self.check_text(&select.filter)?;
        self.record_under(&select.options, &select.model, &select.filter);
        compile::select(select)
    }

    pub(super) fn check_text(&self, filter: &Filter) -> Result<()> {
        if filter.text().is_none() || self.driver.capabilities().text {
            return Ok(());
        }
        Err(Error::unsupported(
            "this server has no text search ($text); MongoDB and the embedded engine have it",
        ))
    }

    pub(super) fn check_search(&self) -> Result<()> {
        if self.driver.capabilities().search {
            return Ok(());
        }
        Err(Error::unsupported(
            "this server has no search indexes ($search, $vectorSearch, $rankFusion); MongoDB Atlas has them, and the \
             embedded engine searches vectors and values, and fuses rankings",
        ))
    }

    fn resolve_deep<'f>(&'f self, filter: Filter, sink: Sink<'f>) -> BoxFuture<'f, Result<Filter>> {
        async move {
            match filter {
                Filter::And(list) => {
                    let mut all = Filter::All;
                    for part in list {
                        all = all.and(self.resolve_deep(part, sink).await?);
                        // What made it empty is recorded; nothing after it can change the answer.
                        if all == Filter::Nothing {
                            break;
                        }
                    }
                    Ok(all)
                }
                Filter::Or(list) => {
                    let mut any = Filter::Nothing;
                    for part in list {
                        any = any.or(self.resolve_deep(part, sink).await?);
                    }
                    Ok(any)
                }
                Filter::Not(inner) => Ok(self.resolve_deep(*inner, sink).await?.negate()),
                Filter::Relation(relation) => self.resolve_relation(relation, sink).await,
                other => Ok(other),
            }
        }
        .boxed()
    }

    async fn resolve_relation(&self, condition: RelationFilter, sink: Sink<'_>) -> Result<Filter> {
        let RelationFilter { model, relation: name, quantifier, filter, with_deleted } = condition;
        let Some((_, relation)) = model.relation(&name) else {
            return Err(Error::internal(format!("{} has no relation {name}", model.name)));
        };
        let target = ModelRef((relation.target)());
        // All of them match: none fails to.
        let wanted = if quantifier == Quantifier::Every { filter.negate() } else { *filter };
        let mut wanted = match sink {
            Some(_) => self.resolve_joined(wanted).await?,
            None => Joined { filter: Some(self.resolve(wanted).await?), ..Joined::default() },
        };
        if !with_deleted {
            wanted.filter = wanted.filter.map(|filter| visible(&target, filter));
        }
        self.record(&target, &wanted.own());
        let most = if sink.is_some() { self.few_keys.min(MAX_KEYS) } else { MAX_KEYS };
        let run = self.resolving(relation);
        let mut keys = run.related_keys(relation, target, &wanted, most).await?;
        if let Some(through) = &relation.through
            && let Some(found) = keys.take()
        {
            keys = run.linked_keys(through, found, most).await?;
        }
        let related = match (keys, sink) {
            (Some(keys), _) if keys.is_empty() => Filter::Nothing,
            (Some(keys), _) => {
                self.chose(|| {
                    format!("{}.{name}: {} keys of {}, sent as $in", model.name, keys.len(), target.name)
                });
                Filter::Field(relation.local().into(), Predicate::In(keys))
            }
            (None, Some(sink)) => {
                self.chose(|| {
                    format!(
                        "{}.{name}: more than {most} keys of {}, joined by $lookup",
                        model.name, target.name
                    )
                });
                let lookup = match &relation.through {
                    None => Lookup {
                        from: target.0.collection,
                        local: relation.local(),
                        foreign: relation.foreign,
                        condition: wanted,
                    },
                    Some(through) => self.linked(relation, through, target, wanted),
                };
                sink.lock().unwrap_or_else(PoisonError::into_inner).relate(lookup)
            }
            (None, None) => return Err(too_many(&model, relation, target)),
        };
        Ok(match (quantifier, related) {
            (Quantifier::Some, related) => related,
            (_, Filter::Field(path, Predicate::In(keys))) => Filter::Field(path, Predicate::NotIn(keys)),
            (_, related) => related.negate(),
        })
    }

    /// The distinct keys of the documents of `target` that match; none where there are more than `most`.
    async fn related_keys(
        &self,
        relation: &'static RelationDef,
        target: ModelRef,
        wanted: &Joined,
        most: usize,
    ) -> Result<Option<Vec<Bson>>> {
        let limit = most as u64 + 1;
        let (artifact, path) = match &wanted.filter {
            Some(filter) if wanted.lookups.is_empty() => keys_of(relation, target, filter.clone(), limit)?,
            _ => (compile::keys_joined(target.0.collection, relation.foreign, wanted, limit)?, "_id"),
        };
        let keys = distinct(&self.resolving(relation).documents(artifact.into()).await?, path)?;
        Ok((keys.len() <= most).then_some(keys))
    }
}

impl Run<'_> {
    /// The keys of this side, in the documents of the model between that lead to `keys`; none where there are more than
    /// `most`.
    async fn linked_keys(
        &self,
        through: &ThroughDef,
        keys: Vec<Bson>,
        most: usize,
    ) -> Result<Option<Vec<Bson>>> {
        if keys.is_empty() {
            return Ok(Some(keys));
        }
        let between = ModelRef((through.model)());
        let filter = visible(&between, Filter::Field(through.foreign.into(), Predicate::In(keys)));
        self.record(&between, &filter);
        let artifact = compile::group(&distinct_keys(between, filter, through.local, most as u64 + 1))?;
        let keys = distinct(&self.documents(artifact.into()).await?, "k0")?;
        Ok((keys.len() <= most).then_some(keys))
    }
}

impl Run<'_> {
    /// The documents of the model between that lead to documents of `target` that are wanted.
    fn linked(
        &self,
        relation: &RelationDef,
        through: &ThroughDef,
        target: ModelRef,
        wanted: Joined,
    ) -> Lookup {
        let between = ModelRef((through.model)());
        self.record(&between, &visible(&between, Filter::All));
        let mut condition = Joined::default();
        let leads = condition.relate(Lookup {
            from: target.0.collection,
            local: through.foreign,
            foreign: relation.foreign,
            condition: wanted,
        });
        condition.filter = Some(visible(&between, leads));
        Lookup { from: between.0.collection, local: relation.local(), foreign: through.local, condition }
    }
}

fn too_many(model: &ModelDef, relation: &RelationDef, target: ModelRef) -> Error {
    Error::too_large(format!(
        "the filter on {}.{} finds more than {MAX_KEYS} {} documents; narrow it, or store what it asks for on {} itself",
        model.name, relation.name, target.name, model.name
    ))
}

/// The command for the keys of related documents, and where they are in its answer.
fn keys_of(
    relation: &RelationDef,
    target: ModelRef,
    filter: Filter,
    limit: u64,
) -> Result<(MongoArtifact, &'static str)> {
    if relation.foreign == "_id" {
        let projection = Projection::Only(vec![relation.foreign.into()]);
        let select = Select { filter, limit: Some(limit), projection, ..Select::new(target) };
        return Ok((compile::select(&select)?, relation.foreign));
    }
    // Grouping on the server: many documents may share a key.
    Ok((compile::group(&distinct_keys(target, filter, relation.foreign, limit))?, "k0"))
}

fn distinct_keys(model: ModelRef, filter: Filter, path: &'static str, limit: u64) -> Group {
    Group { filter, keys: vec![path.into()], limit: Some(limit), with_deleted: true, ..Group::new(model) }
}

/// `filter`, without soft-deleted documents.
pub(super) fn visible(model: &ModelDef, filter: Filter) -> Filter {
    if model.soft_delete { filter.and(compile::not_deleted()) } else { filter }
}

/// The distinct values at `path`, null left out, in the order they were met.
pub(super) fn distinct(documents: &[RawDocumentBuf], path: &str) -> Result<Vec<Bson>> {
    let mut seen = HashSet::with_capacity(documents.len());
    let mut raw = Vec::with_capacity(documents.len());
    for document in documents {
        values_at(document, path, &mut |value| {
            if let Some(key) = Key::of_raw(value)
                && seen.insert(key)
            {
                raw.push(value);
            }
        })?;
    }
    raw.into_iter().map(owned).collect()
}
