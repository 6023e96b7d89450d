use forge::prelude::*;

#[derive(Model)]
struct Flight {
    #[model(id)]
    id: Id<Airport>,
}

#[derive(Model)]
struct Airport {
    #[model(id)]
    id: Id<Self>,
}

fn main() {}
