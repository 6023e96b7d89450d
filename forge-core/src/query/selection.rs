//! What a select reads of documents: fields, embeds, relations and counts, in tuples or projection structs.

use bson::{RawBsonRef, RawDocument};
use serde::de::DeserializeOwned;

use super::decode::{Dirt, Dirty, decode_or_set_aside};
use super::include::{Counted, Include, SelectedInclude};
use crate::error::{Error, Result};
use crate::fields::{EmbedMany, EmbedOne, Field, ToMany, ToOne};
use crate::ir::{self, Path, Rows};
use crate::model::{Access, ModelDef, ModelRef};
use crate::relation::Related;
use crate::traits::{Embed, Model};
use crate::value;

/// What has been asked for of the documents of one level: paths and relations, in order.
#[derive(Debug, Default)]
pub struct Asked {
    whole: bool,
    paths: Vec<Path>,
    includes: Vec<ir::Include>,
    score: bool,
    error: Option<Error>,
}

impl Asked {
    /// A stored path.
    pub(crate) fn path(&mut self, path: &'static str) {
        self.paths.push(path.into());
    }

    /// Whole documents, whatever else is asked for.
    pub(crate) fn whole(&mut self) {
        self.whole = true;
    }

    /// The score of a search.
    pub(crate) fn score(&mut self) {
        self.score = true;
    }

    /// A relation.
    pub(crate) fn include(&mut self, include: Result<ir::Include>) {
        match include {
            Ok(include) => self.includes.push(include),
            Err(error) => self.error = self.error.take().or(Some(error)),
        }
    }

    /// Makes `select` read what was asked for. Relations that it includes already keep their conditions, order and
    /// limits; only what is read of them is decided here.
    ///
    /// # Errors
    /// A condition has a value without a BSON form; `select` includes a relation that was not asked for; a score is
    /// asked for where nothing is searched.
    pub(crate) fn apply(self, select: &mut ir::Select) -> Result<()> {
        if let Some(error) = self.error {
            return Err(error);
        }
        if self.score {
            select.want_score()?;
        }
        if !self.whole {
            select.projection = ir::Projection::Only(self.paths);
        }
        let mut options = std::mem::take(&mut select.include);
        for mut asked in self.includes {
            let given =
                options.iter().position(|own| own.relation == asked.relation && own.count == asked.count);
            if let Some(given) = given {
                let given = options.remove(given).select;
                asked.select = ir::Select {
                    projection: asked.select.projection,
                    include: asked.select.include,
                    ..given
                };
            }
            select.include.push(asked);
        }
        match options.first() {
            Some(unread) => Err(Error::internal(format!(
                "{}.{} is included and not selected; name it in the select, or leave out the include",
                select.model.name, select.model.0.relations[unread.relation].name
            ))),
            None => Ok(()),
        }
    }
}

/// One document of a result, from which the parts of a select are read in the order in which they were asked for.
#[derive(Debug)]
pub struct Row<'a> {
    model: &'static ModelDef,
    rows: &'a Rows,
    position: usize,
    next: usize,
    dirt: Option<&'a Dirt>,
}

impl<'a> Row<'a> {
    /// The document at `position`.
    pub(crate) fn new(
        model: &'static ModelDef,
        rows: &'a Rows,
        position: usize,
        dirt: Option<&'a Dirt>,
    ) -> Self {
        Self { model, rows, position, next: 0, dirt }
    }

    /// The document.
    pub(super) fn document(&self) -> Result<&'a RawDocument> {
        let document = self.rows.documents.get(self.position);
        Ok(document.ok_or_else(|| Error::internal("an adapter gave fewer rows than groups"))?)
    }

    /// The value at a stored path; null where there is none.
    fn value<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let document = self.document()?;
        let found = value_at(document, path);
        value::from_raw(found.unwrap_or(RawBsonRef::Null)).map_err(|error| {
            let text = std::error::Error::source(&error).map_or_else(String::new, ToString::to_string);
            Dirty::at(document, self.model, path, &text).into_error(error)
        })
    }

    /// The document as its model, without relations.
    pub(super) fn whole<M: Model>(&self) -> Result<M> {
        let decoded = decode_or_set_aside(self.document()?, None)?;
        decoded.ok_or_else(|| Error::internal("a document was set aside where none may be"))
    }

    /// The next relation.
    fn related(&mut self) -> Result<Related<'a>> {
        let included = self.rows.included.get(self.next);
        self.next += 1;
        included
            .map(|included| Related::of(included, self.position, self.dirt))
            .ok_or_else(|| Error::internal("an adapter answered fewer relations than were asked for"))
    }
}

/// The value at a dotted path that leads through documents.
fn value_at<'a>(document: &'a RawDocument, path: &str) -> Option<RawBsonRef<'a>> {
    match path.split_once('.') {
        None => document.get(path).ok().flatten(),
        Some((head, rest)) => match document.get(head) {
            Ok(Some(RawBsonRef::Document(inner))) => value_at(inner, rest),
            _ => None,
        },
    }
}

/// Reads one result; none where a document was set aside.
pub(crate) fn read_selected<M: Model, T>(
    rows: &Rows,
    position: usize,
    dirt: Option<&Dirt>,
    read: impl FnOnce(&mut Row<'_>) -> Result<T>,
) -> Result<Option<T>> {
    let mut row = Row::new(M::def(), rows, position, dirt);
    match (read(&mut row), dirt) {
        (Ok(value), _) => Ok(Some(value)),
        (Err(error), Some(dirt)) => dirt.set_aside(error).map(|()| None),
        (Err(error), None) => Err(error),
    }
}

/// What `.select` reads of each document: a field, an embed, a relation, the count of one, or a tuple of them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be selected",
    label = "neither a field nor a relation",
    note = "`.select` takes a field (`|f| f.delay`), a relation, `whole()`, `score()`, or a tuple of up to twelve \
            (`|f| (f.id, f.address.city)`)"
)]
pub trait Selection<M>: Send + Sync + 'static {
    /// What it gives.
    type Output: Send + 'static;
    #[doc(hidden)]
    fn ask(&self, asked: &mut Asked);
    #[doc(hidden)]
    fn read(&self, row: &mut Row<'_>) -> Result<Self::Output>;
}

impl<M: 'static, T: DeserializeOwned + Send + 'static> Selection<M> for Field<M, T> {
    type Output = T;
    fn ask(&self, asked: &mut Asked) {
        asked.path(self.path());
    }
    fn read(&self, row: &mut Row<'_>) -> Result<T> {
        row.value(self.path())
    }
}

/// A part of a select that may be absent: see [`Field::optional`].
#[derive(Debug, Clone, Copy)]
pub struct Optional<S>(S);

impl<M, T> Field<M, T> {
    /// For a select: an `Option`, none where the embed that holds the field is absent.
    pub const fn optional(self) -> Optional<Self> {
        Optional(self)
    }
}

impl<M, E> EmbedOne<M, E> {
    /// For a select: an `Option`, none where the embed is absent.
    pub const fn optional(self) -> Optional<Self> {
        Optional(self)
    }
}

impl<M: 'static, T: DeserializeOwned + Send + 'static> Selection<M> for Optional<Field<M, T>> {
    type Output = Option<T>;
    fn ask(&self, asked: &mut Asked) {
        asked.path(self.0.path());
    }
    fn read(&self, row: &mut Row<'_>) -> Result<Option<T>> {
        row.value(self.0.path())
    }
}

impl<M: 'static, E: Embed> Selection<M> for Optional<EmbedOne<M, E>> {
    type Output = Option<E>;
    fn ask(&self, asked: &mut Asked) {
        asked.path(self.0.whole().path());
    }
    fn read(&self, row: &mut Row<'_>) -> Result<Option<E>> {
        row.value(self.0.whole().path())
    }
}

macro_rules! select_embed {
    ($handle:ident, $output:ty) => {
        impl<M: 'static, E: Embed> Selection<M> for $handle<M, E> {
            type Output = $output;
            fn ask(&self, asked: &mut Asked) {
                asked.path(self.whole().path());
            }
            fn read(&self, row: &mut Row<'_>) -> Result<$output> {
                row.value(self.whole().path())
            }
        }
    };
}
select_embed!(EmbedOne, E);
select_embed!(EmbedMany, Vec<E>);

impl<M: Model, T: Model> Selection<M> for ToOne<M, T> {
    type Output = Option<T>;
    fn ask(&self, asked: &mut Asked) {
        asked.include(Ok(included::<T>(self.index(), self.sees_deleted())));
    }
    fn read(&self, row: &mut Row<'_>) -> Result<Option<T>> {
        Ok(row.related()?.decoded(super::decode_at::<T>)?.into_iter().next())
    }
}

impl<M: Model, T: Model> Selection<M> for ToMany<M, T> {
    type Output = Vec<T>;
    fn ask(&self, asked: &mut Asked) {
        asked.include(Ok(included::<T>(self.index(), self.sees_deleted())));
    }
    fn read(&self, row: &mut Row<'_>) -> Result<Vec<T>> {
        row.related()?.decoded(super::decode_at::<T>)
    }
}

macro_rules! select_include {
    ($handle:ident, $model:ty => $output:ty, $finish:expr) => {
        impl<M: Model, T: Model> Selection<M> for Include<M, T, $handle<M, T>> {
            type Output = $model;
            fn ask(&self, asked: &mut Asked) {
                asked.include(self.to_ir());
            }
            fn read(&self, row: &mut Row<'_>) -> Result<$model> {
                row.related()?.decoded(super::decode_at::<T>).map($finish)
            }
        }

        impl<M: Model, T: Model, S: Selection<T>> Selection<M> for SelectedInclude<M, T, $handle<M, T>, S> {
            type Output = $output;
            fn ask(&self, asked: &mut Asked) {
                asked.include(self.to_ir());
            }
            fn read(&self, row: &mut Row<'_>) -> Result<$output> {
                let read = |row: &mut Row<'_>| self.selection.read(row);
                row.related()?
                    .decoded(|rows, at, dirt| read_selected::<T, _>(rows, at, dirt, read))
                    .map($finish)
            }
        }
    };
}
select_include!(ToOne, Option<T> => Option<S::Output>, |found| found.into_iter().next());
select_include!(ToMany, Vec<T> => Vec<S::Output>, |found| found);

impl<M: Model, T: Model> Selection<M> for Counted<M, T> {
    type Output = u64;
    fn ask(&self, asked: &mut Asked) {
        asked.include(self.to_ir());
    }
    fn read(&self, row: &mut Row<'_>) -> Result<u64> {
        Ok(row.related()?.count().unwrap_or(0))
    }
}

macro_rules! selection_tuples {
    ($(($($name:ident $at:tt),+))+) => {
        $(impl<M: 'static, $($name: Selection<M>),+> Selection<M> for ($($name,)+) {
            type Output = ($($name::Output,)+);
            fn ask(&self, asked: &mut Asked) {
                $(self.$at.ask(asked);)+
            }
            fn read(&self, row: &mut Row<'_>) -> Result<Self::Output> {
                Ok(($(self.$at.read(row)?,)+))
            }
        })+
    };
}
selection_tuples! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11)
}

/// A struct of some fields of a model. Implemented by `#[derive(Projection)]`; a model is a projection of itself.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a projection",
    label = "not a projection",
    note = "add `#[derive(Projection)]` and `#[projection(model = …)]` to the struct"
)]
pub trait Projection: Sized + Send + 'static {
    /// The model whose documents it is read from.
    type Model: Model;
    #[doc(hidden)]
    fn ask(asked: &mut Asked);
    #[doc(hidden)]
    fn read(row: &mut Row<'_>) -> Result<Self>;
}

impl<M: Model> Projection for M {
    type Model = M;
    fn ask(asked: &mut Asked) {
        asked.whole();
    }
    fn read(row: &mut Row<'_>) -> Result<M> {
        row.whole()
    }
}

/// The selection of a [`Projection`].
#[derive(Debug)]
pub struct As<P>(pub(crate) std::marker::PhantomData<fn() -> P>);

impl<P: Projection> Selection<P::Model> for As<P> {
    type Output = P;
    fn ask(&self, asked: &mut Asked) {
        P::ask(asked);
    }
    fn read(&self, row: &mut Row<'_>) -> Result<P> {
        P::read(row)
    }
}

/// Parts of a model that fields of a projection of type `T` are read from.
#[diagnostic::on_unimplemented(
    message = "this part of the model cannot be read as a `{T}`",
    label = "the model has another type here",
    note = "a field is read as its own type or an `Option` of it, a relation to one as `Option<P>`, a relation to many as \
            `Vec<P>`, where `P` is a model or a projection of it"
)]
pub trait ReadAs<T>: Copy {
    #[doc(hidden)]
    fn ask_for(self, asked: &mut Asked);
    #[doc(hidden)]
    fn read_from(self, row: &mut Row<'_>) -> Result<T>;
    /// Who may read it.
    #[doc(hidden)]
    fn access_of(self) -> Access;
}

macro_rules! read_value {
    ([$($generics:tt)*] $handle:ty => $output:ty, |$this:ident| $path:expr) => {
        impl<$($generics)*> ReadAs<$output> for $handle {
            fn ask_for(self, asked: &mut Asked) {
                let $this = self;
                asked.path($path);
            }
            fn read_from(self, row: &mut Row<'_>) -> Result<$output> {
                let $this = self;
                row.value($path)
            }
            fn access_of(self) -> Access {
                let $this = self;
                M::def().access_at($path)
            }
        }
    };
}
read_value!([M: Model, T: DeserializeOwned] Field<M, T> => T, |field| field.path());
read_value!([M: Model, T: DeserializeOwned] Field<M, T> => Option<T>, |field| field.path());
read_value!([M: Model, E: Embed] EmbedOne<M, E> => E, |embed| embed.whole().path());
read_value!([M: Model, E: Embed] EmbedOne<M, E> => Option<E>, |embed| embed.whole().path());
read_value!([M: Model, E: Embed] EmbedMany<M, E> => Vec<E>, |embed| embed.whole().path());

macro_rules! read_related {
    ($handle:ident => $output:ty, $finish:expr) => {
        impl<M: Model, P: Projection> ReadAs<$output> for $handle<M, P::Model> {
            fn ask_for(self, asked: &mut Asked) {
                asked.include(projected::<P>(self.index(), self.sees_deleted()));
            }
            fn read_from(self, row: &mut Row<'_>) -> Result<$output> {
                let read = |row: &mut Row<'_>| P::read(row);
                row.related()?
                    .decoded(|rows, at, dirt| read_selected::<P::Model, _>(rows, at, dirt, read))
                    .map($finish)
            }
            fn access_of(self) -> Access {
                M::def().relations[self.index()].access
            }
        }
    };
}
read_related!(ToOne => Option<P>, |found| found.into_iter().next());
read_related!(ToMany => Vec<P>, |found| found);

fn included<T: Model>(relation: usize, with_deleted: bool) -> ir::Include {
    let mut include = ir::Include::new(relation, ModelRef(T::def()));
    include.select.with_deleted = with_deleted;
    include
}

fn projected<P: Projection>(relation: usize, with_deleted: bool) -> Result<ir::Include> {
    let mut include = included::<P::Model>(relation, with_deleted);
    let mut asked = Asked::default();
    P::ask(&mut asked);
    asked.apply(&mut include.select)?;
    Ok(include)
}

/// The number of documents of a relation, for a field of a projection.
#[doc(hidden)]
pub struct CountOf<M, T>(ToMany<M, T>);

impl<M, T> Clone for CountOf<M, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<M, T> Copy for CountOf<M, T> {}

/// What `#[projection(count = …)]` reads.
#[doc(hidden)]
pub const fn count_of<M, T>(relation: ToMany<M, T>) -> CountOf<M, T> {
    CountOf(relation)
}

impl<M: Model, T: Model> ReadAs<u64> for CountOf<M, T> {
    fn ask_for(self, asked: &mut Asked) {
        let include = included::<T>(self.0.index(), self.0.sees_deleted());
        asked.include(Ok(ir::Include { count: true, ..include }));
    }
    fn read_from(self, row: &mut Row<'_>) -> Result<u64> {
        Ok(row.related()?.count().unwrap_or(0))
    }
    fn access_of(self) -> Access {
        M::def().relations[self.0.index()].access
    }
}
