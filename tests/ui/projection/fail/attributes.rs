use forge::prelude::*;

#[derive(Debug, Clone, Model)]
struct Airport {
    #[model(id)]
    iata: String,
}

#[derive(Debug, Projection)]
struct WithoutModel {
    iata: String,
}

#[derive(Debug, Projection)]
#[projection(modell = Airport)]
struct Misspelt {
    #[projection(pat = iata)]
    a: String,
    #[projection(path = "iata")]
    b: String,
    #[projection(path = iata, count = flights)]
    #[serde(default)]
    c: u64,
}

#[derive(Debug, Projection)]
#[projection(model = Airport)]
struct Generic<T> {
    iata: T,
}

#[derive(Debug, Projection)]
#[projection(model = Airport)]
struct Tuple(String);

#[derive(Debug, Projection)]
#[projection(model = Airport)]
enum Choice {
    A,
}

fn main() {}
