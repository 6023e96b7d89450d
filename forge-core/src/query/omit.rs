//! What documents are read without.

use std::marker::PhantomData;

use crate::error::{Error, Result};
use crate::fields::{EmbedMany, EmbedOne, Field, fields_at, join};
use crate::ir::{self, Path};
use crate::model::ModelDef;
use crate::traits::Embed;

/// What a document can be read without: `Option` fields, also those of embedded structs (`|p| p.address.zip`) and of the
/// elements of lists of them ([`EmbedMany::omit`]), and embedded structs that are an `Option` themselves.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be left out of the documents",
    label = "not an `Option`",
    note = "a model can be read without its `Option` fields; to read fewer fields than that, select a tuple or a \
            projection struct"
)]
pub trait Omit<M> {
    #[doc(hidden)]
    fn paths(self) -> Vec<Path>;
}

impl<M, T> Omit<M> for Field<M, Option<T>> {
    fn paths(self) -> Vec<Path> {
        vec![self.path().into()]
    }
}

impl<M, E> Omit<M> for EmbedOne<M, E> {
    fn paths(self) -> Vec<Path> {
        vec![self.whole().path().into()]
    }
}

impl<M, E> Omit<M> for EmbedMany<M, E> {
    fn paths(self) -> Vec<Path> {
        vec![self.whole().path().into()]
    }
}

/// Fields of each element of a list: see [`EmbedMany::omit`].
#[derive(Debug, Clone)]
pub struct Omitted<M> {
    paths: Vec<Path>,
    _model: PhantomData<fn() -> M>,
}

impl<M> Omit<M> for Omitted<M> {
    fn paths(self) -> Vec<Path> {
        self.paths
    }
}

impl<M: 'static, E: Embed> EmbedMany<M, E> {
    /// For [`Find::omit`](super::Find::omit): these fields of every element.
    ///
    /// ```ignore
    /// let people = db.find::<Person>().omit(|p| p.phones.omit(|phone| phone.note)).await?;
    /// ```
    pub fn omit<O: Omit<E>>(self, fields: impl FnOnce(&'static E::Fields<E>) -> O) -> Omitted<M> {
        let list = self.whole().path();
        let inside = |path: Path| match path {
            Path::Borrowed(path) => join(list, path).into(),
            Path::Owned(path) => format!("{list}.{path}").into(),
        };
        let paths = fields(fields_at::<E, E>("")).paths().into_iter().map(inside).collect();
        Omitted { paths, _model: PhantomData }
    }
}

macro_rules! omit_tuples {
    ($(($($name:ident),+))+) => {
        $(impl<M, $($name: Omit<M>),+> Omit<M> for ($($name,)+) {
            #[allow(non_snake_case, reason = "the type's name is the variable's")]
            fn paths(self) -> Vec<Path> {
                let ($($name,)+) = self;
                let mut all = Vec::new();
                $(all.extend($name.paths());)+
                all
            }
        })+
    };
}
omit_tuples! { (A, B) (A, B, C) (A, B, C, D) (A, B, C, D, E) (A, B, C, D, E, F) }

/// Adds paths to those that `projection` leaves out.
///
/// # Errors
/// `bad_request` names one that `model` cannot do without: an embedded struct or a list of them that is no `Option`.
pub(crate) fn omit(model: &ModelDef, projection: &mut ir::Projection, paths: Vec<Path>) -> Result<()> {
    if let Some(path) = paths.iter().find(|path| !model.is_optional_at(path)) {
        return Err(Error::bad_request(format!(
            "a {} cannot be read without `{path}`, which is no `Option`; select a tuple or a projection struct",
            model.name
        )));
    }
    match projection {
        ir::Projection::Except(all) => all.extend(paths),
        ir::Projection::All => *projection = ir::Projection::Except(paths),
        ir::Projection::Only(wanted) => wanted.retain(|path| !paths.contains(path)),
    }
    Ok(())
}
