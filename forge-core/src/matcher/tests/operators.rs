//! One table for each rule, with the traps.

use super::*;

#[test]
fn constants_and_logic_combine() {
    let (yes, no) = (rawdoc! { "a": 1, "b": 2 }, rawdoc! { "a": 1, "b": 3 });
    let both = Filter::And(vec![Filter::eq("a", 1), Filter::eq("b", 2)]);
    check(&Filter::All, &[(yes.clone(), true)]);
    check(&Filter::Nothing, &[(yes.clone(), false)]);
    check(&Filter::And(vec![]), &[(yes.clone(), true)]);
    check(&Filter::Or(vec![]), &[(yes.clone(), false)]);
    check(&both, &[(yes.clone(), true), (no.clone(), false)]);
    check(
        &Filter::Or(vec![Filter::eq("a", 9), Filter::eq("b", 2)]),
        &[(yes.clone(), true), (no.clone(), false)],
    );
    check(&Filter::Not(Box::new(both)), &[(yes, false), (no, true)]);
}

#[test]
fn equality_with_null_finds_missing_fields() {
    let rows = |null: bool| {
        [
            (rawdoc! {}, null),
            (rawdoc! { "a": null }, null),
            (rawdoc! { "a": 0 }, !null),
            (rawdoc! { "a": "" }, !null),
            (rawdoc! { "a": [] }, !null),
            (rawdoc! { "a": [1, null] }, null),
            (rawdoc! { "a": bson::RawBson::Undefined }, !null),
        ]
    };
    check(&Filter::eq("a", Bson::Null), &rows(true));
    check(&field("a", Predicate::Ne(Bson::Null)), &rows(false));
    check(&field("a", Predicate::In(vec![Bson::Null])), &rows(true));
    check(&field("a", Predicate::NotIn(vec![Bson::Null])), &rows(false));
    check(&field("a", Predicate::HasEvery(vec![Bson::Null])), &rows(true));
}

#[test]
fn equality_with_null_below_a_path_needs_a_document_that_lacks_it() {
    check(
        &Filter::eq("a.b", Bson::Null),
        &[
            (rawdoc! {}, true),
            (rawdoc! { "a": {} }, true),
            (rawdoc! { "a": 5 }, true),
            (rawdoc! { "a": { "b": 1 } }, false),
            (rawdoc! { "a": [{ "b": 1 }, {}] }, true),
            (rawdoc! { "a": [{ "b": 1 }] }, false),
            (rawdoc! { "a": [] }, false),
            (rawdoc! { "a": [1, 2] }, false),
        ],
    );
}

#[test]
fn equality_compares_numbers_by_value() {
    let big = (1_i64 << 53) + 1;
    check(
        &Filter::eq("a", 1),
        &[
            (rawdoc! { "a": 1 }, true),
            (rawdoc! { "a": 1_i64 }, true),
            (rawdoc! { "a": 1.0 }, true),
            (raw(bson!({ "a": decimal("1.00") })), true),
            (rawdoc! { "a": true }, false),
            (rawdoc! { "a": "1" }, false),
        ],
    );
    check(&Filter::eq("a", big), &[(rawdoc! { "a": big }, true), (rawdoc! { "a": big as f64 }, false)]);
    check(
        &Filter::eq("a", (big - 1) as f64),
        &[(rawdoc! { "a": big - 1 }, true), (rawdoc! { "a": big }, false)],
    );
    check(&Filter::eq("a", 0), &[(rawdoc! { "a": -0.0 }, true)]);
    check(
        &Filter::eq("a", f64::NAN),
        &[
            (rawdoc! { "a": f64::NAN }, true),
            (raw(bson!({ "a": decimal("NaN") })), true),
            (rawdoc! { "a": 0 }, false),
        ],
    );
}

#[test]
fn equality_with_an_array_finds_the_whole_or_an_element() {
    check(
        &Filter::eq("a", bson!([1, 2])),
        &[
            (rawdoc! { "a": [1, 2] }, true),
            (rawdoc! { "a": [[1, 2], 3] }, true),
            (rawdoc! { "a": [2, 1] }, false),
            (rawdoc! { "a": [1, 2, 3] }, false),
            (rawdoc! { "a": [[[1, 2]]] }, false),
        ],
    );
    check(
        &Filter::eq("a", 1),
        &[(rawdoc! { "a": [0, 1] }, true), (rawdoc! { "a": [[1]] }, false), (rawdoc! { "a": [] }, false)],
    );
    check(
        &Filter::eq("a", bson!([])),
        &[(rawdoc! { "a": [] }, true), (rawdoc! { "a": [[]] }, true), (rawdoc! {}, false)],
    );
}

#[test]
fn equality_with_a_document_counts_keys_and_their_order() {
    check(
        &Filter::eq("a", bson!({ "x": 1, "y": 2 })),
        &[
            (rawdoc! { "a": { "x": 1, "y": 2.0 } }, true),
            (rawdoc! { "a": { "y": 2, "x": 1 } }, false),
            (rawdoc! { "a": { "x": 1, "y": 2, "z": 3 } }, false),
            (rawdoc! { "a": [{ "x": 1, "y": 2 }] }, true),
        ],
    );
}

#[test]
fn negations_hold_where_no_element_is_equal() {
    let rows = [
        (rawdoc! { "a": 1 }, false),
        (rawdoc! { "a": [1, 2] }, false),
        (rawdoc! { "a": [2, 3] }, true),
        (rawdoc! {}, true),
        (rawdoc! { "a": "1" }, true),
    ];
    check(&field("a", Predicate::Ne(bson!(1))), &rows);
    check(&field("a", Predicate::NotIn(vec![bson!(1), bson!(7)])), &rows);
}

#[test]
fn ranges_stay_within_their_type() {
    let date = |millis| Bson::DateTime(bson::DateTime::from_millis(millis));
    check(
        &field("a", Predicate::Gt(bson!(5))),
        &[
            (rawdoc! { "a": 6 }, true),
            (rawdoc! { "a": 5.5 }, true),
            (rawdoc! { "a": 5_i64 }, false),
            (raw(bson!({ "a": decimal("5.1") })), true),
            (rawdoc! { "a": "6" }, false),
            (rawdoc! { "a": true }, false),
            (raw(bson!({ "a": date(6) })), false),
            (rawdoc! { "a": [1, 9] }, true),
            (rawdoc! { "a": [[9]] }, false),
            (rawdoc! { "a": { "b": 9 } }, false),
            (rawdoc! { "a": null }, false),
            (rawdoc! {}, false),
        ],
    );
    check(&field("a", Predicate::Lt(bson!(5))), &[(rawdoc! {}, false), (rawdoc! { "a": null }, false)]);
    let timestamp = Bson::Timestamp(bson::Timestamp { time: 5, increment: 0 });
    check(
        &field("a", Predicate::Gte(date(0))),
        &[
            (raw(bson!({ "a": date(0) })), true),
            (raw(bson!({ "a": date(-1) })), false),
            (raw(bson!({ "a": timestamp })), false),
        ],
    );
    check(
        &field("a", Predicate::Gte(bson!("b"))),
        &[(rawdoc! { "a": "ba" }, true), (rawdoc! { "a": "B" }, false)],
    );
    check(
        &field("a", Predicate::Lte(bson!([2]))),
        &[(rawdoc! { "a": [1, 9] }, true), (rawdoc! { "a": [3] }, false)],
    );
}

#[test]
fn a_range_on_an_array_may_be_met_by_different_elements() {
    let between = Filter::And(vec![field("a", Predicate::Gt(bson!(4))), field("a", Predicate::Lt(bson!(6)))]);
    check(
        &between,
        &[(rawdoc! { "a": [1, 9] }, true), (rawdoc! { "a": [7, 9] }, false), (rawdoc! { "a": 5 }, true)],
    );
}

#[test]
fn no_range_includes_nan_but_itself() {
    let nan = || Bson::Double(f64::NAN);
    let row = |expected| [(rawdoc! { "a": f64::NAN }, expected)];
    check(&field("a", Predicate::Lt(bson!(5))), &row(false));
    check(&field("a", Predicate::Lte(bson!(5))), &row(false));
    check(&field("a", Predicate::Gte(nan())), &row(true));
    check(&field("a", Predicate::Lte(nan())), &row(true));
    check(&field("a", Predicate::Gt(nan())), &[(rawdoc! { "a": 1 }, false)]);
    check(&field("a", Predicate::Gte(nan())), &[(rawdoc! { "a": 1 }, false)]);
}

#[test]
fn inclusive_ranges_of_null_are_equality_and_min_and_max_key_reach_across_types() {
    let rows =
        |matched| [(rawdoc! {}, matched), (rawdoc! { "a": null }, matched), (rawdoc! { "a": 1 }, false)];
    check(&field("a", Predicate::Gte(Bson::Null)), &rows(true));
    check(&field("a", Predicate::Lte(Bson::Null)), &rows(true));
    check(&field("a", Predicate::Gt(Bson::Null)), &rows(false));
    check(
        &field("a", Predicate::Gt(Bson::MinKey)),
        &[(rawdoc! { "a": 1 }, true), (rawdoc! { "a": "x" }, true)],
    );
    check(&field("a", Predicate::Lt(Bson::MaxKey)), &[(rawdoc! { "a": [] }, true)]);
    check(&field("a", Predicate::Lt(Bson::MinKey)), &[(rawdoc! { "a": 1 }, false)]);
}

#[test]
fn lists_are_searched_by_value_whatever_their_length() {
    let mut values: Vec<Bson> = (0..10_000).rev().map(|n| bson!(n * 2)).collect();
    values.extend([bson!("x"), bson!([1, 3]), decimal("0.50"), bson!(2.0)]);
    check(
        &field("a", Predicate::In(values)),
        &[
            (rawdoc! { "a": 4_998.0 }, true),
            (rawdoc! { "a": 4_999 }, false),
            (rawdoc! { "a": 0.5 }, true),
            (rawdoc! { "a": [1, 19_998_i64] }, true),
            (rawdoc! { "a": [1, 3] }, true),
            (rawdoc! { "a": "x" }, true),
            (rawdoc! { "a": "y" }, false),
            (rawdoc! {}, false),
        ],
    );
    check(&field("a", Predicate::In(vec![])), &[(rawdoc! { "a": 1 }, false), (rawdoc! {}, false)]);
    check(&field("a", Predicate::NotIn(vec![])), &[(rawdoc! { "a": 1 }, true)]);
}

#[test]
fn a_long_list_is_not_walked() {
    let values = (0..10_000).map(|n| bson!(format!("value number {n}"))).collect();
    let matcher = matcher(&field("a", Predicate::In(values)));
    let documents: Vec<_> = (0..20_000).map(|n| rawdoc! { "a": format!("value number {n}") }).collect();
    let start = std::time::Instant::now();
    assert_eq!(documents.iter().filter(|document| matcher.matches(document)).count(), 10_000);
    // A linear search makes 150 million comparisons of this; a binary one makes 300,000.
    assert!(start.elapsed().as_secs() < 2, "{:?}", start.elapsed());
}

#[test]
fn patterns_in_a_list_search_strings() {
    let pattern = Bson::RegularExpression(bson::Regex {
        pattern: bson::raw::cstr!("^ab").into(),
        options: bson::raw::cstr!("i").into(),
    });
    let rows = [
        (rawdoc! { "a": "ABC" }, true),
        (rawdoc! { "a": "c" }, true),
        (rawdoc! { "a": "d" }, false),
        (rawdoc! { "a": ["d", "abc"] }, true),
    ];
    check(&field("a", Predicate::In(vec![pattern, bson!("c")])), &rows);
}

#[test]
fn exists_counts_null_but_not_what_only_a_scalar_leads_to() {
    let rows = |exists: bool| {
        [
            (rawdoc! { "a": { "b": null } }, exists),
            (rawdoc! { "a": { "b": [] } }, exists),
            (rawdoc! { "a": [{ "b": 1 }, 2] }, exists),
            (rawdoc! { "a": 1 }, !exists),
            (rawdoc! { "a": [] }, !exists),
            (rawdoc! {}, !exists),
        ]
    };
    check(&field("a.b", Predicate::Exists(true)), &rows(true));
    check(&field("a.b", Predicate::Exists(false)), &rows(false));
}

#[test]
fn patterns_search_strings_and_elements() {
    let filter = field("a", Predicate::Regex { pattern: "^de".into(), options: "i".into() });
    check(
        &filter,
        &[
            (rawdoc! { "a": "Delay" }, true),
            (rawdoc! { "a": "no delay" }, false),
            (rawdoc! { "a": ["x", "den"] }, true),
            (rawdoc! { "a": 1 }, false),
            (rawdoc! {}, false),
        ],
    );
}

#[test]
fn size_counts_the_array_itself() {
    check(
        &field("a", Predicate::Size(2)),
        &[
            (rawdoc! { "a": [1, 2] }, true),
            (rawdoc! { "a": [[1, 2]] }, false),
            (rawdoc! { "a": "ab" }, false),
            (rawdoc! {}, false),
        ],
    );
    check(&field("a", Predicate::Size(0)), &[(rawdoc! { "a": [] }, true), (rawdoc! {}, false)]);
    check(&field("a", Predicate::Size(-1)), &[(rawdoc! { "a": [] }, false)]);
    check(&field("a.b", Predicate::Size(1)), &[(rawdoc! { "a": [{ "b": [7] }, { "b": [] }] }, true)]);
}

#[test]
fn types_are_told_by_their_codes() {
    let kind = |codes: &[i32]| field("a", Predicate::Type(codes.to_vec()));
    check(
        &kind(&[2]),
        &[
            (rawdoc! { "a": "x" }, true),
            (rawdoc! { "a": [1, "x"] }, true),
            (rawdoc! { "a": 1 }, false),
            (rawdoc! {}, false),
        ],
    );
    check(&kind(&[4]), &[(rawdoc! { "a": [] }, true), (rawdoc! { "a": 1 }, false)]);
    check(&kind(&[10]), &[(rawdoc! { "a": RawBson::Null }, true), (rawdoc! {}, false)]);
    check(&kind(&[1, 16]), &[(rawdoc! { "a": 1 }, true), (rawdoc! { "a": 1_i64 }, false)]);
    check(
        &kind(&[-1]),
        &[(rawdoc! { "a": RawBson::MinKey }, true), (rawdoc! { "a": RawBson::MaxKey }, false)],
    );
}

#[test]
fn remainders_are_of_whole_parts() {
    let rest = |divisor, remainder| field("a", Predicate::Remainder { divisor, remainder });
    check(
        &rest(4, 1),
        &[
            (rawdoc! { "a": 5 }, true),
            (rawdoc! { "a": 5.9 }, true),
            (rawdoc! { "a": [2, 9_i64] }, true),
            (rawdoc! { "a": -5 }, false),
            (rawdoc! { "a": "5" }, false),
            (rawdoc! { "a": f64::NAN }, false),
            (rawdoc! { "a": true }, false),
            (rawdoc! {}, false),
        ],
    );
    check(&rest(4, -1), &[(rawdoc! { "a": -5 }, true)]);
    check(&rest(-1, 0), &[(rawdoc! { "a": i64::MIN }, true)]);
    assert!(Matcher::new(&rest(0, 0)).is_err());
}

#[test]
fn bits_are_those_of_whole_numbers_and_bytes() {
    let bits = |positions: &[u32], set, all| {
        field("a", Predicate::Bits(Bits { positions: positions.to_vec(), set, all }))
    };
    let bytes =
        |bytes: &[u8]| rawdoc! { "a": Binary { subtype: BinarySubtype::Generic, bytes: bytes.to_vec() } };
    check(
        &bits(&[0, 2], true, true),
        &[
            (rawdoc! { "a": 5 }, true),
            (rawdoc! { "a": 7.0 }, true),
            (rawdoc! { "a": 4 }, false),
            (rawdoc! { "a": 5.5 }, false),
            (rawdoc! { "a": "5" }, false),
            (bytes(&[5]), true),
            (bytes(&[]), false),
        ],
    );
    check(&bits(&[0, 2], false, true), &[(rawdoc! { "a": 2 }, true), (rawdoc! { "a": 3 }, false)]);
    check(&bits(&[0, 2], true, false), &[(rawdoc! { "a": 4 }, true), (rawdoc! { "a": 2 }, false)]);
    check(&bits(&[0, 2], false, false), &[(rawdoc! { "a": 4 }, true), (rawdoc! { "a": 5 }, false)]);
    check(&bits(&[200], true, true), &[(rawdoc! { "a": -1 }, true), (rawdoc! { "a": 1 }, false)]);
    check(&bits(&[9], true, true), &[(bytes(&[0, 2]), true), (bytes(&[2]), false)]);
}

#[test]
fn has_every_wants_each_value() {
    check(
        &field("a", Predicate::HasEvery(vec![bson!(1), bson!("x")])),
        &[
            (rawdoc! { "a": ["x", 2, 1.0] }, true),
            (rawdoc! { "a": [1, 2] }, false),
            (rawdoc! { "a": 1 }, false),
            (rawdoc! {}, false),
        ],
    );
    check(&field("a", Predicate::HasEvery(vec![bson!(1)])), &[(rawdoc! { "a": 1 }, true)]);
    check(&field("a", Predicate::HasEvery(vec![bson!([1, 2])])), &[(rawdoc! { "a": [1, 2] }, true)]);
    check(
        &field("a", Predicate::HasEvery(vec![])),
        &[(rawdoc! { "a": [] }, false), (rawdoc! { "a": [1] }, false)],
    );
}

#[test]
fn one_element_must_meet_the_whole_condition() {
    let inner = Filter::And(vec![Filter::eq("x", 1), field("y", Predicate::Gt(bson!(5)))]);
    check(
        &field("a", Predicate::Element(Box::new(inner))),
        &[
            (rawdoc! { "a": [{ "x": 1, "y": 9 }] }, true),
            (rawdoc! { "a": [{ "x": 1, "y": 1 }, { "x": 2, "y": 9 }] }, false),
            (rawdoc! { "a": { "x": 1, "y": 9 } }, false),
            (rawdoc! { "a": [[{ "x": 1, "y": 9 }]] }, false),
            (rawdoc! { "a": [] }, false),
            (rawdoc! {}, false),
        ],
    );
    // An array among the elements is a document whose keys are numbers.
    let first = field("a", Predicate::Element(Box::new(Filter::eq("0.x", 1))));
    check(&first, &[(rawdoc! { "a": [[{ "x": 1 }]] }, true), (rawdoc! { "a": [[{ "x": 2 }]] }, false)]);
}

#[test]
fn the_empty_path_is_the_element_itself() {
    let between = Filter::And(vec![field("", Predicate::Gt(bson!(4))), field("", Predicate::Lt(bson!(6)))]);
    check(
        &field("a", Predicate::Element(Box::new(between))),
        &[
            (rawdoc! { "a": [1, 9] }, false),
            (rawdoc! { "a": [1, 5] }, true),
            (rawdoc! { "a": [[5]] }, false),
            (rawdoc! { "a": 5 }, false),
        ],
    );
    let not_one = field("a", Predicate::Element(Box::new(field("", Predicate::Ne(bson!(1))))));
    check(
        &not_one,
        &[(rawdoc! { "a": [1, 2] }, true), (rawdoc! { "a": [1] }, false), (rawdoc! { "a": [[1]] }, true)],
    );
    let nested = field("", Predicate::Element(Box::new(field("", Predicate::Eq(bson!(1))))));
    let nested = field("a", Predicate::Element(Box::new(nested)));
    check(&nested, &[(rawdoc! { "a": [[1, 2]] }, true), (rawdoc! { "a": [1, 2] }, false)]);
    assert_eq!(Matcher::new(&field("", Predicate::Eq(bson!(1)))).unwrap_err().code(), ErrorCode::Internal);
}

#[test]
fn conditions_on_fields_never_hold_for_scalar_elements() {
    let lacks = |filter| field("a", Predicate::Element(Box::new(filter)));
    let rows = [(rawdoc! { "a": [5] }, false), (rawdoc! { "a": [{ "y": 1 }] }, true)];
    check(&lacks(field("x", Predicate::Ne(bson!(1)))), &rows);
    check(&lacks(Filter::eq("x", Bson::Null)), &rows);
    check(&lacks(field("x", Predicate::Exists(false))), &rows);
    check(&lacks(Filter::All), &rows);
}

#[test]
fn element_conditions_are_found_along_paths() {
    let filter = field("a.b", Predicate::Element(Box::new(Filter::eq("x", 1))));
    check(
        &filter,
        &[
            (rawdoc! { "a": { "b": [{ "x": 1 }] } }, true),
            (rawdoc! { "a": [{ "b": [{ "x": 2 }] }, { "b": [{ "x": 1 }] }] }, true),
            (rawdoc! { "a": [{ "b": { "x": 1 } }] }, false),
        ],
    );
}

#[test]
fn numbers_in_paths_are_indexes_and_names() {
    check(
        &Filter::eq("a.1", 7),
        &[
            (rawdoc! { "a": [5, 7] }, true),
            (rawdoc! { "a": [7, 5] }, false),
            (rawdoc! { "a": { "1": 7 } }, true),
            (rawdoc! { "a": [{ "1": 7 }] }, true),
            (rawdoc! { "a": [5, [7]] }, false),
        ],
    );
    check(
        &Filter::eq("a.0.b", 1),
        &[
            (rawdoc! { "a": [{ "b": 1 }, { "b": 2 }] }, true),
            (rawdoc! { "a": [{ "b": 2 }, { "b": 1 }] }, false),
            (rawdoc! { "a": [[{ "b": 1 }]] }, true),
        ],
    );
    check(
        &field("a.1", Predicate::Exists(true)),
        &[(rawdoc! { "a": [0] }, false), (rawdoc! { "a": [0, 0] }, true)],
    );
}

#[test]
fn paths_enter_arrays_once() {
    check(
        &Filter::eq("a.b", 1),
        &[
            (rawdoc! { "a": [{ "b": 1 }] }, true),
            (rawdoc! { "a": [{ "b": [1] }] }, true),
            (rawdoc! { "a": [[{ "b": 1 }]] }, false),
            (rawdoc! { "a": [{ "b": [[1]] }] }, false),
        ],
    );
}
