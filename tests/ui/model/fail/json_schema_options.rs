use forge::prelude::*;

#[derive(Model)]
#[model(json_schema(strict, eror))]
struct Thing {
    #[model(id)]
    id: Id<Thing>,
}

#[derive(Model)]
#[model(json_schema = "strict")]
struct Other {
    #[model(id)]
    id: Id<Other>,
}

fn main() {}
