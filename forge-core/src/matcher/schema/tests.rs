use bson::{Bson, Document, RawDocumentBuf, doc};

use super::DocumentSchema;
use crate::error::ErrorCode;

#[allow(clippy::needless_pass_by_value, reason = "cases read better with values in place")]
fn problem(schema: &Document, value: Document) -> Option<String> {
    let schema = DocumentSchema::new(schema).unwrap();
    let document = RawDocumentBuf::try_from(value).unwrap();
    let problem = schema.problem(&document);
    assert_eq!(schema.accepts(&document), problem.is_none());
    problem
}

/// Whether each value passes, as the field `a`.
fn passes<const N: usize>(schema: Document, cases: [(Bson, bool); N]) {
    let schema = doc! { "properties": { "a": schema } };
    for (value, expected) in cases {
        let found = problem(&schema, doc! { "a": value.clone() });
        assert_eq!(found.is_none(), expected, "{schema} on {value}: {found:?}");
    }
}

#[test]
fn what_is_wrong_is_named_with_its_path() {
    let schema = doc! {
        "bsonType": "object",
        "required": ["name"],
        "properties": {
            "name": { "bsonType": "string", "minLength": 2, "pattern": "^[a-z]+$" },
            "n": { "bsonType": ["int", "long", "null"], "minimum": 0, "maximum": 9.5, "exclusiveMaximum": true },
            "kind": { "enum": ["red", 3] },
            "past": { "bsonType": "array", "maxItems": 2, "items": { "required": ["zip"] } },
        },
    };
    let cases = [
        (doc! { "name": "ab", "n": 0_i64, "kind": 3.0, "past": [{ "zip": 1 }], "other": true }, None),
        (doc! { "name": "ab", "n": null }, None),
        (doc! {}, Some("`name` is missing")),
        (doc! { "name": 5 }, Some("`name` is int, not string")),
        (doc! { "name": "a" }, Some("`name` has 1, not at least 2 characters")),
        (doc! { "name": "AB" }, Some("`name` does not match ^[a-z]+$")),
        (doc! { "name": "ab", "n": -1 }, Some("`n` is too small: -1")),
        (doc! { "name": "ab", "n": 9.5 }, Some("`n` is double, not int or long or null")),
        (doc! { "name": "ab", "kind": "blue" }, Some("`kind` is none of the allowed values")),
        (doc! { "name": "ab", "past": [{ "zip": 1 }, {}] }, Some("`past.1.zip` is missing")),
        (
            doc! { "name": "ab", "past": [{ "zip": 1 }, { "zip": 1 }, { "zip": 1 }] },
            Some("`past` has 3, not at most 2 items"),
        ),
    ];
    for (value, expected) in cases {
        assert_eq!(problem(&schema, value.clone()).as_deref(), expected, "{value}");
    }
    let counted = problem(&doc! { "maxProperties": 1 }, doc! { "a": 1, "b": 1 });
    assert_eq!(counted.as_deref(), Some("`(root)` has 2, not at most 1 fields"));
}

#[test]
fn types_go_by_the_names_of_bson_or_of_json() {
    passes(doc! { "bsonType": "number" }, [(1.into(), true), (1.5.into(), true), ("1".into(), false)]);
    passes(doc! { "type": "number" }, [(1_i64.into(), true), (true.into(), false)]);
    passes(
        doc! { "type": ["boolean", "null"] },
        [(true.into(), true), (Bson::Null, true), (0.into(), false)],
    );
    passes(doc! { "bsonType": "bool" }, [(true.into(), true)]);
    passes(doc! { "bsonType": "object" }, [(doc! {}.into(), true), (Bson::Array(vec![]), false)]);
    assert!(problem(&doc! { "bsonType": "array" }, doc! {}).is_some(), "the document itself is none");
}

#[test]
fn numbers_have_bounds_and_divisors() {
    let open = doc! { "minimum": 1, "exclusiveMinimum": true, "maximum": 2.5 };
    passes(
        open,
        [
            (1.into(), false),
            (1.5.into(), true),
            (2.5.into(), true),
            (3_i64.into(), false),
            ("x".into(), true),
        ],
    );
    passes(doc! { "minimum": 0 }, [(f64::NAN.into(), false), (0.into(), true)]);
    passes(
        doc! { "multipleOf": 0.1 },
        [(0.3.into(), true), (0.35.into(), false), (f64::INFINITY.into(), false)],
    );
    passes(
        doc! { "multipleOf": 3 },
        [(9.into(), true), ((-3).into(), true), (10.0.into(), false), ("9".into(), true)],
    );
}

#[test]
fn text_is_counted_in_characters_and_searched() {
    passes(doc! { "maxLength": 2.0 }, [("äö".into(), true), ("abc".into(), false), (12345.into(), true)]);
    passes(doc! { "pattern": "b" }, [("abc".into(), true), ("ac".into(), false), (5.into(), true)]);
}

#[test]
fn items_are_checked_by_place_and_as_a_whole() {
    let list = |values: &[i32]| Bson::Array(values.iter().copied().map(Bson::from).collect());
    passes(
        doc! { "items": { "minimum": 1 } },
        [(list(&[1, 2]), true), (list(&[1, 0]), false), (5.into(), true)],
    );
    let placed = doc! { "items": [{ "minimum": 5 }, {}], "additionalItems": { "maximum": 0 } };
    passes(
        placed,
        [(list(&[5]), true), (list(&[4]), false), (list(&[5, 9, 0]), true), (list(&[5, 9, 1]), false)],
    );
    let closed = doc! { "items": [{}], "additionalItems": false };
    passes(closed, [(list(&[1]), true), (list(&[1, 2]), false)]);
    passes(doc! { "items": {}, "additionalItems": false }, [(list(&[1, 2]), true)]);
    passes(doc! { "minItems": 2 }, [(list(&[1]), false), (list(&[1, 2]), true)]);
    let same: Bson = vec![doc! { "x": 1, "y": [2.0] }, doc! { "y": [2], "x": 1_i64 }].into();
    passes(
        doc! { "uniqueItems": true },
        [(list(&[1, 2]), true), (list(&[1, 2, 1]), false), (same.clone(), false)],
    );
    passes(doc! { "uniqueItems": false }, [(same, true)]);
}

#[test]
fn values_of_an_enum_have_no_order_of_fields() {
    let values = doc! { "enum": [{ "x": 1, "y": { "p": 1, "q": 2 } }, null, [1]] };
    passes(
        values,
        [
            (doc! { "y": { "q": 2, "p": 1.0 }, "x": 1 }.into(), true),
            (doc! { "x": 1 }.into(), false),
            (Bson::Null, true),
            (vec![1].into(), true),
            (1.into(), false),
        ],
    );
}

#[test]
fn alternatives_and_unknown_fields() {
    let one = doc! { "oneOf": [{ "required": ["a"] }, { "required": ["b"] }] };
    assert!(problem(&one, doc! { "a": 1 }).is_none());
    assert!(problem(&one, doc! { "a": 1, "b": 1 }).is_some());
    let closed =
        doc! { "properties": { "a": {} }, "patternProperties": { "^x_": {} }, "additionalProperties": false };
    assert!(problem(&closed, doc! { "a": 1, "x_b": 1 }).is_none());
    assert_eq!(problem(&closed, doc! { "b": 1 }).as_deref(), Some("`b` is not known"));
    let open = doc! { "properties": { "a": {} }, "additionalProperties": { "type": "string" } };
    assert!(problem(&open, doc! { "a": 1, "b": "x" }).is_none());
    assert_eq!(problem(&open, doc! { "b": 1 }).as_deref(), Some("`b` is int, not string"));
    let like = doc! { "patternProperties": { "^n_": { "minimum": 5 } } };
    assert!(problem(&like, doc! { "n_a": 4 }).is_some());
    assert!(problem(&doc! { "not": { "required": ["a"] } }, doc! { "a": 1 }).is_some());
    assert!(
        problem(&doc! { "allOf": [{ "required": ["a"] }, { "minProperties": 2 }] }, doc! { "a": 1 })
            .is_some()
    );
    assert!(
        problem(&doc! { "anyOf": [{ "required": ["a"] }, { "minProperties": 2 }] }, doc! { "a": 1 })
            .is_none()
    );
}

#[test]
fn fields_depend_on_fields() {
    let together = doc! { "dependencies": { "card": ["address", "zip"] } };
    assert!(problem(&together, doc! {}).is_none());
    assert_eq!(problem(&together, doc! { "card": 1, "zip": 1 }).as_deref(), Some("`address` is missing"));
    let implies = doc! { "dependencies": { "card": { "properties": { "zip": { "type": "string" } } } } };
    assert!(problem(&implies, doc! { "zip": 1 }).is_none());
    assert!(problem(&implies, doc! { "zip": 1, "card": 1 }).is_some());
}

#[test]
fn what_says_nothing_is_taken() {
    assert!(problem(&doc! { "title": "t", "description": "d" }, doc! {}).is_none());
    assert!(problem(&doc! {}, doc! { "a": 1 }).is_none());
}

#[test]
fn wrong_schemas_are_refused_by_the_codes_of_servers() {
    let deep = (0..100).fold(doc! {}, |inner, _| doc! { "not": inner });
    for (schema, code, server_code) in [
        (doc! { "$ref": "x" }, ErrorCode::Unsupported, 9),
        (doc! { "properties": { "a": { "const": 1 } } }, ErrorCode::Unsupported, 9),
        (doc! { "title": 5 }, ErrorCode::BadRequest, 14),
        (doc! { "type": "integer" }, ErrorCode::Unsupported, 9),
        (doc! { "type": "int" }, ErrorCode::Unsupported, 2),
        (doc! { "bsonType": "text" }, ErrorCode::Unsupported, 2),
        (doc! { "bsonType": 16 }, ErrorCode::BadRequest, 14),
        (doc! { "bsonType": [] }, ErrorCode::BadRequest, 9),
        (doc! { "type": "object", "bsonType": "object" }, ErrorCode::BadRequest, 9),
        (doc! { "required": [] }, ErrorCode::BadRequest, 9),
        (doc! { "required": ["a", "a"] }, ErrorCode::BadRequest, 9),
        (doc! { "required": true }, ErrorCode::BadRequest, 14),
        (doc! { "enum": [] }, ErrorCode::BadRequest, 9),
        (doc! { "enum": [1, 1.0] }, ErrorCode::BadRequest, 9),
        (doc! { "minLength": -1 }, ErrorCode::BadRequest, 9),
        (doc! { "minLength": 1.5 }, ErrorCode::BadRequest, 9),
        (doc! { "minLength": "1" }, ErrorCode::BadRequest, 14),
        (doc! { "minimum": "1" }, ErrorCode::BadRequest, 14),
        (doc! { "exclusiveMinimum": true }, ErrorCode::BadRequest, 9),
        (doc! { "multipleOf": 0 }, ErrorCode::BadRequest, 9),
        (doc! { "anyOf": [] }, ErrorCode::BadRequest, 2),
        (doc! { "anyOf": [1] }, ErrorCode::BadRequest, 14),
        (doc! { "not": 1 }, ErrorCode::BadRequest, 14),
        (doc! { "properties": { "a": 1 } }, ErrorCode::BadRequest, 14),
        (doc! { "dependencies": { "a": [] } }, ErrorCode::BadRequest, 9),
        (doc! { "uniqueItems": 1 }, ErrorCode::BadRequest, 14),
        (deep, ErrorCode::BadRequest, 9),
    ] {
        let error = DocumentSchema::new(&schema).unwrap_err();
        assert_eq!((error.code(), error.server_code()), (code, Some(server_code)), "{schema}: {error}");
    }
    assert!(DocumentSchema::new(&doc! { "pattern": "(?=a)" }).is_err());
}
