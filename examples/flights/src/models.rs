//! What is stored.

use forge::prelude::*;

/// An airport, keyed by its IATA code (small fields have a longer code of the FAA).
#[derive(Debug, Clone, Model)]
#[model(collection = "airports", timestamps, index(state, city))]
#[model(client(iata, name, city, state, country, location, departures, arrivals))]
pub struct Airport {
    #[model(id)]
    #[validate(length(min = 3, max = 4))]
    pub iata: String,
    #[validate(length(min = 1, max = 100))]
    pub name: String,
    pub city: Option<String>,
    /// Two letters.
    pub state: Option<String>,
    pub country: String,
    #[model(index = "2dsphere")]
    pub location: GeoPoint,
    #[model(has_many(key = origin_id))]
    pub departures: HasMany<Flight>,
    #[model(has_many(key = destination_id))]
    pub arrivals: HasMany<Flight>,
}

/// A flight. It goes with its origin, and keeps its destination from being removed.
#[derive(Debug, Clone, Model)]
#[model(collection = "flights", timestamps)]
#[model(index(origin_id, date = -1), index(delay = -1))]
pub struct Flight {
    #[model(id)]
    pub id: Id<Flight>,
    /// Scheduled departure. The data has local times without a zone: they stand as if they were UTC.
    pub date: DateTime,
    /// Minutes late; negative where early.
    #[validate(range(min = -1_440, max = 10_080))]
    pub delay: i32,
    /// Miles.
    #[validate(range(min = 1, max = 12_500))]
    pub distance: i32,
    pub origin_id: String,
    pub destination_id: String,
    #[model(belongs_to(key = origin_id, on_delete = cascade))]
    pub origin: BelongsTo<Airport>,
    #[model(belongs_to(key = destination_id, on_delete = restrict))]
    pub destination: BelongsTo<Airport>,
}

/// A set of data that was loaded to its end.
#[derive(Debug, Clone, Model)]
#[model(collection = "imports", timestamps)]
pub struct Import {
    #[model(id)]
    pub name: String,
    /// How many documents it has.
    pub documents: i64,
}
