//! What Forge adds to the raw driver: processor time of this process for the same work on the same server, in turn;
//! and Forge's own part of it, without a server.

mod compare;
mod own;

use std::sync::Arc;

use clap::Parser;
use forge::adapter::Adapter;
use forge::{Catalog, Db};
use forge_benches::turns::Failure;
use forge_benches::{Options, Report};
use forge_mongo::{MongoAdapter, OfficialDriver};

const DATABASE: &str = "forge_bench_orm";
/// Inserts go here, so that what is read stays the same.
const SCRATCH: &str = "forge_bench_orm_scratch";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let uri =
        options.uri.clone().ok_or("orm compares on a server: give --uri, or run `cargo xtask bench orm`")?;
    let env = forge::system_env();
    let catalog = Arc::new(Catalog::collect()?);
    let driver = Arc::new(OfficialDriver::connect(&uri).await?);
    // One client for both sides: they take turns on the same connections.
    let raw = driver.client().clone();
    let adapter: Arc<dyn Adapter> = Arc::new(MongoAdapter::new(driver, catalog.clone()));
    adapter.push(DATABASE, &catalog, true).await?;
    for collection in ["bench_users", "bench_posts", "bench_comments"] {
        raw.database(DATABASE).collection::<bson::Document>(collection).delete_many(bson::doc! {}).await?;
    }

    let mut report = Report::new(&options, "Forge and the raw driver: processor time of the client");
    let db = Db::new(adapter.clone(), catalog.clone(), env.clone());
    compare::Bench::fill(db, raw.clone(), options.rounds).await?.report(&options, &mut report).await?;
    own::report(&options, &mut report, Db::new(adapter, catalog, env), &raw).await?;
    report.finish();
    raw.database(DATABASE).drop().await?;
    raw.database(SCRATCH).drop().await?;
    Ok(())
}
