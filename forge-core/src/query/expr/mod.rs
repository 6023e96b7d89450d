//! Typed expressions: values that the database computes from a document.
//!
//! Fields, literals and expressions combine by operators and methods; `f.distance / 100 + 1` is one. Where a field by
//! itself would be a condition (`f.delay.gt(5)`), [`Field::expr`] makes it an expression first.

mod arrays;
mod dates;
mod functions;
mod logic;
mod numbers;
mod text;

use std::marker::PhantomData;
use std::sync::Arc;

use bson::{Bson, Document, doc};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::fields::{EmbedMany, EmbedOne, Field, Score};
use crate::ir::SCORE;
use crate::types::{Date, DateTime, Decimal, Uuid};
use crate::value::to_bson;

pub use dates::{Dated, TimeUnit};
pub use functions::{Case, Switch, array, cond, lit, now, object, path, raw, removed, root, switch, var};
pub use numbers::Computable;

/// A value of type `T` that the database computes.
#[must_use = "an expression does nothing by itself"]
pub struct Expr<T> {
    bson: Bson,
    /// Why a literal in it has no BSON form; reported when the query runs, since operators cannot fail.
    problem: Option<Arc<str>>,
    _type: PhantomData<fn() -> T>,
}

impl<T> Clone for Expr<T> {
    fn clone(&self) -> Self {
        Self { bson: self.bson.clone(), problem: self.problem.clone(), _type: PhantomData }
    }
}

impl<T> std::fmt::Debug for Expr<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.bson.fmt(f)
    }
}

impl<T> Expr<T> {
    fn new(bson: impl Into<Bson>) -> Self {
        Self { bson: bson.into(), problem: None, _type: PhantomData }
    }

    /// An operator on this expression alone.
    fn apply<U>(self, operator: &str) -> Expr<U> {
        Expr { bson: doc! { operator: self.bson }.into(), problem: self.problem, _type: PhantomData }
    }

    /// An operator on this expression and another one.
    fn with<U, V>(self, operator: &str, other: Expr<U>) -> Expr<V> {
        Parts::default().push(self).push(other).list(operator)
    }

    /// The same value as one of another type, which is not checked.
    pub fn cast<U>(self) -> Expr<U> {
        Expr { bson: self.bson, problem: self.problem, _type: PhantomData }
    }

    /// The same value, where one that may be null is due.
    pub fn optional(self) -> Expr<Option<T>> {
        self.cast()
    }

    /// The value under a name: what stages such as `set` and `project` take.
    pub fn named(self, name: impl Into<String>) -> NamedExpr {
        NamedExpr { name: name.into(), value: self.into_bson() }
    }

    /// The expression in MongoDB's own form.
    ///
    /// # Errors
    /// A literal in it has no BSON form.
    pub fn into_bson(self) -> Result<Bson> {
        match self.problem {
            None => Ok(self.bson),
            Some(problem) => Err(Error::bad_request(problem.to_string())),
        }
    }
}

/// The parts of an operator, with the first problem among them.
#[derive(Default)]
struct Parts {
    list: Vec<Bson>,
    problem: Option<Arc<str>>,
}

impl Parts {
    fn push<T>(mut self, part: Expr<T>) -> Self {
        self.problem = self.problem.or(part.problem);
        self.list.push(part.bson);
        self
    }

    /// The operator on a list of the parts.
    fn list<T>(self, operator: &str) -> Expr<T> {
        let mut form = Document::new();
        form.insert(operator, self.list);
        Expr { bson: form.into(), problem: self.problem, _type: PhantomData }
    }

    /// The operator on the parts by their names.
    fn named<T>(self, operator: &str, names: &[&str]) -> Expr<T> {
        let parts: Document = names.iter().map(|name| (*name).to_owned()).zip(self.list).collect();
        Expr { bson: doc! { operator: parts }.into(), problem: self.problem, _type: PhantomData }
    }
}

/// A value under a name.
#[derive(Debug)]
pub struct NamedExpr {
    pub(crate) name: String,
    pub(crate) value: Result<Bson>,
}

/// What may stand in an expression: a field, a literal, an expression.
#[diagnostic::on_unimplemented(
    message = "a `{Self}` cannot stand where an expression of type `{T}` is due",
    label = "expected a field, a literal or an expression of type `{T}`"
)]
pub trait IntoExpr<T> {
    /// The expression.
    fn into_expr(self) -> Expr<T>;
}

impl<T> IntoExpr<T> for Expr<T> {
    fn into_expr(self) -> Expr<T> {
        self
    }
}
impl<M, T> IntoExpr<T> for Field<M, T> {
    fn into_expr(self) -> Expr<T> {
        self.expr()
    }
}
impl<M, T> IntoExpr<Option<T>> for Field<M, T> {
    fn into_expr(self) -> Expr<Option<T>> {
        self.expr().cast()
    }
}
impl<T: Serialize + 'static> IntoExpr<T> for T {
    fn into_expr(self) -> Expr<T> {
        lit(self)
    }
}
impl<T: Serialize + 'static> IntoExpr<Option<T>> for T {
    fn into_expr(self) -> Expr<Option<T>> {
        lit(self).cast()
    }
}
impl IntoExpr<String> for &str {
    fn into_expr(self) -> Expr<String> {
        lit(self.to_owned())
    }
}
impl IntoExpr<Option<String>> for &str {
    fn into_expr(self) -> Expr<Option<String>> {
        lit(self.to_owned()).cast()
    }
}

/// What has one type as an expression, where nothing else says which it is.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no expression by itself",
    label = "not an expression",
    note = "make one of it by `lit(…)`"
)]
pub trait AsExpr {
    /// The type of the expression.
    type Type;
    /// The expression.
    fn into_typed(self) -> Expr<Self::Type>;
}

impl<T> AsExpr for Expr<T> {
    type Type = T;
    fn into_typed(self) -> Expr<T> {
        self
    }
}
impl<M, T> AsExpr for Field<M, T> {
    type Type = T;
    fn into_typed(self) -> Expr<T> {
        self.expr()
    }
}
impl AsExpr for &str {
    type Type = String;
    fn into_typed(self) -> Expr<String> {
        lit(self.to_owned())
    }
}

macro_rules! literals {
    ($($type:ty),*) => {
        $(impl AsExpr for $type {
            type Type = $type;
            fn into_typed(self) -> Expr<$type> {
                lit(self)
            }
        })*
    };
}
literals!(String, bool, i32, u32, i64, f64, DateTime, Date, Decimal, Uuid);

impl<M, T> Field<M, T> {
    /// The value of the field, for use in expressions.
    pub fn expr(self) -> Expr<T> {
        Expr::new(format!("${}", self.path()))
    }

    /// The value of the field under a name: what stages such as `group` and `project` take.
    pub fn named(self, name: impl Into<String>) -> NamedExpr {
        self.expr().named(name)
    }
}
impl Score {
    /// The score of the search that a pipeline begins with, for use in expressions. It is there until a stage makes
    /// documents of its own (groups, buckets, counts, facets): give it a name before.
    pub fn expr(self) -> Expr<f64> {
        Expr::new(doc! { "$meta": SCORE })
    }

    /// The score under a name: what stages such as `set` and `project` take.
    pub fn named(self, name: impl Into<String>) -> NamedExpr {
        self.expr().named(name)
    }
}
impl IntoExpr<f64> for Score {
    fn into_expr(self) -> Expr<f64> {
        self.expr()
    }
}
impl AsExpr for Score {
    type Type = f64;
    fn into_typed(self) -> Expr<f64> {
        self.expr()
    }
}
impl<M, E> EmbedOne<M, E> {
    /// The embed as a value in expressions.
    pub fn expr(self) -> Expr<E> {
        self.whole().expr()
    }
}
impl<M, E> EmbedMany<M, E> {
    /// The list as a value in expressions.
    pub fn expr(self) -> Expr<Vec<E>> {
        self.whole().expr()
    }
}

/// A literal as an expression: what could be taken for a path or an operator is quoted.
fn literal<T: Serialize + 'static>(value: &T) -> Expr<T> {
    match to_bson(value) {
        Ok(bson) => Expr::new(quoted(bson)),
        Err(error) => Expr { bson: Bson::Null, problem: Some(error.message().into()), _type: PhantomData },
    }
}

pub(crate) fn quoted(value: Bson) -> Bson {
    match value {
        Bson::String(text) if text.starts_with('$') => doc! { "$literal": text }.into(),
        Bson::Document(_) | Bson::Array(_) => doc! { "$literal": value }.into(),
        value => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::bson;

    struct M;

    fn check<T>(expr: Expr<T>, expected: &Bson) {
        assert_eq!(expr.into_bson().unwrap(), *expected);
    }

    #[test]
    fn operators_read_as_they_are_written() {
        let (delay, distance) = (Field::<M, i32>::new("delay"), Field::<M, i32>::new("distance"));
        check(delay + 5, &bson!({ "$add": ["$delay", 5] }));
        check(
            (delay + distance) * 2 - 1,
            &bson!({ "$subtract": [{ "$multiply": [{ "$add": ["$delay", "$distance"] }, 2] }, 1] }),
        );
        check(delay.expr().gt(distance), &bson!({ "$gt": ["$delay", "$distance"] }));
        check(
            cond(delay.expr().gt(15) & distance.expr().lt(100), "late", "fine"),
            &bson!({ "$cond": [{ "$and": [{ "$gt": ["$delay", 15] }, { "$lt": ["$distance", 100] }] }, "late", "fine"] }),
        );
    }

    #[test]
    fn literals_are_never_taken_for_paths_or_operators() {
        let name = Field::<M, String>::new("name");
        check(name.expr().eq("$secret"), &bson!({ "$eq": ["$name", { "$literal": "$secret" }] }));
        check(lit(vec!["$a".to_owned()]), &bson!({ "$literal": ["$a"] }));
        let map = std::collections::BTreeMap::from([("$where".to_owned(), 1)]);
        assert!(lit(map).into_bson().is_err(), "such a map cannot be stored either");
    }

    #[test]
    fn options_and_values_meet() {
        let age = Field::<M, Option<i32>>::new("age");
        check(age + 1, &bson!({ "$add": ["$age", 1] }));
        check(age.expr().or(0) + 1, &bson!({ "$add": [{ "$ifNull": ["$age", 0] }, 1] }));
    }

    #[test]
    fn dates_have_parts_in_time_zones() {
        let date = Field::<M, DateTime>::new("date");
        check(date.year(), &bson!({ "$year": "$date" }));
        check(
            date.expr().in_zone("Europe/Vienna").trunc(TimeUnit::Day),
            &bson!({ "$dateTrunc": { "date": "$date", "unit": "day", "timezone": "Europe/Vienna" } }),
        );
    }

    #[test]
    fn elements_of_lists_are_bound_by_closures() {
        let tags = Field::<M, Vec<String>>::new("tags");
        check(
            tags.expr().keep(|tag| tag.ne("x")).map(Expr::upper).len(),
            &bson!({ "$size": { "$map": {
                "input": { "$filter": { "input": "$tags", "as": "x0", "cond": { "$ne": ["$$x0", "x"] } } },
                "as": "x0",
                "in": { "$toUpper": "$$x0" },
            } } }),
        );
    }
}
