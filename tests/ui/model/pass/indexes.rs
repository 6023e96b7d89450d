use forge::model::IndexKey;
use forge::prelude::*;

#[derive(Debug, Clone, Model)]
#[model(timestamps, soft_delete, collection = "events")]
#[model(index(kind, place = -1, unique, sparse, name = "kinds"))]
#[model(index(created_at, ttl = "30d"), index(name, number = 1))]
#[model(index(kind, collation(locale = "en", strength = 2)))]
#[model(index([number], partial = r#"{ "active": true }"#), index([kind, number = -1, second_number], unique))]
#[serde(rename_all = "camelCase")]
struct Event {
    #[model(id)]
    id: Id<Event>,
    #[model(unique)]
    number: i64,
    #[model(unique)]
    second_number: Option<i64>,
    #[model(index, text(weight = 5))]
    name: String,
    #[model(text)]
    tags: Vec<String>,
    #[model(index = -1)]
    kind: String,
    #[model(index = "2dsphere")]
    place: Option<GeoPoint>,
    #[model(index(ttl = 60, name = "end"))]
    ends_at: Option<DateTime>,
    #[model(index(unique, collation(locale = "de"), partial = "{}"))]
    code: Option<String>,
}

fn main() {
    let def = forge::Catalog::collect().unwrap().model("Event").unwrap();
    let names: Vec<String> = def.all_indexes().iter().map(|index| index.name()).collect();
    assert_eq!(
        names,
        [
            "number_1",
            "secondNumber_1",
            "name_1",
            "kind_-1",
            "place_2dsphere",
            "end",
            "code_1",
            "name_text_tags_text",
            "kinds",
            "createdAt_1",
            "name_1_number_1",
            "kind_1",
            "number_1",
            "kind_1_number_-1_secondNumber_1",
            "updatedAt_1",
            "deletedAt_1",
        ]
    );
    let by_name = |name: &str| def.indexes.iter().find(|index| index.name() == name).unwrap();
    assert!(by_name("secondNumber_1").unique && by_name("secondNumber_1").sparse);
    assert!(by_name("number_1").unique && !by_name("number_1").sparse);
    assert_eq!(by_name("end").ttl_seconds, Some(60));
    assert_eq!(by_name("createdAt_1").ttl_seconds, Some(30 * 24 * 60 * 60));
    assert_eq!(by_name("code_1").collation, Some(("de", 3)));
    assert_eq!(by_name("kinds").keys, [("kind", IndexKey::Ascending), ("place", IndexKey::Descending)]);
    assert_eq!(by_name("name_text_tags_text").keys, [("name", IndexKey::Text(5)), ("tags", IndexKey::Text(1))]);
}
