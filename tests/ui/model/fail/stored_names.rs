use forge::prelude::*;

#[derive(Model)]
struct Flight {
    #[model(id)]
    id: Id<Flight>,
    #[serde(rename = "_id")]
    a: i32,
    #[serde(rename = "a.b")]
    b: i32,
    #[serde(rename = "$c")]
    c: i32,
    #[serde(rename = "")]
    d: i32,
}

fn main() {}
