//! Random stages and expressions over the documents of a case.

use bson::{Bson, DateTime, Document, doc};
use proptest::collection::vec;
use proptest::prelude::*;

/// Stages over documents in the order of their ids, so that everything has one answer.
pub(super) fn pipeline() -> impl Strategy<Value = Vec<Document>> {
    let accumulator = accumulator();
    // SecantusDB has no `$top` in buckets.
    let plain = plain_accumulator();
    let bounds = (prop::option::of(-2..1_i32), prop::option::of(0..3_i32)).prop_map(|(from, to)| {
        let bound = |bound: Option<i32>| bound.map_or(Bson::from("unbounded"), Bson::Int32);
        Bson::Array(vec![bound(from), bound(to)])
    });
    let framed = (accumulator.clone(), bounds).prop_map(|(mut function, bounds)| {
        function.insert("window", doc! { "documents": bounds });
        function
    });
    let numbering = prop::sample::select(vec!["$rank", "$denseRank", "$documentNumber"]);
    let function = prop_oneof![
        4 => framed,
        1 => numbering.prop_map(|name| doc! { name: {} }),
        1 => (field(), -2..3_i32).prop_map(|(f, by)| doc! { "$shift": { "output": f, "by": by, "default": "none" } }),
        1 => field().prop_map(|f| doc! { "$locf": { "$ifNull": [f, Bson::Null] } }),
        1 => (1..4_i32).prop_map(|n| doc! { "$expMovingAvg": { "input": "$_id", "N": n } }),
    ];
    let window = (function, any::<bool>()).prop_map(|(function, parts)| {
        let mut form = doc! { "sortBy": { "_id": 1 }, "output": { "w": function } };
        if parts {
            form.insert("partitionBy", "$n");
        }
        vec![doc! { "$setWindowFields": form }, doc! { "$sort": { "_id": 1 } }]
    });
    let stages = prop_oneof![
        (accumulator.clone(), any::<bool>()).prop_map(|(accumulator, whole)| {
            let key = if whole { Bson::Null } else { "$n".into() };
            vec![doc! { "$group": { "_id": key, "v": accumulator } }, doc! { "$sort": { "_id": 1 } }]
        }),
        vec(expression(), 1..3).prop_map(|list| {
            let fields = list.into_iter().enumerate().map(|(i, e)| (format!("e{i}"), Bson::from(e)));
            vec![doc! { "$set": fields.collect::<Document>() }]
        }),
        test().prop_map(|test| vec![doc! { "$match": { "$expr": test } }]),
        prop::sample::select(vec!["a", "b", "c"]).prop_map(|f| {
            vec![doc! { "$unwind": { "path": format!("${f}"), "includeArrayIndex": "at", "preserveNullAndEmptyArrays": true } }]
        }),
        plain.prop_map(|accumulator| {
            vec![doc! { "$bucket": { "groupBy": "$_id", "boundaries": [0, 2, 5], "default": "more", "output": { "v": accumulator } } }]
        }),
        window,
        Just(vec![doc! { "$lookup": { "from": "items", "localField": "n", "foreignField": "_id", "as": "same" } }]),
        Just(vec![
            doc! { "$lookup": { "from": "items", "let": { "n": "$n" }, "as": "same", "pipeline": [
                { "$match": { "$expr": { "$eq": ["$_id", "$$n"] } } }, { "$project": { "a": 1 } },
            ] } },
        ]),
        Just(vec![doc! { "$facet": { "first": [{ "$limit": 2 }], "rest": [{ "$skip": 1 }, { "$project": { "a": 1 } }] } }]),
        (1..5_i64).prop_map(|limit| vec![doc! { "$unionWith": { "coll": "items", "pipeline": [{ "$sort": { "_id": -1 } }, { "$limit": limit }] } }]),
    ];
    stages.prop_map(|stages| std::iter::once(doc! { "$sort": { "_id": 1 } }).chain(stages).collect())
}

fn field() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["$a", "$b", "$c", "$n", "$_id"])
}

fn plain_accumulator() -> impl Strategy<Value = Document> + Clone {
    let names = vec!["$first", "$last", "$push", "$min", "$max", "$sum", "$avg", "$stdDevPop"];
    (prop::sample::select(names), field()).prop_map(|(name, f)| doc! { name: f }).boxed()
}

fn accumulator() -> impl Strategy<Value = Document> + Clone {
    let first = prop::sample::select(vec!["$top", "$bottom"]);
    let firsts = prop::sample::select(vec!["$topN", "$bottomN"]);
    let order = || prop::sample::select(vec![1, -1]).prop_map(|direction| doc! { "_id": direction });
    let value = || field().prop_map(|f| doc! { "$ifNull": [f, "none"] });
    prop_oneof![
        6 => plain_accumulator(),
        1 => (first, order(), value()).prop_map(|(name, order, f)| doc! { name: { "sortBy": order, "output": f } }),
        1 => (firsts, order(), value(), 1..4_i32).prop_map(|(name, order, f, n)| doc! { name: { "sortBy": order, "output": f, "n": n } }),
    ]
    .boxed()
}

fn test() -> impl Strategy<Value = Document> + Clone {
    let name = prop::sample::select(vec!["$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$cmp"]);
    (name, field(), field()).prop_map(|(name, a, b)| doc! { name: [a, b] }).boxed()
}

fn expression() -> impl Strategy<Value = Document> {
    prop_oneof![plain(), on_lists(), on_texts(), on_numbers(), on_dates()]
}

fn plain() -> impl Strategy<Value = Document> {
    let branch = || (test(), field()).prop_map(|(test, then)| doc! { "case": test, "then": then });
    prop_oneof![
        test(),
        (test(), test()).prop_map(|(a, b)| doc! { "$and": [a, { "$not": [b] }] }),
        (test(), test()).prop_map(|(a, b)| doc! { "$or": [a, b] }),
        field().prop_map(|f| doc! { "$type": f }),
        field().prop_map(|f| doc! { "$ifNull": [f, "none"] }),
        (test(), field(), field()).prop_map(|(test, a, b)| doc! { "$cond": [test, a, b] }),
        (branch(), branch()).prop_map(|(a, b)| doc! { "$switch": { "branches": [a, b], "default": "none" } }),
        field().prop_map(|f| doc! { "$isArray": [f] }),
        field().prop_map(|f| doc! { "$cond": [{ "$eq": [{ "$type": f }, "object"] }, { "$mergeObjects": [f, { "x": 0 }] }, "none"] }),
        (1..4_i32).prop_map(|n| doc! { "$range": [0, "$_id", n] }),
    ]
}

/// Computes with a field where it is a list.
fn on_lists() -> impl Strategy<Value = Document> {
    let operation = prop_oneof![
        (-3..4_i32).prop_map(|at| doc! { "$ifNull": [{ "$arrayElemAt": ["$$f", at] }, "none"] }),
        prop::sample::select(vec![-2, -1, 1, 2]).prop_map(|n| doc! { "$slice": ["$$f", n] }),
        prop::sample::select(vec!["$first", "$last"])
            .prop_map(|name| doc! { "$ifNull": [{ name: "$$f" }, "none"] }),
        prop::sample::select(vec!["$size", "$reverseArray", "$sum", "$avg", "$min", "$max"])
            .prop_map(|name| doc! { name: "$$f" }),
        field().prop_map(
            |other| doc! { "$cond": [{ "$isArray": [other] }, { "$concatArrays": ["$$f", other] }, "none"] }
        ),
        (0..3_i32).prop_map(|n| doc! { "$in": [n, "$$f"] }),
        (0..3_i32).prop_map(|n| doc! { "$filter": { "input": "$$f", "cond": { "$gte": ["$$this", n] } } }),
        Just(doc! { "$map": { "input": "$$f", "as": "x", "in": { "$type": "$$x" } } }),
        Just(
            doc! { "$reduce": { "input": "$$f", "initialValue": "", "in": { "$concat": ["$$value", { "$type": "$$this" }] } } }
        ),
    ];
    (field(), operation).prop_map(|(f, operation)| {
        doc! { "$let": { "vars": { "f": { "$cond": [{ "$isArray": [f] }, f, []] } }, "in": operation } }
    })
}

/// Computes with a field where it is a text.
fn on_texts() -> impl Strategy<Value = Document> {
    let part = || prop::sample::select(vec!["a", "b", "ab", " ", "ü"]);
    let operation = prop_oneof![
        prop::sample::select(vec!["$toLower", "$toUpper", "$strLenCP", "$strLenBytes", "$toString"]).prop_map(|name| doc! { name: "$$f" }),
        part().prop_map(|part| doc! { "$concat": [part, "$$f", part] }),
        (part(), part()).prop_map(|(find, put)| doc! { "$replaceAll": { "input": "$$f", "find": find, "replacement": put } }),
        part().prop_map(|part| doc! { "$split": ["$$f", part] }),
        part().prop_map(|part| doc! { "$indexOfCP": ["$$f", part] }),
        (0..4_i32, 0..4_i32).prop_map(|(start, count)| doc! { "$substrCP": ["$$f", start, count] }),
        (part(), any::<bool>()).prop_map(|(part, i)| doc! { "$regexMatch": { "input": "$$f", "regex": format!("^{part}"), "options": if i { "i" } else { "" } } }),
        Just(doc! { "$trim": { "input": "$$f" } }),
    ];
    (field(), operation).prop_map(|(f, operation)| {
        doc! { "$let": { "vars": { "f": { "$cond": [{ "$eq": [{ "$type": f }, "string"] }, f, " Ab ü "] } }, "in": operation } }
    })
}

/// Computes with whole numbers, and with quarters.
fn on_numbers() -> impl Strategy<Value = Document> {
    let whole = || doc! { "$subtract": ["$n", "$_id"] };
    let quarters = move || doc! { "$divide": [whole(), 4] };
    prop_oneof![
        (0..5_i32, 1..4_i32).prop_map(|(a, b)| doc! { "$add": ["$n", { "$multiply": ["$_id", a] }, { "$mod": ["$_id", b] }] }),
        prop::sample::select(vec!["$abs", "$floor", "$ceil", "$toInt", "$toLong", "$toDouble", "$toString"]).prop_map(move |name| doc! { name: whole() }),
        prop::sample::select(vec!["$abs", "$floor", "$ceil", "$toInt", "$toLong", "$toBool"]).prop_map(move |name| doc! { name: quarters() }),
        (prop::sample::select(vec!["$round", "$trunc"]), -1..2_i32).prop_map(move |(name, places)| doc! { name: [quarters(), places] }),
        (0..3_i32).prop_map(move |exponent| doc! { "$pow": [whole(), exponent] }),
        Just(doc! { "$sqrt": "$_id" }),
        (field(), prop::sample::select(vec!["int", "long", "double", "string", "bool"]))
            .prop_map(|(f, to)| doc! { "$cond": [{ "$isNumber": f }, { "$toString": { "$convert": { "input": f, "to": to } } }, "none"] }),
    ]
}

fn on_dates() -> impl Strategy<Value = Document> {
    let at = DateTime::from_millis(951_827_696_789);
    let unit = || prop::sample::select(vec!["year", "quarter", "month", "week", "day", "hour", "minute"]);
    let zone = prop::sample::select(vec!["UTC", "Europe/Vienna", "America/New_York", "+05:30"]);
    let part = prop::sample::select(vec![
        "$year",
        "$month",
        "$dayOfMonth",
        "$dayOfYear",
        "$isoDayOfWeek",
        "$isoWeek",
        "$hour",
        "$minute",
    ]);
    let moved =
        move |months: i64| doc! { "$dateAdd": { "startDate": at, "unit": "month", "amount": months } };
    let months = || -9..9_i64;
    prop_oneof![
        months().prop_map(moved),
        (months(), part, zone.clone()).prop_map(move |(n, part, zone)| doc! { part: { "date": moved(n), "timezone": zone } }),
        (months(), unit(), zone).prop_map(move |(n, unit, zone)| doc! { "$dateTrunc": { "date": moved(n), "unit": unit, "timezone": zone } }),
        (months(), unit(), 1..9_i64).prop_map(move |(n, unit, bins)| doc! { "$dateTrunc": { "date": moved(n), "unit": unit, "binSize": bins } }),
        (months(), unit()).prop_map(move |(n, unit)| doc! { "$dateDiff": { "startDate": at, "endDate": moved(n), "unit": unit } }),
        months().prop_map(move |n| doc! { "$dateToString": { "date": moved(n), "format": "%Y-%m-%d %H:%M:%S.%L %j %u %V %G" } }),
        months().prop_map(move |n| doc! { "$toLong": moved(n) }),
    ]
}
