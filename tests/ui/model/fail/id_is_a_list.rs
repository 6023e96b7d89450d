use forge::prelude::*;

#[derive(Model)]
struct Flight {
    #[model(id)]
    id: Vec<String>,
}

fn main() {}
