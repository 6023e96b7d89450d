use forge::prelude::*;

#[derive(Model)]
#[model(timestamps, client(id, delya, created_at))]
struct Flight {
    #[model(id)]
    id: Id<Flight>,
    delay: i32,
}

fn main() {}
