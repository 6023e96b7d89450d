use forge::prelude::*;

#[derive(Model)]
#[model(crate = "my-forge")]
struct Flight {
    #[model(id)]
    id: Id<Flight>,
}

fn main() {}
