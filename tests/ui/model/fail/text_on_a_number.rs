use forge::prelude::*;

#[derive(Model)]
struct Flight {
    #[model(id)]
    id: Id<Flight>,
    #[model(text)]
    delay: i32,
}

fn main() {}
