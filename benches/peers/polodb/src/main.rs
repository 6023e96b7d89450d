//! PoloDB's side of `cargo xtask bench peers`: the same documents and queries as `benches/src/bin/peers.rs`, one line
//! of JSON with microseconds each.

use std::collections::BTreeMap;
use std::time::Instant;

use bson::oid::ObjectId;
use bson::doc;
use polodb_core::{Collection, CollectionT, Database, IndexModel};
use serde::{Deserialize, Serialize};

type Failure = Box<dyn std::error::Error>;

#[derive(Serialize, Deserialize)]
struct User {
    #[serde(rename = "_id")]
    id: ObjectId,
    name: String,
    email: String,
    age: i32,
    city: Option<String>,
    active: bool,
    score: f64,
    visits: i64,
    joined: bson::DateTime,
    tags: Vec<String>,
}

fn user(n: usize) -> User {
    User {
        id: ObjectId::new(),
        name: format!("User number {n}"),
        email: format!("user{n}@example.org"),
        age: (n % 90) as i32,
        city: Some(format!("City {}", n % 50)),
        active: n % 2 == 0,
        score: n as f64 / 3.0,
        visits: n as i64 * 7,
        joined: bson::DateTime::from_millis(1_600_000_000_000 + n as i64 * 1000),
        tags: vec!["a".to_owned(), format!("t{}", n % 10)],
    }
}

fn main() -> Result<(), Failure> {
    let mut numbers = std::env::args().skip(1).map(|n| n.parse::<usize>());
    let (Some(documents), Some(rounds)) = (numbers.next().transpose()?, numbers.next().transpose()?) else {
        return Err("usage: forge-bench-polodb DOCUMENTS ROUNDS".into());
    };
    let mut all: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for _ in 0..rounds {
        let folder = tempfile::tempdir()?;
        let database = Database::open_path(folder.path().join("db"))?;
        let users: Collection<User> = database.collection("users");
        users.create_index(IndexModel { keys: doc! { "email": 1 }, options: None })?;
        for (name, micros) in round(&users, documents)? {
            all.entry(name).or_default().push(micros);
        }
    }
    let medians: BTreeMap<_, _> = all
        .into_iter()
        .map(|(name, mut values)| {
            values.sort_by(f64::total_cmp);
            (name, values[values.len() / 2])
        })
        .collect();
    println!("{}", serde_json::to_string(&medians)?);
    Ok(())
}

fn round(users: &Collection<User>, documents: usize) -> Result<Vec<(&'static str, f64)>, Failure> {
    let mut figures = Vec::new();

    let begun = Instant::now();
    users.insert_many((0..documents).map(user))?;
    figures.push(("insert", micros(begun, documents)));

    let finds = 1_000;
    let begun = Instant::now();
    for n in 0..finds {
        let found = users.find_one(doc! { "email": format!("user{}@example.org", n * 7 % documents) })?;
        assert!(found.is_some());
    }
    figures.push(("find", micros(begun, finds)));

    let scans = 5;
    let begun = Instant::now();
    for _ in 0..scans {
        let found = users.find(doc! { "age": { "$gte": 80 }, "visits": { "$gt": 0_i64 } }).run()?;
        assert_eq!(found.collect::<Result<Vec<_>, _>>()?.len(), scanned(documents));
    }
    figures.push(("scan", micros(begun, scans)));

    // No figure for groups: PoloDB's `$group` takes `_id` for a constant and puts every document into one group.
    Ok(figures)
}

fn scanned(documents: usize) -> usize {
    (0..documents).filter(|n| n % 90 >= 80 && *n > 0).count()
}

fn micros(begun: Instant, n: usize) -> f64 {
    begun.elapsed().as_secs_f64() * 1e6 / n as f64
}
