use forge::prelude::*;

#[derive(Model)]
struct Flight {
    #[model(id, default = "x", unique)]
    id: String,
}

fn main() {}
