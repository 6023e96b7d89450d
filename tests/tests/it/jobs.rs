//! Mutations that run later: kept, run once among processes, tried again, made up for.

use std::time::{Duration, Instant};

use forge::DateTime;
use forge::server::Limits;
use forge::server::jobs::{Job, JobState};
use forge_tests::app::{Note, jostled};
use forge_tests::engine::{URI_VARIABLE, random, skip_without_server};
use forge_tests::program::Program;
use forge_tests::server::TestServer;
use serde_json::{Value, json};

const PROBE: &str = env!("CARGO_BIN_EXE_probe");
const PATIENCE: Duration = Duration::from_secs(60);

fn limits() -> Limits {
    let mut limits = Limits::default();
    // Longer than a busy machine stops for: what is held is not taken over.
    limits.job_lease = Duration::from_secs(3);
    limits
}

async fn later(server: &TestServer, board: &str, title: &str, millis: u32) -> Value {
    server.http().mutate("add_later", json!({ "board": board, "title": title, "millis": millis })).await
}

async fn notes(server: &TestServer, board: &str) -> u64 {
    server.db.find::<Note>().filter(|n| n.board.eq(board)).count().await.unwrap()
}

async fn job(server: &TestServer, id: &Value) -> Job {
    server.db.get::<Job>(id.as_str().unwrap().parse::<forge::Id<Job>>().unwrap()).await.unwrap().unwrap()
}

async fn ended(server: &TestServer, id: &Value) -> Job {
    let begin = Instant::now();
    loop {
        let job = job(server, id).await;
        if matches!(job.state, JobState::Done | JobState::Failed) {
            return job;
        }
        assert!(begin.elapsed() < PATIENCE, "{job:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_scheduled_mutation_runs_when_it_is_due_and_its_effect_is_live() {
    let server = TestServer::start().await;
    let mut socket = server.socket().await;
    socket.follow(1, "note_count", json!({ "board": "b" })).await;
    let begin = Instant::now();
    let id = later(&server, "b", "t", 300).await;
    assert_eq!(notes(&server, "b").await, 0);
    socket.until(1, |data| *data == json!(1)).await;
    assert!(begin.elapsed() >= Duration::from_millis(300), "{:?}", begin.elapsed());
    assert_eq!(ended(&server, &id).await.attempts, 1);
}

#[tokio::test]
async fn what_a_failed_transaction_scheduled_never_runs() {
    let server = TestServer::with(limits()).await;
    let answer = server.http().call("mutation", "add_later_and_fail", &json!({ "board": "b" })).await;
    assert_eq!(answer.code(), "conflict");
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(notes(&server, "b").await, 0);
    let waiting = server.db.find::<Job>().filter(|j| j.handler.eq("add_late")).count().await.unwrap();
    assert_eq!(waiting, 0);
}

#[tokio::test]
async fn a_cancelled_job_does_not_run() {
    let server = TestServer::start().await;
    let id = later(&server, "b", "t", 60_000).await;
    assert_eq!(server.http().mutate("cancel_later", json!({ "id": id })).await, json!(true));
    assert_eq!(server.http().mutate("cancel_later", json!({ "id": id })).await, json!(false));
    let answer = server.http().call("mutation", "cancel_later", &json!({ "id": "nonsense" })).await;
    assert_eq!(answer.code(), "bad_request");
}

#[tokio::test]
async fn a_failed_run_is_undone_and_tried_again() {
    let server = TestServer::with(limits()).await;
    let id = later(&server, "b", "flaky", 0).await;
    let job = ended(&server, &id).await;
    assert_eq!((job.state, job.attempts, job.error), (JobState::Done, 2, None));
    assert_eq!(notes(&server, "b").await, 1, "the first attempt left nothing behind");
}

#[tokio::test]
async fn a_call_that_can_never_succeed_fails_for_good() {
    let server = TestServer::with(limits()).await;
    let id = later(&server, "b", "", 0).await;
    let job = ended(&server, &id).await;
    assert_eq!((job.state, job.attempts), (JobState::Failed, 1));
    assert!(job.error.as_deref().is_some_and(|error| error.contains("title")), "{job:?}");
}

#[tokio::test]
async fn jobs_keep_to_the_deadline_of_their_mutation() {
    let server = TestServer::with(limits()).await;
    for args in [json!({ "name": "add_too_late", "board": "late" }), json!({ "name": "hog" })] {
        let id = server.http().mutate("run_later", args).await;
        let begin = Instant::now();
        let tried = loop {
            let job = job(&server, &id).await;
            if job.error.is_some() {
                break job;
            }
            assert!(begin.elapsed() < PATIENCE, "{job:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let error = tried.error.unwrap_or_default();
        assert!(error.contains("0.1 s") || error.contains("0.2 s"), "{error}");
    }
    assert_eq!(notes(&server, "late").await, 0);
}

#[tokio::test]
async fn no_more_jobs_of_a_mutation_run_at_a_time_than_it_allows() {
    let server = TestServer::with(limits()).await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(server.http().mutate("run_later", json!({ "name": "jostle" })).await);
    }
    for id in &ids {
        assert_eq!(ended(&server, id).await.state, JobState::Done);
    }
    assert_eq!(jostled(), 1);
}

#[tokio::test]
async fn metrics_tell_how_attempts_at_jobs_ended() {
    let server = TestServer::with_metrics().await;
    for title in ["t", ""] {
        let id = later(&server, "b", title, 0).await;
        ended(&server, &id).await;
    }
    let wanted = [
        r#"forge_job_attempts_total{handler="add_late",outcome="ok"} 1"#,
        r#"forge_job_attempts_total{handler="add_late",outcome="error"} 1"#,
        r#"forge_job_late_seconds_count{handler="add_late"} 2"#,
        "forge_jobs_running 0",
    ];
    let begin = Instant::now();
    // An attempt is counted just after it has ended.
    loop {
        let metrics = server.http().get("/metrics").await.body;
        let missing = wanted.iter().find(|line| !metrics.lines().any(|told| told == **line));
        let Some(missing) = missing else { return };
        assert!(begin.elapsed() < PATIENCE, "{missing} is not in {metrics}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn two_processes_run_each_job_once() {
    let server = TestServer::with(limits()).await;
    let other = server.beside(limits()).await;
    let mut ids = Vec::new();
    for n in 0..20 {
        let by = if n % 2 == 0 { &server } else { &other };
        ids.push(later(by, "b", &format!("t{n}"), 50).await);
    }
    for id in &ids {
        assert_eq!(ended(&server, id).await.state, JobState::Done);
    }
    assert_eq!(notes(&server, "b").await, 20);
}

#[tokio::test]
async fn the_next_cron_job_waits_once_and_runs_when_it_is_due() {
    let server = TestServer::with(limits()).await;
    let _other = server.beside(limits()).await;
    let find = || server.db.find::<Job>().filter(|j| j.handler.eq("celebrate"));
    let begin = Instant::now();
    while find().count().await.unwrap() == 0 {
        assert!(begin.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let jobs = find().await.unwrap();
    let [job] = &jobs[..] else { panic!("{jobs:?}") };
    assert!(job.due.to_string().ends_with("-01-01T00:00:00.000Z"), "{}", job.due);
    // As if the time had come while nobody ran.
    server.db.update::<Job>(job.id).set(|j| j.due, DateTime::from_millis(0)).await.unwrap();
    ended(&server, &json!(job.id.to_string())).await;
    assert_eq!(notes(&server, "calendar").await, 1);
}

/// A job as another program may have left it.
async fn left_behind(server: &TestServer, handler: &str, due: DateTime, attempts: i32) -> Job {
    let id = later(server, "b", "t", 600_000).await;
    let update = server.db.update::<Job>(job(server, &id).await.id).set(|j| j.handler, handler);
    let key = format!("cron:{handler}:{attempts}");
    update.set(|j| j.due, due).set(|j| j.attempts, attempts).set(|j| j.key, key).await.unwrap()
}

/// As with a mutation that comes round more often than its failed runs are tried again.
#[tokio::test]
async fn a_failed_cron_job_is_tried_again_after_the_next_ones_time() {
    let server = TestServer::with(limits()).await;
    let far: DateTime = "2999-06-01T00:00:00.000Z".parse().unwrap();
    let retry = left_behind(&server, "celebrate", far, 1).await;
    let stale = left_behind(&server, "celebrate", far, 0).await;
    // It plants as it starts.
    let _other = server.beside(limits()).await;
    let begin = Instant::now();
    while server.db.get::<Job>(stale.id).await.unwrap().is_some() {
        assert!(begin.elapsed() < PATIENCE, "what an older expression left behind is still there");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(server.db.get::<Job>(retry.id).await.unwrap().map(|job| job.due), Some(far));
}

/// As while the processes of a new version take the place of the old ones.
#[tokio::test]
async fn a_job_that_this_program_cannot_run_is_left_to_others_and_holds_nothing_up() {
    let mut limits = limits();
    limits.jobs = 2;
    let server = TestServer::with(limits).await;
    let mut strange = Vec::new();
    for n in 0..10 {
        strange.push(left_behind(&server, "of_the_next_version", DateTime::from_millis(n.into()), n).await);
    }
    let id = later(&server, "b", "t", 0).await;
    assert_eq!(ended(&server, &id).await.state, JobState::Done);
    for job in strange {
        let now = server.db.get::<Job>(job.id).await.unwrap().unwrap();
        assert_eq!((now.state, now.attempts), (JobState::Waiting, job.attempts));
    }
}

#[tokio::test]
async fn clients_are_not_told_of_jobs_and_cannot_run_cron_mutations() {
    let server = TestServer::start().await;
    let manifest = server.http().get("/api/manifest").await.json().to_string();
    assert!(!manifest.contains("Job") && !manifest.contains("celebrate"), "{manifest}");
    assert_eq!(server.http().call("mutation", "celebrate", &json!({})).await.status, 404);
}

const OF_TENANT: [(&str, &str); 2] = [("content-type", "application/json"), ("x-tenant", "a")];

#[tokio::test]
async fn the_name_of_a_tenants_database_is_kept_before_its_first_job_and_once() {
    let server = TestServer::with_tenants().await;
    let args = json!({ "board": "b", "title": "t", "millis": 60_000 }).to_string();
    let asked = async || {
        let http = server.http();
        let answer = http.send("POST", "/api/mutation/add_later", &OF_TENANT, args.as_bytes()).await.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        let commands = server.driver.take();
        let inserts = commands.iter().filter(|command| command.command.name() == "insert");
        inserts.map(|command| command.collection.to_string()).collect::<Vec<_>>()
    };
    // What comes round is planted first.
    while server.db.find::<Job>().count().await.unwrap() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    server.driver.take();
    assert_eq!(asked().await, ["forge_job_databases", "forge_jobs"]);
    assert_eq!(asked().await, ["forge_jobs"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_of_a_tenants_database_outlives_the_process_that_took_it_in() {
    let folder = tempfile::tempdir().unwrap();
    outlives(&format!("embedded:{}", folder.path().display())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_of_a_tenants_database_on_a_server_outlives_the_process_that_took_it_in() {
    let Ok(uri) = std::env::var(URI_VARIABLE) else { return skip_without_server() };
    outlives(&own_database(&uri)).await;
}

/// The URL of a database of the test's own.
fn own_database(uri: &str) -> String {
    let (base, query) = uri.split_once('?').map_or((uri, String::new()), |(a, b)| (a, format!("?{b}")));
    format!("{}/tjobs_{:08x}{query}", base.trim_end_matches('/'), random() as u32)
}

async fn outlives(url: &str) {
    let tenant = format!("{:08x}", random() as u32);
    let of_tenant = [OF_TENANT[0], ("x-tenant", tenant.as_str())];
    let first = Program::start(PROBE, url).await;
    let args = json!({ "board": "b", "title": "last words" }).to_string();
    let going =
        first.http().send("POST", "/api/mutation/add_later_and_go", &of_tenant, args.as_bytes()).await;
    assert!(going.is_err(), "it should have gone before it answered: {going:?}");
    drop(first);
    let second = Program::start(PROBE, url).await;
    let (http, board) = (second.http(), json!({ "board": "b" }).to_string());
    let begin = Instant::now();
    loop {
        let count =
            http.send("POST", "/api/query/note_count", &of_tenant, board.as_bytes()).await.unwrap().json();
        if count == json!(1) {
            return;
        }
        assert!(begin.elapsed() < PATIENCE, "nobody runs it: {count}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// One process takes the job and is killed in the middle of it; the other runs it, and it takes effect once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_job_of_a_killed_process_is_run_by_another() {
    let Ok(uri) = std::env::var(URI_VARIABLE) else { return skip_without_server() };
    let url = own_database(&uri);
    let first = Program::start(PROBE, &url).await;
    let args = json!({ "board": "b", "title": "slow", "millis": 0 });
    first.http().mutate("add_later", args).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    first.kill().await;
    let second = Program::start(PROBE, &url).await;
    let begin = Instant::now();
    while second.http().query("note_count", json!({ "board": "b" })).await == json!(0) {
        assert!(begin.elapsed() < PATIENCE, "nobody took the job over");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    assert_eq!(second.http().query("note_count", json!({ "board": "b" })).await, json!(1));
}
