mod vendor {
    pub use forge as database;
}

use vendor::database::prelude::{Id, Model, MutationCtx, QueryCtx, Result, mutation, query};

mod forge {
    // Nothing of what the macros write may look for the crate by its usual name.
}

#[derive(vendor::database::Embed)]
#[model(crate = "crate::vendor::database")]
struct Leg {
    #[validate(range(min = 1))]
    miles: i32,
}

#[derive(Model)]
#[model(crate = "crate::vendor::database")]
struct Flight {
    #[model(id)]
    id: Id<Flight>,
    #[model(embed_many)]
    legs: Vec<Leg>,
}

#[query(crate = "crate::vendor::database")]
async fn flights(ctx: &QueryCtx, #[validate(range(min = 1))] count: u64) -> Result<u64> {
    ctx.db.find::<Flight>().filter(|f| f.legs.some(|leg| leg.miles.gt(100))).limit(count).await.map(|found| found.len() as u64)
}

#[mutation(crate = "crate::vendor::database", internal)]
async fn remove(ctx: &MutationCtx, id: Id<Flight>) -> Result<Flight> {
    ctx.db.delete::<Flight>(id).await
}

impl std::fmt::Debug for Leg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.miles.fmt(f)
    }
}
impl Clone for Leg {
    fn clone(&self) -> Self {
        Self { miles: self.miles }
    }
}

fn main() {}
