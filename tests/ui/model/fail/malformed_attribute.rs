use forge::prelude::*;

#[derive(Model)]
#[model(collection, timestamps = true, client = "id")]
struct Flight {
    #[model(id)]
    id: Id<Flight>,
    #[model(text(weight = -1))]
    number: String,
}

fn main() {}
