//! The fields of indexes, and what an index holds of each.

use bson::{Bson, RawBsonRef, RawDocument};
use forge_core::matcher::{geo_point, geometries};
use forge_core::{Error, Result, order};

use crate::collation;
use crate::geo;
use crate::index::{Index, integer};
use crate::keys::{self, PathValues, class};

/// What one field of an index holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyKind {
    /// Values from small to large.
    Ascending,
    /// Values from large to small.
    Descending,
    /// Cells of the sphere.
    Sphere,
    /// Cells of the sphere, for pairs of numbers; those that are no place on it are anywhere.
    Planar,
    /// Single values; the order of servers, which keep hashes, is nobody's to rely on.
    Hashed,
    /// The values of every path; see [`Wildcard`].
    Wildcard,
}

impl KeyKind {
    /// Whether documents without a place are left out, and the order of the keys means nothing.
    pub(crate) fn is_geo(self) -> bool {
        matches!(self, Self::Sphere | Self::Planar)
    }
}

/// One field of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IndexKey {
    /// The stored path.
    pub(crate) path: String,
    /// What is held of it.
    pub(crate) kind: KeyKind,
    /// Whether a document had an array there since the index exists.
    pub(crate) multikey: bool,
}

impl IndexKey {
    /// What the field holds, where that is one value without an array around it, or nothing.
    pub(crate) fn single<'d>(&self, document: &'d RawDocument) -> Option<PathValues<'d>> {
        let plain = matches!(self.kind, KeyKind::Ascending | KeyKind::Descending | KeyKind::Hashed);
        plain.then(|| PathValues::of(document, &self.path)).filter(|found| !found.multikey)
    }

    /// Appends the byte form of a value, as the index sorts it.
    pub(crate) fn put(&self, value: RawBsonRef<'_>, index: &Index, out: &mut Vec<u8>) {
        let start = out.len();
        collation::encode(value, index.collator(), out);
        if self.kind == KeyKind::Descending {
            keys::invert(&mut out[start..]);
        }
    }

    /// The encoded values of the field, whether the field exists, and whether an array was met.
    pub(crate) fn parts(&self, document: &RawDocument, index: &Index) -> Result<(Vec<Vec<u8>>, bool, bool)> {
        match self.kind {
            KeyKind::Sphere => return self.cells(document, &index.name),
            KeyKind::Planar => return self.places(document, &index.name),
            _ => {}
        }
        let found = PathValues::of(document, &self.path);
        let part = |value: &RawBsonRef<'_>| {
            let mut part = Vec::with_capacity(16);
            self.put(*value, index, &mut part);
            part
        };
        let mut parts: Vec<_> = found.values.iter().map(part).collect();
        if found.multikey && self.kind == KeyKind::Hashed {
            return Err(Error::bad_request(format!(
                "index {}: `{}` is hashed and holds no arrays",
                index.name, self.path
            )));
        }
        if found.multikey {
            parts.sort();
            parts.dedup();
        }
        Ok((parts, found.exists, found.multikey))
    }

    /// The cells of a pair of numbers, `[x, y]` or the fields of a document, or of several pairs in a list.
    fn places(&self, document: &RawDocument, index: &str) -> Result<(Vec<Vec<u8>>, bool, bool)> {
        let value = match geo::value_at(document, &self.path) {
            None | Some(RawBsonRef::Null) => return Ok((vec![vec![class::NULL]], false, false)),
            Some(value) => value,
        };
        if let Some(cell) = geo::planar_key(value) {
            return Ok((vec![cell], true, false));
        }
        let pairs = value.as_array().map(|pairs| pairs.into_iter().flatten().map(geo::planar_key));
        let mut cells = pairs.and_then(Iterator::collect::<Option<Vec<_>>>).unwrap_or_default();
        if cells.is_empty() {
            let text = format!("index {index}: `{}` is no pair of numbers, as [x, y]", self.path);
            return Err(Error::bad_request(text));
        }
        cells.sort();
        cells.dedup();
        Ok((cells, true, true))
    }

    fn cells(&self, document: &RawDocument, index: &str) -> Result<(Vec<Vec<u8>>, bool, bool)> {
        let value = match geo::value_at(document, &self.path) {
            None | Some(RawBsonRef::Null) => return Ok((vec![vec![class::NULL]], false, false)),
            Some(value) => value,
        };
        if let Some(point) = geo_point(value) {
            return Ok((vec![geo::cell_key(point)], true, false));
        }
        if geometries(value).is_some() {
            return Ok((vec![vec![class::SHAPE]], true, false));
        }
        Err(Error::bad_request(format!(
            "index {index}: `{}` is no GeoJSON geometry, as {{type: \"Point\", coordinates: [longitude, latitude]}}",
            self.path
        )))
    }
}

/// Reads one field of the `key` of a definition.
pub(crate) fn index_key(path: &str, kind: &Bson) -> Result<IndexKey> {
    let wildcard = path == "$**" || path.ends_with(".$**");
    let named = path.strip_suffix("$**").filter(|_| wildcard).unwrap_or(path);
    let sound = |path: &str| !path.starts_with('$') && !path.split('.').any(str::is_empty);
    if !sound(named.strip_suffix('.').unwrap_or(named)) && path != "$**" {
        return Err(Error::bad_request(format!("{path:?} is no field of an index")));
    }
    if wildcard {
        return match integer(kind) {
            Some(1 | -1) => Ok(IndexKey { path: path.to_owned(), kind: KeyKind::Wildcard, multikey: true }),
            _ => Err(Error::unsupported(format!("the embedded engine has no `{kind}` index over `{path}`"))),
        };
    }
    let kind = match kind {
        Bson::String(kind) if kind == "2dsphere" => KeyKind::Sphere,
        Bson::String(kind) if kind == "2d" => KeyKind::Planar,
        Bson::String(kind) if kind == "hashed" => KeyKind::Hashed,
        Bson::String(kind) => {
            return Err(Error::unsupported(format!(
                "the embedded engine has no `{kind}` indexes (on `{path}`)"
            )));
        }
        number => match keys::with_raw(number, order::as_f64) {
            Some(direction) if direction > 0.0 => KeyKind::Ascending,
            Some(direction) if direction < 0.0 => KeyKind::Descending,
            _ => return Err(Error::bad_request(format!("the index on `{path}` is 1, -1 or \"2dsphere\""))),
        },
    };
    Ok(IndexKey { path: path.to_owned(), kind, multikey: false })
}
