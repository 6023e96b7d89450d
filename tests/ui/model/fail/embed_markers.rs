use forge::prelude::*;

#[derive(Model)]
struct Flight {
    #[model(id)]
    id: Id<Flight>,
    #[model(embed)]
    legs: Vec<String>,
    #[model(embed_many)]
    plane: String,
    #[model(embed, embed_many)]
    both: String,
}

fn main() {}
