use forge::prelude::*;

#[derive(Model)]
struct Flight {
    #[model(id)]
    id: Id<Flight>,
    previous_id: Id<Flight>,
    #[model(belongs_to(key = previous_id, on_delete = set_null))]
    previous: BelongsTo<Flight>,
}

fn main() {}
