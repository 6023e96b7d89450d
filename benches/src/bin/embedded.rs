//! The embedded engine by itself: inserts and finds a second, in memory and in a file.

use std::sync::Arc;

use clap::Parser;
use forge::{Catalog, Db, Result};
use forge_benches::models::{User, new_user};
use forge_benches::{Options, Report, Span, median};

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let options = Options::parse();
    let mut report = Report::new(&options, "The embedded engine, through the typed API");
    let folder = tempfile::tempdir()?;
    let file = format!("embedded:{}", folder.path().display());
    for (kind, url) in [("memory", "memory:"), ("file", file.as_str())] {
        let db = open(url).await?;
        for (name, rate) in measure(&db, options.rounds).await? {
            report.figure(&format!("{kind}: {name}"), rate, "a second", None);
        }
        db.adapter().close().await;
    }
    report.finish();
    Ok(())
}

async fn open(url: &str) -> Result<Db> {
    let env = forge::system_env();
    let catalog = Arc::new(Catalog::collect()?);
    let adapter = forge::connect(url, catalog.clone(), &env).await?;
    adapter.push(adapter.default_database(), &catalog, true).await?;
    Ok(Db::new(adapter, catalog, env))
}

async fn measure(db: &Db, rounds: usize) -> Result<Vec<(&'static str, f64)>> {
    let (mut single, mut parallel, mut batch, mut by_id, mut by_index) =
        (vec![], vec![], vec![], vec![], vec![]);
    for round in 0..rounds.clamp(1, 5) {
        let base = round * 100_000;
        let span = Span::start();
        for n in 0..500 {
            db.insert(new_user(base + n)).await?;
        }
        single.push(span.rate(500));

        let span = Span::start();
        let tasks = (0..16).map(|task| {
            let db = db.clone();
            tokio::spawn(async move {
                for n in 0..100 {
                    db.insert(new_user(base + 1000 + task * 100 + n)).await?;
                }
                Ok::<_, forge::Error>(())
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.map_err(|e| forge::Error::internal(e.to_string()))??;
        }
        parallel.push(span.rate(1600));

        let span = Span::start();
        db.insert_many((0..10_000).map(|n| new_user(base + 10_000 + n))).await?;
        batch.push(span.rate(10_000));

        let ids: Vec<_> = db.find::<User>().limit(1000).await?.into_iter().map(|user| user.id).collect();
        let span = Span::start();
        for n in 0..10_000 {
            db.get::<User>(ids[n % ids.len()]).await?;
        }
        by_id.push(span.rate(10_000));

        let span = Span::start();
        for n in 0..5_000 {
            let email = format!("user{}@example.org", base + 10_000 + n);
            db.find::<User>().filter(|f| f.email.eq(email)).one().await?;
        }
        by_index.push(span.rate(5_000));
    }
    Ok(vec![
        ("inserts, one caller", median(&single)),
        ("inserts, 16 callers", median(&parallel)),
        ("inserts, 10,000 at once", median(&batch)),
        ("finds by id", median(&by_id)),
        ("finds by index", median(&by_index)),
    ])
}
