use forge::prelude::*;

#[derive(Model)]
struct Flight {
    #[model(id)]
    id: Id<Flight>,
    #[model(private)]
    next: HasOne<Flight>,
}

fn main() {}
