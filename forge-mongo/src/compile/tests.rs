use bson::{Bson, RawDocumentBuf, doc};
use forge_core::ErrorCode;
use forge_core::ir::{
    Aggregate, Change, Count, Filter, Group, Predicate, Projection, Returning, Select, SortKey, Update,
};
use forge_core::model::ModelRef;

use super::*;
use crate::testing::{AIRPORT, FLIGHT};

fn flights() -> Select {
    Select::new(ModelRef(&FLIGHT))
}

fn by(path: &'static str, descending: bool) -> SortKey {
    SortKey { path: path.into(), descending }
}

fn json(artifact: &MongoArtifact) -> String {
    serde_json::to_string(artifact).unwrap()
}

fn update_of(filter: Filter, changes: Vec<Change>) -> Update {
    Update { changes, many: true, ..Update::new(ModelRef(&FLIGHT), filter) }
}

fn operators(op: &Update) -> String {
    match update(op).unwrap().command {
        Command::Update { update, .. } | Command::FindOneAndUpdate { update, .. } => {
            serde_json::to_string(&update).unwrap()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_page_is_a_find_whose_order_has_no_ties() {
    let page = Select {
        filter: Filter::eq("state", "CA"),
        sort: vec![by("delay", true)],
        skip: Some(20),
        limit: Some(10),
        projection: Projection::Only(vec!["delay".into(), "legs".into(), "legs.km".into()]),
        ..flights()
    };
    insta::assert_snapshot!(
        json(&select(&page).unwrap()),
        @r#"{"collection":"flights","op":"find","args":{"filter":{"state":"CA"},"projection":{"delay":1,"legs":1},"sort":{"delay":-1,"_id":1},"skip":20,"limit":10}}"#
    );
}

#[test]
fn the_id_is_added_to_an_order_only_where_it_decides() {
    let sort_of = |select: Select| match super::select(&select).unwrap().command {
        Command::Find { sort, .. } => sort,
        other => panic!("{other:?}"),
    };
    let sorted = Select { sort: vec![by("delay", false)], ..flights() };
    assert_eq!(sort_of(sorted.clone()), Some(doc! { "delay": 1 }));
    assert_eq!(sort_of(Select { limit: Some(5), ..flights() }), None);
    let by_id = Select { sort: vec![by("_id", true)], limit: Some(5), ..flights() };
    assert_eq!(sort_of(by_id), Some(doc! { "_id": -1 }));
    let near = Predicate::Near { point: [0.0, 0.0], max_metres: None, min_metres: None };
    let nearest = Select { filter: Filter::Field("at".into(), near), limit: Some(5), ..sorted };
    assert_eq!(sort_of(nearest), Some(doc! { "delay": 1 }));
}

#[test]
fn a_limit_of_zero_finds_nothing_in_place_of_everything() {
    let Command::Find { filter, limit, .. } =
        select(&Select { limit: Some(0), ..flights() }).unwrap().command
    else {
        panic!()
    };
    assert!(is_nothing(&filter) && limit.is_none());
    let none = Count { limit: Some(0), ..Count::new(ModelRef(&FLIGHT), Filter::All) };
    let Command::Count { filter, limit, .. } = count(&none).unwrap().command else { panic!() };
    assert!(is_nothing(&filter) && limit.is_none());
}

fn busiest() -> Group {
    Group {
        filter: Filter::eq("state", "CA"),
        keys: vec!["origin_id".into(), "year".into()],
        aggregates: vec![Aggregate::Count, Aggregate::Avg("delay".into())],
        having: Filter::Field("a0".into(), Predicate::Gt(10.into())),
        sort: vec![by("a0", true)],
        skip: Some(1),
        limit: Some(3),
        ..Group::new(ModelRef(&FLIGHT))
    }
}

#[test]
fn groups_are_a_pipeline_in_which_null_and_missing_keys_are_equal() {
    insta::assert_snapshot!(
        json(&group(&busiest()).unwrap()),
        @r#"{"collection":"flights","op":"aggregate","args":{"pipeline":[{"$match":{"state":"CA"}},{"$group":{"_id":{"k0":{"$ifNull":["$origin_id",null]},"k1":{"$ifNull":["$year",null]}},"a0":{"$sum":1},"a1":{"$avg":"$delay"}}},{"$project":{"_id":0,"k0":"$_id.k0","k1":"$_id.k1","a0":1,"a1":1}},{"$match":{"a0":{"$gt":10}}},{"$sort":{"a0":-1,"k0":1,"k1":1}},{"$skip":1},{"$limit":3}]}}"#
    );
}

#[test]
fn one_group_of_everything_has_no_key() {
    let all = Group {
        filter: Filter::All,
        keys: Vec::new(),
        having: Filter::All,
        sort: Vec::new(),
        skip: None,
        limit: None,
        ..busiest()
    };
    insta::assert_snapshot!(
        json(&group(&all).unwrap()),
        @r#"{"collection":"flights","op":"aggregate","args":{"pipeline":[{"$group":{"_id":null,"a0":{"$sum":1},"a1":{"$avg":"$delay"}}},{"$project":{"_id":0,"a0":1,"a1":1}}]}}"#
    );
}

#[test]
fn limits_per_parent_are_numbered_in_one_pipeline() {
    let children = Select {
        filter: Filter::Field("origin_id".into(), Predicate::In(vec!["A".into(), "B".into()])),
        sort: vec![by("delay", true)],
        ..flights()
    };
    let per_parent = PerParent { key: "origin_id", skip: 1, limit: Some(2) };
    insta::assert_snapshot!(
        json(&select_per_parent(&children, per_parent).unwrap()),
        @r#"{"collection":"flights","op":"aggregate","args":{"pipeline":[{"$match":{"origin_id":{"$in":["A","B"]}}},{"$setWindowFields":{"partitionBy":"$origin_id","sortBy":{"delay":-1,"_id":1},"output":{"__forge_n":{"$documentNumber":{}}}}},{"$match":{"__forge_n":{"$gt":1,"$lte":3}}},{"$sort":{"__forge_n":1}},{"$unset":"__forge_n"}]}}"#
    );
}

#[test]
fn changes_become_operators() {
    let changes = vec![
        Change::Set("a".into(), 1.into()),
        Change::Set("b.c".into(), Bson::Null),
        Change::Unset("d".into()),
        Change::Inc("e".into(), 2.into()),
        Change::Push("f".into(), vec![1.into()]),
        Change::AddToSet("g".into(), vec!["x".into()]),
        Change::Pull("h".into(), vec![3.into()]),
        Change::Pop("i".into(), forge_core::ir::End::First),
    ];
    insta::assert_snapshot!(
        operators(&update_of(Filter::All, changes)),
        @r#"{"$set":{"a":1,"b.c":null},"$unset":{"d":""},"$inc":{"e":2},"$push":{"f":{"$each":[1]}},"$addToSet":{"g":{"$each":["x"]}},"$pullAll":{"h":[3]},"$pop":{"i":-1}}"#
    );
}

#[test]
fn options_conditions_and_elements_become_operators() {
    let by_qty = forge_core::ir::PushSort::Paths(vec![by("qty", true)]);
    let options = forge_core::ir::PushOptions { position: Some(0), sort: Some(by_qty), slice: Some(-3) };
    let changes = vec![
        Change::PushWith("a".into(), vec![1.into()], options),
        Change::PullWhere(
            "b".into(),
            Filter::eq("x", 1).and(Filter::Field("y".into(), Predicate::Gt(2.into()))),
        ),
        Change::PullWhere("c".into(), Filter::Field("".into(), Predicate::Gte(5.into()))),
        Change::Rename("d".into(), "e".into()),
        Change::CurrentDate("f".into()),
        Change::Bit("g".into(), forge_core::ir::BitOp::Xor, 3.into()),
        Change::Set("h.$[e0].z".into(), 1.into()),
        Change::Inc("i.$[]".into(), 1.into()),
    ];
    let elements = vec![forge_core::ir::ElementFilter { name: "e0".into(), filter: Filter::eq("z", 0) }];
    let op = Update { elements, ..update_of(Filter::All, changes) };
    insta::assert_snapshot!(
        operators(&op),
        @r#"{"operators":{"$push":{"a":{"$each":[1],"$position":0,"$sort":{"qty":-1},"$slice":-3}},"$pull":{"b":{"x":1,"y":{"$gt":2}},"c":{"$gte":5}},"$rename":{"d":"e"},"$currentDate":{"f":true},"$bit":{"g":{"xor":3}},"$set":{"h.$[e0].z":1},"$inc":{"i.$[]":1}},"arrayFilters":[{"e0.z":0}]}"#
    );
    let either = Filter::Or(vec![Filter::eq("", 1), Filter::eq("", 2)]);
    let involved = update(&update_of(Filter::All, vec![Change::PullWhere("c".into(), either)])).unwrap_err();
    assert_eq!(involved.code(), ErrorCode::BadRequest, "{involved}");
}

#[test]
fn an_order_makes_it_a_find_and_modify() {
    let sorted = Update {
        many: false,
        sort: vec![by("delay", true)],
        ..update_of(Filter::All, vec![Change::Unset("a".into())])
    };
    insta::assert_snapshot!(
        json(&update(&sorted).unwrap()),
        @r#"{"collection":"flights","op":"findOneAndUpdate","args":{"filter":{},"update":{"$unset":{"a":""}},"upsert":false,"returnAfter":false,"sort":{"delay":-1,"_id":1}}}"#
    );
    let many = update(&Update { many: true, ..sorted }).unwrap_err();
    assert_eq!(many.code(), ErrorCode::BadRequest);
}

#[test]
fn stages_stand_alone_and_are_those_of_updates() {
    let stages = |pipeline| Update { pipeline, ..update_of(Filter::All, Vec::new()) };
    insta::assert_snapshot!(
        operators(&stages(vec![doc! { "$set": { "a": "$b" } }, doc! { "$unset": "b" }])),
        @r#"[{"$set":{"a":"$b"}},{"$unset":"b"}]"#
    );
    for wrong in [doc! { "$match": {} }, doc! { "$set": {}, "$unset": "a" }, doc! {}] {
        assert_eq!(update(&stages(vec![wrong])).unwrap_err().code(), ErrorCode::BadRequest);
    }
    let both = Update { changes: vec![Change::Unset("a".into())], ..stages(vec![doc! { "$unset": "b" }]) };
    assert_eq!(update(&both).unwrap_err().code(), ErrorCode::BadRequest);
}

#[test]
fn two_changes_of_one_value_are_refused_by_name() {
    let twice = vec![Change::Set("a".into(), 1.into()), Change::Inc("a".into(), 1.into())];
    let inside = vec![Change::Set("a".into(), 1.into()), Change::Unset("a.b".into())];
    for (changes, names) in [(twice, ["\"a\"", "twice"]), (inside, ["\"a\"", "\"a.b\""])] {
        let error = update(&update_of(Filter::All, changes)).unwrap_err();
        assert_eq!(error.code(), ErrorCode::BadRequest);
        assert!(names.iter().all(|name| error.message().contains(name)), "{error}");
    }
    let beside = vec![Change::Set("a".into(), 1.into()), Change::Set("ab".into(), 1.into())];
    assert!(update(&update_of(Filter::All, beside)).is_ok());
}

#[test]
fn an_upsert_inserts_what_neither_changes_nor_filter_give() {
    let document =
        doc! { "_id": 7, "email": "x", "delay": 1, "address": { "city": "a", "zip": "b" }, "name": "n" };
    let mut upsert = update_of(
        Filter::eq("email", "x").and(Filter::eq("address.city", "c")),
        vec![Change::Set("delay".into(), 5.into())],
    );
    upsert.upsert = Some(RawDocumentBuf::try_from(&document).unwrap());
    insta::assert_snapshot!(
        operators(&upsert),
        @r#"{"$set":{"delay":5},"$setOnInsert":{"_id":7,"address.zip":"b","name":"n"}}"#
    );
    assert!(!upsert_fixes_id(&upsert.filter) && upsert_fixes_id(&Filter::eq("_id", 7)));
}

#[test]
fn an_update_without_changes_only_looks() {
    let Command::Count { limit, .. } = update(&update_of(Filter::All, Vec::new())).unwrap().command else {
        panic!()
    };
    assert_eq!(limit, None);
    let one = Update { many: false, returning: Returning::After, ..update_of(Filter::All, Vec::new()) };
    assert!(matches!(update(&one).unwrap().command, Command::Find { limit: Some(1), .. }));
}

#[test]
fn a_state_of_many_documents_is_refused() {
    let op =
        Update { returning: Returning::After, ..update_of(Filter::All, vec![Change::Unset("a".into())]) };
    assert_eq!(update(&op).unwrap_err().code(), ErrorCode::BadRequest);
}

#[test]
fn a_soft_delete_marks_what_is_not_marked_yet() {
    let now = bson::DateTime::from_millis(0);
    let artifact =
        soft_delete(&FLIGHT, &Filter::eq("_id", 1).and(not_deleted()), (now, None), false, false).unwrap();
    let Command::Update { filter, update, many: false, upsert: false } = artifact.command else { panic!() };
    assert_eq!(filter, doc! { "_id": 1, "deletedAt": null });
    assert_eq!(update, doc! { "$set": { "deletedAt": now, "updatedAt": now } }.into());
    let gone = delete(&AIRPORT, &Filter::eq("_id", "A"), false, true).unwrap();
    assert_eq!(gone.command, Command::FindOneAndDelete { filter: doc! { "_id": "A" } });
}
