use forge::prelude::*;

#[derive(Model)]
struct Flight {
    #[model(id)]
    id: Id<Flight>,
    #[model(version)]
    revision: String,
}

#[derive(Model)]
struct Airport {
    #[model(id)]
    id: Id<Airport>,
    #[model(version)]
    revision: Option<i64>,
}

#[derive(Model)]
struct Gate {
    #[model(id)]
    id: Id<Gate>,
    #[model(version, default = 1)]
    #[validate(range(min = 0))]
    revision: i64,
}

#[derive(Model)]
struct Seat {
    #[model(id)]
    id: Id<Seat>,
    #[model(version)]
    first: i64,
    #[model(version)]
    second: i64,
}

#[derive(Embed)]
struct Leg {
    #[model(version)]
    revision: i64,
}

fn main() {}
