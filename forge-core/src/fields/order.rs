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

/// The score of a search: see [`score`].
#[derive(Debug, Clone, Copy)]
pub struct Score(());

/// The score of a search. In a sort the best come first, in a select it is a number.
///
/// ```ignore
/// db.find::<Post>().text("coffee").sort(|p| (score(), p.published.desc())).select(|p| (p.title, score()))
/// ```
pub const fn score() -> Score {
    Score(())
}

/// One sort key, or a tuple of them: the first counts most.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no order",
    label = "not a sort key",
    note = "`.sort` takes a key (`|f| f.delay.desc()`), `score()`, or a tuple of up to six of them"
)]
pub trait IntoSort<M> {
    #[doc(hidden)]
    fn into_sort(self) -> Vec<SortKey>;
}

impl<M> IntoSort<M> for Order<M> {
    fn into_sort(self) -> Vec<SortKey> {
        vec![self.key]
    }
}

impl<M> IntoSort<M> for Score {
    fn into_sort(self) -> Vec<SortKey> {
        vec![SortKey { path: SCORE.into(), descending: true }]
    }
}

macro_rules! sort_tuples {
    ($(($($name:ident),+))+) => {
        $(impl<M, $($name: IntoSort<M>),+> IntoSort<M> for ($($name,)+) {
            #[allow(non_snake_case, reason = "the type's name is the variable's")]
            fn into_sort(self) -> Vec<SortKey> {
                let ($($name,)+) = self;
                let mut keys = Vec::new();
                $(keys.extend($name.into_sort());)+
                keys
            }
        })+
    };
}
sort_tuples! { (A, B) (A, B, C) (A, B, C, D) (A, B, C, D, E) (A, B, C, D, E, F) }
