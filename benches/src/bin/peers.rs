//! The embedded engine against PoloDB (in a file) and mingo (in memory), each in its own process: the same documents
//! and queries.

// What cannot be compared is said aloud.
#![allow(clippy::print_stderr)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use clap::Parser;
use forge::query::count;
use forge::{Catalog, Db};
use forge_benches::models::{User, new_user};
use forge_benches::turns::Failure;
use forge_benches::{Options, Pairs, Report, Span, median};

const DOCUMENTS: usize = 10_000;
/// Ahead of each peer in everything.
const BAR: f64 = 1.0;

/// What is measured, and how it is shown.
const FIGURES: [(&str, &str); 4] = [
    ("insert", "insert 10,000 at once, each"),
    ("find", "find one by index"),
    ("scan", "filter without an index, 1,110 of 10,000"),
    ("group", "group 10,000 into 50"),
];

type Micros = BTreeMap<String, f64>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let rounds = options.rounds.clamp(1, 9);
    let mut report = Report::new(&options, "The embedded engine and its peers: time by the clock");
    for (peer, kind, command) in [("PoloDB", "file", polodb(rounds)), ("mingo", "memory", mingo(rounds))] {
        let theirs = match command.and_then(measured) {
            Ok(theirs) => theirs,
            Err(reason) => {
                eprintln!("SKIPPED: no figures against {peer}: {reason}");
                continue;
            }
        };
        let ours = ours(kind, rounds).await?;
        for (key, name) in FIGURES {
            let name = format!("{kind}: {name} ({peer})");
            let (Some(ours), Some(theirs)) = (ours.get(key), theirs.get(key)) else { continue };
            if options.wants(&name) {
                report.compare(&name, &Pairs::of(*ours, *theirs), "us", BAR);
            }
        }
    }
    report.finish();
    Ok(())
}

async fn ours(kind: &str, rounds: usize) -> Result<Micros, Failure> {
    let mut all: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for _ in 0..rounds {
        let folder = tempfile::tempdir()?;
        let url = match kind {
            "memory" => "memory:".to_owned(),
            _ => format!("embedded:{}", folder.path().display()),
        };
        let (env, catalog) = (forge::system_env(), Arc::new(Catalog::collect()?));
        let adapter = forge::connect(&url, catalog.clone(), &env).await?;
        adapter.push(adapter.default_database(), &catalog, true).await?;
        let db = Db::new(adapter, catalog, env);
        for (name, micros) in round(&db).await? {
            all.entry(name).or_default().push(micros);
        }
        db.adapter().close().await;
    }
    Ok(all.into_iter().map(|(name, values)| (name.to_owned(), median(&values))).collect())
}

async fn round(db: &Db) -> Result<Vec<(&'static str, f64)>, Failure> {
    const FINDS: usize = 1_000;
    const SCANS: usize = 5;
    let mut figures = Vec::new();

    let span = Span::start();
    db.insert_many((0..DOCUMENTS).map(new_user)).await?;
    figures.push(("insert", span.wall_micros_each(DOCUMENTS)));

    let span = Span::start();
    for n in 0..FINDS {
        let email = format!("user{}@example.org", n * 7 % DOCUMENTS);
        db.find::<User>().filter(|f| f.email.eq(email)).one().await?;
    }
    figures.push(("find", span.wall_micros_each(FINDS)));

    let scanned = (0..DOCUMENTS).filter(|n| n % 90 >= 80 && *n > 0).count();
    let span = Span::start();
    for _ in 0..SCANS {
        let found = db.find::<User>().filter(|f| f.age.gte(80) & f.visits.gt(0)).await?;
        assert_eq!(found.len(), scanned);
    }
    figures.push(("scan", span.wall_micros_each(SCANS)));

    let span = Span::start();
    for _ in 0..SCANS {
        let groups = db.group_by::<User, _>(|f| f.city).select(|_| count()).await?;
        assert_eq!(groups.len(), 50);
    }
    figures.push(("group", span.wall_micros_each(SCANS)));
    Ok(figures)
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(name)
}

fn polodb(rounds: usize) -> Result<Command, String> {
    let folder = folder("polodb");
    let manifest = folder.join("Cargo.toml");
    // Building RocksDB takes minutes and libclang.
    let built = Command::new("cargo")
        .args(["build", "--release", "--locked", "--manifest-path"])
        .arg(manifest)
        .status();
    match built {
        Ok(status) if status.success() => {}
        Ok(status) => return Err(format!("it does not build ({status}); RocksDB wants libclang")),
        Err(error) => return Err(format!("cargo: {error}")),
    }
    let mut command = Command::new(folder.join("target/release/forge-bench-polodb"));
    command.args([DOCUMENTS.to_string(), rounds.to_string()]);
    Ok(command)
}

fn mingo(rounds: usize) -> Result<Command, String> {
    let folder = folder("mingo");
    let npm =
        Command::new("npm").args(["ci", "--silent", "--no-audit", "--no-fund"]).current_dir(&folder).status();
    match npm {
        Ok(status) if status.success() => {}
        Ok(status) => return Err(format!("npm ci failed ({status})")),
        Err(error) => return Err(format!("npm: {error}")),
    }
    let mut command = Command::new("node");
    command.arg(folder.join("main.mjs")).args([DOCUMENTS.to_string(), rounds.to_string()]);
    Ok(command)
}

fn measured(mut command: Command) -> Result<Micros, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("{command:?} answers nonsense: {error}"))
}
