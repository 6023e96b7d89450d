use bson::{Bson, Document};
use serde::{Deserialize, Serialize};

use super::{Path, TextQuery};
use crate::model::ModelRef;
use crate::types::{GeoPoint, GeoPolygon};

/// A condition on documents.
///
/// The meaning of every operator is MongoDB's: comparisons reach into arrays, only compare values of the same type
/// bracket, and `Eq(Null)` also finds documents without the field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Filter {
    /// Every document.
    All,
    /// No document.
    Nothing,
    /// All of these hold. An empty list is [`Filter::All`].
    And(Vec<Filter>),
    /// At least one of these holds. An empty list is [`Filter::Nothing`].
    Or(Vec<Filter>),
    /// This does not hold.
    Not(Box<Filter>),
    /// A condition on one path.
    Field(Path, Predicate),
    /// A comparison of the values at two paths of one document. Absent counts as null, and arrays compare as a whole.
    Compare(Path, Comparison, Path),
    /// Words, by the text index of the collection. It stands by itself, or beside other conditions that all hold.
    Text(TextQuery),
    /// An aggregation expression that is true of the document: MongoDB's `$expr`, in its own form. Never from a client.
    Expr(Bson),
    /// What a `$jsonSchema` asks of the whole document, in MongoDB's form.
    Schema(Document),
    /// A condition on the documents on the other side of a relation. Executors resolve it; it never means "all".
    Relation(RelationFilter),
}

/// A condition on the value at one path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Predicate {
    /// Equal, or an array that holds an equal element.
    Eq(Bson),
    /// The negation of `Eq`.
    Ne(Bson),
    /// Greater, within the same type bracket.
    Gt(Bson),
    /// Greater or equal, within the same type bracket.
    Gte(Bson),
    /// Less, within the same type bracket.
    Lt(Bson),
    /// Less or equal, within the same type bracket.
    Lte(Bson),
    /// Equal to one of these.
    In(Vec<Bson>),
    /// Equal to none of these.
    NotIn(Vec<Bson>),
    /// Whether the path exists, be it null.
    Exists(bool),
    /// A string that the pattern finds.
    Regex {
        /// The pattern: PCRE on servers, linear-time on the embedded engine.
        pattern: String,
        /// Of `i`, `m`, `s`, `x`.
        options: String,
    },
    /// An array with exactly this many elements.
    Size(i64),
    /// A value of one of these types, by MongoDB's codes (-1: the smallest key).
    Type(Vec<i32>),
    /// A number whose whole part leaves this remainder.
    Remainder {
        /// Not 0.
        divisor: i64,
        /// Of the sign of the number, or 0.
        remainder: i64,
    },
    /// A whole number or binary data with these bits.
    Bits(Bits),
    /// An array that holds all of these.
    HasEvery(Vec<Bson>),
    /// An array with an element (a sub-document) that matches; paths are relative to the element.
    Element(Box<Filter>),
    /// Within `max_metres` (and beyond `min_metres`) of a point, nearest first.
    Near {
        /// Degrees: longitude, latitude.
        point: [f64; 2],
        /// The largest distance.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_metres: Option<f64>,
        /// The smallest distance.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min_metres: Option<f64>,
    },
    /// Within a distance (and beyond another) of a point on a plane, nearest first: in the unit of the coordinates.
    NearOnPlane {
        /// The coordinates, whatever they are.
        point: [f64; 2],
        /// The largest distance.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max: Option<f64>,
        /// The smallest distance.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min: Option<f64>,
    },
    /// Within a circle on the sphere, in no order.
    WithinCircle {
        /// Degrees: longitude, latitude.
        centre: [f64; 2],
        /// The radius in metres.
        metres: f64,
    },
    /// Inside of an area, in no order.
    Within(Area),
    /// Shares a point with a geometry.
    Intersects(Geometry),
}

/// Which bits are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bits {
    /// Where they are, the lowest bit at 0.
    pub positions: Vec<u32>,
    /// Whether they are to be set, or clear.
    pub set: bool,
    /// Whether all of them are to be so, or one of them.
    pub all: bool,
}

/// How the values at two paths compare, in the order of BSON values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Greater.
    Gt,
    /// Greater or equal.
    Gte,
    /// Less.
    Lt,
    /// Less or equal.
    Lte,
}

impl Comparison {
    /// Whether values in this order compare so.
    pub fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Comparison::Eq => order.is_eq(),
            Comparison::Ne => order.is_ne(),
            Comparison::Gt => order.is_gt(),
            Comparison::Gte => order.is_ge(),
            Comparison::Lt => order.is_lt(),
            Comparison::Lte => order.is_le(),
        }
    }
}

/// An area on the Earth, or on a plane with coordinates in any unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Area {
    /// Inside of edges that are shortest lines.
    Polygon(GeoPolygon),
    /// Each part of a geometry inside of one of several such areas.
    Polygons(Vec<GeoPolygon>),
    /// Between two parallels and two meridians, the edges included. Where `west` is larger than `east` it reaches
    /// across the date line.
    Box {
        /// Degrees of longitude.
        west: f64,
        /// Degrees of latitude.
        south: f64,
        /// Degrees of longitude.
        east: f64,
        /// Degrees of latitude.
        north: f64,
    },
    /// On a plane: the points that are at most `radius` away from `centre`.
    Circle {
        /// The coordinates of the middle.
        centre: [f64; 2],
        /// In the unit of the coordinates.
        radius: f64,
    },
    /// On a plane: inside of straight lines from corner to corner and back to the first.
    Outline(Vec<[f64; 2]>),
    /// On a plane: between two corners.
    Rectangle {
        /// The smaller coordinates.
        low: [f64; 2],
        /// The larger ones.
        high: [f64; 2],
    },
}

/// A geometry to meet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Geometry {
    /// A point: in areas that hold it.
    Point(GeoPoint),
    /// The shortest ways from point to point, at least two of them.
    Line(Vec<GeoPoint>),
    /// An area.
    Polygon(GeoPolygon),
    /// Any of several points, lines and areas.
    Several(Vec<Geometry>),
}

impl Geometry {
    /// One geometry of points, lines and areas.
    pub fn of(mut parts: Vec<Geometry>) -> Self {
        if parts.len() == 1 { parts.remove(0) } else { Self::Several(parts) }
    }

    /// The points, lines and areas that it is made of.
    pub fn parts(&self) -> &[Geometry] {
        match self {
            Self::Several(parts) => parts,
            one => std::slice::from_ref(one),
        }
    }
}

/// A condition on related documents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RelationFilter {
    /// The model that has the relation.
    pub model: ModelRef,
    /// The Rust name of the relation.
    pub relation: Path,
    /// How many related documents must match.
    pub quantifier: Quantifier,
    /// The condition on each.
    pub filter: Box<Filter>,
    /// Whether soft-deleted related documents count too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub with_deleted: bool,
}

/// How many related documents must match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantifier {
    /// At least one (`is` on a to-one relation).
    Some,
    /// None of them; documents without related ones are found too (`is_not`).
    None,
    /// All of them; documents without related ones are found too.
    Every,
}

impl Filter {
    /// `self` and `other`, flat.
    pub fn and(self, other: Filter) -> Filter {
        match (self, other) {
            (Filter::All, filter) | (filter, Filter::All) => filter,
            (Filter::Nothing, _) | (_, Filter::Nothing) => Filter::Nothing,
            (Filter::And(mut a), Filter::And(b)) => {
                a.extend(b);
                Filter::And(a)
            }
            (Filter::And(mut a), b) => {
                a.push(b);
                Filter::And(a)
            }
            (a, Filter::And(mut b)) => {
                b.insert(0, a);
                Filter::And(b)
            }
            (a, b) => Filter::And(vec![a, b]),
        }
    }

    /// Makes `self` match only what `other` matches as well.
    pub fn narrow(&mut self, other: Filter) {
        *self = std::mem::replace(self, Filter::All).and(other);
    }

    /// `self` or `other`, flat.
    pub fn or(self, other: Filter) -> Filter {
        match (self, other) {
            (Filter::Nothing, filter) | (filter, Filter::Nothing) => filter,
            (Filter::All, _) | (_, Filter::All) => Filter::All,
            (Filter::Or(mut a), Filter::Or(b)) => {
                a.extend(b);
                Filter::Or(a)
            }
            (Filter::Or(mut a), b) => {
                a.push(b);
                Filter::Or(a)
            }
            (a, Filter::Or(mut b)) => {
                b.insert(0, a);
                Filter::Or(b)
            }
            (a, b) => Filter::Or(vec![a, b]),
        }
    }

    /// Everything that `self` does not match.
    pub fn negate(self) -> Filter {
        match self {
            Filter::All => Filter::Nothing,
            Filter::Nothing => Filter::All,
            Filter::Not(inner) => *inner,
            filter => Filter::Not(Box::new(filter)),
        }
    }

    /// A filter without expressions that matches whatever this one matches, and perhaps more: for those who cannot
    /// evaluate expressions and must not miss a document.
    pub fn widened(self) -> Filter {
        match self {
            Filter::And(list) => list.into_iter().map(Filter::widened).fold(Filter::All, Filter::and),
            Filter::Or(list) => list.into_iter().map(Filter::widened).fold(Filter::Nothing, Filter::or),
            Filter::Expr(_) => Filter::All,
            // What is left out of a negated condition would be missed.
            Filter::Not(inner) if inner.has_expressions() => Filter::All,
            filter => filter,
        }
    }

    /// Whether an expression is anywhere inside.
    pub fn has_expressions(&self) -> bool {
        match self {
            Filter::And(list) | Filter::Or(list) => list.iter().any(Filter::has_expressions),
            Filter::Not(inner) => inner.has_expressions(),
            Filter::Expr(_) => true,
            _ => false,
        }
    }

    /// `path` equals `value`.
    pub fn eq(path: impl Into<Path>, value: impl Into<Bson>) -> Filter {
        Filter::Field(path.into(), Predicate::Eq(value.into()))
    }

    /// Whether a relation filter is anywhere inside.
    #[inline]
    pub fn has_relations(&self) -> bool {
        !matches!(self, Filter::Field(..)) && self.holds_relations()
    }

    fn holds_relations(&self) -> bool {
        match self {
            Filter::And(list) | Filter::Or(list) => list.iter().any(Filter::has_relations),
            Filter::Not(inner) => inner.has_relations(),
            Filter::Relation(_) => true,
            Filter::All
            | Filter::Nothing
            | Filter::Field(..)
            | Filter::Compare(..)
            | Filter::Text(_)
            | Filter::Schema(_)
            | Filter::Expr(_) => false,
        }
    }

    /// The text condition that must hold, where there is one.
    #[inline]
    pub fn text(&self) -> Option<&TextQuery> {
        if matches!(self, Filter::Field(..)) { None } else { self.held_text() }
    }

    fn held_text(&self) -> Option<&TextQuery> {
        match self {
            Filter::Text(text) => Some(text),
            Filter::And(list) => list.iter().find_map(Filter::text),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_combine_flat() {
        let (a, b, c) = (Filter::eq("a", 1), Filter::eq("b", 2), Filter::eq("c", 3));
        let all = a.clone().and(b.clone()).and(c.clone());
        assert_eq!(all, Filter::And(vec![a.clone(), b.clone(), c.clone()]));
        assert_eq!(a.clone().or(b.clone()).or(c.clone()), Filter::Or(vec![a.clone(), b, c]));
        assert_eq!(Filter::All.and(a.clone()), a);
        assert_eq!(Filter::Nothing.or(a.clone()), a);
        assert_eq!(Filter::Nothing.and(a), Filter::Nothing);
    }
}
