use forge::prelude::*;

#[derive(Model)]
#[model(collection = "flights", timestamps)]
#[model(collection = "planes")]
struct Flight {
    #[model(id)]
    id: Id<Flight>,
}

fn main() {}
