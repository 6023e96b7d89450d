use std::marker::PhantomData;

use crate::ir::{SCORE, SortKey};

/// A sort key of `M`.
pub struct Order<M> {
    pub(crate) key: SortKey,
    _model: PhantomData<fn() -> M>,
}

impl<M> Order<M> {
    pub(crate) fn new(path: &'static str, descending: bool) -> Self {
        Self { key: SortKey { path: path.into(), descending }, _model: PhantomData }
    }
}

/// The order of a search: the best first.
///
/// ```ignore
/// db.find::<Post>().text("coffee").sort(|p| (score(), p.published.desc()))
/// ```
pub fn score<M>() -> Order<M> {
    Order::new(SCORE, true)
}

/// One sort key, or a tuple of them: the first counts most.
pub trait IntoSort<M> {
    #[doc(hidden)]
    fn into_sort(self) -> Vec<SortKey>;
}

impl<M> IntoSort<M> for Order<M> {
    fn into_sort(self) -> Vec<SortKey> {
        vec![self.key]
    }
}

macro_rules! sort_tuples {
    ($(($($name:ident),+))+) => {
        $(impl<M> IntoSort<M> for ($(sort_tuples!(@order $name M),)+) {
            #[allow(non_snake_case, reason = "the type's name is the variable's")]
            fn into_sort(self) -> Vec<SortKey> {
                let ($($name,)+) = self;
                vec![$($name.key),+]
            }
        })+
    };
    (@order $name:ident $model:ident) => { Order<$model> };
}
sort_tuples! { (A, B) (A, B, C) (A, B, C, D) }
