//! Many processes behind one database: whoever writes, and whoever dies, every socket comes to what a fresh query gives.

use std::time::Duration;

use forge::server::{Limits, RedisFanOut};
use forge_tests::program::Program;
use forge_tests::redis::Redis;
use forge_tests::secantus::Secantus;
use forge_tests::server::TestServer;
use forge_tests::socket::Socket;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

const PROBE: &str = env!("CARGO_BIN_EXE_probe");
/// The longest that takes until everybody knows of everything, after whatever happened.
const PATIENCE: Duration = Duration::from_secs(40);

/// The lease outlives any pause of a busy machine: who leads only changes where a test wants it to.
fn fan_out(redis: &Redis) -> RedisFanOut {
    RedisFanOut::new(&redis.url()).unwrap().lease(Duration::from_secs(9))
}

/// Two servers, the first of which leads.
async fn servers(redis: &Redis) -> (TestServer, TestServer) {
    let first = TestServer::with_fan_out(fan_out(redis)).await;
    let leads = async {
        while first.driver.feeds() == 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, leads).await.expect("the first should lead");
    let second = first.joined(Limits::default(), fan_out(redis)).await;
    (first, second)
}

fn note(title: &str) -> Value {
    json!({ "note": { "board": "b", "title": title } })
}

fn board() -> Value {
    json!({ "board": "b" })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_follows_the_database_for_all() {
    let Some(redis) = Redis::start().await else { return };
    let (first, second) = servers(&redis).await;
    let (mut one, mut two) = (first.socket().await, second.socket().await);
    assert_eq!(one.follow(1, "note_count", board()).await, json!(0));
    assert_eq!(two.follow(1, "note_count", board()).await, json!(0));
    first.http().mutate("add_note", note("a")).await;
    one.until(1, |count| *count == json!(1)).await;
    two.until(1, |count| *count == json!(1)).await;
    second.http().mutate("add_note", note("b")).await;
    one.until(1, |count| *count == json!(2)).await;
    two.until(1, |count| *count == json!(2)).await;
    assert_eq!(first.driver.feeds(), 1, "both servers have one driver, and one of them a feed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_process_takes_over_and_misses_nothing() {
    let Some(redis) = Redis::start().await else { return };
    let (first, second) = servers(&redis).await;
    let mut two = second.socket().await;
    two.follow(1, "note_count", board()).await;
    first.http().mutate("add_note", note("a")).await;
    two.until(1, |count| *count == json!(1)).await;
    let (http, before) = (second.http(), second.driver.feeds());
    first.vanish();
    for title in ["b", "c", "d"] {
        http.mutate("add_note", note(title)).await;
    }
    two.until(1, |count| *count == json!(4)).await;
    assert_eq!(second.driver.feeds(), before + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_comes_back_empty_hides_nothing() {
    let Some(mut redis) = Redis::start().await else { return };
    let (first, second) = servers(&redis).await;
    let mut two = second.socket().await;
    two.follow(1, "note_count", board()).await;
    first.http().mutate("add_note", note("a")).await;
    two.until(1, |count| *count == json!(1)).await;
    redis.kill().await;
    first.http().mutate("add_note", note("b")).await;
    let down = async {
        loop {
            let ready = second.http().get("/readyz").await;
            if ready.status == 503 {
                return ready.body;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    let said = timeout(PATIENCE, down).await.expect("/readyz should say that the feed is down");
    assert!(said.contains("feed"), "{said}");
    redis.restart().await;
    two.until(1, |count| *count == json!(2)).await;
    first.http().mutate("add_note", note("c")).await;
    two.until(1, |count| *count == json!(3)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_behind_tls_is_as_good_and_one_that_nobody_vouches_for_is_none() {
    let Some(redis) = Redis::encrypted().await else { return };
    let (url, certificate) = (redis.url(), redis.certificate().unwrap());
    let trusting = [("FORGE_FANOUT_URL", url.as_str()), ("SSL_CERT_FILE", certificate.as_str())];
    let program = Program::with(PROBE, "memory:", &trusting).await;
    let mut socket = Socket::open(program.address).await;
    assert_eq!(socket.follow(1, "note_count", board()).await, json!(0));
    program.http().mutate("add_note", note("a")).await;
    socket.until(1, |count| *count == json!(1)).await;

    let wary = Program::with(PROBE, "memory:", &trusting[..1]).await;
    let mut socket = Socket::open(wary.address).await;
    socket.subscribe(1, "note_count", board()).await;
    let down = async {
        while wary.http().get("/readyz").await.status != 503 {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, down).await.expect("who shows no known certificate is not talked to");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_cannot_be_read_stop_nobody_and_hide_nothing() {
    let Some(redis) = Redis::start().await else { return };
    let (first, second) = servers(&redis).await;
    let mut two = second.socket().await;
    two.follow(1, "note_count", board()).await;
    first.http().mutate("add_note", note("a")).await;
    two.until(1, |count| *count == json!(1)).await;
    for (n, record) in ["k x s none", "k c s 7 b nothing", "other fields", "k c s 18446744073709551615 b x"]
        .iter()
        .enumerate()
    {
        first.driver.take();
        let answer = redis.command(&format!("XADD {{forge:forge}}:log * {record}")).await;
        assert!(answer.starts_with('$'), "{record}: {answer}");
        let afresh = async {
            while first.driver.reads("notes") == 0 {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, afresh).await.unwrap_or_else(|_| panic!("{record}: nothing ran afresh"));
        first.http().mutate("add_note", note("more")).await;
        two.until(1, |count| *count == json!(n + 2)).await;
    }
    // A place that cannot be read begins anew, rather than never.
    let answer = redis.command("HSET {forge:forge}:place token nothing").await;
    assert_eq!(answer.trim(), ":0");
    first.vanish();
    second.http().mutate("add_note", note("last")).await;
    timeout(PATIENCE, two.until(1, |count| *count == json!(6))).await.expect("somebody should lead again");
}

/// A socket of a client that comes back, to another process if need be.
async fn reconnected(programs: &[&Program]) -> Socket {
    for program in programs {
        if tokio::net::TcpStream::connect(program.address).await.is_ok() {
            return Socket::open(program.address).await;
        }
    }
    panic!("no process is left");
}

/// Two processes behind SecantusDB; one dies while it writes.
async fn two_processes(variables: &[(&str, &str)]) {
    let Some(server) = Secantus::start().await else { return };
    let url = server.url("two");
    let first = Program::with(PROBE, &url, variables).await;
    let second = Program::with(PROBE, &url, variables).await;
    let (mut one, mut two) = (Socket::open(first.address).await, Socket::open(second.address).await);
    one.follow(1, "note_count", board()).await;
    two.follow(1, "note_count", board()).await;
    first.http().mutate("add_note", note("by the first")).await;
    two.until(1, |count| *count == json!(1)).await;
    second.http().mutate("add_note", note("by the second")).await;
    one.until(1, |count| *count == json!(2)).await;

    let http = first.http();
    let writing = tokio::spawn(async move {
        let mut acknowledged = 0;
        for n in 0..10_000 {
            let args = note(&format!("n{n}")).to_string();
            let json = [("content-type", "application/json")];
            match http.send("POST", "/api/mutation/add_note", &json, args.as_bytes()).await {
                Ok(answer) if answer.status == 200 => acknowledged += 1,
                _ => return acknowledged,
            }
        }
        acknowledged
    });
    two.until(1, |count| count.as_u64() > Some(6)).await;
    let second_address = second.address;
    first.kill().await;
    let acknowledged: u64 = writing.await.unwrap();
    let mut back = reconnected(&[&second]).await;
    assert_eq!(second_address, second.address);
    back.subscribe(1, "note_count", board()).await;
    second.http().mutate("add_note", note("after")).await;
    let stored = second.http().query("note_count", board()).await.as_u64().unwrap();
    assert!(stored >= acknowledged + 3, "{acknowledged} were acknowledged, {stored} are there");
    for socket in [&mut two, &mut back] {
        let converges = socket.until(1, |count| count.as_u64() >= Some(stored));
        timeout(PATIENCE, converges).await.expect("the socket should come to what there is");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_tell_each_other_and_one_survives_the_other() {
    two_processes(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_with_one_feed_survive_the_death_of_who_leads() {
    let Some(redis) = Redis::start().await else { return };
    two_processes(&[("FORGE_FANOUT_URL", &redis.url())]).await;
}
