//! GeoJSON as text and as documents: what all geometries have in common.

use std::fmt;

use schemars::{Schema, json_schema};
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    GeoCollection, GeoLine, GeoMultiLine, GeoMultiPoint, GeoMultiPolygon, GeoPoint, GeoPolygon, GeoShape,
};

/// How deep lists of coordinates are nested at most: polygons, rings, positions, numbers.
const MAX_DEPTH: u8 = 4;

/// How many letters of a type that is none are told.
const MAX_SHOWN: usize = 32;

/// Coordinates of any geometry.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Nested {
    Number(f64),
    List(Vec<Nested>),
}

/// The positions of points.
pub(super) fn positions(points: &[GeoPoint]) -> Nested {
    Nested::List(points.iter().map(|point| position(*point)).collect())
}

fn position(point: GeoPoint) -> Nested {
    Nested::List(vec![Nested::Number(point.longitude()), Nested::Number(point.latitude())])
}

impl Nested {
    pub(super) fn list(self) -> Result<Vec<Self>, String> {
        match self {
            Self::List(list) => Ok(list),
            Self::Number(number) => Err(format!("a list of coordinates is expected, not {number}")),
        }
    }

    fn point(self) -> Result<GeoPoint, String> {
        match self.list()?.as_slice() {
            [Self::Number(longitude), Self::Number(latitude)] => {
                GeoPoint::new(*longitude, *latitude).map_err(|error| error.message().to_owned())
            }
            other => Err(format!(
                "a position is two numbers, the longitude and the latitude, not {} values",
                other.len()
            )),
        }
    }

    pub(super) fn points(self) -> Result<Vec<GeoPoint>, String> {
        self.list()?.into_iter().map(Self::point).collect()
    }

    /// The coordinates as BSON.
    pub(super) fn into_bson(self) -> bson::Bson {
        match self {
            Self::Number(number) => bson::Bson::Double(number),
            Self::List(list) => bson::Bson::Array(list.into_iter().map(Self::into_bson).collect()),
        }
    }
}

impl Serialize for Nested {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => serializer.serialize_f64(*number),
            Self::List(list) => {
                let mut out = serializer.serialize_seq(Some(list.len()))?;
                list.iter().try_for_each(|item| out.serialize_element(item))?;
                out.end()
            }
        }
    }
}

/// Reads coordinates that are nested at most so deep.
struct Level(u8);

impl<'de> DeserializeSeed<'de> for Level {
    type Value = Nested;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Nested, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level {
    type Value = Nested;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, or a list of coordinates")
    }

    fn visit_f64<E>(self, number: f64) -> Result<Nested, E> {
        Ok(Nested::Number(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Nested, E> {
        Ok(Nested::Number(number as f64))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Nested, E> {
        Ok(Nested::Number(number as f64))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Nested, A::Error> {
        let Some(inner) = self.0.checked_sub(1) else {
            return Err(A::Error::custom("the coordinates are nested too deep"));
        };
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Level(inner))? {
            list.push(item);
        }
        Ok(Nested::List(list))
    }
}

impl<'de> Deserialize<'de> for Nested {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Level(MAX_DEPTH).deserialize(deserializer)
    }
}

/// A geometry as it comes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw<G> {
    #[serde(rename = "type")]
    kind: String,
    coordinates: Option<Nested>,
    geometries: Option<G>,
}

impl<G> Raw<G> {
    fn shape(self, collected: impl FnOnce(G) -> Result<Vec<GeoShape>, String>) -> Result<GeoShape, String> {
        let Self { kind, coordinates, geometries } = self;
        let kind: String = kind.chars().take(MAX_SHOWN).collect();
        if kind == "GeometryCollection" {
            if coordinates.is_some() {
                return Err("a GeoJSON GeometryCollection has `geometries`, no `coordinates`".to_owned());
            }
            let inner =
                geometries.ok_or_else(|| "a GeoJSON GeometryCollection has `geometries`".to_owned())?;
            return GeoCollection::checked(collected(inner)?).map(GeoShape::Collection);
        }
        if geometries.is_some() {
            return Err(format!("a GeoJSON {kind} has `coordinates`, no `geometries`"));
        }
        let given = || coordinates.ok_or_else(|| format!("a GeoJSON {kind} has `coordinates`"));
        Ok(match kind.as_str() {
            "Point" => GeoShape::Point(given()?.point()?),
            "LineString" => GeoShape::Line(GeoLine::read(given()?)?),
            "Polygon" => GeoShape::Polygon(GeoPolygon::read(given()?)?),
            "MultiPoint" => GeoShape::MultiPoint(GeoMultiPoint::read(given()?)?),
            "MultiLineString" => GeoShape::MultiLine(GeoMultiLine::read(given()?)?),
            "MultiPolygon" => GeoShape::MultiPolygon(GeoMultiPolygon::read(given()?)?),
            _ => {
                return Err(format!(
                    "{kind:?} is no type of a GeoJSON geometry; these are Point, LineString, Polygon, MultiPoint, \
                     MultiLineString, MultiPolygon and GeometryCollection"
                ));
            }
        })
    }
}

impl<'de> Deserialize<'de> for GeoShape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let single = |inner: Raw<IgnoredAny>| {
            inner.shape(|_| Err("a collection of geometries holds no other collection".to_owned()))
        };
        let raw = Raw::<Vec<Raw<IgnoredAny>>>::deserialize(deserializer)?;
        raw.shape(|all| all.into_iter().map(single).collect()).map_err(D::Error::custom)
    }
}

/// The schema of a position.
pub(super) fn position_schema() -> Schema {
    json_schema!({ "type": "array", "items": { "type": "number" }, "minItems": 2, "maxItems": 2 })
}

/// The schema of a line's coordinates.
pub(super) fn line_schema() -> Schema {
    json_schema!({ "type": "array", "minItems": 2, "items": position_schema() })
}

/// The schema of a polygon's coordinates.
pub(super) fn polygon_schema() -> Schema {
    let ring = json_schema!({ "type": "array", "minItems": 4, "items": position_schema() });
    json_schema!({ "type": "array", "minItems": 1, "items": ring })
}

/// The schema of a geometry: its one type, and one field more.
pub(super) fn geometry_schema(kind: &str, description: &str, field: &str, schema: &Schema) -> Schema {
    json_schema!({
        "type": "object",
        "description": description,
        "properties": { "type": { "const": kind }, field: schema },
        "required": ["type", field],
        "additionalProperties": false
    })
}

/// The forms of a geometry that has `nested` coordinates: in serde, as BSON, in JSON Schema.
macro_rules! geojson {
    ($type:ident, $name:literal, $kind:literal, $description:literal, $coordinates:expr $(,)?) => {
        impl From<$type> for bson::Bson {
            fn from(value: $type) -> Self {
                bson::bson!({ "type": $kind, "coordinates": value.nested().into_bson() })
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeStruct as _;
                let mut out = serializer.serialize_struct($name, 2)?;
                out.serialize_field("type", $kind)?;
                out.serialize_field("coordinates", &self.nested())?;
                out.end()
            }
        }

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                super::geojson::geometry_schema($kind, $description, "coordinates", &$coordinates)
            }
        }
    };
}
pub(super) use geojson;
