use forge::prelude::*;

#[derive(Model)]
#[serde(rename_all = "camelCase")]
struct Flight {
    #[model(id)]
    id: Id<Flight>,
    first_leg: i32,
    #[serde(rename = "firstLeg")]
    leg: i32,
}

fn main() {}
