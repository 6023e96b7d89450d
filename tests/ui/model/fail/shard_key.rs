use forge::prelude::*;

#[derive(Model)]
#[model(shard_key(tenant = -1))]
struct Thing {
    #[model(id)]
    id: Id<Thing>,
    tenant: String,
}

#[derive(Model)]
#[model(shard_key(tennant, id = "hashed", unique))]
struct Other {
    #[model(id)]
    id: Id<Other>,
    tenant: String,
}

#[derive(Model)]
#[model(shard_key(tenant = "hashed", id = "hashed"))]
struct Third {
    #[model(id)]
    id: Id<Third>,
    tenant: String,
}

fn main() {}
