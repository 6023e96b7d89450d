use bson::spec::BinarySubtype;
use bson::{Binary, Bson, RawBson, RawDocumentBuf, bson, rawdoc};

use super::*;
use crate::ErrorCode;
use crate::ir::{Bits, Predicate, Quantifier, RelationFilter};
use crate::model::{ModelDef, ModelRef};
use crate::types::GeoPoint;

mod generated;
mod live;
mod operators;
mod places;
mod positions;

fn field(path: &'static str, predicate: Predicate) -> Filter {
    Filter::Field(path.into(), predicate)
}

fn matcher(filter: &Filter) -> Matcher {
    Matcher::new(filter).unwrap()
}

/// Checks which of the documents match; every row is a document and whether it does.
fn check(filter: &Filter, rows: &[(RawDocumentBuf, bool)]) {
    let matcher = matcher(filter);
    for (document, expected) in rows {
        assert_eq!(matcher.matches(document), *expected, "{filter:?} on {document:?}");
    }
}

fn raw(value: Bson) -> RawDocumentBuf {
    let Bson::Document(document) = value else { panic!("{value:?} is no document") };
    RawDocumentBuf::try_from(document).unwrap()
}

fn decimal(text: &str) -> Bson {
    Bson::Decimal128(text.parse().unwrap())
}

static FLIGHT: ModelDef = ModelDef::new("Flight", "flights", &[], 0);

#[test]
fn relation_filters_are_refused_not_passed() {
    let filter = Filter::Not(Box::new(Filter::Relation(RelationFilter {
        model: ModelRef(&FLIGHT),
        relation: "origin".into(),
        quantifier: Quantifier::Some,
        filter: Box::new(Filter::All),
        with_deleted: false,
    })));
    let error = Matcher::new(&filter).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Internal);
    assert!(error.message().contains("`origin`"), "{error}");
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth| (0..depth).fold(Filter::eq("a", 1), |inner, _| Filter::Not(Box::new(inner)));
    assert!(matcher(&nested(90)).matches(&rawdoc! { "a": 1 }));
    assert_eq!(Matcher::new(&nested(200)).unwrap_err().code(), ErrorCode::TooLarge);
    let elements =
        (0..200).fold(Filter::eq("a", 1), |inner, _| field("a", Predicate::Element(Box::new(inner))));
    assert_eq!(Matcher::new(&elements).unwrap_err().code(), ErrorCode::TooLarge);
    let ands = (0..200).fold(Filter::eq("a", 1), |inner, _| Filter::And(vec![inner]));
    assert_eq!(Matcher::new(&ands).unwrap_err().code(), ErrorCode::TooLarge);
}

#[test]
fn operands_that_cannot_mean_anything_are_refused_with_the_path() {
    let cases = [
        field("a", Predicate::Eq(Bson::Undefined)),
        field("a", Predicate::In(vec![Bson::Undefined])),
        field("a", Predicate::Regex { pattern: "(".into(), options: String::new() }),
        field("a", Predicate::Near { point: [200.0, 0.0], max_metres: None, min_metres: None }),
        field("a", Predicate::WithinCircle { centre: [0.0, 0.0], metres: -1.0 }),
        field("a", Predicate::WithinCircle { centre: [0.0, 0.0], metres: f64::NAN }),
    ];
    for filter in cases {
        let error = Matcher::new(&filter).unwrap_err();
        assert_eq!(error.code(), ErrorCode::BadRequest, "{filter:?}");
        assert!(error.message().contains("`a`"), "{filter:?}: {error}");
    }
}

#[test]
fn paths_name_everything_the_filter_depends_on_once() {
    let filter = Filter::And(vec![
        Filter::Or(vec![Filter::eq("b", 1), Filter::Not(Box::new(Filter::eq("a.x", 1)))]),
        field("legs", Predicate::Element(Box::new(Filter::eq("km", 1)))),
        field("b", Predicate::Exists(true)),
    ]);
    assert_eq!(matcher(&filter).paths(), ["a.x", "b", "legs"]);
}

#[test]
fn equalities_are_the_lookups_that_every_match_satisfies() {
    let regex = Bson::RegularExpression(bson::Regex {
        pattern: bson::raw::cstr!("x").into(),
        options: bson::raw::cstr!("").into(),
    });
    let filter = Filter::And(vec![
        Filter::eq("a", 1),
        Filter::And(vec![field("b", Predicate::In(vec![bson!("x"), Bson::Null]))]),
        Filter::Or(vec![Filter::eq("c", 1), Filter::eq("d", 1)]),
        Filter::Not(Box::new(Filter::eq("e", 1))),
        Filter::eq("f", bson!([1])),
        field("g", Predicate::In(vec![regex])),
        Filter::eq("h.0", 1),
        field("i", Predicate::Ne(bson!(1))),
        field("j", Predicate::Gt(bson!(1))),
    ]);
    let matcher = matcher(&filter);
    let found: Vec<_> =
        matcher.equalities().into_iter().map(|(path, values)| (&**path, values.to_vec())).collect();
    assert_eq!(found, [("a", vec![bson!(1)]), ("b", vec![bson!("x"), Bson::Null])]);
}
