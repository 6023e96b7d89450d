use forge::prelude::*;

#[derive(Model)]
#[model("flights", sync timestamps)]
struct Flight {
    #[model(id)]
    id: Id<Flight>,
    #[model(index(address.city))]
    number: String,
}

fn main() {}
