//! What can be asked. Every query is live over WebSocket.

use std::collections::HashMap;

use forge::Error;
use forge::prelude::*;
use schemars::JsonSchema;
use serde::Serialize;

use crate::models::{Airport, Flight};

/// Flights out of a state that were more than `minutes` late, worst first; at most 50.
#[query]
async fn delayed(
    ctx: &QueryCtx,
    #[validate(length(equal = 2))] state: String,
    #[validate(range(min = 0, max = 10_080))] minutes: i32,
) -> Result<Vec<Flight>> {
    ctx.db
        .find::<Flight>()
        .filter(|f| f.delay.gt(minutes) & f.origin.is(|a| a.state.eq(state)))
        .sort(|f| (f.delay.desc(), f.id.asc()))
        .include(|f| (f.origin, f.destination))
        .limit(50)
        .await
}

/// The states from which flights depart, in alphabetical order.
#[query]
async fn states(ctx: &QueryCtx) -> Result<Vec<String>> {
    let origins: Vec<String> = ctx.db.find::<Flight>().distinct(|f| f.origin_id).await?;
    let states: Vec<Option<String>> =
        ctx.db.find::<Airport>().filter(|a| a.iata.is_in(origins)).distinct(|a| a.state).await?;
    Ok(states.into_iter().flatten().collect())
}

/// An airport and how far away it is.
#[derive(Debug, Serialize, JsonSchema)]
struct Nearby {
    airport: Airport,
    /// Kilometres along the great circle.
    km: f64,
}

/// Airports within `km` kilometres of a place, nearest first; at most 20.
#[query]
async fn nearest(
    ctx: &QueryCtx,
    #[validate(range(min = -90.0, max = 90.0))] lat: f64,
    #[validate(range(min = -180.0, max = 180.0))] lon: f64,
    #[validate(range(min = 0.1, max = 20_000.0))] km: f64,
) -> Result<Vec<Nearby>> {
    let here = GeoPoint::new(lon, lat)?;
    let airports = ctx.db.find::<Airport>().filter(|a| a.location.near(here, km * 1_000.0)).limit(20).await?;
    let nearby = airports
        .into_iter()
        .map(|airport| Nearby { km: here.distance_to(airport.location) / 1_000.0, airport });
    Ok(nearby.collect())
}

/// An airport by its traffic.
#[derive(Debug, Serialize, JsonSchema)]
struct Busy {
    iata: String,
    name: String,
    city: Option<String>,
    state: Option<String>,
    /// Departures.
    flights: i64,
    /// Mean delay of its departures in minutes.
    average_delay: Option<f64>,
}

/// The airports with the most departures, busiest first.
#[query]
async fn busiest(ctx: &QueryCtx, #[validate(range(min = 1, max = 100))] limit: u32) -> Result<Vec<Busy>> {
    let groups = ctx
        .db
        .group_by::<Flight, _>(|f| f.origin_id)
        .select(|f| (count(), f.delay.avg()))
        .sort(|(flights, _)| flights.desc())
        .limit(limit.into())
        .await?;
    let codes = groups.iter().map(|(iata, _)| iata.as_str());
    let airports = ctx.db.find::<Airport>().filter(|a| a.iata.is_in(codes)).await?;
    let mut airports: HashMap<String, Airport> = airports.into_iter().map(|a| (a.iata.clone(), a)).collect();
    let busiest = groups.into_iter().filter_map(|(iata, (flights, average_delay))| {
        let Airport { name, city, state, .. } = airports.remove(&iata)?;
        Some(Busy { iata, name, city, state, flights, average_delay })
    });
    Ok(busiest.collect())
}

/// An airport with the latest of its departures.
#[derive(Debug, Serialize, JsonSchema)]
struct AirportPage {
    airport: Airport,
    /// How many departures there are in all.
    departures: u64,
}

/// An airport with its 20 latest departures and their destinations, and how many departures there are in all.
#[query]
async fn airport(ctx: &QueryCtx, #[validate(length(min = 3, max = 4))] iata: String) -> Result<AirportPage> {
    let airport = ctx
        .db
        .find::<Airport>()
        .filter(|a| a.iata.eq(&iata))
        .include(|a| a.departures.sort(|f| (f.date.desc(), f.id.desc())).limit(20).include(|f| f.destination))
        .first()
        .await?
        .ok_or_else(|| Error::not_found(format!("there is no airport {iata}")))?;
    let departures = ctx.db.find::<Flight>().filter(|f| f.origin_id.eq(iata)).count().await?;
    Ok(AirportPage { airport, departures })
}

/// Airports with `text` in their name, city or code, whatever its case, by name; at most 20.
#[query]
async fn search(ctx: &QueryCtx, #[validate(length(min = 1, max = 50))] text: String) -> Result<Vec<Airport>> {
    ctx.db
        .find::<Airport>()
        .filter(|a| {
            a.name.contains_ignore_case(&text)
                | a.city.contains_ignore_case(&text)
                | a.iata.contains_ignore_case(&text)
        })
        .sort(|a| (a.name.asc(), a.iata.asc()))
        .limit(20)
        .await
}
