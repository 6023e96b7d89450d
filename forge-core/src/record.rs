//! Structs whose fields are described by data: models, their `New…` and `…Patch`, embeds, handler arguments.
//!
//! A derive writes two small functions, [`Record::read`] and [`Record::write`]; everything that is the same for all
//! structs (names, unknown and missing fields, private fields, error paths, schemas) is here, once.
//!
//! BSON is the storage: stored names, every field. Any human-readable format is a client: client names, public fields.

mod fault;
mod schema;

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::codec;
use crate::model::{Access, FieldDef, RelationDef};
use crate::query::ReadAs;
use crate::relation::RelationField;

pub(crate) use fault::fault;
pub use schema::{schema_of, shape_schema};

/// The name under which clients read how many related documents there are: `{"_count": {"departures": 12}}`.
pub const COUNTS: &str = "_count";

/// What a record is for; decides how strictly it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A whole document. Unknown fields are passed over.
    Model,
    /// What an insert takes.
    New,
    /// A partial change.
    Patch,
    /// A sub-document.
    Embed,
    /// The arguments of a handler.
    Args,
}

/// The description of a record.
#[derive(Debug)]
pub struct Shape {
    /// The Rust name, or the handler's.
    pub name: &'static str,
    /// What it is for.
    pub role: Role,
    /// The fields that `pick` chooses from.
    pub fields: &'static [FieldDef],
    /// The fields of the record, as positions in `fields`; the positions that [`Record`]'s functions use count in
    /// this list, and go on with the relations.
    pub pick: &'static [usize],
    /// The relations, of models.
    pub relations: &'static [RelationDef],
}

impl Shape {
    #[inline]
    fn field(&self, position: usize) -> Option<&'static FieldDef> {
        self.pick.get(position).map(|index| &self.fields[*index])
    }

    #[inline]
    fn key(&self, position: usize, human: bool) -> Option<&'static str> {
        match self.field(position) {
            Some(field) => Some(if human { field.client } else { field.stored }),
            None => self.relations.get(position - self.pick.len()).map(|relation| relation.client),
        }
    }

    fn len(&self) -> usize {
        self.pick.len() + self.relations.len()
    }

    /// Whether a client may send the field.
    #[inline]
    fn accepts(&self, position: usize) -> bool {
        match (self.field(position), self.role) {
            (None, _) => true,
            (Some(field), Role::Model) => field.access != Access::Private,
            (Some(field), _) => field.access == Access::Public,
        }
    }

    /// Whether clients see the field.
    #[inline]
    fn shows(&self, position: usize) -> bool {
        let access = match self.field(position) {
            Some(field) => field.access,
            None => self.relations[position - self.pick.len()].access,
        };
        access != Access::Private
    }

    /// The position of the field `key`. Documents mostly hold their fields in declared order.
    #[inline]
    fn find(&self, key: &[u8], expected: usize, human: bool) -> Option<usize> {
        if self.is_at(key, expected, human) { Some(expected) } else { self.search(key, human) }
    }

    #[inline(never)]
    fn search(&self, key: &[u8], human: bool) -> Option<usize> {
        (0..self.len()).find(|position| self.is_at(key, *position, human))
    }

    #[inline]
    fn is_at(&self, key: &[u8], position: usize, human: bool) -> bool {
        self.key(position, human).is_some_and(|known| known.as_bytes() == key)
            && (!human || self.accepts(position))
    }

    fn noun(&self) -> &'static str {
        match self.role {
            Role::Args => "argument",
            _ => "field",
        }
    }

    fn unknown(&self, key: &str) -> String {
        let known: Vec<_> = (0..self.len())
            .filter(|p| self.accepts(*p))
            .filter_map(|p| self.key(p, true))
            .map(|k| format!("`{k}`"))
            .collect();
        let shown: String = key.chars().take(64).collect();
        match known.as_slice() {
            [] => format!("unknown {} `{shown}`; {} takes none", self.noun(), self.name),
            _ => format!("unknown {} `{shown}`; {} takes {}", self.noun(), self.name, known.join(", ")),
        }
    }
}

/// A struct that is described by a [`Shape`]. Implemented by derives.
pub trait Record: Sized {
    /// The description.
    fn shape() -> &'static Shape;

    /// Reads every field.
    fn read<'de, A: MapAccess<'de>>(reader: &mut Reader<'de, A>) -> Result<Self, A::Error>;

    /// Writes every field.
    fn write<S: SerializeMap>(&self, writer: &mut Writer<S>) -> Result<(), S::Error>;
}

/// How writing with `S` ends.
pub type Done<S> = Result<(), <S as SerializeMap>::Error>;

/// Reads the fields of one record.
pub struct Reader<'de, A> {
    map: A,
    shape: &'static Shape,
    human: bool,
    expected: usize,
    _de: PhantomData<&'de ()>,
}

impl<'de, A: MapAccess<'de>> Reader<'de, A> {
    /// The position of the next known field.
    ///
    /// # Errors
    /// An unknown field, where the record does not pass over them.
    #[allow(clippy::should_implement_trait, reason = "it can fail, and lends nothing")]
    #[inline]
    pub fn next(&mut self) -> Result<Option<usize>, A::Error> {
        loop {
            let seed = Position { shape: self.shape, expected: self.expected, human: self.human };
            match self.map.next_key_seed(seed)? {
                None => return Ok(None),
                Some(Ok(position)) => {
                    self.expected = position + 1;
                    return Ok(Some(position));
                }
                Some(Err(key)) => self.pass_unknown(&key)?,
            }
        }
    }

    #[inline(never)]
    fn pass_unknown(&mut self, key: &str) -> Result<(), A::Error> {
        if self.human && self.shape.role != Role::Model {
            return Err(de::Error::custom(self.shape.unknown(key)));
        }
        self.pass()
    }

    /// Reads the value of the field at `position`.
    ///
    /// # Errors
    /// A second value for the same field, or a value of the wrong type; both name the field.
    #[inline]
    pub fn fill<T: Deserialize<'de>>(
        &mut self,
        slot: &mut Option<T>,
        position: usize,
    ) -> Result<(), A::Error> {
        if slot.is_some() && self.human {
            return Err(self.repeated(position));
        }
        match self.map.next_value() {
            Ok(value) => *slot = Some(value),
            Err(error) => return Err(self.located(position, &error)),
        }
        Ok(())
    }

    /// Passes over the value of a field that is not read, such as a relation.
    ///
    /// # Errors
    /// The value is malformed.
    pub fn pass(&mut self) -> Result<(), A::Error> {
        self.map.next_value::<IgnoredAny>().map(|_| ())
    }

    /// The value read, or what its type makes of an absent one (`Option`: none).
    ///
    /// # Errors
    /// The field is missing.
    #[inline]
    pub fn take<T: Deserialize<'de>>(&self, slot: Option<T>, position: usize) -> Result<T, A::Error> {
        match slot {
            Some(value) => Ok(value),
            None => T::deserialize(Missing(PhantomData)).map_err(|_: A::Error| self.missing(position)),
        }
    }

    /// The value read, or `default()` for an absent one.
    pub fn take_or<T>(&self, slot: Option<T>, default: impl FnOnce() -> T) -> T {
        slot.unwrap_or_else(default)
    }

    // What is rare stays out of the way of what is read for every document.
    #[cold]
    #[inline(never)]
    fn repeated(&self, position: usize) -> A::Error {
        de::Error::custom(format_args!("{} is given twice", self.quoted(position)))
    }

    #[cold]
    #[inline(never)]
    fn missing(&self, position: usize) -> A::Error {
        de::Error::custom(format_args!("missing {} {}", self.shape.noun(), self.quoted(position)))
    }

    fn quoted(&self, position: usize) -> String {
        format!("`{}`", self.shape.key(position, self.human).unwrap_or("?"))
    }

    #[cold]
    #[inline(never)]
    fn located(&self, position: usize, error: &A::Error) -> A::Error {
        let (key, text) = (self.shape.key(position, self.human).unwrap_or("?"), error.to_string());
        match text.strip_prefix("at `") {
            Some(rest) => de::Error::custom(format_args!("at `{key}.{rest}")),
            None => de::Error::custom(format_args!("at `{key}`: {text}")),
        }
    }
}

struct Position {
    shape: &'static Shape,
    expected: usize,
    human: bool,
}

impl<'de> DeserializeSeed<'de> for Position {
    type Value = Result<usize, String>;
    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_newtype_struct(codec::NAME, self)
    }
}
impl<'de> Visitor<'de> for Position {
    type Value = Result<usize, String>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }
    #[inline]
    fn visit_str<E: de::Error>(self, key: &str) -> Result<Self::Value, E> {
        self.visit_bytes(key.as_bytes())
    }
    // Names are compared as they are stored, without a look at whether they are text.
    #[inline]
    fn visit_bytes<E>(self, key: &[u8]) -> Result<Self::Value, E> {
        match self.shape.find(key, self.expected, self.human) {
            Some(position) => Ok(Ok(position)),
            None => Ok(Err(lossy(key))),
        }
    }
    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Self::Value, D::Error> {
        inner.deserialize_identifier(self)
    }
}

#[inline(never)]
fn lossy(key: &[u8]) -> String {
    String::from_utf8_lossy(key).into_owned()
}

/// What an absent field deserializes from: only types that can be absent accept it.
struct Missing<E>(PhantomData<E>);

impl<'de, E: de::Error> Deserializer<'de> for Missing<E> {
    type Error = E;
    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, E> {
        Err(E::custom("missing"))
    }
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        visitor.visit_none()
    }
    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// Writes the fields of one record.
pub struct Writer<S> {
    map: S,
    shape: &'static Shape,
    human: bool,
    counts: Vec<(&'static str, u64)>,
}

impl<S: SerializeMap> Writer<S> {
    /// Writes the field at `position`.
    #[inline]
    pub fn put<T: Serialize + ?Sized>(&mut self, position: usize, value: &T) -> Result<(), S::Error> {
        match self.shape.key(position, self.human) {
            Some(key) if !self.human || self.shape.shows(position) => self.map.serialize_entry(key, value),
            _ => Ok(()),
        }
    }

    /// Writes the optional field at `position`. Storage leaves absent values out, so that sparse indexes do as well;
    /// clients read null.
    #[inline]
    pub fn put_optional<T: Serialize>(&mut self, position: usize, value: &Option<T>) -> Result<(), S::Error> {
        match value {
            None if !self.human || self.shape.role == Role::Patch => Ok(()),
            value => self.put(position, value),
        }
    }

    /// Writes the relation at `position`, where it is loaded and a client reads; notes how many documents it has for
    /// [`COUNTS`], where that is known.
    pub fn put_relation<T: RelationField>(&mut self, position: usize, relation: &T) -> Result<(), S::Error> {
        if !self.human {
            return Ok(());
        }
        if let (Some(count), Some(key)) = (relation.counted(), self.shape.key(position, true))
            && self.shape.shows(position)
        {
            self.counts.push((key, count));
        }
        if relation.is_loaded() { self.put(position, relation) } else { Ok(()) }
    }

    /// Writes something that the record does not know of.
    pub fn put_extra<T: Serialize>(&mut self, key: &str, value: &T) -> Result<(), S::Error> {
        self.map.serialize_entry(key, value)
    }
}

/// Deserializes a record: what `impl Deserialize` calls.
pub fn deserialize<'de, R: Record, D: Deserializer<'de>>(deserializer: D) -> Result<R, D::Error> {
    struct RecordVisitor<R>(bool, PhantomData<R>);
    impl<'de, R: Record> Visitor<'de> for RecordVisitor<R> {
        type Value = R;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            match R::shape().role {
                Role::Args => f.write_str("an object of arguments"),
                _ => write!(f, "a {}", R::shape().name),
            }
        }
        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<R, A::Error> {
            R::read(&mut Reader { map, shape: R::shape(), human: self.0, expected: 0, _de: PhantomData })
        }
    }
    let human = deserializer.is_human_readable();
    deserializer.deserialize_map(RecordVisitor(human, PhantomData))
}

/// Serializes a record: what `impl Serialize` calls.
pub fn serialize<R: Record, S: Serializer>(record: &R, serializer: S) -> Result<S::Ok, S::Error> {
    serialize_with(record, serializer, |_| Ok(()))
}

/// Serializes a record, and what `more` adds after its own fields.
pub fn serialize_with<R: Record, S: Serializer>(
    record: &R,
    serializer: S,
    more: impl FnOnce(&mut Writer<S::SerializeMap>) -> Result<(), S::Error>,
) -> Result<S::Ok, S::Error> {
    serialize_shape(R::shape(), serializer, |writer| {
        record.write(writer)?;
        more(writer)
    })
}

/// Serializes what `write` writes, as `shape` describes it.
pub fn serialize_shape<S: Serializer>(
    shape: &'static Shape,
    serializer: S,
    write: impl FnOnce(&mut Writer<S::SerializeMap>) -> Result<(), S::Error>,
) -> Result<S::Ok, S::Error> {
    let human = serializer.is_human_readable();
    let mut writer = Writer { map: serializer.serialize_map(None)?, shape, human, counts: Vec::new() };
    write(&mut writer)?;
    if !writer.counts.is_empty() {
        let counts: BTreeMap<_, _> = writer.counts.drain(..).collect();
        writer.map.serialize_entry(COUNTS, &counts)?;
    }
    writer.map.end()
}

/// The shape of a projection: private parts of its model do not reach clients. Made once for each type, and kept.
pub fn projection_shape(name: &'static str, fields: Vec<FieldDef>) -> Shape {
    let pick: Vec<usize> = (0..fields.len()).collect();
    let (fields, pick) = (Box::leak(fields.into_boxed_slice()), Box::leak(pick.into_boxed_slice()));
    Shape { name, role: Role::Model, fields, pick, relations: &[] }
}

/// A field of a projection that is read from `part` of its model.
pub fn projected_field<T: schemars::JsonSchema, P: ReadAs<T>>(
    part: P,
    name: &'static str,
    client: &'static str,
    optional: bool,
    docs: &'static str,
) -> FieldDef {
    FieldDef {
        access: part.access_of(),
        optional,
        docs,
        ..FieldDef::new(name, client, client, schema_of::<T>)
    }
}
