use forge::prelude::*;

#[derive(Model)]
struct Flight {
    #[model(id)]
    id: Id<Flight>,
    previous_id: Option<Id<Flight>>,
    #[model(belongs_to(key = previous_id), has_one(key = previous_id))]
    previous: BelongsTo<Flight>,
}

fn main() {}
