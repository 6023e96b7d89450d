//! What is measured, and how.

// A bench speaks by printing.
#![allow(clippy::print_stderr)]

use std::cell::Cell;
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

use forge_benches::client::{Arrivals, Count, Http, Socket};
use forge_benches::process::{Failure, SERVE, Server};
use forge_benches::{Bar, Options, Pairs, Report, median};
use serde_json::{Value, json};
use tokio::task::spawn_local;
use tokio::time::sleep;

use crate::peer;

/// Connections that ask at the same time.
const CALLERS: usize = 16;
/// Documents that are there from the start, in memory.
const PEOPLE: usize = 1_000;
/// The same on a server: so few that its sorting them is not what is waited for, which would let caches run cold on both sides.
const FEW_PEOPLE: usize = 100;
/// How much less Feathers is to be outdone: at most this much of its processor time.
const OF_FEATHERS: f64 = 1.0 / 8.0;

/// What is asked, and how much processor time it may take, in microseconds.
const REQUESTS: [(&str, Request, f64); 4] = [
    ("GET by id", Request::Get, 30.0),
    ("find 10, sorted and paginated", Request::Find, 60.0),
    ("patch by id", Request::Patch, 40.0),
    ("create", Request::Create, 40.0),
];

#[derive(Debug, Clone, Copy)]
enum Request {
    Get,
    Find,
    Patch,
    Create,
}

/// A server with people.
struct Target {
    server: Server,
    ids: Rc<Vec<String>>,
}

/// Runs everything that is wanted: on the embedded engine, then, where there is a server, on that beside Feathers.
pub(crate) async fn all(options: &Options, report: &mut Report) -> Result<(), Failure> {
    let mut memory = Target::of("memory:", PEOPLE).await?;
    for (name, request, bar) in REQUESTS {
        if options.wants(name) {
            let each = memory.cpu(request, 4_000, options.rounds.min(7)).await?;
            report.figure(&format!("{name}, memory"), each, "us", Some(Bar::AtMost(bar)));
        }
    }
    drop(memory);
    if options.wants("create to 500 sockets") {
        fan_out(options.rounds, report).await?;
    }
    let Some(uri) = &options.uri else { return Ok(()) };
    let name = format!("bench_services_{}", std::process::id());
    let database = with_database(uri, &name);
    let mut ours = Target::of(&database, FEW_PEOPLE).await?;
    let mut feathers = match peer::start(uri, &name) {
        Ok(server) => Some(Target { server, ids: ours.ids.clone() }),
        Err(error) => {
            eprintln!("without Feathers: {error}");
            None
        }
    };
    for (name, request, bar) in REQUESTS.into_iter().filter(|(name, ..)| options.wants(name)) {
        let label = format!("{name}, server");
        let rounds = options.rounds.min(3);
        let n = ours.pace(request).await?;
        let Some(feathers) = &mut feathers else {
            let each = ours.cpu(request, n, rounds).await?;
            report.figure(&label, each, "us", Some(Bar::AtMost(bar)));
            continue;
        };
        let mut pairs = Pairs::default();
        for round in 0..=rounds {
            let one = ours.cpu(request, n, 1).await?;
            pairs.warm(round, one, feathers.cpu(request, n, 1).await?);
        }
        report.compare(&format!("{label}, beside Feathers"), &pairs, "us", OF_FEATHERS);
    }
    Ok(())
}

/// The URI of a database on the server at `uri`.
fn with_database(uri: &str, name: &str) -> String {
    let (head, options) = uri.split_once('?').map_or((uri, None), |(head, options)| (head, Some(options)));
    let options = options.map_or(String::new(), |options| format!("?{options}"));
    format!("{}/{name}{options}", head.trim_end_matches('/'))
}

fn person(n: usize) -> Value {
    json!({ "name": format!("Person {n}"), "age": n % 90, "team": format!("team {}", n % 7), "active": n.is_multiple_of(2) })
}

impl Target {
    /// Forge over a database, with people in it.
    async fn of(database: &str, people: usize) -> Result<Self, Failure> {
        let server = Server::start_as(Command::new(std::env::current_exe()?).args([SERVE, database]))?;
        let mut http = Http::open(server.address).await?;
        let mut ids = Vec::new();
        for from in (0..people).step_by(100) {
            let people: Vec<_> = (from..from + 100).map(person).collect();
            http.send("POST", "/people", Some(&people.into())).await?;
            let made = http.answer();
            let made = made.as_array().ok_or("no list of people")?;
            ids.extend(made.iter().filter_map(|person| person["_id"].as_str()).map(str::to_owned));
        }
        Ok(Self { server, ids: Rc::new(ids) })
    }

    /// How many requests to measure by: many where the database is fast, so that what is done once (connections to it, code
    /// that is compiled while it runs) does not count for much.
    async fn pace(&self, request: Request) -> Result<usize, Failure> {
        const FEW: usize = 200;
        let start = Instant::now();
        self.load(request, FEW).await?;
        Ok(if start.elapsed() < Duration::from_secs(1) { 10 * FEW } else { FEW })
    }

    /// Processor time of the server for each of `n` requests, in microseconds: the median of the rounds.
    async fn cpu(&mut self, request: Request, n: usize, rounds: usize) -> Result<f64, Failure> {
        self.load(request, n / 4).await?;
        let mut each = Vec::with_capacity(rounds);
        for _ in 0..rounds {
            let before = self.server.look()?;
            self.load(request, n).await?;
            each.push(self.server.look()?.cpu_micros_each(before, n));
        }
        Ok(median(&each))
    }

    /// Sends `n` requests by all callers.
    async fn load(&self, request: Request, n: usize) -> Result<(), Failure> {
        let next = Rc::new(Cell::new(0));
        let mut callers = Vec::new();
        for _ in 0..CALLERS {
            let (next, ids, address) = (next.clone(), self.ids.clone(), self.server.address);
            callers.push(spawn_local(async move {
                let mut http = Http::open(address).await.map_err(|error| error.to_string())?;
                loop {
                    let at = next.replace(next.get() + 1);
                    if at >= n {
                        return Ok::<_, String>(());
                    }
                    let id = &ids[at * 7 % ids.len()];
                    request.send(&mut http, id, at).await.map_err(|error| error.to_string())?;
                }
            }));
        }
        for caller in callers {
            caller.await??;
        }
        Ok(())
    }
}

impl Request {
    async fn send(self, http: &mut Http, id: &str, n: usize) -> Result<(), Failure> {
        match self {
            Request::Get => http.send("GET", &format!("/people/{id}"), None).await,
            Request::Find => http.send("GET", "/people?$sort[age]=-1&$limit=10&$skip=20", None).await,
            Request::Patch => {
                let patch = json!({ "age": n % 90 });
                http.send("PATCH", &format!("/people/{id}"), Some(&patch)).await
            }
            Request::Create => http.send("POST", "/people", Some(&person(n))).await,
        }
    }
}

/// One create that 500 sockets hear of.
async fn fan_out(rounds: usize, report: &mut Report) -> Result<(), Failure> {
    const SOCKETS: usize = 500;
    let mut target = Target::of("memory:", PEOPLE).await?;
    let arrivals = Rc::new(Arrivals::default());
    let mut sockets = Vec::with_capacity(SOCKETS);
    for _ in 0..SOCKETS {
        sockets.push(Socket::open(target.server.address, &arrivals, Count::Events).await?);
    }
    let mut http = Http::open(target.server.address).await?;
    sleep(Duration::from_millis(300)).await;
    let (mut last, mut cpu) = (Vec::new(), Vec::new());
    for n in 0..rounds {
        sleep(Duration::from_millis(100)).await;
        let before = target.server.look()?;
        arrivals.expect(SOCKETS);
        let start = Instant::now();
        http.send("POST", "/people", Some(&person(n))).await?;
        let times = arrivals.all().await?;
        last.push(times[SOCKETS - 1].saturating_duration_since(start).as_secs_f64() * 1e3);
        cpu.push(target.server.look()?.cpu_micros_each(before, 1) / 1e3);
    }
    report.figure("create to 500 sockets: last", median(&last), "ms", Some(Bar::AtMost(3.0)));
    report.figure("create to 500 sockets: server CPU", median(&cpu), "ms", None);
    Ok(())
}
