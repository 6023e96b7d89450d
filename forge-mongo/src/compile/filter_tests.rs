use bson::{Bson, Regex, doc};
use forge_core::ir::{
    Area, Comparison, Filter, Geometry, Path, Predicate, Quantifier, RelationFilter, TextQuery,
};
use forge_core::model::ModelRef;
use forge_core::{ErrorCode, GeoPoint};

use super::{Place, filter};
use crate::testing::FLIGHT;

fn field(path: &'static str, predicate: Predicate) -> Filter {
    Filter::Field(Path::Borrowed(path), predicate)
}

fn near(max_metres: Option<f64>) -> Filter {
    field("at", Predicate::Near { point: [1.0, 2.0], max_metres, min_metres: None })
}

/// The condition as one line of JSON.
fn json(condition: &Filter) -> String {
    serde_json::to_string(&filter(condition, Place::Find).unwrap()).unwrap()
}

#[test]
fn conditions_on_different_paths_are_one_document() {
    let both = Filter::eq("a", 1).and(field("b", Predicate::Gt(2.into()))).and(Filter::eq("c", Bson::Null));
    insta::assert_snapshot!(json(&both), @r#"{"a":1,"b":{"$gt":2},"c":null}"#);
}

#[test]
fn conditions_on_one_path_share_it_where_their_operators_differ() {
    let range = field("a", Predicate::Gte(1.into())).and(field("a", Predicate::Lt(5.into())));
    insta::assert_snapshot!(json(&range), @r#"{"a":{"$gte":1,"$lt":5}}"#);
    let equal = Filter::eq("a", 3).and(field("a", Predicate::Lt(5.into())));
    insta::assert_snapshot!(json(&equal), @r#"{"a":{"$eq":3,"$lt":5}}"#);
    let ignoring_case = Predicate::Regex { pattern: "^x".into(), options: "i".into() };
    let text = field("a", ignoring_case).and(field("a", Predicate::Ne("xy".into())));
    insta::assert_snapshot!(json(&text), @r#"{"a":{"$regex":"^x","$options":"i","$ne":"xy"}}"#);
}

#[test]
fn and_is_used_only_where_a_key_collides() {
    let twice = Filter::eq("a", 1).and(Filter::eq("a", 2)).and(Filter::eq("b", 3));
    insta::assert_snapshot!(json(&twice), @r#"{"a":1,"b":3,"$and":[{"a":2}]}"#);
    let either = |path: &'static str| Filter::eq(path, 1).or(Filter::eq(path, 2));
    let both = either("a").and(either("b"));
    insta::assert_snapshot!(json(&both), @r#"{"$or":[{"a":1},{"a":2}],"$and":[{"$or":[{"b":1},{"b":2}]}]}"#);
    insta::assert_snapshot!(json(&Filter::eq("a", 1).and(Filter::eq("a", 1))), @r#"{"a":1}"#);
}

#[test]
fn values_that_look_like_operators_are_compared_and_not_run() {
    insta::assert_snapshot!(json(&Filter::eq("a", doc! { "$gt": "" })), @r#"{"a":{"$eq":{"$gt":""}}}"#);
    let regex =
        Bson::RegularExpression(Regex { pattern: "x".try_into().unwrap(), options: "".try_into().unwrap() });
    let condition = filter(&Filter::eq("a", regex.clone()), Place::Find).unwrap();
    assert_eq!(condition, doc! { "a": { "$eq": regex } });
    insta::assert_snapshot!(json(&Filter::eq("a", doc! { "b": 1 })), @r#"{"a":{"b":1}}"#);
}

#[test]
fn paths_that_look_like_operators_are_refused() {
    for path in ["$where", "$or", "", "a\0b"] {
        let error = filter(&Filter::Field(Path::Owned(path.into()), Predicate::Eq(1.into())), Place::Find)
            .unwrap_err();
        assert_eq!(error.code(), ErrorCode::BadRequest, "{path:?}");
    }
}

#[test]
fn negations_stay_on_their_path_where_the_meaning_is_the_same() {
    let cases = [
        (Predicate::Eq(1.into()), r#"{"a":{"$ne":1}}"#),
        (Predicate::Ne(1.into()), r#"{"a":1}"#),
        (Predicate::In(vec![1.into(), 2.into()]), r#"{"a":{"$nin":[1,2]}}"#),
        (Predicate::NotIn(vec![1.into(), 2.into()]), r#"{"a":{"$in":[1,2]}}"#),
        (Predicate::Exists(true), r#"{"a":{"$exists":false}}"#),
        (Predicate::Gt(1.into()), r#"{"a":{"$not":{"$gt":1}}}"#),
        (Predicate::Eq(doc! { "$x": 1 }.into()), r#"{"a":{"$not":{"$eq":{"$x":1}}}}"#),
    ];
    for (predicate, expected) in cases {
        assert_eq!(json(&field("a", predicate).negate()), expected);
    }
}

#[test]
fn a_negated_list_is_nor_and_a_negated_choice_is_flat() {
    let both = Filter::eq("a", 1).and(Filter::eq("b", 2));
    insta::assert_snapshot!(json(&both.clone().negate()), @r#"{"$nor":[{"a":1,"b":2}]}"#);
    let either = Filter::eq("a", 1).or(Filter::eq("b", 2));
    insta::assert_snapshot!(json(&either.negate()), @r#"{"a":{"$ne":1},"b":{"$ne":2}}"#);
    insta::assert_snapshot!(json(&Filter::Not(Box::new(Filter::Not(Box::new(both))))), @r#"{"a":1,"b":2}"#);
}

#[test]
fn what_cannot_hold_is_the_condition_that_finds_nothing() {
    let nothing = r#"{"_id":{"$in":[]}}"#;
    let a = || Filter::eq("a", 1);
    let empty = [
        Filter::Nothing,
        Filter::Or(Vec::new()),
        Filter::And(vec![a(), Filter::Or(Vec::new())]),
        Filter::Not(Box::new(Filter::All)),
        Filter::Not(Box::new(Filter::And(Vec::new()))),
        field("a", Predicate::In(Vec::new())),
        field("a", Predicate::HasEvery(Vec::new())),
        field("a", Predicate::Size(-1)),
    ];
    for filter in empty {
        assert_eq!(json(&filter), nothing, "{filter:?}");
    }
    let everything = [
        Filter::All,
        Filter::And(Vec::new()),
        Filter::Or(vec![a(), Filter::All]),
        field("a", Predicate::NotIn(vec![])),
    ];
    for filter in everything {
        assert_eq!(json(&filter), "{}", "{filter:?}");
    }
}

#[test]
fn relation_filters_never_compile() {
    let relation = || {
        Filter::Relation(RelationFilter {
            model: ModelRef(&FLIGHT),
            relation: "origin".into(),
            quantifier: Quantifier::Some,
            filter: Box::new(Filter::eq("state", "CA")),
            with_deleted: false,
        })
    };
    let places = [
        relation(),
        Filter::Not(Box::new(relation())),
        Filter::Or(vec![Filter::eq("a", 1), relation()]),
        Filter::And(vec![Filter::eq("a", 1), relation()]),
        field("a", Predicate::Element(Box::new(relation()))),
    ];
    for condition in places {
        let error = filter(&condition, Place::Find).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Internal);
        assert!(error.message().contains("Flight.origin"), "{error}");
    }
}

#[test]
fn near_is_ordered_in_find_and_a_circle_elsewhere() {
    insta::assert_snapshot!(
        json(&near(Some(500.0))),
        @r#"{"at":{"$nearSphere":{"$geometry":{"type":"Point","coordinates":[1.0,2.0]},"$maxDistance":500.0}}}"#
    );
    let circle = doc! { "at": { "$geoWithin": { "$centerSphere": [[1.0, 2.0], 6378.1 / 6_378_100.0] } } };
    assert_eq!(filter(&near(Some(6378.1)), Place::Elsewhere).unwrap(), circle);
    let nested = filter(&Filter::eq("a", 1).or(near(Some(6378.1))), Place::Find).unwrap();
    assert_eq!(nested, doc! { "$or": [{ "a": 1 }, circle] });
    let error = filter(&near(None), Place::Elsewhere).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Unsupported);
    assert!(error.message().contains("$nearSphere"), "{error}");
}

#[test]
fn parts_of_one_kind_are_one_geometry_and_others_a_collection() {
    let at = |longitude, latitude| GeoPoint::new(longitude, latitude).unwrap();
    let points = || vec![Geometry::Point(at(1.0, 2.0)), Geometry::Point(at(3.0, 4.0))];
    let line = || Geometry::Line(vec![at(0.0, 0.0), at(5.0, 6.0)]);
    let meets = |parts| json(&field("at", Predicate::Intersects(Geometry::of(parts))));
    insta::assert_snapshot!(meets(vec![line()]), @r#"{"at":{"$geoIntersects":{"$geometry":{"type":"LineString","coordinates":[[0.0,0.0],[5.0,6.0]]}}}}"#);
    insta::assert_snapshot!(meets(points()), @r#"{"at":{"$geoIntersects":{"$geometry":{"type":"MultiPoint","coordinates":[[1.0,2.0],[3.0,4.0]]}}}}"#);
    insta::assert_snapshot!(meets(vec![line(), line()]), @r#"{"at":{"$geoIntersects":{"$geometry":{"type":"MultiLineString","coordinates":[[[0.0,0.0],[5.0,6.0]],[[0.0,0.0],[5.0,6.0]]]}}}}"#);
    let mixed = points().into_iter().skip(1).chain([line()]).collect();
    insta::assert_snapshot!(meets(mixed), @r#"{"at":{"$geoIntersects":{"$geometry":{"type":"GeometryCollection","geometries":[{"type":"Point","coordinates":[3.0,4.0]},{"type":"LineString","coordinates":[[0.0,0.0],[5.0,6.0]]}]}}}}"#);
}

#[test]
fn places_on_a_plane_are_asked_for_in_pairs() {
    let near = |max, min| field("at", Predicate::NearOnPlane { point: [1.0, 2.0], max, min });
    insta::assert_snapshot!(json(&near(Some(5.0), Some(1.0))), @r#"{"at":{"$near":[1.0,2.0],"$maxDistance":5.0,"$minDistance":1.0}}"#);
    let elsewhere = filter(&near(Some(5.0), None), Place::Elsewhere).unwrap();
    assert_eq!(elsewhere, doc! { "at": { "$geoWithin": { "$center": [[1.0, 2.0], 5.0] } } });
    assert_eq!(filter(&near(None, None), Place::Nested).unwrap_err().code(), ErrorCode::Unsupported);
    let within = |area| json(&field("at", Predicate::Within(area)));
    insta::assert_snapshot!(within(Area::Rectangle { low: [0.0, 0.0], high: [500.0, 1.0] }), @r#"{"at":{"$geoWithin":{"$box":[[0.0,0.0],[500.0,1.0]]}}}"#);
    insta::assert_snapshot!(within(Area::Outline(vec![[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]])), @r#"{"at":{"$geoWithin":{"$polygon":[[0.0,0.0],[2.0,0.0],[0.0,2.0]]}}}"#);
}

#[test]
fn lists_of_one_value_are_equality() {
    insta::assert_snapshot!(json(&field("a", Predicate::In(vec![1.into()]))), @r#"{"a":1}"#);
    insta::assert_snapshot!(json(&field("a", Predicate::HasEvery(vec![1.into()]))), @r#"{"a":1}"#);
    insta::assert_snapshot!(json(&field("a", Predicate::HasEvery(vec![1.into(), 2.into()]))), @r#"{"a":{"$all":[1,2]}}"#);
}

#[test]
fn elements_match_by_one_condition() {
    let leg = Filter::eq("from", "LAX").and(field("km", Predicate::Gt(100.into())));
    let condition = field("legs", Predicate::Element(Box::new(leg)));
    insta::assert_snapshot!(json(&condition), @r#"{"legs":{"$elemMatch":{"from":"LAX","km":{"$gt":100}}}}"#);
}

#[test]
fn a_distance_stands_alone_on_its_path_and_at_the_top() {
    let exists = || field("at", Predicate::Exists(true));
    for both in [near(None).and(exists()), exists().and(near(None))] {
        insta::allow_duplicates! {
            insta::assert_snapshot!(
                json(&both),
                @r#"{"at":{"$nearSphere":{"$geometry":{"type":"Point","coordinates":[1.0,2.0]}}},"$and":[{"at":{"$exists":true}}]}"#
            );
        }
    }
}

#[test]
fn an_expression_stands_only_where_two_fields_compare() {
    let longer = Filter::Compare("a".into(), Comparison::Gt, "b.c".into()).and(Filter::eq("d", 1));
    insta::assert_snapshot!(json(&longer), @r#"{"$expr":{"$gt":[{"$ifNull":["$a",null]},{"$ifNull":["$b.c",null]}]},"d":1}"#);
    let inside =
        field("list", Predicate::Element(Box::new(Filter::Compare("a".into(), Comparison::Eq, "b".into()))));
    assert_eq!(filter(&inside, Place::Find).unwrap_err().code(), ErrorCode::Unsupported);
}

#[test]
fn conditions_on_elements_are_operators_without_a_path() {
    let element = |inner| field("n", Predicate::Element(Box::new(inner)));
    let own = |predicate| field("", predicate);
    let both = own(Predicate::Gt(1.into())).and(own(Predicate::Lt(5.into())));
    insta::assert_snapshot!(json(&element(both.clone())), @r#"{"n":{"$elemMatch":{"$gt":1,"$lt":5}}}"#);
    insta::assert_snapshot!(json(&element(own(Predicate::Eq(1.into())))), @r#"{"n":{"$elemMatch":{"$eq":1}}}"#);
    let twice = own(Predicate::Gt(1.into())).and(own(Predicate::Gt(2.into())));
    insta::assert_snapshot!(json(&element(twice)), @r#"{"n":{"$elemMatch":{"$gt":1,"$not":{"$not":{"$gt":2}}}}}"#);
    let either = own(Predicate::Eq(1.into())).or(own(Predicate::Eq(2.into())));
    insta::assert_snapshot!(json(&element(either)), @r#"{"$or":[{"n":{"$elemMatch":{"$eq":1}}},{"n":{"$elemMatch":{"$eq":2}}}]}"#);
    insta::assert_snapshot!(json(&element(both.negate()).negate()), @r#"{"n":{"$not":{"$elemMatch":{"$not":{"$gt":1}}}},"$and":[{"n":{"$not":{"$elemMatch":{"$not":{"$lt":5}}}}}]}"#);
}

#[test]
fn words_stand_at_the_top_once() {
    let text = || Filter::Text(TextQuery { query: "x".into(), case_sensitive: true, ..TextQuery::default() });
    insta::assert_snapshot!(json(&text().and(Filter::eq("a", 1))), @r#"{"$text":{"$search":"x","$caseSensitive":true},"a":1}"#);
    for misplaced in [text().or(Filter::eq("a", 1)), text().negate(), text().and(text())] {
        assert_eq!(filter(&misplaced, Place::Elsewhere).unwrap_err().code(), ErrorCode::Unsupported);
    }
}

#[test]
fn a_box_across_the_date_line_is_two() {
    let area = |west, east| field("at", Predicate::Within(Area::Box { west, south: -1.0, east, north: 1.0 }));
    insta::assert_snapshot!(json(&area(0.0, 2.0)), @r#"{"at":{"$geoWithin":{"$box":[[0.0,-1.0],[2.0,1.0]]}}}"#);
    insta::assert_snapshot!(json(&area(179.0, -179.0)), @r#"{"$or":[{"at":{"$geoWithin":{"$box":[[179.0,-1.0],[180.0,1.0]]}}},{"at":{"$geoWithin":{"$box":[[-180.0,-1.0],[-179.0,1.0]]}}}]}"#);
}
