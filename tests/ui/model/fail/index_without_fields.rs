use forge::prelude::*;

#[derive(Model)]
#[model(index(), index(unique), index)]
struct Flight {
    #[model(id)]
    id: Id<Flight>,
    #[model(index(unqiue))]
    delay: i32,
}

fn main() {}
