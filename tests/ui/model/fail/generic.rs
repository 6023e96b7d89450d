use forge::prelude::*;

#[derive(Model)]
struct Flight<T> {
    #[model(id)]
    id: Id<Self>,
    cargo: T,
}

fn main() {}
