//! Places in a sorted result: their opaque form, and the conditions that find what comes after them.

mod side;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bson::{Bson, Document, RawBsonRef, RawDocument, RawDocumentBuf, doc};

use crate::error::{Error, Result};
use crate::ir::{Collation, Filter, SortKey};
use crate::model::{Access, CREATED_AT, DELETED_AT, ModelDef, UPDATED_AT};
use crate::order;
use schemars::SchemaGenerator;
use serde_json::Value;
use side::Side;

/// The version of the form of cursors.
const VERSION: i32 = 1;
/// The longest cursor that is read.
const MAX_LENGTH: usize = 16 * 1024;

/// A place in a result: the values of one document under every key of a total order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Place(Vec<Bson>);

/// Refuses orders whose values clients may not see, and those that have no places.
///
/// # Errors
/// `internal` for a private field: the cursor would carry its values out. `unsupported` for an order that is not by
/// fields.
pub(crate) fn check(model: &ModelDef, sort: &[SortKey]) -> Result<()> {
    for key in sort {
        if model.access_at(&key.path) == Access::Private {
            return Err(Error::internal(format!(
                "{}.{} is private, and cursors would carry its values to clients; sort pages by another field, or page \
                 with skip and limit",
                model.name, key.path
            )));
        }
        if key.path == crate::ir::SCORE {
            return Err(Error::unsupported(
                "pages by cursor need an order by fields, not by score; page with skip and limit",
            ));
        }
    }
    Ok(())
}

impl Place {
    /// The place of `document`.
    ///
    /// # Errors
    /// `unsupported` where a sort key is a list of lists, which no condition can be compared with.
    pub(crate) fn of(sort: &[SortKey], document: &RawDocument) -> Result<Self> {
        for (i, key) in sort.iter().enumerate() {
            let head = head(&key.path);
            let shared = sort[..i].iter().any(|other| head == self::head(&other.path));
            if shared && matches!(document.get(head), Ok(Some(RawBsonRef::Array(_)))) {
                return Err(Error::unsupported(format!(
                    "pages cannot be sorted by two parts of the list `{head}`"
                )));
            }
        }
        let values = order::sort_values(sort, document);
        let owned = sort.iter().zip(values).map(|(key, value)| match value {
            RawBsonRef::Array(_) => Err(Error::unsupported(format!(
                "pages cannot be sorted by `{}`, which holds lists of lists",
                key.path
            ))),
            value => Ok(Bson::try_from(value)?),
        });
        owned.collect::<Result<_>>().map(Self)
    }

    /// The opaque form, for this model and order.
    ///
    /// # Errors
    /// `unsupported` where ties are to be broken by texts that the collation may find equal.
    pub(crate) fn encode(
        &self,
        model: &ModelDef,
        sort: &[SortKey],
        collation: Option<&Collation>,
    ) -> Result<String> {
        let is_text = || {
            sort.iter().zip(&self.0).any(|(key, value)| key.path == "_id" && matches!(value, Bson::String(_)))
        };
        if collation.is_some_and(|collation| collation.strength < 3) && is_text() {
            return Err(Error::unsupported(
                "pages by cursor under a collation that ignores case need ids that are no text, since different ids may be \
                 equal under it; use a collation of strength 3, or page with skip and limit",
            ));
        }
        let document = doc! { "v": VERSION, "o": fingerprint(model, sort, collation), "k": self.0.clone() };
        let raw = RawDocumentBuf::try_from(&document)?;
        Ok(URL_SAFE_NO_PAD.encode(raw.as_bytes()))
    }

    /// Reads the opaque form.
    ///
    /// # Errors
    /// `bad_request`: it is malformed, of another version, or of another model or order.
    pub(crate) fn decode(
        text: &str,
        model: &ModelDef,
        sort: &[SortKey],
        collation: Option<&Collation>,
    ) -> Result<Self> {
        let malformed = || Error::bad_request("the cursor is malformed; pass one on exactly as it was given");
        if text.len() > MAX_LENGTH {
            return Err(malformed());
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| malformed())?;
        let document = RawDocument::from_bytes(&bytes).map_err(|_| malformed())?;
        let document = Document::try_from(document).map_err(|_| malformed())?;
        match document.get("v") {
            Some(Bson::Int32(VERSION)) => {}
            Some(Bson::Int32(_)) => {
                return Err(Error::bad_request(
                    "the cursor is of another version; start from the first page",
                ));
            }
            _ => return Err(malformed()),
        }
        if document.get("o") != Some(&Bson::Int64(fingerprint(model, sort, collation))) {
            return Err(Error::bad_request(
                "the cursor belongs to another order; start from the first page, or ask in the order that it was made in",
            ));
        }
        let Ok(values) = document.get_array("k") else { return Err(malformed()) };
        if values.len() != sort.len() || !values.iter().all(comparable) {
            return Err(malformed());
        }
        Ok(Self(values.clone()))
    }

    /// The conditions on what comes after this place: to be read one after the other, each in the same order. The first
    /// finds the values of the same type under the first key, by a range that an index serves; the second the rest.
    pub(crate) fn after(&self, model: &ModelDef, sort: &[SortKey]) -> [Filter; 2] {
        let (Some(key), Some(value)) = (sort.first(), self.0.first()) else {
            return [Filter::Nothing, Filter::Nothing];
        };
        let first = Side::new(key, value);
        let rest = match (sort.get(1..), self.0.get(1..)) {
            (Some(sort), Some(values)) => beyond(sort, values),
            _ => Filter::Nothing,
        };
        let near = if may_be_list(model, &key.path) {
            first.range().and(first.beyond().or(first.level().and(rest)))
        } else if rest == Filter::Nothing {
            first.further()
        } else {
            first.range().and(first.further().or(first.here().and(rest)))
        };
        [near, first.beyond().and(first.range().negate())]
    }
}

/// What comes before a place: all that is neither there nor after it.
pub(crate) fn before(place: &Place, sort: &[SortKey]) -> Filter {
    let here = match (sort.last(), place.0.last()) {
        (Some(key), Some(value)) => Side::new(key, value).here(),
        _ => Filter::All,
    };
    beyond(sort, &place.0).or(here).negate()
}

/// Whether documents may hold a list at `path`, so that each element counts. Only what the model says to be no list
/// needs no guard against that; a document that says otherwise cannot be read.
pub(crate) fn may_be_list(model: &ModelDef, path: &str) -> bool {
    if path == "_id" || [CREATED_AT, UPDATED_AT, DELETED_AT].contains(&path) {
        return false;
    }
    let (mut fields, mut rest) = (model.fields, path);
    loop {
        let (head, tail) = rest.split_once('.').map_or((rest, None), |(head, tail)| (head, Some(tail)));
        let Some(field) = fields.iter().find(|field| field.stored == head) else { return true };
        let mut generator = SchemaGenerator::default();
        let schema = (field.schema)(&mut generator);
        if !is_no_list(schema.as_value(), &generator, 0) {
            return true;
        }
        match (tail, field.embed) {
            (None, _) => return false,
            (Some(tail), Some(embed)) => (fields, rest) = (embed().fields, tail),
            (Some(_), None) => return true,
        }
    }
}

/// Whether a schema allows no arrays, for certain.
fn is_no_list(schema: &Value, generator: &SchemaGenerator, depth: u8) -> bool {
    let plain = |name: &Value| name.as_str().is_some_and(|name| name != "array");
    match (schema.get("type"), schema.get("$ref"), schema.get("anyOf")) {
        (Some(Value::Array(names)), ..) => names.iter().all(plain),
        (Some(name), ..) => plain(name),
        (_, Some(Value::String(link)), _) if depth < 4 => {
            let name = link.rsplit('/').next().unwrap_or_default();
            generator.definitions().get(name).is_some_and(|schema| is_no_list(schema, generator, depth + 1))
        }
        (.., Some(Value::Array(any))) => any.iter().all(|schema| is_no_list(schema, generator, depth)),
        _ => schema.get("enum").is_some(),
    }
}

fn head(path: &str) -> &str {
    path.split_once('.').map_or(path, |(head, _)| head)
}

/// What comes after `values`, whatever its types.
fn beyond(sort: &[SortKey], values: &[Bson]) -> Filter {
    let (Some(key), Some(value)) = (sort.first(), values.first()) else { return Filter::Nothing };
    let side = Side::new(key, value);
    side.beyond().or(side.level().and(beyond(&sort[1..], &values[1..])))
}

/// A number that differs between orders and between models.
fn fingerprint(model: &ModelDef, sort: &[SortKey], collation: Option<&Collation>) -> i64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut eat = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    eat(model.collection.as_bytes());
    for key in sort {
        eat(if key.descending { b"\0-" } else { b"\0+" });
        eat(key.path.as_bytes());
    }
    if let Some(Collation { locale, strength }) = collation {
        eat(&[b'\0', b'~', *strength]);
        eat(locale.as_bytes());
    }
    hash.cast_signed()
}

/// Whether a value that came from outside can stand in a comparison.
fn comparable(value: &Bson) -> bool {
    !matches!(
        value,
        Bson::Array(_)
            | Bson::RegularExpression(_)
            | Bson::JavaScriptCode(_)
            | Bson::JavaScriptCodeWithScope(_)
            | Bson::DbPointer(_)
            | Bson::Symbol(_)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorCode;
    use crate::model::{FieldDef, ModelDef};

    static MODEL: ModelDef = ModelDef::new("Item", "items", &FIELDS, 0);
    static FIELDS: [FieldDef; 1] =
        [FieldDef::new("id", "_id", "id", schemars::SchemaGenerator::subschema_for::<i64>)];

    fn sort(keys: &[(&'static str, bool)]) -> Vec<SortKey> {
        keys.iter()
            .map(|(path, descending)| SortKey { path: (*path).into(), descending: *descending })
            .collect()
    }

    #[test]
    fn a_cursor_is_opaque_and_comes_back() {
        let keys = sort(&[("a", false), ("_id", false)]);
        let place = Place(vec![Bson::String("x".into()), Bson::Int64(7)]);
        let text = place.encode(&MODEL, &keys, None).unwrap();
        assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'), "{text}");
        assert_eq!(Place::decode(&text, &MODEL, &keys, None).unwrap(), place);
    }

    #[test]
    fn what_is_no_cursor_of_this_order_is_a_bad_request() {
        let keys = sort(&[("a", false), ("_id", false)]);
        let place = Place(vec![Bson::Null, Bson::Int64(7)]);
        let good = place.encode(&MODEL, &keys, None).unwrap();
        let encode = |document: Document| {
            URL_SAFE_NO_PAD.encode(RawDocumentBuf::try_from(&document).unwrap().as_bytes())
        };
        let o = fingerprint(&MODEL, &keys, None);
        let bad = [
            String::new(),
            "!".to_owned(),
            good[..good.len() - 3].to_owned(),
            "A".repeat(MAX_LENGTH + 1),
            encode(doc! { "v": 2, "o": o, "k": [1, 2] }),
            encode(doc! { "v": 1, "o": 5_i64, "k": [1, 2] }),
            encode(doc! { "v": 1, "o": o, "k": [1] }),
            encode(doc! { "v": 1, "o": o, "k": [1, [2]] }),
            encode(doc! { "v": 1, "o": o }),
            place.encode(&MODEL, &sort(&[("a", true), ("_id", false)]), None).unwrap(),
        ];
        for text in bad {
            assert_eq!(
                Place::decode(&text, &MODEL, &keys, None).unwrap_err().code(),
                ErrorCode::BadRequest,
                "{text}"
            );
        }
    }

    #[test]
    fn a_cursor_holds_under_its_collation_alone() {
        let keys = sort(&[("a", false), ("_id", false)]);
        let collations = [None, Some(Collation::letters("en")), Some(Collation::ignore_case("en"))];
        let place = Place(vec![Bson::Null, Bson::Int64(7)]);
        for (made, one) in collations.iter().enumerate() {
            let text = place.encode(&MODEL, &keys, one.as_ref()).unwrap();
            for (read, other) in collations.iter().enumerate() {
                assert_eq!(Place::decode(&text, &MODEL, &keys, other.as_ref()).is_ok(), made == read);
            }
        }
    }

    #[test]
    fn ids_that_a_collation_may_find_equal_do_not_break_ties() {
        let keys = sort(&[("a", false), ("_id", false)]);
        let encode = |id: Bson, strength| {
            let collation = Collation { locale: "en".into(), strength };
            Place(vec!["x".into(), id]).encode(&MODEL, &keys, Some(&collation)).map_err(|error| error.code())
        };
        assert_eq!(encode("a".into(), 2), Err(ErrorCode::Unsupported));
        assert!(encode("a".into(), 3).is_ok());
        assert!(encode(1.into(), 1).is_ok());
    }
}
