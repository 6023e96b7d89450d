use forge::prelude::*;

#[derive(Model)]
#[model(timestamps, soft_delete)]
struct Flight {
    #[model(id)]
    id: Id<Flight>,
    created_at: i64,
    #[model(default)]
    updated_at: DateTime,
    deleted_at: DateTime,
}

fn main() {}
