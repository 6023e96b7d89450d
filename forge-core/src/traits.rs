//! What derives implement.

use bson::RawDocumentBuf;
use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};
use validator::Validate;

use crate::codec;
use crate::env::Env;
use crate::error::{Error, Messages, Result};
use crate::fields::Field;
use crate::ir::Change;
use crate::model::{CREATED_AT, EmbedDef, ModelDef, UPDATED_AT};
use crate::query::{IntoLinks, With};
use crate::record::{self, Record};
use crate::relation::Related;
use crate::types::{DateTime, Id, Uuid};
use crate::value;

/// A struct that is stored in a collection. Implemented by `#[derive(Model)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a model",
    label = "not a model",
    note = "add `#[derive(Model)]` to the struct"
)]
pub trait Model: Record + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The type of its id.
    type Id: Serialize + DeserializeOwned + Clone + Send + Sync + 'static;
    /// Its typed fields: what closures such as `|f| f.delay.gt(5)` receive.
    type Fields: Send + Sync + 'static;
    /// What an insert takes.
    type New: NewRecord<Model = Self>;
    /// A partial change.
    type Patch: PatchRecord<Model = Self>;
    /// The typed fields.
    const FIELDS: &'static Self::Fields;

    /// Everything that is known about it.
    fn def() -> &'static ModelDef;

    /// Fills the relation at `relation`.
    #[doc(hidden)]
    fn attach(&mut self, relation: usize, related: &Related<'_>) -> Result<()>;
}

/// A struct that is stored inside a model's documents. Implemented by `#[derive(Embed)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an embed",
    label = "not an embed",
    note = "add `#[derive(Embed)]` to the struct"
)]
pub trait Embed: Record + Validate + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Its typed fields inside documents of `M`, below a path.
    type Fields<M: 'static>: Send + Sync + 'static;

    /// Everything that is known about it.
    fn def() -> &'static EmbedDef;

    /// The typed fields below `prefix`.
    #[doc(hidden)]
    fn fields_below<M: 'static>(prefix: &'static str) -> Self::Fields<M>;
}

/// Types of fields that can hold an id: the id's own type, and an `Option` of it.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a key of type `{Self}` cannot hold the id of the other model, a `{I}`",
    label = "this key has another type than the id that it holds",
    note = "give the key the type of the other model's id, or an `Option` of it"
)]
pub trait Key<I> {}
impl<I> Key<I> for I {}
impl<I> Key<I> for Option<I> {}

/// Types of fields that can hold a list of ids.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a key of type `{Self}` cannot hold the ids of the other model, `{I}`s",
    label = "this key has another type than a list of the ids that it holds",
    note = "give the key the type `Vec<…>` of the other model's ids"
)]
pub trait KeyList<I> {}
impl<I> KeyList<I> for Vec<I> {}
impl<I> KeyList<I> for Option<Vec<I>> {}

/// The stored path of the id of `T`, to which a list of type `K` refers.
#[doc(hidden)]
pub const fn list_path<T: Model, K: KeyList<T::Id>>() -> &'static str {
    "_id"
}

/// The stored path of the id of `T`, to which a key of type `K` refers.
#[doc(hidden)]
pub const fn id_path<T: Model, K: Key<T::Id>>() -> &'static str {
    "_id"
}

/// The stored path of the field of `T` that refers to an `M`.
#[doc(hidden)]
pub const fn key_path<M: Model, T: Model, K: Key<M::Id>>(key: Field<T, K>) -> &'static str {
    key.path()
}

/// What an insert takes: `NewFlight` of `Flight`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not what an insert takes",
    label = "cannot be inserted",
    note = "insert the `New…` of the model, as `NewFlight` of `Flight`; views have none, since they are only read"
)]
pub trait NewRecord: Record + Validate + Send + 'static {
    /// The model.
    type Model: Model<New = Self>;

    /// The document with what is created or connected along with it, for use inside of another `create`:
    /// `|a| a.books.create([new_book.with(|b| b.reviews.create([first, second]))])`.
    fn with<L: IntoLinks<Self::Model>>(
        self,
        links: impl FnOnce(&'static <Self::Model as Model>::Fields) -> L,
    ) -> With<Self>
    where
        Self: Sized,
    {
        With::new(self, links(<Self::Model as Model>::FIELDS))
    }

    /// Fills in a generated id and the declared defaults, where nothing was given.
    #[doc(hidden)]
    fn fill(&mut self, env: &Env);

    /// Reports required values that nobody gave: those that clients cannot send.
    #[doc(hidden)]
    fn missing(&self, report: &mut dyn FnMut(&'static str));

    /// The model that the stored document reads as, where that is known without reading it: where every value is of an
    /// [`Exact`] type.
    #[doc(hidden)]
    fn stored(self, _: &Kept) -> Option<Self::Model> {
        None
    }
}

/// Types whose stored form reads back as the value that was stored.
#[doc(hidden)]
pub trait Exact {}

macro_rules! exact {
    ($($type:ty),*) => { $(impl Exact for $type {})* };
}
exact!(bool, i8, i16, i32, i64, u8, u16, u32, f32, f64, String, bson::oid::ObjectId, DateTime, Uuid);
impl<M: ?Sized> Exact for Id<M> {}
impl<T: Exact> Exact for Vec<T> {}

/// Whether the values of fields of type `T`, or of a tuple of such types, are [`Exact`]. For derives, which know of a type
/// only how it is written: the constant of the type itself goes before that of [`Inexact`].
#[doc(hidden)]
#[derive(Debug)]
pub struct Exactness<T>(std::marker::PhantomData<T>);

impl<T: MaybeAbsent> Exactness<T> {
    #[doc(hidden)]
    pub const EXACT: bool = true;
}

/// [`Exact`] values, those that may be absent, and tuples of them.
#[doc(hidden)]
pub trait MaybeAbsent {}
impl<T: Exact> MaybeAbsent for T {}
impl<T: Exact> MaybeAbsent for Option<T> {}

macro_rules! tuples {
    ($first:ident $($rest:ident)*) => {
        impl<$first: MaybeAbsent, $($rest: MaybeAbsent),*> MaybeAbsent for ($first, $($rest,)*) {}
        tuples!($($rest)*);
    };
    () => {};
}
tuples!(A B C D E F G H);

/// See [`Exactness`].
#[doc(hidden)]
pub trait Inexact {
    #[doc(hidden)]
    const EXACT: bool = false;
}
impl<T> Inexact for Exactness<T> {}

/// What Forge itself adds to a new document.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub struct Kept {
    /// The time of the insert, of models with timestamps.
    pub at: Option<DateTime>,
}

impl Kept {
    /// The first version, as what the model counts with.
    pub fn version<T: TryFrom<i64>>(&self) -> Option<T> {
        FIRST_VERSION.try_into().ok()
    }
}

/// A partial change: `FlightPatch` of `Flight`.
pub trait PatchRecord: Record + Validate + Send + 'static {
    /// The model.
    type Model: Model<Patch = Self>;

    /// Whether any of its values is held to a rule.
    #[doc(hidden)]
    const RULED: bool = true;

    /// One change for each field that was given.
    #[doc(hidden)]
    fn changes(&self, changes: &mut Changes) -> Result<()>;
}

/// What views have in place of `New…` and `…Patch`: there is no such value.
#[doc(hidden)]
#[derive(Debug)]
pub enum NoWrites<M> {
    #[doc(hidden)]
    Never(std::convert::Infallible, std::marker::PhantomData<fn() -> M>),
}

impl<M: Model> Record for NoWrites<M> {
    fn shape() -> &'static record::Shape {
        const NOTHING: record::Shape = record::Shape {
            name: "a view, which cannot be written",
            role: record::Role::New,
            fields: &[],
            pick: &[],
            relations: &[],
        };
        &NOTHING
    }

    fn read<'de, A: serde::de::MapAccess<'de>>(_: &mut record::Reader<'de, A>) -> Result<Self, A::Error> {
        Err(serde::de::Error::custom(format_args!("{} is a view and cannot be written", M::def().name)))
    }

    fn write<S: serde::ser::SerializeMap>(&self, _: &mut record::Writer<S>) -> Result<(), S::Error> {
        match *self {
            Self::Never(never, _) => match never {},
        }
    }
}

impl<M> Validate for NoWrites<M> {
    fn validate(&self) -> Result<(), validator::ValidationErrors> {
        Ok(())
    }
}

impl<M: Model<New = Self>> NewRecord for NoWrites<M> {
    type Model = M;
    fn fill(&mut self, _: &Env) {}
    fn missing(&self, _: &mut dyn FnMut(&'static str)) {}
}

impl<M: Model<Patch = Self>> PatchRecord for NoWrites<M> {
    type Model = M;
    fn changes(&self, _: &mut Changes) -> Result<()> {
        Ok(())
    }
}

/// Collects the changes of a patch.
#[derive(Debug, Default)]
pub struct Changes(pub(crate) Vec<Change>);

impl Changes {
    /// `$set`, where a value was given.
    pub fn set<T: Serialize + 'static>(&mut self, stored: &'static str, value: &Option<T>) -> Result<()> {
        if let Some(value) = value {
            self.0.push(Change::Set(stored.into(), value::to_bson(value)?));
        }
        Ok(())
    }

    /// `$set`, or `$unset` where null was given.
    pub fn set_or_unset<T: Serialize + 'static>(
        &mut self,
        stored: &'static str,
        value: &Option<Option<T>>,
    ) -> Result<()> {
        match value {
            Some(Some(value)) => self.0.push(Change::Set(stored.into(), value::to_bson(value)?)),
            Some(None) => self.0.push(Change::Unset(stored.into())),
            None => {}
        }
        Ok(())
    }
}

/// Completes, checks and encodes a new document: id first, what Forge keeps last.
pub(crate) fn encode_new<N: NewRecord>(mut new: N, env: &Env) -> Result<RawDocumentBuf> {
    let (document, _) = encode_kept(&mut new, env)?;
    check_keys(document, <N::Model as Model>::def())
}

/// As [`encode_new`], with what Forge added, and with the model that the document reads as. Where that is known without
/// reading it, no value has keys to be checked.
pub(crate) fn encode_read<N: NewRecord>(mut new: N, env: &Env) -> Result<(RawDocumentBuf, Option<N::Model>)> {
    let (document, kept) = encode_kept(&mut new, env)?;
    match new.stored(&kept) {
        Some(stored) => Ok((document, Some(stored))),
        None => Ok((check_keys(document, <N::Model as Model>::def())?, None)),
    }
}

fn encode_kept<N: NewRecord>(new: &mut N, env: &Env) -> Result<(RawDocumentBuf, Kept)> {
    complete(new, env)?;
    let def = <N::Model as Model>::def();
    crate::validate::check(new, N::shape(), || format!("{}.insert", def.name))?;
    let kept = Kept { at: def.timestamps.then(|| env.now()) };
    Ok((encode(new, def, kept)?, kept))
}

/// Completes and encodes a new document whose keys are still to be filled in: its rules are to be checked after that.
pub(crate) fn encode_unchecked<N: NewRecord>(mut new: N, env: &Env) -> Result<RawDocumentBuf> {
    complete(&mut new, env)?;
    encode_now(&new, <N::Model as Model>::def(), env)
}

/// Completes, checks and encodes a new state of a document: what only the server can give may be missing.
pub(crate) fn encode_state<N: NewRecord>(mut new: N, env: &Env) -> Result<RawDocumentBuf> {
    new.fill(env);
    let def = <N::Model as Model>::def();
    crate::validate::check(&new, N::shape(), || format!("{}.update", def.name))?;
    encode_now(&new, def, env)
}

fn complete<N: NewRecord>(new: &mut N, env: &Env) -> Result<()> {
    new.fill(env);
    let mut missing: Option<Messages> = None;
    new.missing(&mut |field| {
        let message = vec!["is required, and only the server can give it".to_owned()];
        missing.get_or_insert_default().insert(field.to_owned(), message);
    });
    match missing {
        None => Ok(()),
        Some(missing) => {
            Err(Error::validation(&format!("{}.insert", <N::Model as Model>::def().name), missing))
        }
    }
}

fn encode_now<R: Record>(record: &R, def: &'static ModelDef, env: &Env) -> Result<RawDocumentBuf> {
    check_keys(encode(record, def, Kept { at: def.timestamps.then(|| env.now()) })?, def)
}

fn encode<R: Record>(record: &R, def: &'static ModelDef, kept: Kept) -> Result<RawDocumentBuf> {
    codec::encode(&Stored { record, stamp: kept.at, version: def.version })
        .map_err(|e| Error::bad_request(format!("this {} cannot be stored: {e}", def.name)).with_source(e))
}

/// The document, where the database can store the keys of its maps.
fn check_keys(document: RawDocumentBuf, def: &'static ModelDef) -> Result<RawDocumentBuf> {
    value::check_keys(&document)
        .map_err(|problem| Error::bad_request(format!("this {} cannot be stored: {problem}", def.name)))?;
    Ok(document)
}

/// Adds what Forge keeps to a new document.
pub(crate) fn stamp(def: &ModelDef, document: &mut bson::Document, now: DateTime) {
    if def.timestamps {
        document.insert(CREATED_AT, bson::DateTime::from(now));
        document.insert(UPDATED_AT, bson::DateTime::from(now));
    }
    if let Some(version) = def.version {
        document.insert(version, FIRST_VERSION);
    }
}

/// The version of a new document.
const FIRST_VERSION: i64 = 1;

struct Stored<'a, R> {
    record: &'a R,
    stamp: Option<DateTime>,
    version: Option<&'static str>,
}

impl<R: Record> Serialize for Stored<'_, R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        record::serialize_with(self.record, serializer, |writer| {
            if let Some(now) = self.stamp {
                writer.put_extra(CREATED_AT, &now)?;
                writer.put_extra(UPDATED_AT, &now)?;
            }
            if let Some(version) = self.version {
                writer.put_extra(version, &FIRST_VERSION)?;
            }
            Ok(())
        })
    }
}
