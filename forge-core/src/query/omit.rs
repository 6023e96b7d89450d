//! What documents are read without.

use crate::fields::Field;
use crate::ir::{self, Path};

/// Fields that a document can be read without: an absent `Option` is none.
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
pub(crate) fn omit(projection: &mut ir::Projection, paths: Vec<Path>) {
    match projection {
        ir::Projection::Except(all) => all.extend(paths),
        ir::Projection::All => *projection = ir::Projection::Except(paths),
        ir::Projection::Only(wanted) => wanted.retain(|path| !paths.contains(path)),
    }
}
