//! Two collections, each under eight names that differ in pages and in what takes many documents.

use forge::App;
use forge::services::{Kind, Multi, Paginate, QueryFields, Service};

/// What a name ends with, and what that means.
const VARIANTS: [(&str, Paginate, Multi); 8] = [
    ("", OFF, Multi::NONE),
    ("-paginated", pages(1, Some(2)), Multi::NONE),
    ("-page3", pages(3, None), Multi::NONE),
    ("-multi", OFF, Multi::ALL),
    ("-multi-create", OFF, Multi::CREATE),
    ("-multi-patch", OFF, Multi::PATCH),
    ("-multi-remove", OFF, Multi::REMOVE),
    ("-multi-paginated", pages(10, Some(100)), Multi::ALL),
];

const OFF: Paginate = Paginate { default: None, max: None };

const fn pages(default: u64, max: Option<u64>) -> Paginate {
    Paginate { default: Some(default), max }
}

/// What queries may ask about, beside the id.
pub(crate) fn fields() -> QueryFields {
    QueryFields::new()
        .field("name", Kind::String)
        .operators("name", ["$regex", "$options"])
        .field("age", Kind::Number)
        .field("created", Kind::Boolean)
        .field("team", Kind::String)
        .field("friends", Kind::list(Kind::String))
}

/// Adds the sixteen services.
pub(crate) fn add(mut app: App) -> App {
    for (suffix, paginate, multi) in VARIANTS {
        let people = Service::raw("people")
            .path(&format!("people{suffix}"))
            .query_fields(fields().field("_id", Kind::ObjectId))
            .paginate(paginate)
            .multi(multi);
        let customid = Service::raw("people_customid")
            .path(&format!("people-customid{suffix}"))
            .id("customid")
            .query_fields(fields().field("customid", Kind::String))
            .paginate(paginate)
            .multi(multi);
        app = app.service(people).service(customid);
    }
    app
}
