use forge::prelude::*;

#[derive(Model)]
struct Flight {
    #[model(id, timestamps)]
    id: Id<Flight>,
}

fn main() {}
