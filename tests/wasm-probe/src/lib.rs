//! A model, a handler and the embedded engine in memory, in a module that a browser can load.
//!
//! What `check.mjs` calls returns how many documents it found, or a negative number that tells which step failed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use forge::env::Source;
use forge::prelude::*;
use forge::{Catalog, Env, Registry};
use forge_embedded::EmbeddedDriver;
use forge_mongo::MongoAdapter;
use futures_util::FutureExt as _;

/// An airport.
#[derive(Debug, Clone, Model)]
#[model(collection = "airports", index(state))]
pub struct Airport {
    /// Its IATA code.
    #[model(id)]
    pub iata: String,
    /// Where it is.
    pub state: String,
}

/// The airports of a state.
#[query]
async fn airports(ctx: &QueryCtx, state: String) -> Result<Vec<Airport>> {
    ctx.db.find::<Airport>().filter(|a| a.state.eq(state)).await
}

/// A clock and randomness without a machine: the host of a real module injects its own.
struct Fixed(AtomicU64);

impl Source for Fixed {
    fn now(&self) -> DateTime {
        DateTime::from_millis(1_700_000_000_000)
    }

    fn random(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.0.fetch_add(1, Ordering::Relaxed).to_le_bytes());
        bytes
    }
}

/// Inserts two airports and counts those of one state.
#[unsafe(no_mangle)]
pub extern "C" fn probe() -> i32 {
    match work().now_or_never() {
        Some(Ok(found)) => i32::try_from(found).unwrap_or(-2),
        Some(Err(_)) => -1,
        None => -3,
    }
}

/// How many handlers the module has: they are collected when it is linked.
#[unsafe(no_mangle)]
pub extern "C" fn handlers() -> i32 {
    Registry::collect().map_or(-1, |registry| i32::try_from(registry.iter().count()).unwrap_or(-2))
}

async fn work() -> Result<usize> {
    let env = Env::new(Fixed(AtomicU64::new(1)));
    let catalog = Arc::new(Catalog::collect()?);
    let driver = Arc::new(EmbeddedDriver::memory(env.clone())?);
    let adapter = Arc::new(MongoAdapter::new(driver, catalog.clone()));
    let db = forge::Db::new(adapter, catalog, env);
    for (iata, state) in [("SFO", "CA"), ("LAX", "CA"), ("JFK", "NY")] {
        db.insert(NewAirport { iata: iata.into(), state: state.into() }).await?;
    }
    Ok(db.find::<Airport>().filter(|a| a.state.eq("CA")).await?.len())
}
