use std::marker::PhantomData;

use crate::fields::element_fields;
use crate::traits::{Embed, Model};

/// What is known of the documents between two stages.
pub trait Columns {
    /// The struct that they have the fields of.
    type Owner;
    /// Its typed fields.
    type Fields: 'static;
    #[doc(hidden)]
    fn fields() -> &'static Self::Fields;
}

/// Documents as they are stored, with what stages added.
#[derive(Debug)]
pub struct Documents<M>(PhantomData<fn() -> M>);

/// Documents of the shape of a struct with `#[derive(Embed)]`.
#[derive(Debug)]
pub struct Shape<E>(PhantomData<fn() -> E>);

impl<M: Model> Columns for Documents<M> {
    type Owner = M;
    type Fields = M::Fields;
    fn fields() -> &'static M::Fields {
        M::FIELDS
    }
}

impl<E: Embed> Columns for Shape<E> {
    type Owner = E;
    type Fields = E::Fields<E>;
    fn fields() -> &'static E::Fields<E> {
        element_fields::<E>()
    }
}
