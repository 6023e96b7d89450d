use forge::prelude::*;

#[derive(Model)]
struct Flight {
    #[model(id)]
    id: Id<Flight>,
    #[model(default = "none")]
    delay: i32,
}

fn main() {}
