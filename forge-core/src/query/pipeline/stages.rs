use bson::{Bson, Document, doc};

use super::{Buckets, Columns, Pipeline, Shape, Windows, checked_name};
use crate::error::{Error, Result};
use crate::fields::{Field, Filter, IntoSort, Place};
use crate::ir::{self, Aggregate, SortKey, Stage};
use crate::query::aggregate::NamedAgg;
use crate::query::expr::{Expr, NamedExpr};
use crate::traits::Embed;
use crate::types::GeoPoint;

/// From small to large by a path that no typed field has.
pub fn asc(path: impl Into<String>) -> SortKey {
    SortKey { path: path.into().into(), descending: false }
}

/// From large to small by a path that no typed field has.
pub fn desc(path: impl Into<String>) -> SortKey {
    SortKey { path: path.into().into(), descending: true }
}

/// Named values as a document.
fn fields(values: impl IntoIterator<Item = NamedExpr>, dotted: bool) -> Result<Document> {
    let mut form = Document::new();
    for NamedExpr { name, value } in values {
        form.insert(checked_name(&name, dotted)?, value?);
    }
    Ok(form)
}

pub(super) fn aggregates(values: impl IntoIterator<Item = NamedAgg>) -> Result<Vec<(String, Aggregate)>> {
    let named =
        |NamedAgg { name, aggregate }: NamedAgg| Ok((checked_name(&name, false)?.to_owned(), aggregate?));
    values.into_iter().map(named).collect()
}

fn amount(stage: &str, amount: u64) -> Result<Stage> {
    let amount = i64::try_from(amount).map_err(|_| {
        Error::bad_request(format!("a {} of {amount} is too large", stage.trim_start_matches('$')))
    })?;
    Ok(Stage::Plain(doc! { stage: amount }))
}

impl<R: Columns, H> Pipeline<R, H> {
    /// Only documents that match. The first conditions of a pipeline use indexes.
    pub fn match_(self, filter: impl FnOnce(&'static R::Fields) -> Filter<R::Owner>) -> Self {
        let filter = filter(R::fields()).into_ir();
        self.attempt(filter.map(Stage::Match))
    }

    /// Only documents of which an expression is true. It uses no index: put plain conditions before it. Behind a search
    /// it applies to what was found.
    pub fn match_expr(mut self, test: impl FnOnce(&'static R::Fields) -> Expr<bool>) -> Self {
        match test(R::fields()).into_bson() {
            // There is a score behind the search, and searches take conditions on fields alone.
            Ok(test) if self.search.is_some() || ir::asks_for_score(&test) => {
                self.source.stages.push(Stage::Match(ir::Filter::Expr(test)));
                self
            }
            test => self.attempt(test.map(|test| Stage::Match(ir::Filter::Expr(test)))),
        }
    }

    /// Adds fields, or gives them other values.
    pub fn set<V: IntoIterator<Item = NamedExpr>>(
        self,
        values: impl FnOnce(&'static R::Fields) -> V,
    ) -> Self {
        let form = fields(values(R::fields()), true);
        self.attempt(form.map(|form| Stage::Plain(doc! { "$set": form })))
    }

    /// Only these fields, under these names. `_id` is among them where it is named.
    pub fn project<V: IntoIterator<Item = NamedExpr>>(
        self,
        values: impl FnOnce(&'static R::Fields) -> V,
    ) -> Self {
        let form = fields(values(R::fields()), true).map(|mut form| {
            for (_, value) in form.iter_mut() {
                // A bare number or truth would switch a field of that name on or off.
                if matches!(
                    value,
                    Bson::Int32(_)
                        | Bson::Int64(_)
                        | Bson::Double(_)
                        | Bson::Decimal128(_)
                        | Bson::Boolean(_)
                ) {
                    *value = doc! { "$literal": value.clone() }.into();
                }
            }
            if !form.contains_key("_id") {
                form.insert("_id", 0);
            }
            Stage::Plain(doc! { "$project": form })
        });
        self.attempt(form)
    }

    /// Leaves fields out.
    pub fn unset(self, paths: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let paths = paths.into_iter().map(|path| {
            let path = path.into();
            checked_name(&path, true).map(|path| Bson::from(path.to_owned()))
        });
        let paths: Result<Vec<Bson>> = paths.collect();
        self.attempt(paths.map(|paths| Stage::Plain(doc! { "$unset": paths })))
    }

    /// One document for each element of the list at a path; documents without elements are left out.
    pub fn unwind(self, path: impl Into<String>) -> Self {
        let path = path.into();
        let stage =
            checked_name(&path, true).map(|path| Stage::Plain(doc! { "$unwind": format!("${path}") }));
        self.attempt(stage)
    }

    /// As [`unwind`](Self::unwind), but documents without elements stay; `index` names a field for the position.
    pub fn unwind_all(self, path: impl Into<String>, index: Option<&str>) -> Self {
        let path = path.into();
        let stage = checked_name(&path, true).and_then(|path| {
            let mut form = doc! { "path": format!("${path}"), "preserveNullAndEmptyArrays": true };
            if let Some(index) = index {
                form.insert("includeArrayIndex", checked_name(index, true)?);
            }
            Ok(Stage::Plain(doc! { "$unwind": form }))
        });
        self.attempt(stage)
    }

    /// Groups of documents: the named keys, and the named values of each group, are the fields of what comes out.
    /// Without keys there is one group.
    pub fn group<K: IntoIterator<Item = NamedExpr>, V: IntoIterator<Item = NamedAgg>>(
        self,
        keys: impl FnOnce(&'static R::Fields) -> K,
        values: impl FnOnce(&'static R::Fields) -> V,
    ) -> Self {
        let group = || {
            let keys = fields(keys(R::fields()), false)?;
            let values = aggregates(values(R::fields()))?;
            if let Some((name, _)) = values.iter().find(|(name, _)| keys.contains_key(name) || name == "_id")
            {
                return Err(Error::bad_request(format!("a group cannot have two fields {name:?}")));
            }
            Ok(Stage::Group { keys: keys.into_iter().collect(), values })
        };
        let stage = group();
        self.attempt(stage)
    }

    /// Groups by ranges of a value: `_id` is the lower bound (of automatic buckets `{min, max}`), beside the named
    /// values.
    pub fn bucket<T, V: IntoIterator<Item = NamedAgg>>(
        self,
        by: impl FnOnce(&'static R::Fields) -> Expr<T>,
        buckets: Buckets<T>,
        values: impl FnOnce(&'static R::Fields) -> V,
    ) -> Self {
        let bucket = || {
            let values = aggregates(values(R::fields()))?;
            Ok(Stage::Bucket { by: by(R::fields()).into_bson()?, bounds: buckets.into_bounds()?, values })
        };
        let stage = bucket();
        self.attempt(stage)
    }

    /// The distinct values of an expression as `_id`, each with its `count`, the most frequent first.
    pub fn sort_by_count<T>(self, by: impl FnOnce(&'static R::Fields) -> Expr<T>) -> Self {
        let by = by(R::fields()).into_bson();
        self.attempt(by.map(|by| Stage::Plain(doc! { "$sortByCount": by })))
    }

    /// Values computed from the documents around each one.
    pub fn window(self, windows: impl FnOnce(&'static R::Fields) -> Windows) -> Self {
        let stage = windows(R::fields()).into_stage();
        self.attempt(stage)
    }

    /// The order by typed fields.
    pub fn sort<S: IntoSort<R::Owner>>(self, sort: impl FnOnce(&'static R::Fields) -> S) -> Self {
        let keys = sort(R::fields()).into_sort();
        self.sort_by(keys)
    }

    /// The order by any paths: see [`asc`] and [`desc`].
    pub fn sort_by(self, keys: impl IntoIterator<Item = SortKey>) -> Self {
        let order = || {
            let mut order = Document::new();
            for key in keys {
                let path = checked_name(&key.path, true)?;
                if !order.contains_key(path) {
                    order.insert(path, if key.descending { -1 } else { 1 });
                }
            }
            Ok(Stage::Plain(doc! { "$sort": order }))
        };
        let stage = order();
        self.attempt(stage)
    }

    /// Passes over the first `n` documents.
    pub fn skip(self, n: u64) -> Self {
        if n == 0 { self } else { self.attempt(amount("$skip", n)) }
    }

    /// At most `n` documents; 0 is none.
    pub fn limit(self, n: u64) -> Self {
        if n == 0 { self.push(Stage::Match(ir::Filter::Nothing)) } else { self.attempt(amount("$limit", n)) }
    }

    /// `n` documents at random.
    pub fn sample(self, n: u32) -> Self {
        self.push(Stage::Plain(doc! { "$sample": { "size": i64::from(n) } }))
    }

    /// One document with the number of documents in a field of that name; none where there are none.
    pub fn count(self, name: impl Into<String>) -> Self {
        let name = name.into();
        let stage = checked_name(&name, false).map(|name| Stage::Plain(doc! { "$count": name }));
        self.attempt(stage)
    }

    /// Documents in place of the documents: an embed, a joined document, a computed [`object`](crate::query::expr::object).
    pub fn replace_root<T>(self, root: impl FnOnce(&'static R::Fields) -> Expr<T>) -> Self {
        let root = root(R::fields()).into_bson();
        self.attempt(root.map(|root| Stage::Plain(doc! { "$replaceWith": root })))
    }

    /// The nearest places first, each with its distance in metres in a field of that name. It must be the first stage,
    /// after conditions.
    pub fn geo_near<T: Place>(
        self,
        key: impl FnOnce(&'static R::Fields) -> Field<R::Owner, T>,
        point: GeoPoint,
        distance: impl Into<String>,
        max_metres: Option<f64>,
    ) -> Self {
        let distance = distance.into();
        let near = || {
            if !self.source.stages.is_empty() {
                return Err(Error::bad_request(
                    "geo_near is the first stage of a pipeline, after its conditions",
                ));
            }
            checked_name(&distance, true)?;
            let point = [point.longitude(), point.latitude()];
            let key = key(R::fields()).path().into();
            Ok(Stage::Near { key, point, distance: distance.clone(), max_metres, min_metres: None })
        };
        let stage = near();
        self.attempt(stage)
    }

    /// A stage in MongoDB's own form, which must not come from a client. It is checked: nothing that writes or runs code
    /// on the server. A first stage that must be the first (`$search`, `$vectorSearch`, `$geoNear`) stays that, and the
    /// conditions follow it.
    pub fn raw(self, stage: Document) -> Self {
        let stage = ir::pipeline::check_raw(&stage).map(|()| Stage::Raw(stage));
        self.attempt(stage)
    }

    /// Stages in extended JSON, canonical or relaxed; checked as [`raw`](Self::raw) ones.
    pub fn raw_json(mut self, stages: &str) -> Self {
        match super::from_json(stages) {
            Ok(stages) => stages.into_iter().fold(self, |pipeline, stage| pipeline.push(Stage::Raw(stage))),
            Err(error) => {
                self.error = self.error.or(Some(error));
                self
            }
        }
    }

    /// From here on the documents have the fields of `E`, a struct with `#[derive(Embed)]`.
    pub fn shaped<E: Embed>(self) -> Pipeline<Shape<E>, H> {
        self.reshaped()
    }

    /// Soft-deleted documents of the source as well.
    pub fn with_deleted(mut self) -> Self {
        self.source.with_deleted = true;
        self
    }
}
