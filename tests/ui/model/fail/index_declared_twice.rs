use forge::prelude::*;

#[derive(Model)]
#[model(index(delay), index(date, name = "a"), index(date = -1, name = "a"))]
struct Flight {
    #[model(id)]
    id: Id<Flight>,
    #[model(index)]
    delay: i32,
    date: DateTime,
}

fn main() {}
