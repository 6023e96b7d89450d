use forge::prelude::*;

#[derive(Model)]
struct Flight {
    #[model(id)]
    id: Id<Flight>,
    previous_id: Option<Id<Flight>>,
    #[model(belongs_to(key = previous_id), unique, index)]
    #[serde(default)]
    #[validate(nested)]
    previous: BelongsTo<Flight>,
}

fn main() {}
