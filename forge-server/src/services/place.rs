//! Places as values of fields: which geometry a field holds, and what it looks like.

use bson::Bson;
use forge_core::types::GeoShape;
use serde_json::{Value, json};

use super::geo::{Expected, geometry};

/// A type of GeoJSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Geo {
    /// A point: [`GeoPoint`](forge_core::GeoPoint).
    Point,
    /// A line: [`GeoLine`](forge_core::GeoLine).
    Line,
    /// An area: [`GeoPolygon`](forge_core::GeoPolygon).
    Polygon,
    /// Several points: [`GeoMultiPoint`](forge_core::GeoMultiPoint).
    MultiPoint,
    /// Several lines: [`GeoMultiLine`](forge_core::GeoMultiLine).
    MultiLine,
    /// Several areas: [`GeoMultiPolygon`](forge_core::GeoMultiPolygon).
    MultiPolygon,
    /// Geometries of several types: [`GeoCollection`](forge_core::GeoCollection).
    Collection,
    /// A geometry of any type: [`GeoShape`](forge_core::GeoShape).
    Shape,
}

impl Geo {
    const ONE_TYPE: [Geo; 7] = [
        Geo::Point,
        Geo::Line,
        Geo::Polygon,
        Geo::MultiPoint,
        Geo::MultiLine,
        Geo::MultiPolygon,
        Geo::Collection,
    ];

    /// The type in GeoJSON; none for any.
    const fn name(self) -> Option<&'static str> {
        Some(match self {
            Geo::Point => "Point",
            Geo::Line => "LineString",
            Geo::Polygon => "Polygon",
            Geo::MultiPoint => "MultiPoint",
            Geo::MultiLine => "MultiLineString",
            Geo::MultiPolygon => "MultiPolygon",
            Geo::Collection => "GeometryCollection",
            Geo::Shape => return None,
        })
    }

    /// That of this name in GeoJSON.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ONE_TYPE.into_iter().find(|geo| geo.name() == Some(name))
    }

    pub(super) const fn expected(self) -> Expected {
        match self {
            Geo::Point => {
                "must be a GeoJSON point: longitude within -180 and 180, then latitude within -90 and 90"
            }
            Geo::Line => {
                "must be a GeoJSON line: at least two different points, each longitude, then latitude"
            }
            Geo::Polygon => "must be a GeoJSON polygon: rings of longitudes and latitudes",
            Geo::MultiPoint => "must be a GeoJSON MultiPoint: a list of points",
            Geo::MultiLine => "must be a GeoJSON MultiLineString: a list of lines",
            Geo::MultiPolygon => "must be a GeoJSON MultiPolygon: a list of polygons",
            Geo::Collection => "must be a GeoJSON GeometryCollection of other geometries",
            Geo::Shape => "must be a GeoJSON geometry",
        }
    }

    /// The stored form of a place. Text of numbers is taken for numbers, as it comes in URLs.
    pub(super) fn read(self, value: &Value) -> Result<Bson, Expected> {
        let shape = geometry(value).and_then(|value| serde_json::from_value::<GeoShape>(value).ok());
        let fits = |shape: &GeoShape| self.name().is_none_or(|name| name == shape.kind());
        shape.filter(fits).map(Bson::from).ok_or_else(|| self.expected())
    }

    /// The JSON Schema.
    pub(super) fn schema(self) -> Value {
        let position =
            json!({ "type": "array", "items": { "type": "number" }, "minItems": 2, "maxItems": 2 });
        let list = |of: &Value, least: u64| json!({ "type": "array", "items": of, "minItems": least });
        let line = list(&position, 2);
        let polygon = list(&list(&position, 4), 1);
        let (coordinates, example) = match self {
            Geo::Point => (position, json!([12.5, 41.9])),
            Geo::Line => (line, json!([[12.5, 41.9], [12.3, 41.7]])),
            Geo::Polygon => (polygon, json!([[[0, 0], [2, 0], [0, 2], [0, 0]]])),
            Geo::MultiPoint => (list(&position, 1), json!([[12.5, 41.9], [12.3, 41.7]])),
            Geo::MultiLine => (list(&line, 1), json!([[[12.5, 41.9], [12.3, 41.7]]])),
            Geo::MultiPolygon => (list(&polygon, 1), json!([[[[0, 0], [2, 0], [0, 2], [0, 0]]]])),
            Geo::Collection | Geo::Shape => return self.schema_of_several(),
        };
        json!({
            "type": "object",
            "description": self.description(),
            "required": ["type", "coordinates"],
            "properties": { "type": { "const": self.name() }, "coordinates": coordinates },
            "examples": [{ "type": self.name(), "coordinates": example }],
        })
    }

    fn schema_of_several(self) -> Value {
        let plain = Self::ONE_TYPE.into_iter().filter(|geo| *geo != Geo::Collection).filter_map(Geo::name);
        let plain = plain.collect::<Vec<_>>();
        let single = json!({
            "type": "object",
            "required": ["type", "coordinates"],
            "properties": { "type": { "enum": plain }, "coordinates": { "type": "array" } },
        });
        let point = json!({ "type": "Point", "coordinates": [12.5, 41.9] });
        let collection = json!({
            "type": "object",
            "description": self.description(),
            "required": ["type", "geometries"],
            "properties": {
                "type": { "const": "GeometryCollection" },
                "geometries": { "type": "array", "items": single, "minItems": 1 },
            },
            "examples": [{ "type": "GeometryCollection", "geometries": [point] }],
        });
        match self {
            Geo::Shape => json!({
                "description": self.description(), "anyOf": [single, collection], "examples": [point],
            }),
            _ => collection,
        }
    }

    const fn description(self) -> &'static str {
        match self {
            Geo::Point => "A GeoJSON point: longitude, then latitude, in degrees.",
            Geo::Line => "A GeoJSON line: points, each longitude, then latitude, in degrees.",
            Geo::Polygon => "A GeoJSON polygon: an outline, then holes; rings of longitudes and latitudes.",
            Geo::MultiPoint => "GeoJSON points, each longitude, then latitude, in degrees.",
            Geo::MultiLine => "GeoJSON lines of points, each longitude, then latitude, in degrees.",
            Geo::MultiPolygon => "GeoJSON polygons: rings of longitudes and latitudes.",
            Geo::Collection => "GeoJSON geometries as one value.",
            Geo::Shape => "A GeoJSON geometry of any type.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every type, and a value of it with the text of URLs in place of numbers.
    fn values() -> [(Geo, Value); 7] {
        let ring = json!([["0", "0"], [2, "0"], ["0", 2], [0, 0]]);
        let of = |name: &str, coordinates: Value| json!({ "type": name, "coordinates": coordinates });
        let point = of("Point", json!(["12.5", 41.9]));
        [
            (Geo::Point, point.clone()),
            (Geo::Line, of("LineString", json!([["1", "2"], [3, 4]]))),
            (Geo::Polygon, of("Polygon", json!([ring]))),
            (Geo::MultiPoint, of("MultiPoint", json!([["1", "2"], [3, 4]]))),
            (Geo::MultiLine, of("MultiLineString", json!([[["1", "2"], [3, 4]]]))),
            (Geo::MultiPolygon, of("MultiPolygon", json!([[ring]]))),
            (Geo::Collection, json!({ "type": "GeometryCollection", "geometries": [point] })),
        ]
    }

    #[test]
    fn a_field_takes_places_of_its_own_type_alone() {
        for (of, value) in values() {
            for (other, _) in values() {
                assert_eq!(other.read(&value).is_ok(), of == other, "{value} as {other:?}");
            }
            let text = value.to_string().into();
            assert!(Geo::Shape.read(&value).is_ok() && Geo::Shape.read(&text).is_ok(), "{value}");
        }
        for wrong in [
            json!("x"),
            json!({ "type": "LineString", "coordinates": [[0, 91], [0, 0]] }),
            json!({ "type": "LineString", "coordinates": [[0, 0]] }),
            json!({ "type": "LineString", "coordinates": [["x", 0], [0, 0]] }),
            json!({ "type": "LineString", "coordinates": [[{ "$where": 1 }, 0], [0, 0]] }),
            json!({ "type": "GeometryCollection", "geometries": [] }),
        ] {
            assert!(Geo::ONE_TYPE.iter().all(|geo| geo.read(&wrong).is_err()), "{wrong}");
            assert!(Geo::Shape.read(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn examples_are_values_of_their_type() {
        for geo in Geo::ONE_TYPE.into_iter().chain([Geo::Shape]) {
            let schema = geo.schema();
            assert!(geo.read(&schema["examples"][0]).is_ok(), "{schema}");
        }
    }
}
