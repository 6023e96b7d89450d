use forge::prelude::*;

#[derive(Model)]
#[model(index(date, delay, ttl = "7d"))]
struct Flight {
    #[model(id)]
    id: Id<Flight>,
    #[model(index(ttl = 60))]
    delay: i32,
    date: DateTime,
}

fn main() {}
