use forge::prelude::*;

#[derive(Model)]
struct Flight {
    #[model(id)]
    id: Id<Flight>,
    #[model(private, readonly)]
    secret: String,
}

fn main() {}
