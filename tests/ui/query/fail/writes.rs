use forge::prelude::*;

#[derive(Debug, Clone, Model)]
struct Flight {
    #[model(id)]
    id: Id<Flight>,
}

#[query]
async fn cancel(ctx: &QueryCtx, id: Id<Flight>) -> Result<Flight> {
    ctx.db.delete::<Flight>(id).await
}

fn main() {}
