use forge::prelude::*;

#[derive(Model)]
#[model(index(previous))]
struct Flight {
    #[model(id)]
    id: Id<Flight>,
    previous_id: Option<Id<Flight>>,
    #[model(belongs_to(key = previous_id))]
    previous: BelongsTo<Flight>,
}

fn main() {}
