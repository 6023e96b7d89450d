//! A version is counted by Forge: inserts and patches do not have it.

use forge::prelude::*;

#[derive(Debug, Clone, Model)]
struct Flight {
    #[model(id)]
    id: Id<Flight>,
    #[model(version)]
    #[serde(rename = "rev")]
    version: i64,
    delay: i32,
}

fn main() {
    let def = <Flight as forge::Model>::def();
    assert_eq!(def.version, Some("rev"));
    let NewFlight { id: _, delay: _ } = NewFlight { id: None, delay: 1 };
    let FlightPatch { delay: _ } = FlightPatch::default();
}
