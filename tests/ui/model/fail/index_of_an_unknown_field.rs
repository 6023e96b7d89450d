use forge::prelude::*;

#[derive(Model)]
#[model(index(dely, date = -1))]
struct Flight {
    #[model(id)]
    id: Id<Flight>,
    delay: i32,
    date: DateTime,
}

fn main() {}
