use bson::{Bson, Document, doc};

use super::checked_name;
use crate::error::{Error, Result};
use crate::fields::IntoSort;
use crate::ir::{SortKey, Stage, WindowFunction};
use crate::query::aggregate::{Agg, NamedAgg};
use crate::query::expr::{AsExpr, Computable, TimeUnit};

/// Values of each document that are computed from those around it.
///
/// ```ignore
/// db.pipeline::<Flight>().window(|f| {
///     windows()
///         .partition(f.origin_id)
///         .sort(f.date.asc())
///         .value(rank().named("rank"))
///         .value(f.delay.avg().over(Frame::documents(-6, 0)).named("week"))
/// })
/// ```
#[must_use = "windows do nothing by themselves"]
pub struct Windows {
    partition: Option<Result<Bson>>,
    sort: Vec<SortKey>,
    values: Vec<NamedWindow>,
}

/// Windows over all documents, without values yet.
pub fn windows() -> Windows {
    Windows { partition: None, sort: Vec::new(), values: Vec::new() }
}

impl Windows {
    /// Documents with different values of this have nothing to do with each other.
    pub fn partition(mut self, by: impl AsExpr) -> Self {
        self.partition = Some(by.into_typed().into_bson());
        self
    }

    /// The order within a partition.
    pub fn sort<M>(mut self, sort: impl IntoSort<M>) -> Self {
        self.sort.extend(sort.into_sort());
        self
    }

    /// The order within a partition by any paths.
    pub fn sort_by(mut self, keys: impl IntoIterator<Item = SortKey>) -> Self {
        self.sort.extend(keys);
        self
    }

    /// One more value.
    pub fn value(mut self, value: impl Into<NamedWindow>) -> Self {
        self.values.push(value.into());
        self
    }

    pub(super) fn into_stage(self) -> Result<Stage> {
        let named = |value: NamedWindow| {
            Ok((checked_name(&value.name, true)?.to_owned(), value.function?, value.frame))
        };
        Ok(Stage::Window {
            partition: self.partition.transpose()?,
            sort: self.sort,
            values: self.values.into_iter().map(named).collect::<Result<_>>()?,
        })
    }
}

/// The documents that a value is computed of.
#[derive(Debug, Clone)]
pub struct Frame(Document);

fn bounds(from: Bson, to: Bson) -> Bson {
    Bson::Array(vec![from, to])
}

impl Frame {
    /// From `from` documents after this one to `to` documents after it; negative numbers are before it.
    pub fn documents(from: i64, to: i64) -> Self {
        Self(doc! { "documents": bounds(from.into(), to.into()) })
    }

    /// From the first document of the partition to this one.
    pub fn so_far() -> Self {
        Self(doc! { "documents": bounds("unbounded".into(), "current".into()) })
    }

    /// From this document to the last one of the partition.
    pub fn from_here() -> Self {
        Self(doc! { "documents": bounds("current".into(), "unbounded".into()) })
    }

    /// The documents whose sort value is within `from` and `to` of this one's. It needs one ascending sort key.
    pub fn range(from: impl Into<Bson>, to: impl Into<Bson>) -> Self {
        Self(doc! { "range": bounds(from.into(), to.into()) })
    }

    /// As [`range`](Self::range) of dates, in units.
    pub fn time(from: i64, to: i64, unit: TimeUnit) -> Self {
        Self(doc! { "range": bounds(from.into(), to.into()), "unit": unit.name() })
    }
}

/// A value over a frame, of type `T`.
pub struct Over<T> {
    function: Result<WindowFunction>,
    frame: Option<Document>,
    _type: std::marker::PhantomData<fn() -> T>,
}

/// A value over a frame, under a name.
pub struct NamedWindow {
    name: String,
    function: Result<WindowFunction>,
    frame: Option<Document>,
}

impl<T> Over<T> {
    fn own(function: Result<Document>, frame: Option<Frame>) -> Self {
        let frame = frame.map(|frame| frame.0);
        Self { function: function.map(WindowFunction::Own), frame, _type: std::marker::PhantomData }
    }

    /// The value under a name.
    pub fn named(self, name: impl Into<String>) -> NamedWindow {
        NamedWindow { name: name.into(), function: self.function, frame: self.frame }
    }
}

impl<T> Agg<T> {
    /// The value over a frame, in place of the whole partition.
    pub fn over(self, frame: Frame) -> Over<T> {
        let function = self.aggregate().map(WindowFunction::Aggregate);
        Over { function, frame: Some(frame.0), _type: std::marker::PhantomData }
    }
}

impl From<NamedAgg> for NamedWindow {
    fn from(NamedAgg { name, aggregate }: NamedAgg) -> Self {
        Self { name, function: aggregate.map(WindowFunction::Aggregate), frame: None }
    }
}

/// The number of a document in its partition, from 1.
pub fn document_number() -> Over<i64> {
    Over::own(Ok(doc! { "$documentNumber": {} }), None)
}

/// The rank of a document in its partition, from 1: equal ones share it, and the next one passes over as many.
pub fn rank() -> Over<i64> {
    Over::own(Ok(doc! { "$rank": {} }), None)
}

/// The rank of a document in its partition, from 1: equal ones share it, and the next one goes on.
pub fn dense_rank() -> Over<i64> {
    Over::own(Ok(doc! { "$denseRank": {} }), None)
}

/// The value of the document `by` places after this one; before it, where negative.
pub fn shift<E: AsExpr>(value: E, by: i32) -> Over<Option<E::Type>> {
    Over::own(
        value.into_typed().into_bson().map(|value| doc! { "$shift": { "output": value, "by": by } }),
        None,
    )
}

/// How fast a value changes over a frame, for each unit of the sort value.
pub fn derivative<E>(value: E, frame: Frame, unit: Option<TimeUnit>) -> Over<Option<f64>>
where
    E: AsExpr<Type: Computable>,
{
    let form = value.into_typed().into_bson().map(|value| {
        let mut form = doc! { "input": value };
        form.extend(unit.map(|unit| ("unit".to_owned(), unit.name().into())));
        doc! { "$derivative": form }
    });
    Over::own(form, Some(frame))
}

/// The exponential moving average, in which about `n` documents count.
pub fn exp_moving_avg<E: AsExpr<Type: Computable>>(value: E, n: u32) -> Over<Option<f64>> {
    let form = value.into_typed().into_bson().and_then(|value| {
        if n == 0 {
            return Err(Error::bad_request("a moving average counts at least one document"));
        }
        Ok(doc! { "$expMovingAvg": { "input": value, "N": i64::from(n) } })
    });
    Over::own(form, None)
}

/// The last value that is not null, up to this document.
pub fn last_known<E: AsExpr>(value: E) -> Over<Option<E::Type>> {
    Over::own(value.into_typed().into_bson().map(|value| doc! { "$locf": value }), None)
}
