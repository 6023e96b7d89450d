//! From values to Rust types.

use super::names;
use super::observe::{Kind, Shape, Values};

/// An object with more keys than this, most of them rare, is a map.
const MAP_KEYS: usize = 24;

/// The type of a field.
#[derive(Debug)]
pub(super) enum Type<'a> {
    /// A type by its Rust name.
    Plain(&'static str),
    /// An ObjectId.
    ObjectId,
    /// A struct of its own.
    Embed(&'a Shape),
    /// A list.
    List(Box<Type<'a>>, bool),
    /// An object with keys that are data.
    Map(Box<Type<'a>>),
    /// Anything, and why.
    Any(String),
}

/// The type that holds every one of `values`, beside null.
pub(super) fn of(values: &Values) -> Type<'_> {
    use Kind::{
        Bool, Bytes, Collection, Date, Decimal, Double, Int, Line, List, Long, MultiLine, MultiPoint,
        MultiPolygon, Object, ObjectId, Other, Point, Polygon, Text, Uuid,
    };
    match values.known().as_slice() {
        [] => Type::Any("null in every sampled document".to_owned()),
        [Bool] => Type::Plain("bool"),
        [Int] => Type::Plain("i32"),
        [Long] | [Int, Long] => Type::Plain("i64"),
        [Double] | [Int, Double] | [Long, Double] | [Int, Long, Double] => Type::Plain("f64"),
        [Decimal] => Type::Plain("forge::types::Decimal"),
        [Text] => Type::Plain("String"),
        [ObjectId] => Type::ObjectId,
        [Date] => Type::Plain("DateTime"),
        [Uuid] => Type::Plain("Uuid"),
        [Bytes] => Type::Plain("forge::types::Bytes"),
        [Point] => Type::Plain("GeoPoint"),
        [Line] => Type::Plain("forge::types::GeoLine"),
        [Polygon] => Type::Plain("forge::types::GeoPolygon"),
        [MultiPoint] => Type::Plain("forge::types::GeoMultiPoint"),
        [MultiLine] => Type::Plain("forge::types::GeoMultiLine"),
        [MultiPolygon] => Type::Plain("forge::types::GeoMultiPolygon"),
        [Collection] => Type::Plain("forge::types::GeoCollection"),
        kinds if kinds.iter().all(|kind| kind.is_geometry()) => Type::Plain("forge::types::GeoShape"),
        [Object] => object(&values.shape),
        [List] => list(values.elements.as_deref()),
        [Other] => Type::Any(Other.name().to_owned()),
        kinds => Type::Any(kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ")),
    }
}

fn list(elements: Option<&Values>) -> Type<'_> {
    let Some(elements) = elements.filter(|elements| elements.present > 0) else {
        return Type::List(Box::new(Type::Any("every sampled list is empty".to_owned())), false);
    };
    let nullable = elements.nullable();
    let element = match of(elements) {
        // Embeds stand in a field or directly in its list.
        Type::Embed(_) if nullable => Type::Any("objects and null".to_owned()),
        Type::List(inner, _) if matches!(*inner, Type::Embed(_)) => Type::Any("lists of objects".to_owned()),
        element => element,
    };
    let nullable = nullable && !matches!(element, Type::Any(_));
    Type::List(Box::new(element), nullable)
}

fn object(shape: &Shape) -> Type<'_> {
    let unusable = shape.fields.iter().any(|(name, _)| !names::is_usable(name));
    let rare = shape.fields.iter().filter(|(_, values)| values.present * 2 < shape.objects).count();
    let is_map = shape.fields.len() > MAP_KEYS && rare * 10 >= shape.fields.len() * 9;
    if !(shape.fields.is_empty() || unusable || is_map || shape.overflow) {
        return Type::Embed(shape);
    }
    Type::Map(Box::new(one_for_all(shape)))
}

/// The type that all fields of a map have.
fn one_for_all(shape: &Shape) -> Type<'static> {
    let mut found: Option<&'static str> = None;
    for (_, values) in &shape.fields {
        let kind = match of(values) {
            Type::Plain(kind) if !values.nullable() => kind,
            _ => return Type::Any("values of several types".to_owned()),
        };
        if found.replace(kind).is_some_and(|other| other != kind) {
            return Type::Any("values of several types".to_owned());
        }
    }
    found.map_or_else(|| Type::Any("every sampled object is empty".to_owned()), Type::Plain)
}
