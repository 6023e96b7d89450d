//! What `docs/tutorial.md` builds. A test compares the two.

#![allow(missing_docs, reason = "the tutorial says what these are")]

use forge::prelude::*;

/// An airport, keyed by its IATA code.
#[derive(Debug, Clone, Model)]
#[model(collection = "airports", index(state))]
pub struct Airport {
    #[model(id)]
    #[validate(length(equal = 3))]
    pub iata: String,
    pub name: String,
    pub state: String,
}

/// A flight. It keeps its airport from being removed.
#[derive(Debug, Clone, Model)]
#[model(collection = "flights", timestamps, index(delay = -1))]
pub struct Flight {
    #[model(id)]
    pub id: Id<Flight>,
    /// Minutes late.
    #[validate(range(min = -1_440, max = 10_080))]
    pub delay: i32,
    pub origin_id: String,
    #[model(belongs_to(key = origin_id, on_delete = restrict))]
    pub origin: BelongsTo<Airport>,
}

/// Flights out of a state that were more than `minutes` late, worst first.
#[query]
async fn delayed(
    ctx: &QueryCtx,
    #[validate(length(equal = 2))] state: String,
    #[validate(range(min = 0))] minutes: i32,
) -> Result<Vec<Flight>> {
    ctx.db
        .find::<Flight>()
        .filter(|f| f.delay.gt(minutes) & f.origin.is(|a| a.state.eq(state)))
        .sort(|f| f.delay.desc())
        .include(|f| f.origin)
        .limit(50)
        .await
}

#[mutation]
async fn add_airport(ctx: &MutationCtx, airport: NewAirport) -> Result<Airport> {
    ctx.db.insert(airport).await
}

#[mutation(transaction)]
async fn add_flight(ctx: &MutationCtx, flight: NewFlight) -> Result<Flight> {
    if ctx.db.get::<Airport>(&flight.origin_id).await?.is_none() {
        return Err(forge::Error::bad_request(format!("there is no airport {:?}", flight.origin_id)));
    }
    ctx.db.insert(flight).await
}

#[mutation]
async fn record_delay(ctx: &MutationCtx, id: Id<Flight>, delay: i32) -> Result<Flight> {
    ctx.db.update::<Flight>(id).patch(FlightPatch { delay: Some(delay), ..Default::default() }).await
}

#[mutation]
async fn remove_airport(ctx: &MutationCtx, iata: String) -> Result<Airport> {
    ctx.db.delete::<Airport>(iata).await
}

#[tokio::main]
async fn main() -> forge::Result<()> {
    forge::App::new().index(include_str!("index.html")).run().await
}
