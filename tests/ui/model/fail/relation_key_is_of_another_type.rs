use forge::prelude::*;

#[derive(Model)]
struct Flight {
    #[model(id)]
    id: Id<Flight>,
    previous_id: String,
    #[model(belongs_to(key = previous_id))]
    previous: BelongsTo<Flight>,
    #[model(has_many(key = previous_id))]
    next: HasMany<Flight>,
}

fn main() {}
