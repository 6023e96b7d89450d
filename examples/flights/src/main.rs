//! Airports and flights: models, queries and mutations of every kind, on real data, with a live page.
//!
//! `cargo run -p flights` loads the data on its first run, serves on 127.0.0.1:4000 and prints what to try.

#![allow(
    unreachable_pub,
    reason = "a program: models and handlers are written as its users would write them"
)]

mod banner;
mod load;
mod models;
mod mutations;
mod page;
mod progress;
mod queries;

use forge::Db;

#[tokio::main]
async fn main() -> forge::Result<()> {
    forge::App::new().router(page::routes()).on_start(start).banner(banner::text).run().await
}

async fn start(db: Db) -> forge::Result<()> {
    banner::remember(&db);
    load::load(&db).await
}
