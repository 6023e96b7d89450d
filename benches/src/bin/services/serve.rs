//! The server that is measured: people, as a model.

use std::io::BufRead as _;

use forge::App;
use forge::prelude::*;
use forge_benches::process::{Failure, Look, answer};
use tokio::net::TcpListener;

/// Somebody.
#[derive(Debug, Clone, Model)]
#[model(collection = "people", service(paginate(default = 10, max = 50), multi))]
pub(crate) struct Person {
    #[model(id)]
    #[serde(rename = "_id")]
    id: Id<Person>,
    name: String,
    #[model(index)]
    age: i32,
    team: String,
    active: bool,
    note: Option<String>,
}

/// Serves until standard input ends.
pub(crate) async fn run(database: &str) -> Result<(), Failure> {
    let app = App::new()
        .database(database)
        .services_at("/")
        .model_services()
        .on_connection(|connection, channels| channels.channel("everybody").join(connection))
        .publish(|_, channels| channels.channel("everybody"));
    let server = app.build().await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    answer(&listener.local_addr()?)?;
    let (ended, end) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            if line.is_err() || answer(&Look::now(0)).is_err() {
                break;
            }
        }
        drop(ended);
    });
    server.serve(listener, async { drop(end.await) }).await?;
    Ok(())
}
