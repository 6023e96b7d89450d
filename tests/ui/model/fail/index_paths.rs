use forge::prelude::*;

#[derive(Debug, Clone, Embed)]
struct Address {
    city: String,
}

#[derive(Model)]
#[model(index("home..city"), index("hime.city"), index("home_base.city"))]
#[model(index("home"), index("name.first"), index(home.city), index("$city"))]
struct Person {
    #[model(id)]
    id: Id<Person>,
    name: String,
    #[model(embed)]
    home: Address,
    #[serde(rename = "homeBase")]
    #[model(embed)]
    home_base: Address,
}

fn main() {}
