use bson::{Bson, DateTime, RawDocumentBuf, doc};
use forge_core::ErrorCode;
use forge_core::adapter::{Adapter, Exec};
use forge_core::error::{Details, Retry};
use forge_core::ir::{Change, Delete, Filter, Insert, Operation, Outcome, Returning, Update};
use forge_core::model::{ModelDef, ModelRef};

use crate::models::{AIRPORT, FLIGHT, TICKET, catalog};
use crate::{Database, insert};

fn update(model: &'static ModelDef, filter: Filter, changes: Vec<Change>) -> Update {
    Update { changes, ..Update::new(ModelRef(model), filter) }
}

fn delete(model: &'static ModelDef, filter: Filter) -> Delete {
    Delete::new(ModelRef(model), filter, DateTime::from_millis(1_000))
}

#[tokio::test]
async fn duplicates_are_named_by_model_and_field_and_can_be_skipped() {
    let Some(database) = Database::open("duplicates").await else { return };
    database.adapter.push(&database.name, &catalog(), true).await.unwrap();
    database.insert(&AIRPORT, [doc! { "_id": "A", "code": "a" }]).await;
    let unique = |error: forge_core::Error| match error.details() {
        Details::Unique { model, fields } => (model.clone(), fields.clone()),
        other => panic!("{error}: {other:?}"),
    };
    let same_id = database.run(insert(&AIRPORT, [doc! { "_id": "A" }])).await.unwrap_err();
    assert_eq!(unique(same_id), ("Airport".into(), vec!["_id".into()]));
    let same_code = database.run(insert(&AIRPORT, [doc! { "_id": "B", "code": "a" }])).await.unwrap_err();
    assert_eq!(unique(same_code), ("Airport".into(), vec!["code".into()]));
    database.insert(&AIRPORT, [doc! { "_id": "C", "code": "c" }]).await;
    let taken = vec![Change::Set("code".into(), "a".into())];
    let changed =
        database.run(Operation::Update(update(&AIRPORT, Filter::eq("_id", "C"), taken.clone()))).await;
    assert_eq!(unique(changed.unwrap_err()), ("Airport".into(), vec!["code".into()]));
    let returning = Update { returning: Returning::After, ..update(&AIRPORT, Filter::eq("_id", "C"), taken) };
    let changed = database.run(Operation::Update(returning)).await.unwrap_err();
    assert_eq!(unique(changed), ("Airport".into(), vec!["code".into()]));

    let documents =
        ["X", "A", "Y", "C", "Z"].iter().map(|id| RawDocumentBuf::try_from(&doc! { "_id": *id }).unwrap());
    let op = Insert { model: ModelRef(&AIRPORT), documents: documents.collect(), skip_duplicates: true };
    let Outcome::Inserted { skipped } = database.run(Operation::Insert(op)).await.unwrap() else { panic!() };
    assert_eq!(skipped.iter().map(|skipped| skipped.position).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(database.ids(&AIRPORT, Filter::All).await, ["A", "C", "X", "Y", "Z"]);
    database.close().await;
}

#[tokio::test]
async fn upserts_say_whether_they_inserted() {
    let Some(database) = Database::open("upserts").await else { return };
    let upsert = async |filter: Filter, id: &str, returning| {
        let mut op = update(&AIRPORT, filter, vec![Change::Inc("n".into(), 1.into())]);
        op.upsert = Some(RawDocumentBuf::try_from(&doc! { "_id": id, "name": "new" }).unwrap());
        op.returning = returning;
        match database.run(Operation::Update(op)).await.unwrap() {
            Outcome::Written { upserted, document, .. } => {
                (upserted, document.map(|document| document.get_i32("n").unwrap()))
            }
            other => panic!("{other:?}"),
        }
    };
    let by_code = || Filter::eq("code", "q");
    assert_eq!(upsert(by_code(), "A", Returning::Nothing).await, (true, None));
    assert_eq!(upsert(by_code(), "B", Returning::Nothing).await, (false, None));
    assert_eq!(upsert(by_code(), "C", Returning::After).await, (false, Some(3)));
    assert_eq!(upsert(by_code(), "D", Returning::Before).await, (false, Some(3)));
    assert_eq!(upsert(Filter::eq("code", "r"), "E", Returning::After).await, (true, Some(1)));
    let by_id = || Filter::eq("_id", "F");
    assert_eq!(upsert(by_id(), "F", Returning::After).await, (true, Some(1)));
    assert_eq!(upsert(by_id(), "F", Returning::After).await, (false, Some(2)));
    assert_eq!(upsert(Filter::eq("code", "s"), "G", Returning::Before).await, (true, None));
    assert_eq!(database.ids(&AIRPORT, Filter::All).await, ["A", "E", "F", "G"]);
    database.close().await;
}

#[tokio::test]
async fn changes_that_do_not_fit_the_document_are_bad_requests() {
    let Some(database) = Database::open("bad_changes").await else { return };
    database.insert(&AIRPORT, [doc! { "_id": "A", "name": "text" }]).await;
    let wrong = update(&AIRPORT, Filter::eq("_id", "A"), vec![Change::Inc("name".into(), 1.into())]);
    let error = database.run(Operation::Update(wrong)).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::BadRequest, "{error:?}");
    database.close().await;
}

async fn filled(test: &str) -> Option<Database> {
    let database = Database::open(test).await?;
    database.insert(&AIRPORT, [doc! { "_id": "A" }, doc! { "_id": "B" }]).await;
    let flight = |id: i32| doc! { "_id": id, "origin_id": "A", "destination_id": "B" };
    database.insert(&FLIGHT, [flight(1), flight(2)]).await;
    let ticket = |id: i32, flight: i32| doc! { "_id": id, "flight_id": flight };
    database.insert(&TICKET, [ticket(10, 1), ticket(11, 2), ticket(12, 3)]).await;
    Some(database)
}

#[tokio::test]
async fn a_delete_takes_what_cascades_and_is_refused_where_restricted() {
    let Some(database) = filled("cascade").await else { return };
    let error = database.run(Operation::Delete(delete(&AIRPORT, Filter::eq("_id", "B")))).await.unwrap_err();
    assert_eq!(error.details(), &Details::Restricted { relation: "Flight.destination".into(), count: 2 });
    let op = Delete { returning: true, ..delete(&AIRPORT, Filter::eq("_id", "A")) };
    let Outcome::Written { matched: 1, document: Some(airport), .. } =
        database.run(Operation::Delete(op)).await.unwrap()
    else {
        panic!()
    };
    assert_eq!(airport.get_str("_id").unwrap(), "A");
    assert_eq!(database.ids(&AIRPORT, Filter::All).await, ["B"]);
    // Flights are deleted softly, their tickets for good.
    assert_eq!(database.ids(&FLIGHT, Filter::eq("deletedAt", Bson::Null)).await, [""; 0]);
    assert_eq!(database.ids(&FLIGHT, Filter::All).await, ["1", "2"]);
    assert_eq!(database.ids(&TICKET, Filter::All).await, ["12"]);
    database.close().await;
}

#[tokio::test]
async fn a_cascade_inside_of_a_transaction_goes_with_it() {
    let Some(database) = filled("cascade_rollback").await else { return };
    let transaction = database.adapter.begin(&database.exec).await.unwrap();
    let exec = Exec { transaction: Some(transaction.clone()), ..database.exec.clone() };
    let op = Operation::Delete(delete(&AIRPORT, Filter::eq("_id", "A")));
    database.adapter.execute(&exec, op.clone()).await.unwrap();
    transaction.abort().await.unwrap();
    assert_eq!(database.ids(&AIRPORT, Filter::All).await, ["A", "B"]);
    assert_eq!(database.ids(&TICKET, Filter::All).await, ["10", "11", "12"]);

    let transaction = database.adapter.begin(&database.exec).await.unwrap();
    let exec = Exec { transaction: Some(transaction.clone()), ..database.exec.clone() };
    database.adapter.execute(&exec, op).await.unwrap();
    assert_eq!(database.ids(&AIRPORT, Filter::All).await, ["A", "B"]);
    transaction.commit().await.unwrap();
    assert_eq!(database.ids(&AIRPORT, Filter::All).await, ["B"]);
    database.close().await;
}

#[tokio::test]
async fn the_loser_of_two_transactions_may_try_again() {
    let Some(database) = filled("conflict").await else { return };
    let mut open = Vec::new();
    for _ in 0..2 {
        let transaction = database.adapter.begin(&database.exec).await.unwrap();
        open.push(Exec { transaction: Some(transaction), ..database.exec.clone() });
    }
    let touch = || {
        let changes = vec![Change::Inc("n".into(), 1.into())];
        Operation::Update(update(&AIRPORT, Filter::eq("_id", "A"), changes))
    };
    // Both have read before one of them writes.
    for exec in &open {
        database
            .adapter
            .execute(exec, Operation::Select(forge_core::ir::Select::new(ModelRef(&AIRPORT))))
            .await
            .unwrap();
    }
    database.adapter.execute(&open[0], touch()).await.unwrap();
    let error = database.adapter.execute(&open[1], touch()).await.unwrap_err();
    assert_eq!((error.code(), error.retry()), (ErrorCode::Conflict, Retry::Transaction), "{error:?}");
    open[0].transaction.as_ref().unwrap().commit().await.unwrap();
    database.close().await;
}

#[tokio::test]
async fn a_transaction_that_is_dropped_is_forgotten() {
    let Some(database) = filled("dropped").await else { return };
    let exec = Exec {
        transaction: Some(database.adapter.begin(&database.exec).await.unwrap()),
        ..database.exec.clone()
    };
    database.adapter.execute(&exec, insert(&AIRPORT, [doc! { "_id": "C" }])).await.unwrap();
    drop(exec);
    assert_eq!(database.ids(&AIRPORT, Filter::All).await, ["A", "B"]);
    // Its locks go as well: the same document can be written now.
    database.insert(&AIRPORT, [doc! { "_id": "D" }]).await;
    database.close().await;
}

#[tokio::test]
async fn commands_of_one_transaction_wait_for_each_other() {
    let Some(database) = filled("serial").await else { return };
    let transaction = database.adapter.begin(&database.exec).await.unwrap();
    let exec = Exec { transaction: Some(transaction.clone()), ..database.exec.clone() };
    let inserts =
        (0..8).map(|n| database.adapter.execute(&exec, insert(&AIRPORT, [doc! { "_id": format!("N{n}") }])));
    for outcome in futures_util::future::join_all(inserts).await {
        outcome.unwrap();
    }
    transaction.commit().await.unwrap();
    assert_eq!(database.ids(&AIRPORT, Filter::All).await.len(), 10);
    database.close().await;
}
