use forge::prelude::*;

struct Plane;

#[derive(Model)]
struct Flight {
    #[model(id)]
    id: Id<Flight>,
    #[model(embed)]
    plane: String,
}

fn main() {}
