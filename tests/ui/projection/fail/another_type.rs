use forge::prelude::*;

#[derive(Debug, Clone, Model)]
struct Airport {
    #[model(id)]
    iata: String,
    delay: i32,
}

#[derive(Debug, Projection)]
#[projection(model = Airport)]
struct Card {
    delay: String,
}

fn main() {}
