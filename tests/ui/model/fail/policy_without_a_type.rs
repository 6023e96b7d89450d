use forge::prelude::*;

#[derive(Debug, Clone, Model)]
#[model(policy = "Own")]
struct Sale {
    #[model(id)]
    id: Id<Sale>,
}

#[derive(Debug, Clone, Model)]
#[model(policy)]
struct Refund {
    #[model(id)]
    id: Id<Refund>,
}

fn main() {}
