use forge::prelude::*;

#[derive(Model)]
struct Flight {
    #[model(id)]
    id: Id<Flight>,
    number: &'static str,
    tags: Option<&'static [String]>,
}

fn main() {}
