use std::future::IntoFuture;
use std::marker::PhantomData;

use bson::RawDocument;
use bson::raw::RawBsonRef;
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::changes::Number;
use super::{narrow, wrong_outcome};
use crate::db::Handle;
use crate::error::{Error, Result};
use crate::fields::{Field, Filter, Order};
use crate::ir::{self, Aggregate, Operation, Outcome, Predicate, SortKey};
use crate::model::ModelRef;
use crate::traits::Model;
use crate::value::{self, IntoValue, to_bson};

const SLOTS: [&str; 6] = ["a0", "a1", "a2", "a3", "a4", "a5"];
const KEYS: [&str; 6] = ["k0", "k1", "k2", "k3", "k4", "k5"];

/// A computed value of a group, of type `T`.
pub struct Agg<M, T> {
    aggregate: Aggregate,
    slot: usize,
    _types: PhantomData<fn() -> (M, T)>,
}

impl<M, T> Agg<M, T> {
    fn new(aggregate: Aggregate) -> Self {
        Self { aggregate, slot: 0, _types: PhantomData }
    }

    fn at(&self, slot: usize) -> Self {
        Self { aggregate: self.aggregate.clone(), slot, _types: PhantomData }
    }

    /// Sorts groups from small to large.
    pub fn asc(&self) -> GroupOrder<M> {
        GroupOrder(Order::new(SLOTS[self.slot], false))
    }

    /// Sorts groups from large to small.
    pub fn desc(&self) -> GroupOrder<M> {
        GroupOrder(Order::new(SLOTS[self.slot], true))
    }
}

/// A sort key of groups.
pub struct GroupOrder<M>(Order<M>);

/// A condition on groups.
pub struct GroupFilter<M>(Result<ir::Filter>, PhantomData<fn() -> M>);

impl<M> std::ops::BitAnd for GroupFilter<M> {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0.and_then(|a| Ok(a.and(other.0?))), PhantomData)
    }
}
impl<M> std::ops::BitOr for GroupFilter<M> {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0.and_then(|a| Ok(a.or(other.0?))), PhantomData)
    }
}

macro_rules! agg_comparisons {
    ($($(#[$doc:meta])* $name:ident => $predicate:ident;)*) => {
        impl<M, T: Serialize + 'static> Agg<M, T> {
            $($(#[$doc])*
            pub fn $name(&self, value: impl IntoValue<T>) -> GroupFilter<M> {
                let slot = SLOTS[self.slot];
                let filter = to_bson(&value.into_value()).map(|v| ir::Filter::Field(slot.into(), Predicate::$predicate(v)));
                GroupFilter(filter, PhantomData)
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
pub fn count<M>() -> Agg<M, i64> {
    Agg::new(Aggregate::Count)
}

impl<M, T: Number> Field<M, T> {
    /// The sum over a group; 0 without numbers.
    pub fn sum(self) -> Agg<M, T> {
        Agg::new(Aggregate::Sum(self.path().into()))
    }

    /// The mean over a group; none without numbers.
    pub fn avg(self) -> Agg<M, Option<f64>> {
        Agg::new(Aggregate::Avg(self.path().into()))
    }
}

impl<M, T> Field<M, T> {
    /// The smallest value of a group; none where no document has one.
    pub fn smallest(self) -> Agg<M, Option<T>> {
        Agg::new(Aggregate::Min(self.path().into()))
    }

    /// The largest value of a group; none where no document has one.
    pub fn largest(self) -> Agg<M, Option<T>> {
        Agg::new(Aggregate::Max(self.path().into()))
    }
}

/// The fields that make a group: one, or a tuple.
pub trait KeySet<M> {
    /// The values of the fields.
    type Output: Send + 'static;
    #[doc(hidden)]
    fn paths(&self) -> Vec<ir::Path>;
    #[doc(hidden)]
    fn read(row: &RawDocument) -> Result<Self::Output>;
}

/// The computed values of a group: one, or a tuple.
pub trait AggregateSet<M> {
    /// The values.
    type Output: Send + 'static;
    #[doc(hidden)]
    fn aggregates(&self) -> Vec<Aggregate>;
    #[doc(hidden)]
    fn numbered(&self) -> Self;
    #[doc(hidden)]
    fn read(row: &RawDocument) -> Result<Self::Output>;
}

fn read_at<T: DeserializeOwned>(row: &RawDocument, key: &str) -> Result<T> {
    let value = row.get(key).map_err(|e| Error::internal(format!("a group is not BSON: {e}")))?;
    value::from_raw(value.unwrap_or(RawBsonRef::Null))
}

impl<M, T: DeserializeOwned + Send + 'static> KeySet<M> for Field<M, T> {
    type Output = T;
    fn paths(&self) -> Vec<ir::Path> {
        vec![(*self).path().into()]
    }
    fn read(row: &RawDocument) -> Result<T> {
        read_at(row, KEYS[0])
    }
}

impl<M, T: DeserializeOwned + Send + 'static> AggregateSet<M> for Agg<M, T> {
    type Output = T;
    fn aggregates(&self) -> Vec<Aggregate> {
        vec![self.aggregate.clone()]
    }
    fn numbered(&self) -> Self {
        self.at(0)
    }
    fn read(row: &RawDocument) -> Result<T> {
        read_at(row, SLOTS[0])
    }
}

macro_rules! tuples {
    ($(($($name:ident $index:tt),+))+) => {
        $(
        impl<M, $($name: DeserializeOwned + Send + 'static),+> KeySet<M> for ($(Field<M, $name>,)+) {
            type Output = ($($name,)+);
            fn paths(&self) -> Vec<ir::Path> {
                vec![$(self.$index.path().into()),+]
            }
            fn read(row: &RawDocument) -> Result<Self::Output> {
                Ok(($(read_at::<$name>(row, KEYS[$index])?,)+))
            }
        }
        impl<M, $($name: DeserializeOwned + Send + 'static),+> AggregateSet<M> for ($(Agg<M, $name>,)+) {
            type Output = ($($name,)+);
            fn aggregates(&self) -> Vec<Aggregate> {
                vec![$(self.$index.aggregate.clone()),+]
            }
            fn numbered(&self) -> Self {
                ($(self.$index.at($index),)+)
            }
            fn read(row: &RawDocument) -> Result<Self::Output> {
                Ok(($(read_at::<$name>(row, SLOTS[$index])?,)+))
            }
        }
        )+
    };
}
tuples! { (A 0, B 1) (A 0, B 1, C 2) (A 0, B 1, C 2, D 3) (A 0, B 1, C 2, D 3, E 4) (A 0, B 1, C 2, D 3, E 4, F 5) }

/// Groups of documents of `M` by `K`, each with the values `V`; awaiting it gives a `Vec<(key, values)>`.
///
/// ```ignore
/// let busiest: Vec<(String, (i64, Option<f64>))> = db
///     .group_by::<Flight, _>(|f| f.origin_id)
///     .select(|f| (count(), f.delay.avg()))
///     .sort(|(n, _)| n.desc())
///     .limit(10)
///     .await?;
/// ```
#[must_use = "a query runs when it is awaited"]
pub struct GroupBy<M, K, V = ()> {
    handle: Handle,
    group: ir::Group,
    values: V,
    error: Option<Error>,
    _types: PhantomData<fn() -> (M, K)>,
}

impl<M: Model, K: KeySet<M>> GroupBy<M, K> {
    pub(crate) fn new(handle: Handle, keys: &K) -> Self {
        let group = ir::Group {
            model: ModelRef(M::def()),
            filter: ir::Filter::All,
            keys: keys.paths(),
            aggregates: Vec::new(),
            having: ir::Filter::All,
            sort: Vec::new(),
            skip: None,
            limit: None,
            with_deleted: false,
        };
        Self { handle, group, values: (), error: None, _types: PhantomData }
    }

    /// What to compute of each group: one value, or a tuple.
    pub fn select<V: AggregateSet<M>>(
        mut self,
        select: impl FnOnce(&'static M::Fields) -> V,
    ) -> GroupBy<M, K, V> {
        let values = select(M::FIELDS).numbered();
        self.group.aggregates = values.aggregates();
        GroupBy { handle: self.handle, group: self.group, values, error: self.error, _types: PhantomData }
    }
}

impl<M: Model, K, V> GroupBy<M, K, V> {
    /// Only documents that match take part.
    pub fn filter(mut self, filter: impl FnOnce(&'static M::Fields) -> Filter<M>) -> Self {
        narrow(&mut self.group.filter, &mut self.error, filter(M::FIELDS));
        self
    }

    /// Passes over the first `n` groups.
    pub fn skip(mut self, n: u64) -> Self {
        self.group.skip = Some(n);
        self
    }

    /// At most `n` groups; 0 is none.
    pub fn limit(mut self, n: u64) -> Self {
        self.group.limit = Some(n);
        self
    }
}

impl<M: Model, K: KeySet<M>, V: AggregateSet<M>> GroupBy<M, K, V> {
    /// Only groups whose values match.
    pub fn having(mut self, having: impl FnOnce(&V) -> GroupFilter<M>) -> Self {
        match having(&self.values).0 {
            Ok(filter) => self.group.having.narrow(filter),
            Err(error) => self.error = self.error.or(Some(error)),
        }
        self
    }

    /// The order of the groups by one computed value. Further calls add keys; the group's own key decides ties.
    pub fn sort(mut self, sort: impl FnOnce(&V) -> GroupOrder<M>) -> Self {
        self.group.sort.push(sort(&self.values).0.key);
        self
    }
}

impl<M: Model, K: KeySet<M> + 'static, V: AggregateSet<M> + Send + 'static> IntoFuture for GroupBy<M, K, V> {
    type Output = Result<Vec<(K::Output, V::Output)>>;
    type IntoFuture = BoxFuture<'static, Self::Output>;
    fn into_future(mut self) -> Self::IntoFuture {
        let ties = (0..self.group.keys.len()).map(|i| SortKey { path: KEYS[i].into(), descending: false });
        self.group.sort.extend(ties);
        Box::pin(async move {
            if let Some(error) = self.error {
                return Err(error);
            }
            match self.handle.execute(Operation::Group(self.group)).await? {
                Outcome::Rows(rows) => {
                    rows.documents.iter().map(|row| Ok((K::read(row)?, V::read(row)?))).collect()
                }
                _ => Err(wrong_outcome("group_by")),
            }
        })
    }
}
