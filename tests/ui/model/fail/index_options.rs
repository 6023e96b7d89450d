use forge::prelude::*;

#[derive(Model)]
#[model(index(delay, ttl = "soon"), index(delay, partial = "active"))]
#[model(index(delay, collation(strength = 9)), index(delay, name), index(delay, delay))]
struct Flight {
    #[model(id)]
    id: Id<Flight>,
    delay: DateTime,
}

fn main() {}
