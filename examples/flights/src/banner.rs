//! What is printed once the server listens.

use std::net::SocketAddr;
use std::sync::OnceLock;

use forge::Db;

use crate::load;

static ENGINE: OnceLock<String> = OnceLock::new();

/// Keeps the name of the engine for the banner.
pub fn remember(db: &Db) {
    ENGINE.get_or_init(|| format!("{}, database {}", db.adapter().name(), db.name()));
}

/// What is open, the page, and three commands to try.
pub fn text(address: SocketAddr) -> String {
    let engine = ENGINE.get().map_or("unknown", String::as_str);
    let url = format!("http://{address}");
    let flight = load::flight_id(load::FLIGHT_TO_TRY);
    format!(
        r#"
  Flights on {engine}
  Open {url} for the live board of delayed flights. Or try:

  curl {url}/api/query/busiest -H 'content-type: application/json' -d '{{"limit": 3}}'
  curl {url}/api/query/nearest -H 'content-type: application/json' -d '{{"lat": 40.7, "lon": -74, "km": 30}}'
  curl {url}/api/mutation/record_delay -H 'content-type: application/json' -d '{{"id": "{flight}", "delay": 600}}'

  The last one changes the board while you look at it. Ctrl-C stops.
"#
    )
}
