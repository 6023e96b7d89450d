use bson::{Bson, doc};
use forge_core::adapter::Adapter;
use forge_core::ir::{
    Aggregate, Count, Distinct, Filter, Group, Include, Operation, Outcome, Predicate, Projection,
    Quantifier, RelationFilter, Select,
};
use forge_core::model::{ModelDef, ModelRef};

use crate::models::{AIRPORT, FLIGHT};
use crate::{Database, by, documents, id};

/// Airports A, B and C; six flights out of A and B, those of B late, one of them deleted.
async fn filled(test: &str) -> Option<Database> {
    let database = Database::open(test).await?;
    let at = |lon: f64| doc! { "type": "Point", "coordinates": [lon, 0.0] };
    database
        .insert(
            &AIRPORT,
            ["A", "B", "C"].iter().zip(1..).map(|(id, n)| doc! { "_id": *id, "at": at(f64::from(n)) }),
        )
        .await;
    let flight = |n: i32| {
        let (origin, delay) = if n % 2 == 0 { ("A", 0) } else { ("B", 10 + n) };
        doc! { "_id": n, "origin_id": origin, "destination_id": "C", "delay": delay }
    };
    database.insert(&FLIGHT, (0..6).map(flight)).await;
    let gone = doc! { "_id": 9, "origin_id": "C", "delay": 99, "deletedAt": bson::DateTime::from_millis(1) };
    database.insert(&FLIGHT, [gone]).await;
    Some(database)
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

fn late() -> Filter {
    Filter::Field("delay".into(), Predicate::Gt(0.into()))
}

#[tokio::test]
async fn relation_filters_find_by_related_documents() {
    let Some(database) = filled("relation_filters").await else { return };
    let airports =
        async |quantifier| database.ids(&AIRPORT, related(&AIRPORT, "departures", quantifier, late())).await;
    assert_eq!(airports(Quantifier::Some).await, ["B"]);
    assert_eq!(airports(Quantifier::None).await, ["A", "C"]);
    assert_eq!(airports(Quantifier::Every).await, ["B", "C"]);
    let from_b = related(&FLIGHT, "origin", Quantifier::Some, Filter::eq("_id", "B"));
    assert_eq!(database.ids(&FLIGHT, from_b.clone()).await, ["1", "3", "5"]);
    assert_eq!(database.ids(&FLIGHT, from_b.negate()).await, ["0", "2", "4", "9"]);
    database.close().await;
}

#[tokio::test]
async fn includes_keep_limits_and_order_per_parent() {
    let Some(database) = filled("includes").await else { return };
    let mut flights = Select::new(ModelRef(&FLIGHT));
    flights.sort = vec![by("delay", true)];
    (flights.skip, flights.limit) = (Some(1), Some(2));
    flights.projection = Projection::Only(vec!["delay".into()]);
    flights.include = vec![Include::new(1, ModelRef(&AIRPORT))];
    let select = Select {
        sort: vec![by("_id", false)],
        include: vec![Include { relation: 0, select: flights, count: false }],
        ..Select::new(ModelRef(&AIRPORT))
    };
    let rows = database.rows(select).await;
    let departures = &rows.included[0];
    let flights = documents(&departures.rows);
    let ids = |group: &Vec<u32>| group.iter().map(|at| id(&flights[*at as usize])).collect::<Vec<_>>();
    // Those of A are equally late: the id decides.
    assert_eq!(
        departures.groups.iter().map(ids).collect::<Vec<_>>(),
        [vec!["2", "4"], vec!["3", "1"], vec![]]
    );
    assert!(flights.iter().all(|flight| !flight.keys().any(|key| key.starts_with("__"))), "{flights:?}");
    assert!(departures.rows.included[0].groups.iter().all(|group| group.len() == 1));
    database.close().await;
}

#[tokio::test]
async fn pages_counts_groups_and_distinct_values() {
    let Some(database) = filled("aggregates").await else { return };
    let live = || Filter::eq("deletedAt", Bson::Null);
    let count = Count::new(ModelRef(&FLIGHT), live());
    let counted = async |op: Count| match database.run(Operation::Count(op)).await.unwrap() {
        Outcome::Count(count) => count,
        other => panic!("{other:?}"),
    };
    assert_eq!(counted(count.clone()).await, 6);
    assert_eq!(counted(Count { limit: Some(1), ..count.clone() }).await, 1);
    assert_eq!(counted(Count { limit: Some(0), ..count }).await, 0);

    let distinct = Distinct { filter: live(), ..Distinct::new(ModelRef(&FLIGHT), "delay") };
    let Outcome::Values(values) = database.run(Operation::Distinct(distinct)).await.unwrap() else {
        panic!()
    };
    assert_eq!(values, [0, 11, 13, 15].map(Bson::Int32));

    let group = Group {
        keys: vec!["destination_id".into()],
        aggregates: vec![Aggregate::Count, Aggregate::Avg("delay".into()), Aggregate::Max("delay".into())],
        having: Filter::Field("a0".into(), Predicate::Gt(0.into())),
        sort: vec![by("a0", true)],
        limit: Some(5),
        with_deleted: true,
        ..Group::new(ModelRef(&FLIGHT))
    };
    let Outcome::Rows(rows) = database.run(Operation::Group(group)).await.unwrap() else { panic!() };
    let groups = documents(&rows);
    assert_eq!(groups.len(), 2);
    assert_eq!(groups[0].get_str("k0").unwrap(), "C");
    assert_eq!(groups[0].get_f64("a1").unwrap(), 6.5);
    assert_eq!(groups[1].get("k0"), Some(&Bson::Null));
    database.close().await;
}

#[tokio::test]
async fn near_finds_the_nearest_first_and_counts_as_a_circle() {
    let Some(database) = filled("near").await else { return };
    database.adapter.push(&database.name, &crate::models::catalog(), true).await.unwrap();
    let near = Predicate::Near { point: [3.1, 0.0], max_metres: Some(150_000.0), min_metres: None };
    let filter = Filter::Field("at".into(), near);
    let found = database
        .rows(Select { filter: filter.clone(), limit: Some(5), ..Select::new(ModelRef(&AIRPORT)) })
        .await;
    let mut found: Vec<_> = documents(&found).iter().map(id).collect();
    // SecantusDB leaves `$nearSphere` unordered.
    if database.is_on("SecantusDB").await {
        found.sort_by(|a, b| b.cmp(a));
    }
    assert_eq!(found, ["C", "B"]);
    let count = Count::new(ModelRef(&AIRPORT), filter);
    assert!(matches!(database.run(Operation::Count(count)).await.unwrap(), Outcome::Count(2)));
    database.close().await;
}

#[tokio::test]
async fn results_larger_than_a_batch_are_read_to_their_end() {
    let Some(database) = Database::open("batches").await else { return };
    let text = "x".repeat(200);
    database.insert(&FLIGHT, (0..12_000).map(|n| doc! { "_id": n, "text": &text })).await;
    let rows = database.rows(Select::new(ModelRef(&FLIGHT))).await;
    assert_eq!(rows.documents.len(), 12_000);
    let transaction = database.adapter.begin(&database.exec).await.unwrap();
    let exec = forge_core::adapter::Exec { transaction: Some(transaction.clone()), ..database.exec.clone() };
    let all = Operation::Select(Select::new(ModelRef(&FLIGHT)));
    let Outcome::Rows(rows) = database.adapter.execute(&exec, all).await.unwrap() else { panic!() };
    assert_eq!(rows.documents.len(), 12_000);
    transaction.abort().await.unwrap();
    database.close().await;
}
