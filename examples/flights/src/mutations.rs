//! What can be changed.

use forge::Error;
use forge::prelude::*;

use crate::models::{Airport, Flight, NewFlight};

/// Sets the delay of a flight, in minutes.
#[mutation]
async fn record_delay(
    ctx: &MutationCtx,
    id: Id<Flight>,
    #[validate(range(min = -1_440, max = 10_080))] delay: i32,
) -> Result<Flight> {
    ctx.db.update::<Flight>(id).set(|f| f.delay, delay).await
}

/// Adds a flight between two airports that exist.
#[mutation(transaction)]
async fn add_flight(ctx: &MutationCtx, flight: NewFlight) -> Result<Flight> {
    for iata in [&flight.origin_id, &flight.destination_id] {
        if ctx.db.get::<Airport>(iata).await?.is_none() {
            return Err(Error::bad_request(format!("there is no airport {iata:?}")));
        }
    }
    ctx.db.insert(flight).await
}

/// Removes an airport and its departures; refused while flights arrive there.
#[mutation(transaction)]
async fn remove_airport(
    ctx: &MutationCtx,
    #[validate(length(min = 3, max = 4))] iata: String,
) -> Result<Airport> {
    ctx.db.delete::<Airport>(iata).await
}
