use forge::prelude::*;

#[derive(Debug, Clone, Model)]
#[model(timestamp)]
struct Flight {
    #[model(id)]
    id: Id<Flight>,
    delay: i32,
    previous_id: Option<Id<Flight>>,
    #[model(belongs_to(key = previous_id))]
    previous: BelongsTo<Flight>,
}

#[query]
async fn delayed(ctx: &QueryCtx) -> Result<Vec<Flight>> {
    ctx.db.find::<Flight>().filter(|f| f.delay.gt(5) & f.previous.is(|p| p.delay.gt(5))).await
}

#[mutation]
async fn add(ctx: &MutationCtx, new: NewFlight, patch: FlightPatch) -> Result<Flight> {
    let _ = (NewFlight { id: None, delay: 5, previous_id: None }, patch.delay);
    ctx.db.insert(new).await
}

fn main() {}
