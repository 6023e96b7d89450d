use forge::prelude::*;

#[derive(Model)]
#[model(index(delay = 2))]
struct Flight {
    #[model(id)]
    id: Id<Flight>,
    #[model(index = "3dsphere")]
    delay: i32,
}

fn main() {}
