use forge::prelude::*;

#[derive(Model)]
#[model(collection = "")]
struct Empty {
    #[model(id)]
    id: Id<Empty>,
}

#[derive(Model)]
#[model(collection = "a$b")]
struct Dollar {
    #[model(id)]
    id: Id<Dollar>,
}

#[derive(Model)]
#[model(collection = "system.users")]
struct System {
    #[model(id)]
    id: Id<System>,
}

#[derive(Model)]
#[model(collection = "a\0b")]
struct Nul {
    #[model(id)]
    id: Id<Nul>,
}

fn main() {}
