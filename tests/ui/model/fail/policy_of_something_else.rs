use forge::prelude::*;

struct Anything;

#[derive(Debug, Clone, Model)]
#[model(policy = Anything)]
struct Sale {
    #[model(id)]
    id: Id<Sale>,
}

fn main() {}
