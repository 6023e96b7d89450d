use std::sync::Arc;
use std::sync::atomic::Ordering;

use bson::{Bson, DateTime, Document, RawDocumentBuf, doc};
use forge_core::adapter::{Adapter, Exec, ReadLog, Written};
use forge_core::error::Details;
use forge_core::ir::{
    Count, Delete, Filter, Include, IndexSearch, Insert, Operation, Outcome, Predicate, Projection,
    Quantifier, RelationFilter, Rows, Search, SearchOperator, Select, SortKey, VectorSearch,
};
use forge_core::model::{ModelDef, ModelRef};
use forge_core::{Error, ErrorCode};

use crate::artifact::{Command, MongoArtifact, WriteFailure};
use crate::testing::{AIRPORT, FLIGHT, Fake, TICKET};

fn airports(count: i32) -> (&'static str, Vec<Document>) {
    (
        "airports",
        (0..count).map(|i| doc! { "_id": format!("A{i}"), "state": format!("S{}", i % 2) }).collect(),
    )
}

fn flights(count: i32, airports: i32) -> (&'static str, Vec<Document>) {
    let flight = |i| doc! { "_id": i, "origin_id": format!("A{}", i % airports), "destination_id": "A0" };
    ("flights", (0..count).map(flight).collect())
}

fn related(
    model: &'static ModelDef,
    relation: &'static str,
    quantifier: Quantifier,
    filter: Filter,
) -> Filter {
    let filter = Box::new(filter);
    Filter::Relation(RelationFilter {
        model: ModelRef(model),
        relation: relation.into(),
        quantifier,
        filter,
        with_deleted: false,
    })
}

fn include(model: &'static ModelDef, relation: &str, change: impl FnOnce(&mut Select)) -> Include {
    let (relation, def) = model.relation(relation).unwrap();
    let mut select = Select::new(ModelRef((def.target)()));
    change(&mut select);
    Include { relation, select, count: false }
}

async fn rows(adapter: &impl Adapter, exec: &Exec, select: Select) -> Rows {
    match adapter.execute(exec, Operation::Select(select)).await.unwrap() {
        Outcome::Rows(rows) => rows,
        other => panic!("{other:?}"),
    }
}

fn filter_of(artifact: &MongoArtifact) -> Document {
    match &artifact.command {
        Command::Find { filter, .. } | Command::Count { filter, .. } | Command::Delete { filter, .. } => {
            filter.clone()
        }
        Command::Update { filter, .. } => filter.clone(),
        Command::Aggregate { pipeline } => pipeline[0].get_document("$match").unwrap().clone(),
        other => panic!("{other:?}"),
    }
}

fn delete(model: &'static ModelDef, filter: Filter) -> Delete {
    Delete::new(ModelRef(model), filter, DateTime::from_millis(1_000))
}

async fn deleted(fake: Fake, op: Delete) -> (Result<Outcome, Error>, Arc<Fake>) {
    let (adapter, fake) = fake.adapter();
    (adapter.execute(&Exec::default(), Operation::Delete(op)).await, fake)
}

#[tokio::test]
async fn an_index_search_is_joined_behind_what_it_finds_and_a_vector_search_not_at_all() {
    let mut fake = Fake::new([airports(3), flights(7, 3)]);
    (fake.capabilities.lookup, fake.capabilities.search) = (true, true);
    let (adapter, fake) = fake.adapter();
    let adapter = adapter.join_above(0);
    let departs = related(&AIRPORT, "departures", Quantifier::Some, Filter::eq("destination_id", "A0"));
    let operator = SearchOperator::Exists { path: "state".into() };
    let search = Search::Index(IndexSearch { index: Some("own".to_owned()), operator });
    let select = Select {
        search: Some(Box::new(search)),
        filter: departs.clone().and(Filter::eq("state", "S0")),
        limit: Some(5),
        ..Select::new(ModelRef(&AIRPORT))
    };
    rows(&adapter, &Exec::default(), select.clone()).await;
    let stages = |artifact: &MongoArtifact| match &artifact.command {
        Command::Aggregate { pipeline } => {
            let names: Vec<_> = pipeline.iter().filter_map(|stage| stage.keys().next()).cloned().collect();
            names.join(" ")
        }
        other => panic!("{other:?}"),
    };
    let sent = fake.take_log();
    assert_eq!(stages(&sent.last().unwrap().0), "$search $match $lookup $match $unset $limit");
    let vector =
        VectorSearch { path: "v".into(), vector: vec![1.0], limit: 5, candidates: None, exact: false };
    let select = Select { search: Some(Box::new(Search::Vector(vector))), filter: departs, ..select };
    // The airports have no vectors: what counts is that the keys are asked for.
    assert!(adapter.execute(&Exec::default(), Operation::Select(select)).await.is_err());
    assert!(fake.take_names().iter().all(|name| name.ends_with("flights")));
}

#[tokio::test]
async fn an_include_is_one_command_for_a_hundred_parents_also_with_a_limit() {
    let (adapter, fake) = Fake::new([airports(100), flights(300, 100)]).adapter();
    for limit in [None, Some(2)] {
        let nested = include(&FLIGHT, "tickets", |tickets| tickets.limit = Some(1));
        let departures = include(&AIRPORT, "departures", |flights| {
            flights.limit = limit;
            flights.include = vec![nested];
        });
        let select = Select { include: vec![departures], ..Select::new(ModelRef(&AIRPORT)) };
        let rows = rows(&adapter, &Exec::default(), select).await;
        let second = if limit.is_some() { "aggregate flights" } else { "find flights" };
        assert_eq!(fake.take_names(), ["find airports", second, "aggregate tickets"]);
        assert_eq!(rows.documents.len(), 100);
        assert_eq!(rows.included[0].groups.len(), 100);
        assert!(rows.included[0].groups.iter().all(|group| group.len() == 3));
        assert_eq!(rows.included[0].rows.included[0].groups.len(), 300);
    }
}

#[tokio::test]
async fn children_are_grouped_to_their_own_parents() {
    let (adapter, _) = Fake::new([airports(3), flights(7, 3)]).adapter();
    let origin = include(&FLIGHT, "origin", |_| {});
    let rows =
        rows(&adapter, &Exec::default(), Select { include: vec![origin], ..Select::new(ModelRef(&FLIGHT)) })
            .await;
    for (flight, group) in rows.documents.iter().zip(&rows.included[0].groups) {
        let [at] = group[..] else { panic!("{group:?}") };
        let airport = &rows.included[0].rows.documents[at as usize];
        assert_eq!(airport.get_str("_id").unwrap(), flight.get_str("origin_id").unwrap());
    }
}

#[tokio::test]
async fn a_has_one_keeps_one_and_no_parents_need_no_command() {
    let (adapter, fake) = Fake::new([airports(1), flights(2, 1)]).adapter();
    let tower = |filter| Select {
        filter,
        include: vec![include(&AIRPORT, "tower", |t| t.include = vec![include(&FLIGHT, "tickets", |_| {})])],
        ..Select::new(ModelRef(&AIRPORT))
    };
    let one = rows(&adapter, &Exec::default(), tower(Filter::All)).await;
    assert_eq!(one.included[0].groups, [[0]]);
    fake.take_log();
    let none = rows(&adapter, &Exec::default(), tower(Filter::eq("_id", "X"))).await;
    assert_eq!(fake.take_names(), ["find airports"]);
    assert!(none.included[0].groups.is_empty() && none.included[0].rows.included[0].groups.is_empty());
}

#[tokio::test]
async fn projections_keep_the_keys_that_joins_need() {
    let (adapter, fake) = Fake::new([airports(2), flights(2, 2)]).adapter();
    let departures = include(&AIRPORT, "departures", |flights| {
        flights.projection = Projection::Only(vec!["delay".into()]);
        flights.include = vec![include(&FLIGHT, "destination", |_| {})];
    });
    let only = Projection::Only(vec!["name".into()]);
    let select = Select { projection: only, include: vec![departures], ..Select::new(ModelRef(&AIRPORT)) };
    rows(&adapter, &Exec::default(), select).await;
    let projections: Vec<_> = fake
        .take_log()
        .into_iter()
        .map(|(artifact, _)| match artifact.command {
            Command::Find { projection, .. } => projection,
            other => panic!("{other:?}"),
        })
        .collect();
    let flights = doc! { "delay": 1, "destination_id": 1, "origin_id": 1 };
    assert_eq!(projections, [Some(doc! { "name": 1 }), Some(flights), None]);
}

#[tokio::test]
async fn relation_filters_become_conditions_on_keys_innermost_first() {
    let tickets = vec![doc! { "_id": 1, "flight_id": 3 }, doc! { "_id": 2, "flight_id": 3 }];
    let (adapter, fake) = Fake::new([airports(4), flights(4, 4), ("tickets", tickets)]).adapter();
    let sold = related(&FLIGHT, "tickets", Quantifier::Some, Filter::All);
    let filter = related(&AIRPORT, "departures", Quantifier::Some, sold);
    let found = rows(&adapter, &Exec::default(), Select { filter, ..Select::new(ModelRef(&AIRPORT)) }).await;
    let log = fake.take_log();
    let conditions: Vec<_> = log.iter().map(|(a, _)| (a.collection.as_str(), filter_or_all(a))).collect();
    let expected = [
        ("tickets", Document::new()),
        ("flights", doc! { "_id": 3, "deletedAt": null }),
        ("airports", doc! { "_id": "A3" }),
    ];
    assert_eq!(conditions, expected);
    assert_eq!(found.documents.len(), 1);
}

fn filter_or_all(artifact: &MongoArtifact) -> Document {
    match &artifact.command {
        Command::Aggregate { pipeline } => pipeline[0].get_document("$match").cloned().unwrap_or_default(),
        _ => filter_of(artifact),
    }
}

#[tokio::test]
async fn a_relation_filter_that_finds_too_much_says_what_to_do() {
    let (adapter, _) = Fake::new([airports(1), flights(100_001, 100_001)]).adapter();
    let filter = related(&AIRPORT, "departures", Quantifier::Some, Filter::All);
    let count = Count::new(ModelRef(&AIRPORT), filter);
    let error = adapter.execute(&Exec::default(), Operation::Count(count)).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::TooLarge);
    assert!(
        error.message().contains("Airport.departures") && error.message().contains("narrow it"),
        "{error}"
    );
}

#[tokio::test]
async fn quantifiers_mean_some_none_and_every() {
    let late = || Filter::Field("delay".into(), Predicate::Ne(0.into()));
    let flights = vec![
        doc! { "_id": 1, "origin_id": "A0", "delay": 5 },
        doc! { "_id": 2, "origin_id": "A0", "delay": 0 },
        doc! { "_id": 3, "origin_id": "A1", "delay": 5 },
    ];
    let (adapter, fake) = Fake::new([airports(3), ("flights", flights)]).adapter();
    let ids = async |quantifier| {
        // `Every` negates, and the fake driver does not know `$not`: late flights are those that are not on time.
        let filter = related(&AIRPORT, "departures", quantifier, late());
        let rows =
            rows(&adapter, &Exec::default(), Select { filter, ..Select::new(ModelRef(&AIRPORT)) }).await;
        rows.documents.iter().map(|d| d.get_str("_id").unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids(Quantifier::Some).await, ["A0", "A1"]);
    assert_eq!(ids(Quantifier::None).await, ["A2"]);
    assert_eq!(ids(Quantifier::Every).await, ["A1", "A2"]);
    assert_eq!(fake.take_names().len(), 6);
}

#[tokio::test]
async fn a_relation_that_nothing_matches_finds_nothing_and_still_counts_as_read() {
    let (adapter, fake) = Fake::new([airports(4), flights(4, 4)]).adapter();
    let reads = Arc::new(ReadLog::default());
    let exec = Exec { reads: Some(reads.clone()), ..Exec::default() };
    let wanted = Filter::eq("state", "nowhere");
    let filter = related(&FLIGHT, "origin", Quantifier::Some, wanted.clone());
    assert!(
        rows(&adapter, &exec, Select { filter, ..Select::new(ModelRef(&FLIGHT)) }).await.documents.is_empty()
    );
    assert_eq!(fake.take_names(), ["find airports"]);
    let reads = reads.take();
    assert_eq!((&*reads[0].collection, &reads[0].filter), ("airports", &wanted));
    assert_eq!((&*reads[1].collection, &reads[1].filter), ("flights", &Filter::Nothing));
}

#[tokio::test]
async fn every_command_of_a_read_is_recorded_with_what_it_asked_for() {
    let (adapter, _) = Fake::new([airports(2), flights(2, 2)]).adapter();
    let reads = Arc::new(ReadLog::default());
    let exec = Exec { reads: Some(reads.clone()), database: Some("other".into()), ..Exec::default() };
    let departures = include(&AIRPORT, "departures", |_| {});
    rows(&adapter, &exec, Select { include: vec![departures], ..Select::new(ModelRef(&AIRPORT)) }).await;
    let count = Count::new(ModelRef(&AIRPORT), Filter::eq("state", "S1"));
    adapter.execute(&exec, Operation::Count(count)).await.unwrap();
    let reads = reads.take();
    assert!(reads.iter().all(|read| &*read.database == "other"));
    let keys = Filter::Field("origin_id".into(), Predicate::In(vec!["A0".into(), "A1".into()]));
    let filters: Vec<_> = reads.into_iter().map(|read| read.filter).collect();
    assert_eq!(
        filters,
        [Filter::All, keys.and(Filter::eq("deletedAt", Bson::Null)), Filter::eq("state", "S1")]
    );
}

#[tokio::test]
async fn soft_deleted_documents_are_included_only_on_request() {
    let (adapter, fake) = Fake::new([airports(1), flights(1, 1)]).adapter();
    for with_deleted in [false, true] {
        let departures = include(&AIRPORT, "departures", |flights| flights.with_deleted = with_deleted);
        rows(
            &adapter,
            &Exec::default(),
            Select { include: vec![departures], ..Select::new(ModelRef(&AIRPORT)) },
        )
        .await;
        let log = fake.take_log();
        assert_eq!(filter_of(&log[1].0).contains_key("deletedAt"), !with_deleted);
    }
}

#[tokio::test]
async fn a_cascade_takes_leaves_first_inside_of_a_transaction() {
    let flights = vec![doc! { "_id": 1, "origin_id": "A0", "destination_id": "A1" }];
    let tickets =
        vec![doc! { "_id": 10, "flight_id": 1 }, doc! { "_id": 11, "flight_id": 2, "rebooked_id": 1 }];
    let fake = Fake::new([airports(2), ("flights", flights), ("tickets", tickets)]);
    let (outcome, fake) = deleted(fake, delete(&AIRPORT, Filter::eq("_id", "A0"))).await;
    assert!(matches!(outcome.unwrap(), Outcome::Written { matched: 1, changed: 1, .. }));
    let log = fake.take_log();
    assert!(log.iter().all(|(_, in_transaction)| *in_transaction));
    let writes: Vec<_> = log
        .iter()
        .filter(|(a, _)| !matches!(a.command, Command::Find { .. } | Command::Count { .. }))
        .map(|(a, _)| (a.command.name(), a.collection.as_str(), filter_of(a)))
        .collect();
    let expected = [
        ("delete", "tickets", doc! { "flight_id": 1 }),
        ("update", "tickets", doc! { "rebooked_id": 1 }),
        ("update", "flights", doc! { "_id": 1, "deletedAt": null }),
        ("delete", "airports", doc! { "_id": "A0" }),
    ];
    assert_eq!(writes, expected);
    assert_eq!((fake.begun.load(Ordering::Relaxed), fake.committed.load(Ordering::Relaxed)), (1, 1));
}

#[tokio::test]
async fn restrict_refuses_before_any_write_and_tells_how_many() {
    let fake = Fake::new([airports(3), flights(6, 3)]);
    let (outcome, fake) = deleted(fake, delete(&AIRPORT, Filter::eq("_id", "A0"))).await;
    let error = outcome.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Restricted);
    // Two of the six arrivals leave from the airport itself, and go with it.
    assert_eq!(error.details(), &Details::Restricted { relation: "Flight.destination".into(), count: 4 });
    assert!(error.message().contains("Airport"), "{error}");
    let log = fake.take_log();
    assert!(log.iter().all(|(a, _)| matches!(a.command, Command::Find { .. } | Command::Count { .. })));
    assert_eq!(fake.committed.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_purge_removes_soft_deleted_children_too() {
    let flights = vec![doc! { "_id": 1, "origin_id": "A1", "destination_id": "A0", "deletedAt": "then" }];
    let op = Delete { purge: true, ..delete(&AIRPORT, Filter::eq("_id", "A1")) };
    let (outcome, fake) = deleted(Fake::new([airports(2), ("flights", flights)]), op).await;
    outcome.unwrap();
    assert!(fake.take_names().contains(&"delete flights".to_owned()));
}

#[tokio::test]
async fn a_delete_without_referrers_is_one_command() {
    let (outcome, fake) = deleted(Fake::new([]), delete(&TICKET, Filter::eq("_id", 1))).await;
    outcome.unwrap();
    let op = Delete { returning: true, ..delete(&TICKET, Filter::eq("_id", 1)) };
    assert_eq!(fake.take_names(), ["delete tickets"]);
    let (outcome, fake) = deleted(Fake::new([]), op).await;
    assert!(matches!(outcome.unwrap(), Outcome::Written { matched: 0, document: None, .. }));
    assert_eq!(
        (fake.take_names(), fake.begun.load(Ordering::Relaxed)),
        (vec!["findAndModify tickets".to_owned()], 0)
    );
}

#[tokio::test]
async fn a_transaction_of_its_own_is_tried_again_and_the_callers_is_not() {
    let fake = Fake::new([airports(1)]);
    fake.conflicts.store(2, Ordering::Relaxed);
    let (adapter, fake) = fake.adapter();
    let written = Arc::new(Written::new(adapter.default_database()));
    let exec = Exec { written: Some(written.clone()), ..Exec::default() };
    let op = || Operation::Delete(delete(&AIRPORT, Filter::eq("_id", "A0")));
    adapter.execute(&exec, op()).await.unwrap();
    assert_eq!((fake.begun.load(Ordering::Relaxed), written.version()), (3, 1));

    fake.conflicts.store(1, Ordering::Relaxed);
    let exec = Exec { transaction: Some(adapter.begin(&exec).await.unwrap()), ..exec };
    let error = adapter.execute(&exec, op()).await.unwrap_err();
    assert_eq!((error.code(), fake.begun.load(Ordering::Relaxed)), (ErrorCode::Conflict, 4));
}

fn insert(count: i32, skip_duplicates: bool) -> Operation {
    let documents = (0..count).map(|i| RawDocumentBuf::try_from(&doc! { "_id": i }).unwrap()).collect();
    Operation::Insert(Insert { model: ModelRef(&AIRPORT), documents, skip_duplicates })
}

#[tokio::test]
async fn duplicates_are_skipped_by_position_or_refused_by_model_and_field() {
    let failure = |code| WriteFailure { code, message: "no".into(), key_paths: vec!["name".into()] };
    let (adapter, fake) = Fake::new([]).adapter();
    let fail = |code| *fake.insert_failures.lock().unwrap() = vec![(1, failure(code))];
    fail(11000);
    let outcome = adapter.execute(&Exec::default(), insert(3, true)).await.unwrap();
    assert!(
        matches!(outcome, Outcome::Inserted { skipped } if skipped.len() == 1 && skipped[0].position == 1)
    );
    fail(11000);
    let error = adapter.execute(&Exec::default(), insert(3, false)).await.unwrap_err();
    assert_eq!(error.details(), &Details::Unique { model: "Airport".into(), fields: vec!["name".into()] });
    fail(121);
    let error = adapter.execute(&Exec::default(), insert(3, true)).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::BadRequest);
    fake.take_log();
    adapter.execute(&Exec::default(), insert(0, false)).await.unwrap();
    assert!(fake.take_log().is_empty());
}

#[tokio::test]
async fn explanations_warn_of_scans_and_sorts_and_record_nothing() {
    let (adapter, _) = Fake::new([airports(1), flights(1, 1)]).adapter();
    let reads = Arc::new(ReadLog::default());
    let exec = Exec { reads: Some(reads.clone()), ..Exec::default() };
    let select = Select {
        sort: vec![SortKey { path: "name".into(), descending: false }],
        include: vec![include(&AIRPORT, "departures", |_| {})],
        ..Select::new(ModelRef(&AIRPORT))
    };
    let explanation = adapter.explain(&exec, Operation::Select(select)).await.unwrap();
    assert_eq!(
        explanation.steps.iter().map(|s| s.collection.as_str()).collect::<Vec<_>>(),
        ["airports", "flights"]
    );
    assert_eq!(explanation.warnings.len(), 4);
    assert!(reads.take().is_empty());
    let error = adapter.explain(&exec, insert(1, false)).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::BadRequest);
}

/// Every operation's future is allocated and copied: blocks above 1,024 bytes cost allocators several times as much.
#[test]
fn the_futures_of_small_operations_are_quickly_allocated() {
    let (adapter, _) = Fake::new([airports(1)]).adapter();
    let exec = Exec::default();
    let get = Select {
        filter: Filter::eq("_id", Bson::from("A0")),
        limit: Some(1),
        ..Select::new(ModelRef(&AIRPORT))
    };
    let documents = vec![bson::rawdoc! { "_id": "A1" }];
    let insert = Insert { model: ModelRef(&AIRPORT), documents, skip_duplicates: false };
    let by_id = Filter::eq("_id", Bson::from("A0"));
    let update = forge_core::ir::Update::new(ModelRef(&AIRPORT), by_id);
    for operation in [Operation::Select(get), Operation::Insert(insert), Operation::Update(update)] {
        let name = operation.name();
        let size = size_of_val(&*adapter.execute(&exec, operation));
        assert!(size <= 1_024, "{name}: {size} bytes");
    }
}
