//! Services that show one thing each.

use bson::{Document, doc};
use forge::App;
use forge::ir::Collation;
use forge::prelude::*;
use forge::services::{Hooks, Kind, Method, Multi, Paginate, Service};
use serde_json::json;

use crate::people::fields;

/// Somebody whose name and age are checked.
#[derive(Debug, Clone, Model)]
#[model(collection = "people_validated")]
pub(crate) struct Validated {
    #[model(id)]
    #[serde(rename = "_id")]
    pub(crate) id: Id<Validated>,
    #[validate(length(min = 1))]
    pub(crate) name: String,
    pub(crate) age: Option<f64>,
}

/// Adds the optional services.
pub(crate) fn add(app: App) -> App {
    app.service(raw().unique("email"))
        .service(raw().path("people-raw-paginated").paginate(Paginate::new(2).max(3)))
        .service(raw().path("people-raw-ops").operators([
            "$regex",
            "$options",
            "$exists",
            "$all",
            "$size",
            "$elemMatch",
            "$not",
        ]))
        .service(Service::<Validated>::new().path("people-validated").multi(Multi::ALL))
        .service(
            Service::raw("people")
                .path("people-readonly")
                .query_fields(fields().field("_id", Kind::ObjectId))
                .methods([Method::Find, Method::Get]),
        )
        .service(upsert())
        .service(collation())
        .service(pipeline())
        .service(custom_method())
}

/// Tells who calls: a service without documents.
pub(crate) fn whoami() -> Service {
    Service::raw("whoami").methods([]).method("find", |call| async move {
        Ok(json!({ "subject": call.params.caller.auth.as_ref().map(|auth| auth.subject.clone()) }))
    })
}

fn raw() -> Service {
    Service::raw("raw").path("people-raw").multi(Multi::ALL)
}

fn own(collection: &str, path: &str) -> Service {
    let fields = fields().field("_id", Kind::ObjectId);
    Service::raw(collection).path(path).query_fields(fields).multi(Multi::ALL)
}

fn upsert() -> Service {
    own("people_upsert", "people-upsert").hooks(Hooks::new().before(
        [Method::Patch, Method::Update],
        |mut call| async move {
            call.params.mongodb.upsert = true;
            Ok(call)
        },
    ))
}

fn collation() -> Service {
    let methods = [Method::Find, Method::Get, Method::Update, Method::Patch, Method::Remove];
    own("people_collation", "people-collation").hooks(Hooks::new().before(methods, |mut call| async move {
        call.params.mongodb.collation = Some(Collation::letters("en"));
        Ok(call)
    }))
}

fn pipeline() -> Service {
    let marked = || doc! { "$addFields": { "aggregation": true } };
    let stages = move |stages: Vec<Document>| {
        move |mut call: forge::services::HookContext| {
            let stages = stages.clone();
            async move {
                call.params.pipeline = Some(stages);
                Ok(call)
            }
        }
    };
    let find = vec![doc! { "$match": { "age": { "$gte": 20 } } }, doc! { "$feathers": {} }, marked()];
    own("people_pipeline", "people-pipeline").paginate(Paginate::new(2).max(5)).hooks(
        Hooks::new().before([Method::Find], stages(find)).before([Method::Get], stages(vec![marked()])),
    )
}

fn custom_method() -> Service {
    own("people_custom_method", "people-custom-method")
        .methods([Method::Find, Method::Get, Method::Create])
        .method("echo", |call| async move { Ok(json!({ "echo": call.data, "query": call.params.query })) })
}
