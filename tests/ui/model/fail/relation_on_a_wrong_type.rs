use forge::prelude::*;

#[derive(Model)]
struct Flight {
    #[model(id)]
    id: Id<Flight>,
    origin_id: String,
    #[model(belongs_to(key = origin_id))]
    origin: HasMany<Flight>,
    #[model(has_one(key = origin_id))]
    next: String,
}

fn main() {}
