use forge::prelude::*;

#[derive(Debug, Clone, Model)]
struct Flight {
    #[model(id)]
    id: Id<Flight>,
    #[validate(range(min = 0))]
    delay: i32,
}

#[mutation]
async fn add(ctx: &MutationCtx, flight: NewFlight) -> Result<Flight> {
    ctx.db.insert(flight).await
}

#[mutation(transaction, internal)]
async fn cancel(ctx: &MutationCtx, id: Id<Flight>) -> Result<Flight> {
    ctx.db.delete::<Flight>(id).await
}

fn main() {
    let registry = forge::Registry::collect().unwrap();
    let found: Vec<_> = registry.iter().map(|handler| (handler.name, handler.transaction, handler.internal)).collect();
    assert_eq!(found, [("add", false, false), ("cancel", true, true)]);
}
