use forge::prelude::*;

#[derive(Embed)]
#[model(collection = "legs", timestamps)]
struct Leg {
    #[model(id)]
    id: String,
    #[model(unique)]
    number: String,
    #[model(index, text)]
    from: String,
}

fn main() {}
