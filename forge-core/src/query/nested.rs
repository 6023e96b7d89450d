//! Writes of related documents along with an insert or an update: the typed part.

use std::marker::PhantomData;

use bson::{Bson, RawDocumentBuf};

use super::changes::list;
use super::links::{Action, Child, Link};
use crate::db::Db;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::fields::{ToMany, ToOne};
use crate::ir::Change;
use crate::traits::{Model, NewRecord, encode_unchecked};
use crate::value::{IntoValue, id_to_bson};

/// What becomes of the documents on the other side of a relation of `M`.
#[must_use]
pub struct Nested<M> {
    relation: usize,
    with_deleted: bool,
    make: Make,
    _model: PhantomData<fn() -> M>,
}

type Make = Box<dyn FnOnce(&Env) -> Result<Action> + Send>;

impl<M> Nested<M> {
    fn new(
        relation: usize,
        with_deleted: bool,
        make: impl FnOnce(&Env) -> Result<Action> + Send + 'static,
    ) -> Self {
        Self { relation, with_deleted, make: Box::new(make), _model: PhantomData }
    }
}

impl<M: Model> Nested<M> {
    fn into_link(self, env: &Env) -> Result<Link> {
        Ok(Link {
            relation: &M::def().relations[self.relation],
            with_deleted: self.with_deleted,
            action: (self.make)(env)?,
        })
    }
}

/// A new document with what is created or connected along with it: see [`NewRecord::with`].
#[must_use]
pub struct With<N: NewRecord> {
    new: N,
    links: Vec<Nested<N::Model>>,
}

impl<N: NewRecord> With<N> {
    pub(crate) fn new(new: N, links: impl IntoLinks<N::Model>) -> Self {
        Self { new, links: links.into_links() }
    }

    /// More related documents.
    pub fn with<L: IntoLinks<N::Model>>(
        mut self,
        links: impl FnOnce(&'static <N::Model as Model>::Fields) -> L,
    ) -> Self {
        self.links.extend(links(<N::Model as Model>::FIELDS).into_links());
        self
    }
}

/// A new document of `T` on the other side of a relation: `New…`, or `New….with(…)`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no new document of `{T}`",
    label = "cannot be created here",
    note = "`create` takes the `New…` of the model on the other side, alone or as `New… {{ … }}.with(|f| …)`"
)]
pub trait Creates<T: Model> {
    #[doc(hidden)]
    fn into_parts(self) -> (T::New, Vec<Nested<T>>);
}

impl<N: NewRecord> Creates<N::Model> for N {
    fn into_parts(self) -> (N, Vec<Nested<N::Model>>) {
        (self, Vec::new())
    }
}

impl<N: NewRecord> Creates<N::Model> for With<N> {
    fn into_parts(self) -> (N, Vec<Nested<N::Model>>) {
        (self.new, self.links)
    }
}

type Parts<T> = (<T as Model>::New, Vec<Nested<T>>);

/// Documents as they will be stored, but for the key of the relation.
fn encoded<T: Model>(new: Vec<Parts<T>>, env: &Env) -> Result<Action> {
    let child = |(new, nested): Parts<T>| {
        let links = nested.into_iter().map(|nested| nested.into_link(env)).collect::<Result<_>>()?;
        Ok(Child { document: encode_unchecked(new, env)?, links })
    };
    let children = new.into_iter().map(child).collect::<Result<_>>()?;
    Ok(Action::Create { children, check: super::loaded::check::<T> })
}

fn ids<T: Model, I: IntoValue<T::Id>>(ids: impl IntoIterator<Item = I>) -> Result<Vec<Bson>> {
    list(ids.into_iter().map(IntoValue::into_value))
}

impl<M: Model, T: Model> ToMany<M, T> {
    /// Inserts documents that belong to this one. What they say about the key of the relation does not count.
    ///
    /// ```ignore
    /// db.insert(new_author).with(|a| a.books.create([new_book.with(|b| b.reviews.create([first, second]))])).await?;
    /// ```
    pub fn create<N: Creates<T>>(self, new: impl IntoIterator<Item = N>) -> Nested<M> {
        let new: Vec<_> = new.into_iter().map(Creates::into_parts).collect();
        Nested::new(self.index(), self.sees_deleted(), move |env| encoded::<T>(new, env))
    }

    /// Makes documents belong to this one, whoever they belonged to.
    ///
    /// It is an error where one of them does not exist.
    pub fn connect<I: IntoValue<T::Id>>(self, of: impl IntoIterator<Item = I>) -> Nested<M> {
        let ids = ids::<T, I>(of);
        Nested::new(self.index(), self.sees_deleted(), move |_| ids.map(Action::Connect))
    }

    /// Ends that documents belong to this one; those that do not are left alone.
    pub fn disconnect<I: IntoValue<T::Id>>(self, of: impl IntoIterator<Item = I>) -> Nested<M> {
        let ids = ids::<T, I>(of);
        Nested::new(self.index(), self.sees_deleted(), move |_| ids.map(Action::Disconnect))
    }

    /// Makes exactly these documents belong to this one.
    pub fn set<I: IntoValue<T::Id>>(self, of: impl IntoIterator<Item = I>) -> Nested<M> {
        let ids = ids::<T, I>(of);
        Nested::new(self.index(), self.sees_deleted(), move |_| ids.map(Action::Set))
    }

    /// Deletes those of the documents that belong to this one, with what their relations say.
    pub fn delete<I: IntoValue<T::Id>>(self, of: impl IntoIterator<Item = I>) -> Nested<M> {
        let ids = ids::<T, I>(of);
        Nested::new(self.index(), self.sees_deleted(), move |_| ids.map(Action::Delete))
    }
}

impl<M: Model, T: Model> ToOne<M, T> {
    /// Inserts the document on the other side, in place of the one that is there.
    pub fn create(self, new: impl Creates<T>) -> Nested<M> {
        let new = new.into_parts();
        Nested::new(self.index(), self.sees_deleted(), move |env| encoded::<T>(vec![new], env))
    }

    /// Makes this the document on the other side, in place of the one that is there.
    ///
    /// It is an error where it does not exist.
    pub fn connect(self, id: impl IntoValue<T::Id>) -> Nested<M> {
        let id = id_to_bson::<T>(id);
        Nested::new(self.index(), self.sees_deleted(), move |_| Ok(Action::Set(vec![id?])))
    }

    /// Ends the relation; both documents stay.
    pub fn disconnect(self) -> Nested<M> {
        Nested::new(self.index(), self.sees_deleted(), move |_| Ok(Action::Set(Vec::new())))
    }
}

/// One write of related documents, or a tuple of them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` says nothing about related documents",
    label = "not a write of related documents",
    note = "`.with` takes `|f| f.relation.create(…)`, `connect`, `disconnect`, `set` or `delete`, or a tuple of them"
)]
pub trait IntoLinks<M> {
    #[doc(hidden)]
    fn into_links(self) -> Vec<Nested<M>>;
}

impl<M> IntoLinks<M> for Nested<M> {
    fn into_links(self) -> Vec<Nested<M>> {
        vec![self]
    }
}

macro_rules! link_tuples {
    ($(($($name:ident),+))+) => {
        $(impl<M, $($name: IntoLinks<M>),+> IntoLinks<M> for ($($name,)+) {
            #[allow(non_snake_case, reason = "the type's name is the variable's")]
            fn into_links(self) -> Vec<Nested<M>> {
                let ($($name,)+) = self;
                let mut all = Vec::new();
                $(all.extend($name.into_links());)+
                all
            }
        })+
    };
}
link_tuples! { (A, B) (A, B, C) (A, B, C, D) }

/// The writes of related documents of a builder.
#[derive(Default)]
pub(crate) struct Links {
    links: Vec<Link>,
    error: Option<Error>,
}

impl Links {
    pub(crate) fn add<M: Model>(&mut self, links: impl IntoLinks<M>, env: &Env) {
        for nested in links.into_links() {
            match nested.into_link(env) {
                Ok(link) => self.links.push(link),
                Err(error) => self.error = self.error.take().or(Some(error)),
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.links.is_empty() && self.error.is_none()
    }

    /// Inserts a document with what is linked to it; answers with the document as stored.
    pub(crate) async fn insert<M: Model>(&self, tx: &Db, document: RawDocumentBuf) -> Result<RawDocumentBuf> {
        self.checked()?;
        let document = super::links::keyed(tx, &self.links, document).await?;
        super::loaded::check::<M>(&document, "insert")?;
        super::links::insert(tx, M::def(), document.clone()).await?;
        super::links::follow(tx, M::def(), &self.links, &document).await?;
        Ok(document)
    }

    /// The changes of the document's own keys, after what they refer to was written.
    pub(crate) async fn changes(&self, tx: &Db) -> Result<Vec<Change>> {
        self.checked()?;
        super::links::key_changes(tx, &self.links).await
    }

    /// Writes what holds the key of `document`.
    pub(crate) async fn follow<M: Model>(&self, tx: &Db, document: &RawDocumentBuf) -> Result<()> {
        super::links::follow(tx, M::def(), &self.links, document).await
    }

    fn checked(&self) -> Result<()> {
        match &self.error {
            None => Ok(()),
            // An error is no value that can be told twice; its words are.
            Some(error) => {
                Err(Error::new(error.code(), error.message().to_owned())
                    .with_details(error.details().clone()))
            }
        }
    }
}
