use forge::prelude::*;

#[derive(Model)]
struct Flight {
    #[model(id)]
    id: Id<Flight>,
    #[validate(nested)]
    plane: String,
}

fn main() {}
