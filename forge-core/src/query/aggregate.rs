//! Values that are computed of many documents: by `group_by`, and by the stages of pipelines.

use std::marker::PhantomData;

use bson::Document;
use serde::Serialize;

use super::expr::{Computable, Expr};
use crate::error::{Error, Result};
use crate::fields::Field;
use crate::ir::{self, Aggregate, Operand, Predicate, SortKey};
use crate::value::{IntoValue, to_bson};

pub(crate) const SLOTS: [&str; 6] = ["a0", "a1", "a2", "a3", "a4", "a5"];

/// A computed value of a group, of type `T`.
#[must_use = "an aggregate does nothing by itself"]
pub struct Agg<T> {
    aggregate: std::result::Result<Aggregate, String>,
    slot: usize,
    _type: PhantomData<fn() -> T>,
}

impl<T> Agg<T> {
    pub(crate) fn new(aggregate: Aggregate) -> Self {
        Self { aggregate: Ok(aggregate), slot: 0, _type: PhantomData }
    }

    fn of(operand: Result<Operand>, make: impl FnOnce(Operand) -> Aggregate) -> Self {
        let aggregate = operand.map(make).map_err(|error| error.message().to_owned());
        Self { aggregate, slot: 0, _type: PhantomData }
    }

    pub(crate) fn at(&self, slot: usize) -> Self {
        Self { aggregate: self.aggregate.clone(), slot, _type: PhantomData }
    }

    pub(crate) fn aggregate(&self) -> Result<Aggregate> {
        self.aggregate.clone().map_err(Error::bad_request)
    }

    /// The value under a name: what the stages of pipelines take.
    pub fn named(self, name: impl Into<String>) -> NamedAgg {
        NamedAgg { name: name.into(), aggregate: self.aggregate() }
    }

    /// Sorts groups from small to large.
    pub fn asc(&self) -> GroupOrder {
        GroupOrder(SortKey { path: SLOTS[self.slot].into(), descending: false })
    }

    /// Sorts groups from large to small.
    pub fn desc(&self) -> GroupOrder {
        GroupOrder(SortKey { path: SLOTS[self.slot].into(), descending: true })
    }
}

/// A computed value under a name.
pub struct NamedAgg {
    pub(crate) name: String,
    pub(crate) aggregate: Result<Aggregate>,
}

/// A sort key of groups.
pub struct GroupOrder(pub(crate) SortKey);

/// A condition on groups.
pub struct GroupFilter(pub(crate) Result<ir::Filter>);

impl std::ops::BitAnd for GroupFilter {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0.and_then(|a| Ok(a.and(other.0?))))
    }
}
impl std::ops::BitOr for GroupFilter {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0.and_then(|a| Ok(a.or(other.0?))))
    }
}
impl std::ops::Not for GroupFilter {
    type Output = Self;
    fn not(self) -> Self {
        Self(self.0.map(ir::Filter::negate))
    }
}

macro_rules! agg_comparisons {
    ($($(#[$doc:meta])* $name:ident => $predicate:ident;)*) => {
        impl<T: Serialize + 'static> Agg<T> {
            $($(#[$doc])*
            pub fn $name(&self, value: impl IntoValue<T>) -> GroupFilter {
                let slot = SLOTS[self.slot];
                let filter = to_bson(&value.into_value());
                GroupFilter(filter.map(|v| ir::Filter::Field(slot.into(), Predicate::$predicate(v))))
            })*
        }
    };
}
agg_comparisons! {
    /// Groups whose value equals `value`.
    eq => Eq;
    /// Groups whose value is another than `value`.
    ne => Ne;
    /// Groups whose value is greater.
    gt => Gt;
    /// Groups whose value is greater or equal.
    gte => Gte;
    /// Groups whose value is less.
    lt => Lt;
    /// Groups whose value is less or equal.
    lte => Lte;
}

/// How many documents a group has.
pub fn count() -> Agg<i64> {
    Agg::new(Aggregate::Count)
}

/// An accumulator in MongoDB's own form: `{"$mergeObjects": "$address"}`. It must not come from a client.
pub fn accumulator<T>(form: Document) -> Agg<T> {
    Agg::new(Aggregate::Own(form))
}

macro_rules! aggregates {
    (($($head:tt)*) $operand:expr) => {
        $($head)* {
            /// The value in the first document of a group; put them in order before.
            pub fn first(self) -> Agg<Option<T>> {
                Agg::of($operand(self), Aggregate::First)
            }

            /// The value in the last document of a group; put them in order before.
            pub fn last(self) -> Agg<Option<T>> {
                Agg::of($operand(self), Aggregate::Last)
            }

            /// The smallest value of a group; none where no document has one.
            pub fn smallest(self) -> Agg<Option<T>> {
                Agg::of($operand(self), Aggregate::Min)
            }

            /// The largest value of a group; none where no document has one.
            pub fn largest(self) -> Agg<Option<T>> {
                Agg::of($operand(self), Aggregate::Max)
            }

            /// The distinct values of a group, in no order. Documents without the value add nothing.
            pub fn add_to_set(self) -> Agg<Vec<T>> {
                Agg::of($operand(self), Aggregate::AddToSet)
            }

            /// All values of a group. Documents without the value add nothing.
            pub fn push(self) -> Agg<Vec<T>> {
                Agg::of($operand(self), Aggregate::Push)
            }

            /// How many distinct values a group has; null and absent do not count.
            pub fn count_distinct(self) -> Agg<i64> {
                Agg::of($operand(self), Aggregate::CountDistinct)
            }
        }
    };
    (numbers ($($head:tt)*) $operand:expr) => {
        $($head)* {
            /// The sum over a group; 0 without numbers. Sums of 32-bit numbers have 64 bits.
            pub fn sum(self) -> Agg<T::Sum> {
                Agg::of($operand(self), Aggregate::Sum)
            }

            /// The mean over a group; none without numbers. Of decimals it is a decimal.
            pub fn avg(self) -> Agg<Option<T::Mean>> {
                Agg::of($operand(self), Aggregate::Avg)
            }

            /// The standard deviation of a group, the documents being all there are; none without numbers.
            pub fn std_dev_pop(self) -> Agg<Option<f64>> {
                Agg::of($operand(self), Aggregate::StdDevPop)
            }

            /// The standard deviation of a group, the documents being a sample; none with less than two numbers.
            pub fn std_dev_samp(self) -> Agg<Option<f64>> {
                Agg::of($operand(self), Aggregate::StdDevSamp)
            }

            /// The smallest number of a group that a share `p` (0 to 1) of its numbers does not exceed; none without
            /// numbers. Servers (from 7.0 on) approximate it by a t-digest; the embedded engine is exact.
            pub fn percentile(self, p: f64) -> Agg<Option<f64>> {
                Agg::of($operand(self), |of| Aggregate::Quantile(of, p))
            }

            /// Several percentiles at once: see [`percentile`](Self::percentile).
            pub fn percentiles(self, p: impl IntoIterator<Item = f64>) -> Agg<Percentiles> {
                let p = p.into_iter().collect();
                Agg::of($operand(self), |of| Aggregate::Percentile(of, p))
            }

            /// The middle number of a group, of two the lower one; none without numbers. Servers (from 7.0 on)
            /// approximate it by a t-digest; the embedded engine is exact.
            pub fn median(self) -> Agg<Option<f64>> {
                Agg::of($operand(self), Aggregate::Median)
            }
        }
    };
}

/// The values of percentiles, in the order asked for; none where a group has no numbers.
pub type Percentiles = Vec<Option<f64>>;

fn of_field<M, T>(field: Field<M, T>) -> Result<Operand> {
    Ok(field.path().into())
}

fn of_expr<T>(expr: Expr<T>) -> Result<Operand> {
    expr.into_bson().map(Operand::Expr)
}

aggregates! { (impl<M, T> Field<M, T>) of_field }
aggregates! { (impl<T> Expr<T>) of_expr }
aggregates! { numbers (impl<M, T: Computable> Field<M, T>) of_field }
aggregates! { numbers (impl<T: Computable> Expr<T>) of_expr }

impl<T> Expr<T> {
    /// The values of the first `count` documents of a group in an order.
    pub fn top(self, count: u32, order: impl IntoIterator<Item = SortKey>) -> Agg<Vec<T>> {
        let sort = order.into_iter().collect();
        Agg::of(of_expr(self), |of| Aggregate::Top { of, sort, count: Some(count), last: false })
    }

    /// The value of the first document of a group in an order.
    pub fn top_one(self, order: impl IntoIterator<Item = SortKey>) -> Agg<Option<T>> {
        let sort = order.into_iter().collect();
        Agg::of(of_expr(self), |of| Aggregate::Top { of, sort, count: None, last: false })
    }
}
