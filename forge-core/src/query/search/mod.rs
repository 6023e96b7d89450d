//! Search: conditions of search indexes, and rankings. See [`Find::text`](super::Find::text),
//! [`Find::nearest_vector`](super::Find::nearest_vector), [`Find::search`](super::Find::search) and
//! [`Find::rank_fusion`](super::Find::rank_fusion).

mod operator;
mod ranked;
mod values;

pub use operator::Search;
pub use ranked::Ranked;
pub(super) use ranked::fusion;
pub use values::Distant;

use crate::error::{Error, Result};
use crate::fields::{Field, Text};
use crate::ir::{self, IndexSearch, Path, TextQuery, VectorSearch};

/// How many documents a vector search finds where no limit is given.
pub(super) const DEFAULT_NEAREST: u64 = 10;

/// Types of fields that hold a vector.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a vector",
    label = "only Vec<f32> and Option<Vec<f32>> fields have this"
)]
pub trait Vector {}
impl Vector for Vec<f32> {}
impl Vector for Option<Vec<f32>> {}

impl TextQuery {
    /// Any of the words in `query`; `"…"` is a phrase that has to be there, `-word` must not be there.
    pub fn new(query: impl Into<String>) -> Self {
        Self { query: query.into(), ..Self::default() }
    }

    /// The language of the words, where it is not that of the index: `"english"`, `"de"`, or `"none"` for words as
    /// they are.
    pub fn language(mut self, language: impl Into<String>) -> Self {
        self.language = Some(language.into());
        self
    }

    /// The case of letters matters.
    pub fn case_sensitive(mut self) -> Self {
        self.case_sensitive = true;
        self
    }

    /// Accents matter.
    pub fn diacritic_sensitive(mut self) -> Self {
        self.diacritic_sensitive = true;
        self
    }
}

impl From<&str> for TextQuery {
    fn from(query: &str) -> Self {
        Self::new(query)
    }
}
impl From<String> for TextQuery {
    fn from(query: String) -> Self {
        Self::new(query)
    }
}
impl From<&String> for TextQuery {
    fn from(query: &String) -> Self {
        Self::new(query)
    }
}

/// The vector search of a field.
///
/// # Errors
/// `bad_request` for an empty vector, and one that holds something else than numbers.
pub(super) fn vector_search<M, V: Vector>(field: Field<M, V>, vector: Vec<f32>) -> Result<VectorSearch> {
    if vector.is_empty() || vector.iter().any(|number| !number.is_finite()) {
        return Err(Error::bad_request(format!(
            "the vector to find near ones of in `{}` is empty or holds a number that is not finite",
            field.path()
        )));
    }
    Ok(VectorSearch {
        path: field.path().into(),
        vector,
        limit: DEFAULT_NEAREST,
        candidates: None,
        exact: false,
    })
}

/// One field with text, or a tuple of them.
pub trait IntoTextPaths<M> {
    #[doc(hidden)]
    fn into_paths(self) -> Vec<Path>;
}

impl<M, T: Text> IntoTextPaths<M> for Field<M, T> {
    fn into_paths(self) -> Vec<Path> {
        vec![self.path().into()]
    }
}

/// Every field of the index.
impl<M> IntoTextPaths<M> for () {
    fn into_paths(self) -> Vec<Path> {
        Vec::new()
    }
}

macro_rules! text_tuples {
    ($(($($name:ident),+))+) => {
        $(impl<M, $($name: Text),+> IntoTextPaths<M> for ($(Field<M, $name>,)+) {
            #[allow(non_snake_case, reason = "the type's name is the variable's")]
            fn into_paths(self) -> Vec<Path> {
                let ($($name,)+) = self;
                vec![$($name.path().into()),+]
            }
        })+
    };
}
text_tuples! { (A, B) (A, B, C) (A, B, C, D) (A, B, C, D, E) (A, B, C, D, E, F) }

/// Gives a read its search.
///
/// # Errors
/// `bad_request` where it has one.
pub(super) fn begin(slot: &mut Option<Box<ir::Search>>, search: ir::Search) -> Result<()> {
    if slot.is_some() {
        return Err(Error::bad_request("a read has one search: nearest_vector, search or rank_fusion"));
    }
    *slot = Some(Box::new(search));
    Ok(())
}

/// The vector search that `option` is for.
pub(super) fn vector_of<'s>(
    slot: &'s mut Option<Box<ir::Search>>,
    option: &str,
) -> Result<&'s mut VectorSearch> {
    match slot.as_deref_mut() {
        Some(ir::Search::Vector(search)) => Ok(search),
        _ => Err(Error::bad_request(format!("{option} is for nearest_vector, and comes after it"))),
    }
}

/// The search in an index that `option` is for.
pub(super) fn index_of<'s>(
    slot: &'s mut Option<Box<ir::Search>>,
    option: &str,
) -> Result<&'s mut IndexSearch> {
    match slot.as_deref_mut() {
        Some(ir::Search::Index(search)) => Ok(search),
        _ => Err(Error::bad_request(format!("{option} is for search, and comes after it"))),
    }
}
