//! `$geoNear`: documents by their distance from a place.

use std::borrow::Cow;

use bson::{Bson, Document, doc};
use forge_core::matcher::{Centre, distance_at, geo_point};
use forge_core::types::EARTH_RADIUS_METRES;
use forge_core::{Error, Result, order};

use super::Rows;
use super::context::Context;
use crate::catalog::Collection;
use crate::geo;
use crate::index::KeyKind;
use crate::keys;
use crate::update::set_path;

/// The server's code for a missing index.
const INDEX_NOT_FOUND: i32 = 27;
/// How much wider the circle is that an index is asked for: what is on its edge must not be lost to rounding.
const MARGIN: f64 = 1.000_001;

/// What the stage asks for.
struct Near<'f> {
    centre: Centre,
    /// How much of the distances of `centre` one of the stage is.
    unit: f64,
    least: f64,
    most: f64,
    factor: f64,
    target: &'f str,
}

impl<'f> Near<'f> {
    fn parse(form: &'f Document) -> Result<Self> {
        let number = |name: &str, default: f64| match form.get(name) {
            None => Ok(default),
            Some(value) => match keys::with_raw(value, order::as_f64).filter(|number| *number >= 0.0) {
                Some(number) => Ok(number),
                None => Err(Error::bad_request(format!("`{name}` is a number from 0, not {value}"))),
            },
        };
        let (centre, unit) = centre(form)?;
        Ok(Self {
            centre,
            unit,
            least: number("minDistance", 0.0)?,
            most: number("maxDistance", f64::INFINITY)?,
            factor: number("distanceMultiplier", 1.0)?,
            target: form.get_str("distanceField").map_err(|_| wrong("`distanceField`, a path"))?,
        })
    }

    /// A condition that indexes can serve, for everything that is near enough.
    fn around(&self, path: &str) -> Option<Document> {
        let most = Some(self.most * MARGIN).filter(|most| most.is_finite())?;
        let condition = match self.centre {
            Centre::Plane([x, y]) => doc! { "$geoWithin": { "$center": [[x, y], most] } },
            // Lines and areas need not lie within the circle.
            Centre::Sphere(at) => {
                doc! { "$nearSphere": { "$geometry": Bson::from(at), "$maxDistance": most * self.unit } }
            }
        };
        Some(doc! { path: condition })
    }
}

/// GeoJSON points measure in metres. Pairs do so in radians where the stage says `spherical`, else on a plane.
fn centre(form: &Document) -> Result<(Centre, f64)> {
    let near = form.get("near").ok_or_else(|| wrong("`near`, a GeoJSON point or a pair"))?;
    let point = keys::with_raw(near, geo_point);
    if near.as_document().is_some_and(|near| near.contains_key("coordinates")) {
        let point = point.ok_or_else(|| wrong("`near`, a GeoJSON point"))?;
        return Ok((Centre::Sphere(point), 1.0));
    }
    let [x, y] = geo::pair_of(near).ok_or_else(|| wrong("`near`, a GeoJSON point or a pair"))?;
    if form.get_bool("spherical").unwrap_or(false) {
        let point = forge_core::GeoPoint::new(x, y)?;
        return Ok((Centre::Sphere(point), EARTH_RADIUS_METRES));
    }
    Ok((Centre::Plane([x, y]), 1.0))
}

fn wrong(what: &str) -> Error {
    Error::bad_request(format!("`$geoNear` needs {what}"))
}

/// The pipeline, where it begins with this stage, with the path that it is about and a condition before it that indexes
/// can serve.
pub(super) fn prepared<'p>(
    cx: &Context<'_, '_>,
    collection: &str,
    pipeline: &'p [Document],
) -> Result<Cow<'p, [Document]>> {
    let Some(form) = pipeline.first().and_then(|stage| stage.get_document("$geoNear").ok()) else {
        return Ok(Cow::Borrowed(pipeline));
    };
    let near = Near::parse(form)?;
    let mut form = form.clone();
    if !form.contains_key("key") {
        form.insert("key", indexed(cx.view()?.collection(collection), near.centre)?);
    }
    let mut conditions = vec![form.get_document("query").cloned().unwrap_or_default()];
    conditions.extend(form.get_str("key").ok().and_then(|path| near.around(path)));
    let before = doc! { "$match": { "$and": conditions } };
    let stages = [before, doc! { "$geoNear": form }].into_iter().chain(pipeline[1..].iter().cloned());
    Ok(Cow::Owned(stages.collect()))
}

/// The path of the one index that holds places: of the kind that fits, where there are several.
fn indexed(collection: Option<&Collection>, centre: Centre) -> Result<String> {
    let fitting = match centre {
        Centre::Plane(_) => KeyKind::Planar,
        Centre::Sphere(_) => KeyKind::Sphere,
    };
    let indexes = collection.into_iter().flat_map(|collection| &collection.indexes);
    let keys = indexes.filter(|index| !index.hidden).flat_map(|index| &index.keys);
    let mut keys: Vec<_> = keys.filter(|key| key.kind.is_geo()).collect();
    if keys.iter().any(|key| key.kind == fitting) {
        keys.retain(|key| key.kind == fitting);
    }
    keys.dedup_by(|a, b| a.path == b.path);
    match keys.as_slice() {
        [key] => Ok(key.path.clone()),
        keys => {
            let text = format!(
                "`$geoNear` without `key` needs the collection to have one index of places, and it has {}",
                keys.len()
            );
            Err(Error::bad_request(text).with_server_code(INDEX_NOT_FOUND))
        }
    }
}

/// The rows by their distance from a place, with the distance.
pub(super) fn near(cx: &Context<'_, '_>, rows: Rows, form: &Document) -> Result<Rows> {
    let near = Near::parse(form)?;
    let path =
        form.get_str("key").map_err(|_| wrong("to be the first stage, or `key`, the path of the places"))?;
    let query = form.get_document("query").cloned().unwrap_or_default();
    let matching = cx.matching(&query)?;
    let mut found = Vec::new();
    for mut row in rows {
        cx.tick()?;
        let raw = keys::to_raw(&row)?;
        let distance = distance_at(&raw, path, near.centre).map(|distance| distance / near.unit);
        let distance = distance.filter(|distance| (near.least..=near.most).contains(distance));
        if let Some(distance) = distance.filter(|_| matching.matches(&raw)) {
            set_path(&mut row, near.target, Bson::Double(distance * near.factor))?;
            if let Ok(place) = form.get_str("includeLocs") {
                let value = geo::value_at(&raw, path).map(Bson::try_from).transpose()?;
                set_path(&mut row, place, value.unwrap_or(Bson::Null))?;
            }
            found.push((distance, row));
        }
    }
    matching.outcome()?;
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    Ok(found.into_iter().map(|(_, row)| row).collect())
}
