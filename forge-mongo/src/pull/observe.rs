//! What is in the sampled documents: which fields, how often, with values of which types.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bson::spec::BinarySubtype;
use bson::{Bson, Document};
use forge_core::GeoShape;

/// How deep documents are looked into; below, anything may be.
const MAX_DEPTH: usize = 12;
/// The most fields of one object that are told apart.
const MAX_FIELDS: usize = 500;
/// The most different texts of a field that are remembered, and values that references are checked by.
const MAX_VALUES: usize = 24;

/// The longest text, in bytes, that is remembered.
const MAX_TEXT: usize = 64;

/// The type of a value, as far as it makes a difference to Rust.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    Null,
    Bool,
    Int,
    Long,
    Double,
    Decimal,
    Text,
    ObjectId,
    Date,
    Uuid,
    Bytes,
    Point,
    Line,
    Polygon,
    MultiPoint,
    MultiLine,
    MultiPolygon,
    Collection,
    Object,
    List,
    Other,
}

impl Kind {
    /// Its name in comments.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "booleans",
            Self::Int => "32-bit integers",
            Self::Long => "64-bit integers",
            Self::Double => "doubles",
            Self::Decimal => "decimals",
            Self::Text => "texts",
            Self::ObjectId => "ObjectIds",
            Self::Date => "dates",
            Self::Uuid => "UUIDs",
            Self::Bytes => "bytes",
            Self::Point => "GeoJSON points",
            Self::Line => "GeoJSON lines",
            Self::Polygon => "GeoJSON polygons",
            Self::MultiPoint => "GeoJSON values of several points",
            Self::MultiLine => "GeoJSON values of several lines",
            Self::MultiPolygon => "GeoJSON values of several polygons",
            Self::Collection => "collections of GeoJSON",
            Self::Object => "objects",
            Self::List => "lists",
            Self::Other => "values of a rare type",
        }
    }

    /// Whether it is GeoJSON.
    pub(super) fn is_geometry(self) -> bool {
        (Self::Point..=Self::Collection).contains(&self)
    }
}

/// Objects seen at one place.
#[derive(Debug, Default)]
pub(super) struct Shape {
    /// How many.
    pub(super) objects: u64,
    /// Their fields, in the order in which they were met.
    pub(super) fields: Vec<(String, Values)>,
    positions: HashMap<String, usize>,
    /// Whether there were more fields than are told apart.
    pub(super) overflow: bool,
}

/// Values seen at one place.
#[derive(Debug, Default)]
pub(super) struct Values {
    /// How many, nulls included.
    pub(super) present: u64,
    /// How many of each type.
    pub(super) kinds: BTreeMap<Kind, u64>,
    /// The objects among them.
    pub(super) shape: Shape,
    /// What is inside of the lists among them.
    pub(super) elements: Option<Box<Values>>,
    /// The different texts, as long as there are few.
    pub(super) texts: BTreeSet<String>,
    /// Whether there were texts too long to be remembered.
    pub(super) long_texts: bool,
    /// Some of the values that could be keys.
    pub(super) samples: Vec<Bson>,
}

impl Shape {
    /// Looks at one object.
    pub(super) fn add(&mut self, object: &Document, depth: usize) {
        self.objects += 1;
        for (name, value) in object {
            let position = match self.positions.get(name) {
                Some(position) => *position,
                None if self.fields.len() < MAX_FIELDS => {
                    self.fields.push((name.clone(), Values::default()));
                    self.positions.insert(name.clone(), self.fields.len() - 1);
                    self.fields.len() - 1
                }
                None => {
                    self.overflow = true;
                    continue;
                }
            };
            self.fields[position].1.add(value, depth);
        }
    }

    /// The values of a field.
    pub(super) fn field(&self, name: &str) -> Option<&Values> {
        self.positions.get(name).map(|position| &self.fields[*position].1)
    }
}

impl Values {
    fn add(&mut self, value: &Bson, depth: usize) {
        self.present += 1;
        let kind = kind_of(value);
        *self.kinds.entry(kind).or_default() += 1;
        match value {
            Bson::Document(object) if kind == Kind::Object && depth < MAX_DEPTH => {
                self.shape.add(object, depth + 1);
            }
            Bson::Array(items) if depth < MAX_DEPTH => {
                let elements = self.elements.get_or_insert_default();
                items.iter().for_each(|item| elements.add(item, depth + 1));
            }
            Bson::String(text) if text.len() > MAX_TEXT => self.long_texts = true,
            Bson::String(text) if self.texts.len() < MAX_VALUES => _ = self.texts.insert(text.clone()),
            _ => {}
        }
        let key = matches!(kind, Kind::Text | Kind::ObjectId | Kind::Uuid | Kind::Int | Kind::Long);
        if key && self.samples.len() < MAX_VALUES && !self.samples.contains(value) {
            self.samples.push(value.clone());
        }
    }

    /// The types, without null.
    pub(super) fn known(&self) -> Vec<Kind> {
        self.kinds.keys().copied().filter(|kind| *kind != Kind::Null).collect()
    }

    /// Whether null is among them.
    pub(super) fn nullable(&self) -> bool {
        self.kinds.contains_key(&Kind::Null)
    }
}

fn kind_of(value: &Bson) -> Kind {
    match value {
        Bson::Null | Bson::Undefined => Kind::Null,
        Bson::Boolean(_) => Kind::Bool,
        Bson::Int32(_) => Kind::Int,
        Bson::Int64(_) => Kind::Long,
        Bson::Double(_) => Kind::Double,
        Bson::Decimal128(_) => Kind::Decimal,
        Bson::String(_) => Kind::Text,
        Bson::ObjectId(_) => Kind::ObjectId,
        Bson::DateTime(_) => Kind::Date,
        Bson::Binary(binary) if binary.subtype == BinarySubtype::Uuid => Kind::Uuid,
        Bson::Binary(_) => Kind::Bytes,
        Bson::Document(object) => geometry(object).unwrap_or(Kind::Object),
        Bson::Array(_) => Kind::List,
        _ => Kind::Other,
    }
}

/// The kind of GeoJSON that Forge's own types can hold.
fn geometry(object: &Document) -> Option<Kind> {
    let named = object.len() == 2 && matches!(object.get("type"), Some(Bson::String(_)));
    let raw = named.then(|| bson::RawDocumentBuf::try_from(object).ok())??;
    Some(match forge_core::codec::decode::<GeoShape>(&raw).ok()? {
        GeoShape::Point(_) => Kind::Point,
        GeoShape::Line(_) => Kind::Line,
        GeoShape::Polygon(_) => Kind::Polygon,
        GeoShape::MultiPoint(_) => Kind::MultiPoint,
        GeoShape::MultiLine(_) => Kind::MultiLine,
        GeoShape::MultiPolygon(_) => Kind::MultiPolygon,
        GeoShape::Collection(_) => Kind::Collection,
        _ => return None,
    })
}
