//! Relation filters: semi-joins, innermost first.

use std::collections::HashSet;

use bson::{Bson, RawDocumentBuf};
use forge_core::ir::{Filter, Group, Predicate, Projection, Quantifier, RelationFilter, Select};
use forge_core::model::{ModelDef, ModelRef, RelationDef, RelationKind};
use forge_core::{Error, Result};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::keys::{Key, owned, values_at};
use super::run::Run;
use crate::compile;

/// More related documents than this are not gathered: the condition would come near the largest command (48 MB), and
/// such a query wants another shape.
const MAX_KEYS: usize = 100_000;

impl Run<'_> {
    /// `filter` with every relation filter replaced by a condition on keys; each look-up is recorded as a read.
    pub(super) async fn resolve(&self, filter: Filter) -> Result<Filter> {
        if filter.has_relations() { self.resolve_deep(filter).await } else { Ok(filter) }
    }

    fn resolve_deep(&self, filter: Filter) -> BoxFuture<'_, Result<Filter>> {
        async move {
            match filter {
                Filter::And(list) => {
                    let mut all = Filter::All;
                    for part in list {
                        all = all.and(self.resolve(part).await?);
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
                        any = any.or(self.resolve(part).await?);
                    }
                    Ok(any)
                }
                Filter::Not(inner) => Ok(self.resolve(*inner).await?.negate()),
                Filter::Relation(relation) => self.resolve_relation(relation).await,
                other => Ok(other),
            }
        }
        .boxed()
    }

    async fn resolve_relation(&self, condition: RelationFilter) -> Result<Filter> {
        let RelationFilter { model, relation: name, quantifier, filter } = condition;
        let Some((_, relation)) = model.relation(&name) else {
            return Err(Error::internal(format!("{} has no relation {name}", model.name)));
        };
        let target = ModelRef((relation.target)());
        // All of them match: none fails to.
        let wanted = if quantifier == Quantifier::Every { filter.negate() } else { *filter };
        let wanted = visible(&target, self.resolve(wanted).await?);
        let keys = self.related_keys(&model, relation, target, wanted).await?;
        Ok(match (quantifier, keys.is_empty()) {
            (Quantifier::Some, true) => Filter::Nothing,
            (Quantifier::Some, false) => Filter::Field(relation.local().into(), Predicate::In(keys)),
            (_, true) => Filter::All,
            (_, false) => Filter::Field(relation.local().into(), Predicate::NotIn(keys)),
        })
    }

    /// The distinct keys of the documents of `target` that match.
    async fn related_keys(
        &self,
        model: &ModelDef,
        relation: &RelationDef,
        target: ModelRef,
        filter: Filter,
    ) -> Result<Vec<Bson>> {
        self.record(&target, &filter);
        let most = MAX_KEYS as u64 + 1;
        let (artifact, path) = if relation.kind == RelationKind::BelongsTo {
            let only = Projection::Only(vec![relation.foreign.into()]);
            let select = Select { filter, limit: Some(most), projection: only, ..Select::new(target) };
            (compile::select(&select)?, relation.foreign)
        } else {
            (compile::group(&distinct_keys(target, filter, relation.foreign, most))?, "k0")
        };
        let keys = distinct(&self.documents(&artifact).await?, path)?;
        if keys.len() > MAX_KEYS {
            return Err(Error::too_large(format!(
                "the filter on {}.{} finds more than {MAX_KEYS} {} documents; narrow it, or store what it asks for on {} itself",
                model.name, relation.name, target.name, model.name
            )));
        }
        Ok(keys)
    }
}

/// Grouping on the server: many documents may share a key.
fn distinct_keys(model: ModelRef, filter: Filter, path: &'static str, limit: u64) -> Group {
    Group {
        model,
        filter,
        keys: vec![path.into()],
        aggregates: Vec::new(),
        having: Filter::All,
        sort: Vec::new(),
        skip: None,
        limit: Some(limit),
        with_deleted: true,
    }
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
