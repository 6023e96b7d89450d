//! Places on a plane: pairs of numbers, in whatever unit they are.

use bson::{RawBsonRef, RawDocument};

use crate::order;

/// Two coordinates.
pub(super) type Pair = [f64; 2];

/// An area of the plane, its edges included.
#[derive(Debug)]
pub(super) enum Figure {
    Circle { centre: Pair, radius: f64 },
    Outline(Vec<Pair>),
    Rectangle { low: Pair, high: Pair },
}

impl Figure {
    pub(super) fn contains(&self, [x, y]: Pair) -> bool {
        match self {
            Figure::Circle { centre, radius } => distance(*centre, [x, y]) <= *radius,
            Figure::Outline(corners) => encloses(corners, [x, y]),
            Figure::Rectangle { low, high } => {
                (low[0]..=high[0]).contains(&x) && (low[1]..=high[1]).contains(&y)
            }
        }
    }
}

pub(super) fn distance(a: Pair, b: Pair) -> f64 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

/// Whether a point is on an edge, or has an odd number of edges to its right.
fn encloses(corners: &[Pair], [x, y]: Pair) -> bool {
    let next = corners.iter().cycle().skip(1);
    let mut inside = false;
    for (&[x1, y1], &[x2, y2]) in corners.iter().zip(next) {
        let side = (x2 - x1) * (y - y1) - (y2 - y1) * (x - x1);
        let between = |value: f64, a: f64, b: f64| (a.min(b)..=a.max(b)).contains(&value);
        if side == 0.0 && between(x, x1, x2) && between(y, y1, y2) {
            return true;
        }
        // An edge belongs to its lower end, so that a corner counts once.
        if (y1 > y) != (y2 > y) && (side > 0.0) == (y2 > y1) {
            inside = !inside;
        }
    }
    inside
}

/// Calls `visit` with the pair that `value` is, or with those that it holds as an array.
pub(super) fn each_pair(value: RawBsonRef<'_>, visit: &mut impl FnMut(Pair)) {
    each_place(value, pair, visit);
}

/// Calls `visit` with the place that `read` finds `value` to be, or with those that it holds as an array.
pub(super) fn each_place<T>(
    value: RawBsonRef<'_>,
    read: impl Fn(RawBsonRef<'_>) -> Option<T>,
    visit: &mut impl FnMut(T),
) {
    if let Some(place) = read(value) {
        visit(place);
    } else if let RawBsonRef::Array(array) = value {
        array.into_iter().flatten().filter_map(read).for_each(visit);
    }
}

/// The pair that an array begins with, that the first fields of a document are, or that a GeoJSON point holds. As on
/// servers, a document whose first field is a number is a pair, whatever its other fields say.
pub(super) fn pair(value: RawBsonRef<'_>) -> Option<Pair> {
    match value {
        RawBsonRef::Array(array) => pair_of(array.into_iter().flatten()),
        RawBsonRef::Document(document) => {
            let values = || document.iter().flatten().map(|(_, value)| value);
            match values().next().and_then(order::as_f64) {
                Some(_) => pair_of(values()),
                None => coordinates(document)
                    .filter(|_| document.get_str("type").is_ok_and(|kind| kind == "Point")),
            }
        }
        _ => None,
    }
}

fn coordinates(document: &RawDocument) -> Option<Pair> {
    pair_of(document.get_array("coordinates").ok()?.into_iter().flatten())
}

/// The two numbers that `values` begin with.
pub(super) fn pair_of<'a>(mut values: impl Iterator<Item = RawBsonRef<'a>>) -> Option<Pair> {
    Some([order::as_f64(values.next()?)?, order::as_f64(values.next()?)?])
}
