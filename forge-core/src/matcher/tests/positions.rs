//! Which element met a condition.

use super::*;

#[test]
fn the_first_element_that_met_the_condition_is_told() {
    let order = rawdoc! {
        "scores": [1, 5, 9],
        "items": [{ "sku": "a", "qty": 1 }, { "sku": "b", "qty": 9 }, { "sku": "b", "qty": 2, "parts": [1, 2] }],
        "box": { "labels": ["x", "y"] },
        "grid": [[1, 2], [3]],
    };
    let element = |filter| Predicate::Element(Box::new(filter));
    for (filter, list, expected) in [
        (field("scores", Predicate::Gte(bson!(5))), "scores", Some(1)),
        (field("scores", Predicate::In(vec![bson!(9), bson!(7)])), "scores", Some(2)),
        (field("scores", element(field("", Predicate::Gt(bson!(5))))), "scores", Some(2)),
        (Filter::eq("items.sku", "b"), "items", Some(1)),
        (field("items", element(Filter::eq("sku", "b").and(Filter::eq("qty", 2)))), "items", Some(2)),
        (Filter::eq("items.parts", 2), "items", Some(2)),
        (field("items.parts", Predicate::Exists(true)), "items", Some(2)),
        (Filter::eq("items.2.parts", 2), "items.2.parts", Some(1)),
        (Filter::eq("box.labels", "y"), "box.labels", Some(1)),
        (Filter::eq("grid", bson!([3])), "grid", Some(1)),
        // The list of another condition will do, where there is none on this one.
        (Filter::eq("scores", 9), "items", Some(2)),
        (Filter::eq("scores", 9).and(Filter::eq("items.sku", "a")), "items", Some(0)),
        (Filter::eq("items.sku", "a").and(Filter::eq("scores", 9)), "items", Some(0)),
        // Of several conditions the last one counts, and of several choices the one that holds.
        (Filter::eq("scores", 1).and(Filter::eq("scores", 9)), "scores", Some(2)),
        (Filter::eq("scores", 7).or(Filter::eq("scores", 9)), "scores", Some(2)),
        (
            Filter::eq("scores", 1).and(Filter::eq("scores", 7)).or(Filter::eq("box.labels", "y")),
            "scores",
            Some(1),
        ),
        // What no element met by itself.
        (Filter::eq("scores", bson!([1, 5, 9])), "scores", None),
        (field("scores", Predicate::Ne(bson!(7))), "scores", None),
        (field("scores", Predicate::Size(3)), "scores", None),
        (field("scores", Predicate::Exists(true)), "scores", None),
        (Filter::eq("scores.0", 1), "scores", None),
        (Filter::eq("scores", 7), "scores", None),
        (Filter::All, "scores", None),
    ] {
        assert_eq!(matcher(&filter).position(&order, list), expected, "{filter:?} in {list}");
    }
}
