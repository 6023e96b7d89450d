use forge::prelude::*;

/// A place.
#[derive(Debug, Clone, PartialEq, Embed)]
#[serde(rename_all = "camelCase")]
struct Address {
    #[validate(length(min = 1))]
    street_name: String,
    #[model(private)]
    code: Option<String>,
    #[serde(default)]
    floor: i32,
    #[model(embed)]
    country: Option<Country>,
    #[model(embed_many)]
    others: Vec<Address>,
}

#[derive(Debug, Clone, PartialEq, Embed)]
struct Country {
    #[validate(length(equal = 2))]
    iso: String,
}

#[derive(Debug, Clone, PartialEq, Embed)]
struct Nothing {}

#[derive(Debug, Clone, Model)]
struct Person {
    #[model(id)]
    id: Id<Person>,
    #[model(embed)]
    home: Address,
    #[model(embed)]
    work: Option<Address>,
    #[model(embed_many)]
    past: Vec<Address>,
    #[model(embed_many)]
    #[validate(nested, length(max = 2))]
    future: Option<Vec<Address>>,
    #[model(embed)]
    nothing: Nothing,
}

#[query]
async fn people(ctx: &QueryCtx, #[validate(nested)] near: Country) -> Result<Vec<Person>> {
    let iso = near.iso;
    ctx.db
        .find::<Person>()
        .filter(|p| p.home.country.iso.eq(&iso) & p.work.street_name.contains("a") & p.past.some(|a| a.floor.gt(1)))
        .sort(|p| p.home.street_name.asc())
        .await
}

fn main() {
    let person = forge::Catalog::collect().unwrap().model("Person").unwrap();
    let home = (person.field("home").unwrap().embed.unwrap())();
    assert_eq!((home.name, home.fields[0].stored), ("Address", "streetName"));
    assert_eq!(<Person as forge::Model>::FIELDS.work.street_name.path(), "work.streetName");
}
