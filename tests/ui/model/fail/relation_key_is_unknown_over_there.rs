use forge::prelude::*;

#[derive(Model)]
struct Flight {
    #[model(id)]
    id: Id<Flight>,
    previous_id: Option<Id<Flight>>,
    #[model(has_many(key = prevoius_id))]
    next: HasMany<Flight>,
}

fn main() {}
