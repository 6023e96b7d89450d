use forge::prelude::*;

#[derive(Model)]
#[model(colection = "flights", banana)]
struct Flight {
    #[model(id)]
    id: Id<Flight>,
    #[model(uniqe)]
    number: String,
}

fn main() {}
