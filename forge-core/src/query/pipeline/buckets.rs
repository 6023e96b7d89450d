use bson::Bson;
use serde::Serialize;

use crate::error::Result;
use crate::ir::Bounds;
use crate::value::{IntoValue, to_bson};

/// How [`bucket`](super::Pipeline::bucket) divides a value of type `T`.
pub struct Buckets<T> {
    bounds: Result<Bounds>,
    _type: std::marker::PhantomData<fn() -> T>,
}

impl<T> Buckets<T> {
    /// So many buckets of about the same number of documents. Equal values are never divided.
    pub fn auto(count: u32) -> Self {
        Self { bounds: Ok(Bounds::Count(count)), _type: std::marker::PhantomData }
    }

    pub(super) fn into_bounds(self) -> Result<Bounds> {
        self.bounds
    }
}

impl<T: Serialize + 'static> Buckets<T> {
    /// From each of these values to the next one, which is not included. A value outside of all is an error, but for
    /// [`otherwise`](Self::otherwise).
    pub fn at<V: IntoValue<T>>(bounds: impl IntoIterator<Item = V>) -> Self {
        let values = bounds.into_iter().map(|value| to_bson(&value.into_value()).map(literal));
        let values = values.collect::<Result<Vec<_>>>();
        Self {
            bounds: values.map(|values| Bounds::At { values, default: None }),
            _type: std::marker::PhantomData,
        }
    }

    /// The `_id` of the bucket of every other value.
    pub fn otherwise(mut self, id: impl Into<Bson>) -> Self {
        if let Ok(Bounds::At { default, .. }) = &mut self.bounds {
            *default = Some(literal(id.into()));
        }
        self
    }
}

fn literal(value: Bson) -> Bson {
    crate::query::expr::quoted(value)
}
