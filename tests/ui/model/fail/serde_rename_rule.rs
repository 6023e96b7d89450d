use forge::prelude::*;

#[derive(Model)]
#[serde(rename_all = "camel_case")]
struct Flight {
    #[model(id)]
    id: Id<Flight>,
    #[serde(renam = "x")]
    delay: i32,
}

fn main() {}
