use forge::prelude::*;

#[derive(Model)]
struct Flight {
    #[model(id)]
    id: Id<Flight>,
    #[model(belongs_to)]
    previous: BelongsTo<Flight>,
    #[model(has_many(on_delete = cascade))]
    next: HasMany<Flight>,
}

fn main() {}
