//! What is measured, and how.

use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

use forge_benches::client::{Arrivals, Count, Http, Socket};
use forge_benches::process::Server;
use forge_benches::{Bar, Options, Pairs, Report, Span, median};
use serde_json::json;
use tokio::time::sleep;

use crate::Failure;
use crate::bare::{BARE, WRITE};

/// Far enough apart that no two changes share a refresh.
const APART: Duration = Duration::from_millis(300);
/// Subscriptions of one socket, where there are more than sockets should be.
const PER_SOCKET: usize = 1_000;

/// Runs every scenario that is wanted, each on a server of its own.
pub(crate) async fn all(options: &Options, report: &mut Report) -> Result<(), Failure> {
    let rounds = options.rounds;
    if options.wants("1,000 on one query") {
        fan_out("1,000", 1_000, 15.0, rounds, report).await?;
    }
    if options.wants("1,000 compressed on one query") {
        compressed(rounds, report).await?;
    }
    if options.wants("10,000 on one query") {
        fan_out("10,000", 10_000, 100.0, rounds.min(8), report).await?;
    }
    if options.wants("100 of 1,000 queries") {
        different(rounds, report).await?;
    }
    if options.wants("subscriptions a second, shared") {
        shared(report).await?;
    }
    if options.wants("subscriptions a second, distinct, and matching") {
        matching(rounds, report).await?;
    }
    if options.wants("mutations by HTTP") {
        mutations(rounds.min(5), report).await?;
    }
    if options.wants("refresh under writes") {
        refreshes(report).await?;
    }
    Ok(())
}

fn millis(from: Instant, to: Instant) -> f64 {
    to.saturating_duration_since(from).as_secs_f64() * 1e3
}

async fn fill(http: &mut Http, from: usize, to: usize, each: usize) -> Result<(), Failure> {
    for from in (from..to).step_by(500) {
        http.mutate("fill", &json!({ "from": from, "to": to.min(from + 500), "each": each })).await?;
    }
    Ok(())
}

/// One mutation, `n` sockets on the same query.
async fn fan_out(label: &str, n: usize, bar: f64, rounds: usize, report: &mut Report) -> Result<(), Failure> {
    let mut server = Server::start()?;
    let mut http = Http::open(server.address).await?;
    fill(&mut http, 0, 1, 20).await?;
    let arrivals = Rc::new(Arrivals::default());
    let before = server.look()?;
    let span = Span::start();
    let open = async || Socket::open(server.address, &arrivals, Count::Frames).await;
    let sockets = crowd(&arrivals, std::iter::repeat_n(0, n), open).await?;
    let rate = span.rate(n);
    sleep(APART).await;
    let idle = server.look()?.bytes_each(before, n);

    let Rounds { last, middle, cpu } = votes(&mut server, &mut http, &arrivals, n, rounds).await?;
    sleep(APART).await;
    server.count_reads()?;
    arrivals.expect(n);
    http.mutate("vote", &json!({ "id": 0 })).await?;
    arrivals.all().await?;
    let reads = server.look()?.reads as f64;

    drop((sockets, http, server));
    let bare = bare(n, arrivals.bytes() / n, &arrivals, rounds).await?;

    let name = |what: &str| format!("{label} on one query: {what}");
    report.figure(&name("database reads"), reads, "", Some(Bar::AtMost(1.0)));
    report.figure(&name("last socket"), median(&last), "ms", Some(Bar::AtMost(bar)));
    report.figure(&name("median socket"), median(&middle), "ms", None);
    report.figure(&name("server CPU a socket"), median(&cpu), "us", Some(Bar::AtMost(10.0)));
    report.figure(&name("server CPU a socket, by writes alone"), bare, "us", None);
    report.figure(&name("memory of an idle one"), idle / 1024.0, "KiB", Some(Bar::AtMost(8.0)));
    report.figure(&name("connections, one by one"), rate, "a second", None);
    Ok(())
}

/// Processor time a socket of a server that does nothing but write `length` bytes to each of `n`.
async fn bare(n: usize, length: usize, arrivals: &Rc<Arrivals>, rounds: usize) -> Result<f64, Failure> {
    let program = std::env::current_exe()?;
    let mut server = Server::start_as(Command::new(program).args([BARE, &length.to_string()]))?;
    let mut sockets = Vec::with_capacity(n);
    for _ in 0..n {
        sockets.push(Socket::open_bare(server.address, arrivals).await?);
    }
    let mut each = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        sleep(APART).await;
        let before = server.look()?;
        arrivals.expect(n);
        server.tell(WRITE)?;
        arrivals.all().await?;
        each.push(server.look()?.cpu_micros_each(before, n));
    }
    Ok(median(&each))
}

/// A socket on each of the boards, once all have its result.
async fn crowd(
    arrivals: &Arrivals,
    boards: impl ExactSizeIterator<Item = usize>,
    open: impl AsyncFn() -> Result<Socket, Failure>,
) -> Result<Vec<Socket>, Failure> {
    arrivals.expect(boards.len());
    let mut sockets = Vec::with_capacity(boards.len());
    for board in boards {
        let mut socket = open().await?;
        socket.subscribe(std::iter::once(board)).await?;
        sockets.push(socket);
    }
    arrivals.all().await?;
    Ok(sockets)
}

/// What a change costs that all sockets see, round by round.
#[derive(Default)]
struct Rounds {
    last: Vec<f64>,
    middle: Vec<f64>,
    cpu: Vec<f64>,
}

async fn votes(
    server: &mut Server,
    http: &mut Http,
    arrivals: &Arrivals,
    n: usize,
    rounds: usize,
) -> Result<Rounds, Failure> {
    let mut measured = Rounds::default();
    for _ in 0..rounds {
        sleep(APART).await;
        let before = server.look()?;
        arrivals.expect(n);
        let start = Instant::now();
        http.mutate("vote", &json!({ "id": 0 })).await?;
        let times = arrivals.all().await?;
        measured.last.push(millis(start, times[n - 1]));
        measured.middle.push(millis(start, times[n / 2]));
        measured.cpu.push(server.look()?.cpu_micros_each(before, n));
    }
    Ok(measured)
}

/// One mutation, 1,000 sockets on the same query that are sent its result compressed.
async fn compressed(rounds: usize, report: &mut Report) -> Result<(), Failure> {
    const SOCKETS: usize = 1_000;
    let mut server = Server::start()?;
    let mut http = Http::open(server.address).await?;
    fill(&mut http, 0, 1, 20).await?;
    let arrivals = Rc::new(Arrivals::default());
    let open = async || Socket::open_compressed(server.address, &arrivals).await;
    let _sockets = crowd(&arrivals, std::iter::repeat_n(0, SOCKETS), open).await?;
    let Rounds { last, cpu, .. } = votes(&mut server, &mut http, &arrivals, SOCKETS, rounds).await?;
    let name = |what: &str| format!("1,000 compressed on one query: {what}");
    report.figure(&name("last socket"), median(&last), "ms", None);
    report.figure(&name("server CPU a socket"), median(&cpu), "us", None);
    report.figure(&name("bytes a socket"), (arrivals.bytes() / SOCKETS) as f64, "", None);
    Ok(())
}

/// 1,000 sockets with a query each, 100 of which one commit changes.
async fn different(rounds: usize, report: &mut Report) -> Result<(), Failure> {
    const QUERIES: usize = 1_000;
    const AFFECTED: usize = 100;
    let mut server = Server::start()?;
    let mut http = Http::open(server.address).await?;
    fill(&mut http, 0, QUERIES, 1).await?;
    let arrivals = Rc::new(Arrivals::default());
    let open = async || Socket::open(server.address, &arrivals, Count::Frames).await;
    let _sockets = crowd(&arrivals, 0..QUERIES, open).await?;
    let (mut last, mut cpu) = (vec![], vec![]);
    for round in 0..=rounds {
        sleep(APART).await;
        if round == rounds {
            server.count_reads()?;
        }
        let before = server.look()?;
        arrivals.expect(AFFECTED);
        let start = Instant::now();
        http.mutate("vote_below", &json!({ "board": AFFECTED })).await?;
        let times = arrivals.all().await?;
        if round < rounds {
            last.push(millis(start, times[AFFECTED - 1]));
            cpu.push(server.look()?.cpu_micros_each(before, AFFECTED));
        }
    }
    let reads = server.look()?.reads as f64;
    report.figure("100 of 1,000 queries: database reads", reads, "", Some(Bar::AtMost(AFFECTED as f64)));
    report.figure("100 of 1,000 queries: last socket", median(&last), "ms", Some(Bar::AtMost(30.0)));
    report.figure("100 of 1,000 queries: server CPU each", median(&cpu), "us", None);
    Ok(())
}

/// Subscribes `sockets` sockets to `PER_SOCKET` boards each, and says how many a second are answered.
async fn subscribe_all(
    sockets: &mut [Socket],
    arrivals: &Arrivals,
    board: impl Fn(usize) -> usize,
) -> Result<f64, Failure> {
    let n = sockets.len() * PER_SOCKET;
    arrivals.expect(n);
    let span = Span::start();
    for (i, socket) in sockets.iter_mut().enumerate() {
        socket.subscribe((i * PER_SOCKET..(i + 1) * PER_SOCKET).map(&board)).await?;
    }
    arrivals.all().await?;
    Ok(span.rate(n))
}

async fn open_many(server: &Server, n: usize, arrivals: &Rc<Arrivals>) -> Result<Vec<Socket>, Failure> {
    let mut sockets = Vec::with_capacity(n);
    for _ in 0..n {
        sockets.push(Socket::open(server.address, arrivals, Count::Results).await?);
    }
    Ok(sockets)
}

async fn shared(report: &mut Report) -> Result<(), Failure> {
    let server = Server::start()?;
    let mut http = Http::open(server.address).await?;
    fill(&mut http, 0, 1, 1).await?;
    let arrivals = Rc::new(Arrivals::default());
    let mut sockets = open_many(&server, 40, &arrivals).await?;
    let rate = subscribe_all(&mut sockets, &arrivals, |_| 0).await?;
    report.figure("subscriptions a second, shared", rate, "a second", Some(Bar::AtLeast(20_000.0)));
    Ok(())
}

/// The board that is written to where a change touches nobody.
const UNTOUCHED: usize = 200_000;

/// A server whose subscriptions are to other boards than the one that is written to.
struct Beside {
    server: Server,
    http: Http,
    arrivals: Rc<Arrivals>,
    sockets: Vec<Socket>,
}

impl Beside {
    async fn new(sockets: usize) -> Result<Self, Failure> {
        let server = Server::start()?;
        let mut http = Http::open(server.address).await?;
        fill(&mut http, UNTOUCHED, UNTOUCHED + 1, 1).await?;
        let arrivals = Rc::new(Arrivals::default());
        let sockets = open_many(&server, sockets, &arrivals).await?;
        Ok(Self { server, http, arrivals, sockets })
    }

    /// Processor time of the server for each write, one after the other.
    async fn writes(&mut self) -> Result<f64, Failure> {
        const WRITES: usize = 1_000;
        let vote = json!({ "id": UNTOUCHED * 100 });
        let before = self.server.look()?;
        for _ in 0..WRITES {
            self.http.mutate("vote", &vote).await?;
        }
        Ok(self.server.look()?.cpu_micros_each(before, WRITES))
    }
}

/// The cost of a change that touches nobody, beside many subscriptions by equality and beside few, in turns.
async fn matching(rounds: usize, report: &mut Report) -> Result<(), Failure> {
    let mut few = Beside::new(1).await?;
    few.arrivals.expect(100);
    few.sockets[0].subscribe(0..100).await?;
    few.arrivals.all().await?;
    let mut many = Beside::new(100_000 / PER_SOCKET).await?;
    let (measured, others) = many.sockets.split_at_mut(20);
    let rate = subscribe_all(measured, &many.arrivals, |board| board).await?;
    subscribe_all(others, &many.arrivals, |board| UNTOUCHED / 2 + board).await?;
    let mut pairs = Pairs::default();
    for round in 0..=rounds {
        let beside_many = many.writes().await?;
        pairs.warm(round, beside_many, few.writes().await?);
    }
    report.figure("subscriptions a second, distinct", rate, "a second", Some(Bar::AtLeast(5_000.0)));
    report.compare("matching: a write beside 100,000, and beside 100", &pairs, "us", 1.1);
    Ok(())
}

/// Mutations by HTTP, 16 callers that each wait for their answer.
async fn mutations(rounds: usize, report: &mut Report) -> Result<(), Failure> {
    const CALLERS: usize = 16;
    const EACH: usize = 2_000;
    let mut server = Server::start()?;
    fill(&mut Http::open(server.address).await?, 0, CALLERS, 1).await?;
    let (mut rates, mut cpu, mut p99) = (vec![], vec![], vec![]);
    for _ in 0..rounds {
        let before = server.look()?;
        let span = Span::start();
        let mut callers = Vec::new();
        for caller in 0..CALLERS {
            let mut http = Http::open(server.address).await?;
            callers.push(tokio::task::spawn_local(async move {
                let vote = json!({ "id": caller * 100 });
                let mut times = Vec::with_capacity(EACH);
                for _ in 0..EACH {
                    let start = Instant::now();
                    http.mutate("vote", &vote).await.map_err(|error| error.to_string())?;
                    times.push(millis(start, Instant::now()));
                }
                Ok::<_, String>(times)
            }));
        }
        let mut times = Vec::new();
        for caller in callers {
            times.extend(caller.await??);
        }
        rates.push(span.rate(CALLERS * EACH));
        cpu.push(server.look()?.cpu_micros_each(before, CALLERS * EACH));
        times.sort_by(f64::total_cmp);
        p99.push(times[times.len() * 99 / 100]);
    }
    report.figure("mutations by HTTP, 16 callers", median(&rates), "a second", Some(Bar::AtLeast(25_000.0)));
    report.figure("mutations by HTTP: server CPU each", median(&cpu), "us", Some(Bar::AtMost(40.0)));
    report.figure("mutations by HTTP: p99", median(&p99), "ms", None);
    Ok(())
}

/// The longest wait for a refresh while there is a write every 40 ms.
async fn refreshes(report: &mut Report) -> Result<(), Failure> {
    const WRITES: usize = 100;
    let server = Server::start()?;
    let mut http = Http::open(server.address).await?;
    fill(&mut http, 0, 1, 20).await?;
    let arrivals = Rc::new(Arrivals::default());
    arrivals.expect(1);
    let mut socket = Socket::open(server.address, &arrivals, Count::Frames).await?;
    socket.subscribe(std::iter::once(0)).await?;
    arrivals.all().await?;
    sleep(APART).await;
    arrivals.expect(usize::MAX);
    let mut times = vec![Instant::now()];
    for _ in 0..WRITES {
        http.mutate("vote", &json!({ "id": 0 })).await?;
        sleep(Duration::from_millis(40)).await;
    }
    times.extend(arrivals.so_far());
    let gaps = times.windows(2).map(|pair| millis(pair[0], pair[1]));
    let longest = gaps.fold(0.0, f64::max);
    report.figure("refresh under writes: longest wait", longest, "ms", Some(Bar::AtMost(250.0)));
    report.figure("refresh under writes: of 100 writes", (times.len() - 1) as f64, "updates", None);
    Ok(())
}
