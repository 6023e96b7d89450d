use forge::model::{IndexKey, Refresh, Rule};
use forge::prelude::*;

const LONGEST: u64 = 9;
const MOST: i32 = 7;
const TOP: f64 = 7.5;

#[derive(Debug, Clone, Embed)]
#[serde(rename_all = "camelCase")]
struct Address {
    #[validate(length(max = 5))]
    zip_code: String,
}

#[derive(Debug, Clone, Model)]
#[model(json_schema(strict, error), shard_key(tenant, id = "hashed"))]
#[model(index("home.zipCode", tenant = -1, unique), index("past.zipCode"))]
#[model(index("$**", projection = r#"{ "tenant": 0 }"#, name = "all"), index("home.$**" = -1))]
#[model(index(spot = "2d"), index(tenant = "hashed", hidden))]
#[model(index(title = text(10), "home.zipCode" = "text", language = "german", name = "words"))]
struct Thing {
    #[model(id)]
    id: Id<Thing>,
    #[validate(length(min = 1, max = LONGEST), contains(pattern = "a"))]
    tenant: String,
    title: String,
    #[validate(range(min = -1.5, exclusive_max = TOP))]
    level: f64,
    #[validate(range(max = MOST))]
    rank: Option<i32>,
    spot: Vec<f64>,
    #[model(embed)]
    home: Address,
    #[model(embed_many)]
    past: Vec<Address>,
    #[model(index(unique))]
    code: Option<String>,
}

fn totals() -> &'static str {
    r#"[{ "$group": { "_id": "$tenant", "things": { "$sum": 1 } } }]"#
}

#[derive(Debug, Clone, Model)]
#[model(view(source = Thing, pipeline = totals))]
struct Tenant {
    #[model(id)]
    name: String,
    things: i64,
}

#[derive(Debug, Clone, Model)]
#[model(view(source = Thing, pipeline = totals, materialized = merge), index(things = -1))]
struct StoredTenant {
    #[model(id)]
    name: String,
    things: i64,
}

fn main() {
    let catalog = forge::Catalog::collect().unwrap();
    let thing = catalog.model("Thing").unwrap();
    let index = |name: &str| thing.indexes.iter().find(|index| index.name() == name).unwrap();
    assert_eq!(
        index("home.zipCode_1_tenant_-1").keys,
        [("home.zipCode", IndexKey::Ascending), ("tenant", IndexKey::Descending)]
    );
    assert_eq!(index("all").projection, Some(r#"{ "tenant": 0 }"#));
    assert!(index("home.$**_-1").is_wildcard() && index("tenant_hashed").hidden);
    assert_eq!(index("spot_2d").keys, [("spot", IndexKey::Planar)]);
    assert_eq!(index("words").keys, [("title", IndexKey::Text(10)), ("home.zipCode", IndexKey::Text(1))]);
    assert_eq!(index("words").language, Some("german"));
    assert!(index("code_1").sparse, "documents without the field do not clash");
    assert_eq!(thing.json_schema.map(|schema| (schema.level(), schema.action())), Some(("strict", "error")));
    assert_eq!(thing.shard_key.unwrap().keys, [("tenant", IndexKey::Ascending), ("_id", IndexKey::Hashed)]);
    let rules = |field: &str| thing.field(field).unwrap().rules;
    assert_eq!(rules("rank"), [Rule::Maximum(7.0)]);
    assert_eq!(rules("level"), [Rule::Minimum(-1.5), Rule::Below(7.5)]);
    assert_eq!(rules("title"), []);
    let stored = catalog.model("StoredTenant").unwrap();
    assert_eq!(stored.view.unwrap().refresh, Some(Refresh::Merge));
    assert_eq!(stored.all_indexes().len(), 1);
    let view = catalog.model("Tenant").unwrap();
    assert!(view.is_plain_view() && view.all_indexes().is_empty());
    assert_eq!(view.view.unwrap().contents().unwrap().stages.len(), 1);
    let _ = (LONGEST, Address { zip_code: String::new() }.zip_code);
}
