use forge::prelude::*;

#[derive(Model)]
struct Flight {
    id: Id<Flight>,
}

fn main() {}
