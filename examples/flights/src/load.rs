//! The first run: airports and flights from the files inside the binary.
//!
//! Ids follow from the data, and a set counts as loaded only once its [`Import`] is there. A run that was interrupted
//! is therefore finished by the next one: what is there already is left as it is.

use forge::prelude::*;
use forge::{Error, NewRecord};
use serde::Deserialize;

use crate::models::{Import, NewAirport, NewFlight, NewImport};
use crate::progress::Progress;

const AIRPORTS: &[u8] = include_bytes!("../data/airports.csv");
const FLIGHTS: &[u8] = include_bytes!("../data/flights-20k.json");

/// Documents in one insert.
const BATCH: usize = 1_000;

/// The row of a flight out of Texas that is on time.
pub const FLIGHT_TO_TRY: usize = 6;

/// Loads what is not loaded yet.
///
/// # Errors
/// What the database answers.
pub async fn load(db: &Db) -> Result<()> {
    load_set(db, "airports", airports).await?;
    load_set(db, "flights", flights).await
}

async fn load_set<N: NewRecord>(db: &Db, name: &'static str, parse: fn() -> Result<Vec<N>>) -> Result<()> {
    if db.get::<Import>(name).await?.is_some() {
        return Ok(());
    }
    let mut rest = parse()?;
    let total = rest.len();
    let mut progress = Progress::new(name, total as u64);
    while !rest.is_empty() {
        let later = rest.split_off(rest.len().min(BATCH));
        let batch = std::mem::replace(&mut rest, later);
        let n = batch.len() as u64;
        db.insert_many(batch)
            .skip_duplicates()
            .await
            .map_err(|error| error.context(format!("loading {name}")))?;
        progress.advance(n);
    }
    db.insert(NewImport { name: name.to_owned(), documents: total as i64 }).await?;
    Ok(())
}

/// The id of the flight in this row: its first four bytes say 2001-01-01, so that no generated id is the same.
pub fn flight_id(row: usize) -> String {
    format!("3a4fc880{row:016x}")
}

#[derive(Deserialize)]
struct AirportRow {
    iata: String,
    name: String,
    city: String,
    state: String,
    country: String,
    latitude: f64,
    longitude: f64,
}

fn airports() -> Result<Vec<NewAirport>> {
    let rows = csv::Reader::from_reader(AIRPORTS).into_deserialize();
    rows.map(|row| airport(row.map_err(|error| malformed("airports.csv", error))?)).collect()
}

fn airport(row: AirportRow) -> Result<NewAirport> {
    let known = |text: String| Some(text).filter(|text| text != "NA");
    Ok(NewAirport {
        location: GeoPoint::new(row.longitude, row.latitude)?,
        iata: row.iata,
        name: row.name,
        city: known(row.city),
        state: known(row.state),
        country: row.country,
    })
}

#[derive(Deserialize)]
struct FlightRow<'a> {
    date: &'a str,
    delay: i32,
    distance: i32,
    origin: &'a str,
    destination: &'a str,
}

fn flights() -> Result<Vec<NewFlight>> {
    let rows: Vec<FlightRow<'_>> =
        serde_json::from_slice(FLIGHTS).map_err(|error| malformed("flights-20k.json", error))?;
    rows.iter().enumerate().map(|(row, flight)| new_flight(row, flight)).collect()
}

fn new_flight(row: usize, flight: &FlightRow<'_>) -> Result<NewFlight> {
    // "2001/01/01 00:47"
    let date = format!("{}:00Z", flight.date.replace('/', "-").replace(' ', "T"));
    Ok(NewFlight {
        id: Some(flight_id(row).parse().map_err(|error| malformed("a flight's id", error))?),
        date: date.parse().map_err(|error| malformed("flights-20k.json", error))?,
        delay: flight.delay,
        distance: flight.distance,
        origin_id: flight.origin.to_owned(),
        destination_id: flight.destination.to_owned(),
    })
}

fn malformed(what: &str, error: impl std::fmt::Display) -> Error {
    Error::internal(format!("{what} is malformed: {error}"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_row_is_read_and_ids_are_distinct() {
        let (airports, flights) = (airports().unwrap(), flights().unwrap());
        assert_eq!((airports.len(), flights.len()), (3_376, 20_000));
        let codes: HashSet<_> = airports.iter().map(|airport| airport.iata.as_str()).collect();
        let ids: HashSet<_> = flights.iter().map(|flight| flight.id).collect();
        assert_eq!((codes.len(), ids.len()), (3_376, 20_000));
        assert!(flights.iter().all(|f| codes.contains(&*f.origin_id) && codes.contains(&*f.destination_id)));
    }

    #[test]
    fn unknown_cities_and_states_are_absent() {
        let airports = airports().unwrap();
        assert_eq!(airports.iter().filter(|airport| airport.state.is_none()).count(), 12);
        assert!(airports.iter().all(|airport| airport.city.as_deref() != Some("NA")));
    }

    #[test]
    fn the_flight_to_try_leaves_from_texas_on_time() {
        let flight = &flights().unwrap()[FLIGHT_TO_TRY];
        let origin = airports().unwrap().into_iter().find(|airport| airport.iata == flight.origin_id);
        assert_eq!(origin.unwrap().state.as_deref(), Some("TX"));
        assert!(flight.delay <= 60);
    }
}
