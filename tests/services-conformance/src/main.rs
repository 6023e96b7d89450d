//! The services that Feathers' own clients and test suite are pointed at, at the root of the URL.
//!
//! `cargo run -p services-conformance -- --port 3030 [--database mongodb://…]`; in memory where no database is named.
//! Tokens are those of the environment (`FORGE_JWT_SECRET`).

mod people;
mod special;

use clap::Parser;
use forge::services::authentication;
use forge::{App, Error, Result};
use tokio::net::TcpListener;

#[derive(Debug, Parser)]
struct Arguments {
    /// The port to listen on, at 127.0.0.1
    #[arg(long)]
    port: u16,
    /// The URL of the database
    #[arg(long, default_value = "memory:")]
    database: String,
}

#[tokio::main]
async fn main() -> Result<()> {
    let Arguments { port, database } = Arguments::parse();
    let listener = TcpListener::bind(("127.0.0.1", port)).await;
    let listener =
        listener.map_err(|error| Error::unavailable(format!("port {port}: {error}")).with_source(error))?;
    let app = App::new()
        .database(database)
        .services_at("/")
        .on_connection(|connection, channels| channels.channel("everybody").join(connection))
        .publish(|_, channels| channels.channel("everybody"));
    let app = app.service(authentication()).service(special::whoami());
    special::add(people::add(app)).serve_on(listener).await
}
