use bson::{Bson, Document, bson, doc};
use forge_core::env::Source;
use forge_core::{DateTime, Env, ErrorCode, Result};
use proptest::prelude::*;

use super::Update;

struct Fixed;

impl Source for Fixed {
    fn now(&self) -> DateTime {
        DateTime::from_millis(1_000)
    }
    fn random(&self) -> [u8; 16] {
        [1; 16]
    }
}

/// The document after an update, by whichever ways there are.
fn apply(mut document: Document, update: &Document) -> Result<Document> {
    let (update, env) = (Update::parse(&update.clone().into(), None)?, Env::new(Fixed));
    let plain = update.apply_plain(&crate::keys::to_raw(&document)?, env.now());
    let applied = update.apply(&mut document, false, &env);
    match (plain, &applied) {
        (Ok(None), _) => {}
        (Ok(Some(plain)), Ok(())) => assert_eq!(plain, crate::keys::to_raw(&document)?, "{update:?}"),
        (plain, applied) => panic!("{plain:?} is not {applied:?}"),
    }
    applied.map(|()| document)
}

#[test]
fn operators_change_documents_as_mongodb_does() {
    let cases = [
        (doc! { "a": 1 }, doc! { "$set": { "b.c": 2 } }, doc! { "a": 1, "b": { "c": 2 } }),
        (
            doc! { "a": [1, { "b": 2 }] },
            doc! { "$set": { "a.1.b": 3, "a.3": 4 } },
            doc! { "a": [1, { "b": 3 }, null, 4] },
        ),
        (
            doc! { "a": 1, "b": [1, 2] },
            doc! { "$unset": { "a": "", "b.0": "", "x.y": "" } },
            doc! { "b": [null, 2] },
        ),
        (doc! { "n": 1 }, doc! { "$inc": { "n": 2, "m": 5_i64 } }, doc! { "n": 3, "m": 5_i64 }),
        (doc! { "n": i32::MAX }, doc! { "$inc": { "n": 1 } }, doc! { "n": 2_147_483_648_i64 }),
        (doc! { "n": 2 }, doc! { "$mul": { "n": 1.5, "m": 7 } }, doc! { "n": 3.0, "m": 0 }),
        (doc! { "n": 5 }, doc! { "$min": { "n": 3 }, "$max": { "m": 9 } }, doc! { "n": 3, "m": 9 }),
        (doc! { "n": 5 }, doc! { "$max": { "n": 3 } }, doc! { "n": 5 }),
        (doc! { "n": 5 }, doc! { "$max": { "n": "a" } }, doc! { "n": "a" }),
        (doc! { "a": 1 }, doc! { "$rename": { "a": "b.c", "x": "y" } }, doc! { "b": { "c": 1 } }),
        (doc! {}, doc! { "$currentDate": { "d": true } }, doc! { "d": bson::DateTime::from_millis(1_000) }),
        (doc! { "a": 1 }, doc! { "$setOnInsert": { "a": 2 } }, doc! { "a": 1 }),
        (
            doc! { "a": [{ "n": 1 }, { "n": 2 }] },
            doc! { "$inc": { "a.$[].n": 10 } },
            doc! { "a": [{ "n": 11 }, { "n": 12 }] },
        ),
    ];
    for (before, update, after) in cases {
        assert_eq!(apply(before.clone(), &update).unwrap(), after, "{before} with {update}");
    }
}

#[test]
fn arrays_grow_and_shrink_as_in_mongodb() {
    let cases = [
        (bson!([1]), doc! { "$push": { "a": 2 } }, bson!([1, 2])),
        (bson!([1]), doc! { "$push": { "a": { "$each": [2, 3], "$position": 0 } } }, bson!([2, 3, 1])),
        (bson!([1]), doc! { "$push": { "a": { "$each": [3, 2], "$sort": -1, "$slice": 2 } } }, bson!([3, 2])),
        (bson!([1, 2]), doc! { "$push": { "a": { "$each": [3], "$slice": -2 } } }, bson!([2, 3])),
        (bson!([1, 2, 3]), doc! { "$push": { "a": { "$each": [9], "$position": -1 } } }, bson!([1, 2, 9, 3])),
        (
            bson!([{ "n": 2 }]),
            doc! { "$push": { "a": { "$each": [{ "n": 1 }], "$sort": { "n": 1 } } } },
            bson!([{ "n": 1 }, { "n": 2 }]),
        ),
        (bson!([1]), doc! { "$addToSet": { "a": 1.0 } }, bson!([1])),
        (bson!([1]), doc! { "$addToSet": { "a": { "$each": [1, 2, 2] } } }, bson!([1, 2])),
        (bson!([1, 2, 1]), doc! { "$pull": { "a": 1 } }, bson!([2])),
        (bson!([1, 5, 9]), doc! { "$pull": { "a": { "$gte": 5 } } }, bson!([1])),
        (bson!([{ "n": 1, "m": 1 }, { "n": 2 }]), doc! { "$pull": { "a": { "n": 1 } } }, bson!([{ "n": 2 }])),
        (bson!([1, 2, 3]), doc! { "$pullAll": { "a": [1, 3] } }, bson!([2])),
        (bson!([1, 2, 3]), doc! { "$pop": { "a": 1 } }, bson!([1, 2])),
        (bson!([1, 2, 3]), doc! { "$pop": { "a": -1 } }, bson!([2, 3])),
        (bson!([]), doc! { "$pop": { "a": -1 } }, bson!([])),
    ];
    for (before, update, after) in cases {
        let changed = apply(doc! { "a": before.clone() }, &update).unwrap();
        assert_eq!(changed.get("a"), Some(&after), "{before} with {update}");
    }
    assert_eq!(apply(doc! {}, &doc! { "$push": { "a.b": 1 } }).unwrap(), doc! { "a": { "b": [1] } });
    assert_eq!(apply(doc! {}, &doc! { "$pull": { "a.b": 1 } }).unwrap(), doc! {});
}

#[test]
fn what_cannot_be_done_names_the_path() {
    let cases = [
        (doc! { "a": "x" }, doc! { "$inc": { "a": 1 } }),
        (doc! { "a": i64::MAX }, doc! { "$inc": { "a": 1 } }),
        (doc! {}, doc! { "$inc": { "a": "x" } }),
        (doc! { "a": 1 }, doc! { "$set": { "a.b": 1 } }),
        (doc! { "a": [] }, doc! { "$set": { "a.b": 1 } }),
        (doc! { "a": [] }, doc! { "$set": { "a.999999999": 1 } }),
        (doc! { "a": 1 }, doc! { "$push": { "a": 1 } }),
        (doc! {}, doc! { "$set": { "a": 1 }, "$inc": { "a": 1 } }),
        (doc! {}, doc! { "$set": { "a.b": 1, "a": 1 } }),
        (doc! {}, doc! { "$set": { "a.b": 1, "a-c": 1, "a": 1 } }),
        (doc! {}, doc! { "$rename": { "a": "a" } }),
        (doc! {}, doc! { "$set": { "a..b": 1 } }),
        (doc! { "a": 1 }, doc! { "$unset": { "a.$[]": 1 } }),
    ];
    for (before, update) in cases {
        let error = apply(before, &update).unwrap_err();
        assert_eq!(error.code(), ErrorCode::BadRequest, "{update}");
        assert!(error.message().contains("`a") || error.message().contains("a..b"), "{error}");
    }
}

#[test]
fn ids_never_change() {
    let before = doc! { "_id": 1, "a": 1 };
    for update in
        [doc! { "$set": { "_id": 2 } }, doc! { "$unset": { "_id": 1 } }, doc! { "$rename": { "_id": "b" } }]
    {
        assert_eq!(apply(before.clone(), &update).unwrap_err().code(), ErrorCode::BadRequest);
    }
    assert_eq!(apply(before.clone(), &doc! { "$set": { "_id": 1 } }).unwrap(), before);
    assert_eq!(apply(before, &doc! { "b": 2 }).unwrap(), doc! { "_id": 1, "b": 2 });
}

#[test]
fn bits_keep_the_width_of_the_wider_number() {
    for (before, update, after) in [
        (doc! { "a": 12 }, doc! { "$bit": { "a": { "and": 10 } } }, doc! { "a": 8 }),
        (doc! { "a": 12 }, doc! { "$bit": { "a": { "xor": 10_i64 } } }, doc! { "a": 6_i64 }),
        (doc! {}, doc! { "$bit": { "a": { "or": 5 } } }, doc! { "a": 5 }),
        (doc! { "a": 1 }, doc! { "$bit": { "a": { "or": 6, "and": 5 } } }, doc! { "a": 5 }),
    ] {
        assert_eq!(apply(before, &update).unwrap(), after, "{update}");
    }
    for update in [
        doc! { "$bit": { "a": { "not": 1 } } },
        doc! { "$bit": { "a": 1 } },
        doc! { "$bit": { "b": { "or": 1 } } },
    ] {
        let error = apply(doc! { "a": 1, "b": "text" }, &update).unwrap_err();
        assert_eq!(error.code(), ErrorCode::BadRequest, "{update}");
    }
}

#[test]
fn named_elements_are_those_that_match() {
    let elements = |operators: Document, array_filters: Vec<Document>| {
        Update::parse(&forge_mongo::artifact::Modification::Elements { operators, array_filters }, None)
    };
    let before = doc! { "a": [{ "n": 1, "l": [1, 5] }, { "n": 7, "l": [6] }, 3] };
    let update = elements(
        doc! { "$inc": { "a.$[e].n": 10 }, "$set": { "a.$[].l.$[v]": 0 } },
        vec![doc! { "e.n": { "$gt": 5 } }, doc! { "v": { "$gte": 5 } }],
    );
    let mut document = doc! { "a": before.get_array("a").unwrap()[..2].to_vec() };
    update.unwrap().apply(&mut document, false, &Env::new(Fixed)).unwrap();
    assert_eq!(document, doc! { "a": [{ "n": 1, "l": [1, 0] }, { "n": 17, "l": [0] }] });
    let wrong = [
        (doc! { "$set": { "a.$[x]": 1 } }, vec![]),
        (doc! { "$set": { "a.$[e]": 1 } }, vec![doc! { "e": 1 }, doc! { "e": 2 }]),
        (doc! { "$set": { "a.$[e]": 1 } }, vec![doc! { "e": 1, "f": 2 }]),
    ];
    for (operators, filters) in wrong {
        assert_eq!(elements(operators, filters).unwrap_err().code(), ErrorCode::BadRequest);
    }
    let twice = elements(
        doc! { "$set": { "a.$[e].n": 1, "a.$[f].n": 2 } },
        vec![doc! { "e.n": { "$gt": 0 } }, doc! { "f.n": { "$gt": 5 } }],
    );
    let mut document = doc! { "a": [{ "n": 7 }] };
    assert!(
        twice.unwrap().apply(&mut document, false, &Env::new(Fixed)).is_err(),
        "one element is changed twice"
    );
}

#[test]
fn renames_stay_outside_of_arrays() {
    for (before, update) in [
        (doc! { "a": [1], "b": 2 }, doc! { "$rename": { "a.0": "c" } }),
        (doc! { "a": 1 }, doc! { "$rename": { "a.b": "c" } }),
        (doc! { "a": [1], "b": 2 }, doc! { "$rename": { "b": "a.0" } }),
    ] {
        assert_eq!(apply(before, &update).unwrap_err().code(), ErrorCode::BadRequest, "{update}");
    }
    let kept = doc! { "a": [1] };
    assert_eq!(apply(kept.clone(), &doc! { "$rename": { "a.5": "c", "x.y": "d" } }).unwrap(), kept);
}

#[test]
fn unknown_operators_are_named() {
    let error = apply(doc! {}, &doc! { "$nothing": { "a": 1 } }).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Unsupported);
    assert!(error.message().contains("`$nothing`"), "{error}");
}

#[test]
fn what_the_filter_met_stands_in_paths() {
    let env = Env::new(Fixed);
    let update =
        Update::parse(&doc! { "$inc": { "a.$.n": 1 }, "$push": { "b.c.$": 5 } }.into(), None).unwrap();
    assert!(update.follows_match());
    let placed = update.at(|list| Some(usize::from(list == "a"))).unwrap();
    let mut document = doc! { "a": [{ "n": 1 }, { "n": 2 }], "b": { "c": [[4], [4]] } };
    placed.apply(&mut document, false, &env).unwrap();
    assert_eq!(document, doc! { "a": [{ "n": 1 }, { "n": 3 }], "b": { "c": [[4, 5], [4]] } });
    let error = update.at(|_| None).unwrap_err();
    assert_eq!((error.code(), error.server_code()), (ErrorCode::BadRequest, Some(2)));
    let both = Update::parse(&doc! { "$set": { "a.$": 1, "a.0": 2 } }.into(), None).unwrap();
    assert!(both.at(|_| Some(1)).is_ok());
    assert!(both.at(|_| Some(0)).unwrap_err().message().contains("conflict"));
    for path in ["$", "$.a", "a.$.b.$", "a.$x"] {
        let error = Update::parse(&doc! { "$set": { path: 1 } }.into(), None).unwrap_err();
        assert_eq!(error.code(), ErrorCode::BadRequest, "{path}");
    }
}

fn leaf() -> impl Strategy<Value = Bson> {
    prop_oneof![
        (-5..5_i32).prop_map(Bson::Int32),
        Just(Bson::Int64(i64::MAX)),
        (-4..4_i32).prop_map(|half| Bson::Double(f64::from(half) / 2.0)),
        "[ab]{0,2}".prop_map(Bson::String),
        Just(Bson::Null),
        Just(bson!({ "x": [1, 2] })),
    ]
}

proptest! {
    #[test]
    fn operators_change_bytes_as_they_change_documents(
        fields in prop::collection::vec(("[a-e]", leaf()), 0..5),
        changes in prop::collection::vec(
            (prop::sample::select(vec!["$set", "$unset", "$inc", "$mul", "$min", "$max", "$setOnInsert", "$currentDate"]), "[a-g]", leaf()),
            1..5,
        ),
    ) {
        let mut before = doc! { "_id": 1 };
        before.extend(fields);
        let mut update = Document::new();
        for (operator, path, value) in changes {
            let operand = if operator == "$currentDate" { Bson::Boolean(true) } else { value };
            let paths = update.entry(operator).or_insert_with(|| Bson::Document(Document::new()));
            paths.as_document_mut().unwrap().insert(path, operand);
        }
        // Updates that cannot be read are not what is compared here.
        let parsed = Update::parse(&update.clone().into(), None);
        prop_assume!(parsed.is_ok());
        let raw = crate::keys::to_raw(&before).unwrap();
        let plain = parsed.unwrap().apply_plain(&raw, DateTime::from_millis(1_000)).unwrap();
        // Holds the two ways against each other.
        let applied = apply(before, &update);
        prop_assert_eq!(plain.is_some(), applied.is_ok(), "{} is about fields at the top", update);
    }
}
