use forge::prelude::*;

#[derive(Debug, Clone, Model)]
struct Sale {
    #[model(id)]
    id: Id<Sale>,
}

fn stages() -> u8 {
    5
}

#[derive(Debug, Clone, Model)]
#[model(view(source = Sale, pipeline = stages))]
struct Totals {
    #[model(id)]
    id: String,
}

fn main() {}
