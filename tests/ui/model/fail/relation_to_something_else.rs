use forge::prelude::*;

struct Airport;

#[derive(Model)]
struct Flight {
    #[model(id)]
    id: Id<Flight>,
    origin_id: String,
    #[model(belongs_to(key = origin_id))]
    origin: BelongsTo<Airport>,
}

fn main() {}
