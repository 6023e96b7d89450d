use forge::prelude::*;

#[derive(Model)]
#[model(timestamps)]
struct Flight {
    #[model(id)]
    id: Id<Flight>,
    #[serde(rename = "createdAt")]
    made: DateTime,
}

fn main() {}
