use forge::prelude::*;

#[derive(Model)]
#[model]
struct Flight {
    #[model = "id"]
    id: Id<Flight>,
    #[model(id)]
    key: String,
}

fn main() {}
