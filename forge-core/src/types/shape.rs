use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::geojson::geometry_schema;
use super::part::Part;
use super::{GeoLine, GeoMultiLine, GeoMultiPoint, GeoMultiPolygon, GeoPoint, GeoPolygon};
use crate::ir::Geometry;

/// Any geometry on the Earth as GeoJSON: `{"type": …, "coordinates": …}`.
///
/// Source: RFC 7946, section 3.1.
///
/// ```
/// # use forge_core::{GeoPoint, GeoShape};
/// let line: GeoShape = serde_json::from_str(r#"{ "type": "LineString", "coordinates": [[0, 0], [10, 0]] }"#)?;
/// assert!(line.intersects(&GeoPoint::new(5.0, 0.0)?.into()));
/// assert!(serde_json::from_str::<GeoShape>(r#"{ "type": "LineString", "coordinates": [[0, 91]] }"#).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum GeoShape {
    /// A `Point`.
    Point(GeoPoint),
    /// A `LineString`.
    Line(GeoLine),
    /// A `Polygon`.
    Polygon(GeoPolygon),
    /// A `MultiPoint`.
    MultiPoint(GeoMultiPoint),
    /// A `MultiLineString`.
    MultiLine(GeoMultiLine),
    /// A `MultiPolygon`.
    MultiPolygon(GeoMultiPolygon),
    /// A `GeometryCollection`.
    Collection(GeoCollection),
}

/// Geometries of several kinds as one value: `{"type": "GeometryCollection", "geometries": […]}`.
///
/// Source: RFC 7946, section 3.1.8.
#[derive(Debug, Clone, PartialEq)]
pub struct GeoCollection {
    geometries: Vec<GeoShape>,
}

impl GeoCollection {
    /// All of them as one value.
    ///
    /// # Errors
    /// [`ErrorCode::BadRequest`](crate::ErrorCode::BadRequest) where there are none, or where one is a collection itself:
    /// servers have no collections of collections.
    pub fn new(geometries: impl IntoIterator<Item = GeoShape>) -> crate::Result<Self> {
        Self::checked(geometries.into_iter().collect()).map_err(crate::Error::bad_request)
    }

    /// What it is made of; never empty, and no collections.
    pub fn geometries(&self) -> &[GeoShape] {
        &self.geometries
    }

    pub(super) fn checked(geometries: Vec<GeoShape>) -> Result<Self, String> {
        if geometries.is_empty() {
            return Err("a collection of geometries has at least one".to_owned());
        }
        if geometries.iter().any(|one| matches!(one, GeoShape::Collection(_))) {
            return Err("a collection of geometries holds no other collection".to_owned());
        }
        Ok(Self { geometries })
    }
}

impl GeoShape {
    /// Whether the two share a point.
    pub fn intersects(&self, other: &GeoShape) -> bool {
        let others = other.ready();
        self.ready().iter().any(|own| others.iter().any(|other| own.meets(other)))
    }

    /// The distance to the nearest point of it, in metres along the surface of the Earth; 0 inside of areas.
    pub fn distance_to(&self, point: GeoPoint) -> f64 {
        self.ready().iter().map(|part| part.distance_to(point)).fold(f64::INFINITY, f64::min)
    }

    /// The type in GeoJSON.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Point(_) => "Point",
            Self::Line(_) => "LineString",
            Self::Polygon(_) => "Polygon",
            Self::MultiPoint(_) => "MultiPoint",
            Self::MultiLine(_) => "MultiLineString",
            Self::MultiPolygon(_) => "MultiPolygon",
            Self::Collection(_) => "GeometryCollection",
        }
    }

    fn ready(&self) -> Vec<Part> {
        self.clone().parts().iter().flat_map(Part::all_of).collect()
    }

    /// The points, lines and areas that it is made of.
    fn parts(self) -> Vec<Geometry> {
        match self {
            Self::Point(point) => vec![Geometry::Point(point)],
            Self::Line(line) => vec![part_of(&line)],
            Self::Polygon(polygon) => vec![Geometry::Polygon(polygon)],
            Self::MultiPoint(all) => all.points().iter().copied().map(Geometry::Point).collect(),
            Self::MultiLine(all) => all.lines().iter().map(part_of).collect(),
            Self::MultiPolygon(all) => all.polygons().iter().cloned().map(Geometry::Polygon).collect(),
            Self::Collection(all) => all.geometries.into_iter().flat_map(Self::parts).collect(),
        }
    }
}

/// Without points that repeat the one before.
fn part_of(line: &GeoLine) -> Geometry {
    let mut points = line.points().to_vec();
    points.dedup();
    Geometry::Line(points)
}

impl From<GeoShape> for Geometry {
    fn from(shape: GeoShape) -> Self {
        Geometry::of(shape.parts())
    }
}

macro_rules! variants {
    ($($variant:ident($type:ident)),*) => {
        $(impl From<$type> for GeoShape {
            fn from(geometry: $type) -> Self {
                Self::$variant(geometry)
            }
        }

        impl TryFrom<GeoShape> for $type {
            type Error = crate::Error;
            fn try_from(shape: GeoShape) -> crate::Result<Self> {
                match shape {
                    GeoShape::$variant(geometry) => Ok(geometry),
                    other => {
                        let text = format!(concat!("a GeoJSON {} is not a ", stringify!($type)), other.kind());
                        Err(crate::Error::bad_request(text))
                    }
                }
            }
        })*

        impl From<GeoShape> for bson::Bson {
            fn from(shape: GeoShape) -> Self {
                match shape {
                    $(GeoShape::$variant(geometry) => geometry.into(),)*
                }
            }
        }

        impl Serialize for GeoShape {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(Self::$variant(geometry) => geometry.serialize(serializer),)*
                }
            }
        }

        impl JsonSchema for GeoShape {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                "GeoShape".into()
            }
            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                let kinds = [$(generator.subschema_for::<$type>()),*];
                json_schema!({ "description": "A GeoJSON geometry of any type.", "anyOf": kinds })
            }
        }
    };
}
variants! {
    Point(GeoPoint), Line(GeoLine), Polygon(GeoPolygon), MultiPoint(GeoMultiPoint), MultiLine(GeoMultiLine),
    MultiPolygon(GeoMultiPolygon), Collection(GeoCollection)
}

macro_rules! read {
    ($($type:ident),*) => {
        $(impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let shape = GeoShape::deserialize(deserializer)?;
                shape.try_into().map_err(|error: crate::Error| de::Error::custom(error.message()))
            }
        })*
    };
}
read!(GeoLine, GeoPolygon, GeoMultiPoint, GeoMultiLine, GeoMultiPolygon, GeoCollection);

impl From<GeoCollection> for bson::Bson {
    fn from(all: GeoCollection) -> Self {
        let geometries: Vec<Self> = all.geometries.into_iter().map(Self::from).collect();
        bson::bson!({ "type": "GeometryCollection", "geometries": geometries })
    }
}

impl Serialize for GeoCollection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("GeoCollection", 2)?;
        out.serialize_field("type", "GeometryCollection")?;
        out.serialize_field("geometries", &self.geometries)?;
        out.end()
    }
}

impl JsonSchema for GeoCollection {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "GeoCollection".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let kinds = [
            generator.subschema_for::<GeoPoint>(),
            generator.subschema_for::<GeoLine>(),
            generator.subschema_for::<GeoPolygon>(),
            generator.subschema_for::<GeoMultiPoint>(),
            generator.subschema_for::<GeoMultiLine>(),
            generator.subschema_for::<GeoMultiPolygon>(),
        ];
        let geometries = json_schema!({ "type": "array", "minItems": 1, "items": { "anyOf": kinds } });
        geometry_schema("GeometryCollection", "GeoJSON geometries as one value.", "geometries", &geometries)
    }
}
