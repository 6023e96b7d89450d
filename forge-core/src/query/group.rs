use std::future::IntoFuture;
use std::marker::PhantomData;

use bson::RawDocument;
use bson::raw::RawBsonRef;
use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;

use super::aggregate::{Agg, GroupFilter, GroupOrder, SLOTS};
use super::expr::Expr;
use super::options::read_options;
use super::{narrow, wrong_outcome};
use crate::adapter::Explanation;
use crate::db::Handle;
use crate::error::{Error, Result};
use crate::fields::{Field, Filter, IntoSort, ToOne};
use crate::ir::{self, Aggregate, Operand, Operation, Outcome, SortKey};
use crate::model::ModelRef;
use crate::traits::Model;
use crate::value;

const KEYS: [&str; 6] = ["k0", "k1", "k2", "k3", "k4", "k5"];

/// What makes a group: a field, an expression, or a relation whose key the documents hold (the group is the id of the
/// other document then, none where there is none).
pub trait GroupKey {
    /// Its type.
    type Value: DeserializeOwned + Send + 'static;
    #[doc(hidden)]
    fn operand(&self) -> Result<Operand>;
}

impl<M, T: DeserializeOwned + Send + 'static> GroupKey for Field<M, T> {
    type Value = T;
    fn operand(&self) -> Result<Operand> {
        Ok((*self).path().into())
    }
}

impl<T: DeserializeOwned + Send + 'static> GroupKey for Expr<T> {
    type Value = T;
    fn operand(&self) -> Result<Operand> {
        self.clone().into_bson().map(Operand::Expr)
    }
}

impl<M: Model, T: Model> GroupKey for ToOne<M, T> {
    type Value = Option<T::Id>;
    fn operand(&self) -> Result<Operand> {
        let relation = &M::def().relations[self.index()];
        if relation.holds_key() {
            return Ok(relation.local().into());
        }
        Err(Error::bad_request(format!(
            "{}.{} is kept by {}: documents are grouped by a relation whose key they hold; group {} by its own",
            M::def().name,
            relation.name,
            T::def().name,
            T::def().name
        )))
    }
}

/// What makes a group: one field, expression or relation, or a tuple of them.
pub trait KeySet {
    /// The values.
    type Output: Send + 'static;
    #[doc(hidden)]
    fn operands(&self) -> Result<Vec<Operand>>;
    #[doc(hidden)]
    fn read(row: &RawDocument) -> Result<Self::Output>;
}

/// The computed values of a group: one, or a tuple.
pub trait AggregateSet {
    /// The values.
    type Output: Send + 'static;
    #[doc(hidden)]
    fn aggregates(&self) -> Result<Vec<Aggregate>>;
    #[doc(hidden)]
    fn numbered(&self) -> Self;
    #[doc(hidden)]
    fn read(row: &RawDocument) -> Result<Self::Output>;
}

fn read_at<T: DeserializeOwned>(row: &RawDocument, key: &str) -> Result<T> {
    let value = row.get(key).map_err(|e| Error::internal(format!("a group is not BSON: {e}")))?;
    value::from_raw(value.unwrap_or(RawBsonRef::Null))
}

macro_rules! single_key {
    ($(<$($generic:ident),+> $key:ty;)+) => {
        $(impl<$($generic),+> KeySet for $key
        where
            $key: GroupKey,
        {
            type Output = <$key as GroupKey>::Value;
            fn operands(&self) -> Result<Vec<Operand>> {
                Ok(vec![self.operand()?])
            }
            fn read(row: &RawDocument) -> Result<Self::Output> {
                read_at(row, KEYS[0])
            }
        })+
    };
}
single_key! {
    <M, T> Field<M, T>;
    <T> Expr<T>;
    <M, T> ToOne<M, T>;
}

impl<T: DeserializeOwned + Send + 'static> AggregateSet for Agg<T> {
    type Output = T;
    fn aggregates(&self) -> Result<Vec<Aggregate>> {
        Ok(vec![self.aggregate()?])
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
        impl<$($name: GroupKey),+> KeySet for ($($name,)+) {
            type Output = ($($name::Value,)+);
            fn operands(&self) -> Result<Vec<Operand>> {
                Ok(vec![$(self.$index.operand()?),+])
            }
            fn read(row: &RawDocument) -> Result<Self::Output> {
                Ok(($(read_at::<$name::Value>(row, KEYS[$index])?,)+))
            }
        }
        impl<$($name: DeserializeOwned + Send + 'static),+> AggregateSet for ($(Agg<$name>,)+) {
            type Output = ($($name,)+);
            fn aggregates(&self) -> Result<Vec<Aggregate>> {
                Ok(vec![$(self.$index.aggregate()?),+])
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
/// let by_month: Vec<((i32, i32), i64)> =
///     db.group_by::<Flight, _>(|f| (f.date.year(), f.date.month())).select(|_| count()).await?;
/// ```
#[must_use = "a query runs when it is awaited"]
pub struct GroupBy<M, K, V = ()> {
    handle: Handle,
    group: ir::Group,
    values: V,
    error: Option<Error>,
    _types: PhantomData<fn() -> (M, K)>,
}

impl<M: Model, K: KeySet> GroupBy<M, K> {
    pub(crate) fn new(handle: Handle, keys: &K) -> Self {
        let mut group = ir::Group::new(ModelRef(M::def()));
        let mut error = None;
        match keys.operands() {
            Ok(keys) => group.keys = keys,
            Err(failure) => error = Some(failure),
        }
        Self { handle, group, values: (), error, _types: PhantomData }
    }

    /// What to compute of each group: one value, or a tuple.
    pub fn select<V: AggregateSet>(
        mut self,
        select: impl FnOnce(&'static M::Fields) -> V,
    ) -> GroupBy<M, K, V> {
        let values = select(M::FIELDS).numbered();
        match values.aggregates() {
            Ok(aggregates) => self.group.aggregates = aggregates,
            Err(error) => self.error = self.error.or(Some(error)),
        }
        GroupBy { handle: self.handle, group: self.group, values, error: self.error, _types: PhantomData }
    }
}

impl<M: Model, K, V> GroupBy<M, K, V> {
    /// Only documents that match take part.
    pub fn filter(mut self, filter: impl FnOnce(&'static M::Fields) -> Filter<M>) -> Self {
        narrow(&mut self.group.filter, &mut self.error, filter(M::FIELDS));
        self
    }

    /// The order in which documents come into their groups: what `first`, `last` and `push` go by.
    pub fn order<S: IntoSort<M>>(mut self, order: impl FnOnce(&'static M::Fields) -> S) -> Self {
        self.group.order.extend(order(M::FIELDS).into_sort());
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

    /// Soft-deleted documents take part as well.
    pub fn with_deleted(mut self) -> Self {
        self.group.with_deleted = true;
        self
    }

    fn options(&mut self) -> &mut ir::ReadOptions {
        &mut self.group.options
    }

    fn fail(&mut self, error: Error) {
        self.error.get_or_insert(error);
    }

    /// How many groups there are; the database counts them. `skip` and `limit` count.
    ///
    /// ```ignore
    /// let routes = db.group_by::<Flight, _>(|f| (f.origin_id, f.destination_id)).count().await?;
    /// ```
    ///
    /// # Errors
    /// What the database answers.
    pub async fn count(self) -> Result<u64> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let counted = ir::Group { counted: true, sort: Vec::new(), ..self.group };
        match self.handle.execute(Operation::Group(counted)).await? {
            Outcome::Count(count) => Ok(count),
            _ => Err(wrong_outcome("group_by")),
        }
    }

    /// How the database would run this: its commands, indexes and warnings.
    ///
    /// # Errors
    /// What the database answers.
    pub async fn explain(self) -> Result<Explanation> {
        match self.error {
            Some(error) => Err(error),
            None => self.handle.explain(Operation::Group(ordered(self.group))).await,
        }
    }
}

/// The groups in a total order: their own keys decide ties.
fn ordered(mut group: ir::Group) -> ir::Group {
    let ties = (0..group.keys.len()).map(|i| SortKey { path: KEYS[i].into(), descending: false });
    group.sort.extend(ties);
    group
}

read_options!(
    [M: Model, K, V] GroupBy<M, K, V>,
    "How strings compare, in conditions, keys and orders: equal ones share a group, which has the key of the first."
);

impl<M: Model, K: KeySet, V: AggregateSet> GroupBy<M, K, V> {
    /// Only groups whose values match.
    pub fn having(mut self, having: impl FnOnce(&V) -> GroupFilter) -> Self {
        match having(&self.values).0 {
            Ok(filter) => self.group.having.narrow(filter),
            Err(error) => self.error = self.error.or(Some(error)),
        }
        self
    }

    /// The order of the groups by one computed value. Further calls add keys; the group's own key decides ties.
    pub fn sort(mut self, sort: impl FnOnce(&V) -> GroupOrder) -> Self {
        self.group.sort.push(sort(&self.values).0);
        self
    }
}

impl<M: Model, K: KeySet + 'static, V: AggregateSet + Send + 'static> IntoFuture for GroupBy<M, K, V> {
    type Output = Result<Vec<(K::Output, V::Output)>>;
    type IntoFuture = BoxFuture<'static, Self::Output>;
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            if let Some(error) = self.error {
                return Err(error);
            }
            match self.handle.execute(Operation::Group(ordered(self.group))).await? {
                Outcome::Rows(rows) => {
                    rows.documents.iter().map(|row| Ok((K::read(row)?, V::read(row)?))).collect()
                }
                _ => Err(wrong_outcome("group_by")),
            }
        })
    }
}
