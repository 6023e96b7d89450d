use forge::prelude::*;

#[derive(Embed)]
struct Leg {
    from_id: String,
    #[model(belongs_to(key = from_id))]
    from: BelongsTo<Leg>,
    to: HasMany<Leg>,
}

fn main() {}
