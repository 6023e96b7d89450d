use forge::prelude::*;

#[derive(Model)]
struct Flight {
    #[model(id)]
    id: Option<Id<Flight>>,
}

fn main() {}
