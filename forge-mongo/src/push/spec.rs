//! Index definitions in their `createIndexes` form.

use bson::{Bson, Document, doc};
use forge_core::model::{IndexDef, IndexKey, ModelDef};
use forge_core::schema::bson_of;
use forge_core::{Error, Result};

use super::fingerprint::Fingerprint;

/// The `createIndexes` forms of everything that `model` declares, in its order. All text keys make one index: a
/// collection has at most one.
///
/// # Errors
/// `internal` for a partial filter or a projection that is not a JSON object.
pub(super) fn wanted(model: &ModelDef) -> Result<Vec<Document>> {
    let all = model.all_indexes();
    let (text, plain): (Vec<_>, Vec<_>) = all.iter().partition(|index| index.is_text());
    let mut specs: Vec<Document> = Vec::new();
    for index in plain {
        let spec =
            spec(index).map_err(|error| error.context(format_args!("{}.{}", model.name, index.name())))?;
        if !specs.iter().any(|other| Fingerprint::of(other) == Fingerprint::of(&spec)) {
            specs.push(spec);
        }
    }
    if !text.is_empty() {
        specs.push(text_spec(model, &text)?);
    }
    Ok(specs)
}

fn spec(index: &IndexDef) -> Result<Document> {
    let mut spec = doc! { "key": keys(index.keys)?, "name": index.name() };
    options(&mut spec, index)?;
    Ok(spec)
}

/// Keys as servers name their kinds.
pub(super) fn keys(keys: &[(&str, IndexKey)]) -> Result<Document> {
    keys.iter().map(|(path, kind)| Ok(((*path).to_owned(), kind_of(*kind)?))).collect()
}

fn options(spec: &mut Document, index: &IndexDef) -> Result<()> {
    if index.unique {
        spec.insert("unique", true);
    }
    if index.sparse {
        spec.insert("sparse", true);
    }
    if let Some(seconds) = index.ttl_seconds {
        spec.insert("expireAfterSeconds", i64::from(seconds));
    }
    if let Some(partial) = index.partial {
        spec.insert("partialFilterExpression", object(partial, "partial filter")?);
    }
    if let Some((locale, strength)) = index.collation {
        spec.insert("collation", doc! { "locale": locale, "strength": i32::from(strength) });
    }
    if let Some(projection) = index.projection {
        spec.insert("wildcardProjection", object(projection, "wildcard projection")?);
    }
    if index.hidden {
        spec.insert("hidden", true);
    }
    Ok(())
}

fn kind_of(key: IndexKey) -> Result<Bson> {
    Ok(match key {
        IndexKey::Ascending => 1.into(),
        IndexKey::Descending => (-1).into(),
        IndexKey::Sphere => "2dsphere".into(),
        IndexKey::Planar => "2d".into(),
        IndexKey::Hashed => "hashed".into(),
        IndexKey::Text(_) => "text".into(),
        other => return Err(Error::internal(format!("this adapter does not know the index kind {other:?}"))),
    })
}

/// The one text index. Keys that are not text stay where they stand among the others; the first index that gives an
/// option decides it.
fn text_spec(model: &ModelDef, indexes: &[&IndexDef]) -> Result<Document> {
    let (mut key, mut weights) = (Document::new(), Document::new());
    for (path, kind) in indexes.iter().flat_map(|index| index.keys) {
        key.insert(*path, kind_of(*kind)?);
        if let IndexKey::Text(weight) = kind {
            weights.insert(*path, i64::from(*weight));
        }
    }
    let given = indexes.iter().find_map(|index| index.name);
    let name = given.map_or_else(|| format!("forge_{}_fts", model.collection), str::to_owned);
    let mut spec = doc! { "key": key, "name": name, "weights": weights };
    if let Some(language) = indexes.iter().find_map(|index| index.language) {
        spec.insert("default_language", language);
    }
    for index in indexes {
        options(&mut spec, index)?;
    }
    Ok(spec)
}

fn object(json: &str, what: &str) -> Result<Document> {
    match serde_json::from_str(json).map(bson_of) {
        Ok(Bson::Document(object)) => Ok(object),
        _ => Err(Error::internal(format!("the {what} {json} is not a JSON object"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(index: &IndexDef) -> Document {
        spec(index).unwrap()
    }

    const UP: IndexKey = IndexKey::Ascending;

    #[test]
    fn every_kind_has_its_form() {
        let kinds = [
            (UP, Bson::Int32(1), "a_1"),
            (IndexKey::Descending, Bson::Int32(-1), "a_-1"),
            (IndexKey::Sphere, "2dsphere".into(), "a_2dsphere"),
            (IndexKey::Planar, "2d".into(), "a_2d"),
            (IndexKey::Hashed, "hashed".into(), "a_hashed"),
        ];
        for (kind, form, name) in kinds {
            let keys: &'static _ = Box::leak(Box::new([("a", kind)]));
            assert_eq!(made(&IndexDef::new(keys)), doc! { "key": { "a": form }, "name": name });
        }
    }

    #[test]
    fn every_option_has_its_form() {
        let index = IndexDef::new(&[("home.city", UP)]);
        let cases = [
            (IndexDef { unique: true, ..index.clone() }, doc! { "unique": true }),
            (IndexDef { sparse: true, ..index.clone() }, doc! { "sparse": true }),
            (
                IndexDef { ttl_seconds: Some(86_400), ..index.clone() },
                doc! { "expireAfterSeconds": 86_400_i64 },
            ),
            (
                IndexDef {
                    partial: Some(r#"{"at": {"$gt": {"$date": "1970-01-01T00:00:01Z"}}}"#),
                    ..index.clone()
                },
                doc! { "partialFilterExpression": { "at": { "$gt": bson::DateTime::from_millis(1_000) } } },
            ),
            (
                IndexDef { collation: Some(("de", 2)), ..index.clone() },
                doc! { "collation": { "locale": "de", "strength": 2 } },
            ),
            (IndexDef { hidden: true, ..index.clone() }, doc! { "hidden": true }),
        ];
        for (index, options) in cases {
            let mut expected = doc! { "key": { "home.city": 1 }, "name": "home.city_1" };
            expected.extend(options);
            assert_eq!(made(&index), expected);
        }
        let wildcard = IndexDef { projection: Some(r#"{"secret": 0}"#), ..IndexDef::new(&[("$**", UP)]) };
        let expected = doc! { "key": { "$**": 1 }, "name": "$**_1", "wildcardProjection": { "secret": 0 } };
        assert_eq!(made(&wildcard), expected);
    }

    #[test]
    fn text_keys_make_one_index_with_weights_and_language() {
        static INDEXES: [IndexDef; 2] = [
            IndexDef {
                language: Some("german"),
                ..IndexDef::new(&[("state", UP), ("name", IndexKey::Text(10))])
            },
            IndexDef::new(&[("home.city", IndexKey::Text(1))]),
        ];
        let model = ModelDef { indexes: &INDEXES, ..ModelDef::new("Airport", "airports", &[], 0) };
        let expected = doc! {
            "key": { "state": 1, "name": "text", "home.city": "text" },
            "name": "forge_airports_fts",
            "weights": { "name": 10_i64, "home.city": 1_i64 },
            "default_language": "german",
        };
        assert_eq!(wanted(&model).unwrap(), [expected]);
    }
}
