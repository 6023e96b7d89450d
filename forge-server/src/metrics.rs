//! What `/metrics` tells, in the text format of Prometheus.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use forge_core::handler::HandlerKind;
use forge_core::{Error, Result};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

use crate::live::snapshot::Snapshot;

/// The upper ends of what times are sorted into, in seconds.
const BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// What is counted while the server runs; nothing where metrics are off. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Metrics(Option<Arc<Inner>>);

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Metrics").field(&self.0.is_some()).finish()
    }
}

struct Inner {
    registry: Registry,
    calls: Family<Call, Counter>,
    call_seconds: Family<Handler, Histogram, fn() -> Histogram>,
    live_seconds: Family<Query, Histogram, fn() -> Histogram>,
    live_errors: Family<Failed, Counter>,
    requests: Family<Status, Counter>,
    jobs_running: Gauge,
    job_attempts: Family<Attempt, Counter>,
    job_seconds: Family<Job, Histogram, fn() -> Histogram>,
    job_late_seconds: Family<Job, Histogram, fn() -> Histogram>,
}

/// An attempt at a job, which runs until this is dropped.
pub(crate) struct RunningJob {
    metrics: Metrics,
    job: Job,
    since: Instant,
    ended: &'static str,
}

impl RunningJob {
    /// How it ends; one that is cut off does not say so.
    pub(crate) fn ends(&mut self, well: bool) {
        self.ended = if well { "ok" } else { "error" };
    }
}

impl Drop for RunningJob {
    fn drop(&mut self) {
        let Some(inner) = &self.metrics.0 else { return };
        inner.jobs_running.dec();
        inner.job_seconds.get_or_create(&self.job).observe(self.since.elapsed().as_secs_f64());
        let attempt = Attempt { handler: self.job.handler.clone(), outcome: self.ended };
        inner.job_attempts.get_or_create(&attempt).inc();
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Job {
    handler: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Attempt {
    handler: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Handler {
    kind: &'static str,
    handler: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    kind: &'static str,
    handler: &'static str,
    code: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Query {
    query: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Failed {
    query: String,
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Status {
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Database {
    database: String,
}

fn histogram() -> Histogram {
    Histogram::new(BUCKETS)
}

/// Metrics of the server.
trait Named {
    /// Registers a metric under `forge_` and `name`.
    fn add<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: &M);
}

impl Named for Registry {
    fn add<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: &M) {
        self.register(format!("forge_{name}"), help, metric.clone());
    }
}

impl Metrics {
    /// Metrics that count, or do not.
    pub(crate) fn new(on: bool) -> Self {
        if on { Self::on() } else { Self::default() }
    }

    fn on() -> Self {
        let mut registry = Registry::default();
        let mut inner = Inner {
            registry: Registry::default(),
            calls: Family::default(),
            call_seconds: Family::new_with_constructor(histogram),
            live_seconds: Family::new_with_constructor(histogram),
            live_errors: Family::default(),
            requests: Family::default(),
            jobs_running: Gauge::default(),
            job_attempts: Family::default(),
            job_seconds: Family::new_with_constructor(histogram),
            job_late_seconds: Family::new_with_constructor(histogram),
        };
        registry.add(
            "calls",
            "Calls of handlers, by how they ended: ok, or the code of the error",
            &inner.calls,
        );
        registry.add("call_seconds", "How long calls of handlers took", &inner.call_seconds);
        registry.add(
            "live_run_seconds",
            "How long runs of live queries took; the count is the number of runs",
            &inner.live_seconds,
        );
        registry.add("live_errors", "Runs of live queries that ended with an error", &inner.live_errors);
        registry.add("http_requests", "Answers to HTTP requests, by status", &inner.requests);
        registry.add("jobs_running", "Jobs that this process runs", &inner.jobs_running);
        registry.add(
            "job_attempts",
            "Attempts at jobs, by how they ended: ok, error, or cut_off with the process or the lease",
            &inner.job_attempts,
        );
        registry.add("job_seconds", "How long attempts at jobs took", &inner.job_seconds);
        registry.add(
            "job_late_seconds",
            "How long after a job was due an attempt at it began",
            &inner.job_late_seconds,
        );
        inner.registry = registry;
        Self(Some(Arc::new(inner)))
    }

    /// Whether anything is counted.
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// A handler was called by a client. `code` is `ok` or that of the error.
    pub(crate) fn called(&self, kind: HandlerKind, handler: &'static str, code: &str, took: Duration) {
        let Some(inner) = &self.0 else { return };
        let kind = kind.as_str();
        inner.calls.get_or_create(&Call { kind, handler, code: code.to_owned() }).inc();
        inner.call_seconds.get_or_create(&Handler { kind, handler }).observe(took.as_secs_f64());
    }

    /// A live query was run.
    pub(crate) fn ran(&self, query: &str, outcome: std::result::Result<(), &Error>, took: Duration) {
        let Some(inner) = &self.0 else { return };
        inner.live_seconds.get_or_create(&Query { query: query.to_owned() }).observe(took.as_secs_f64());
        if let Err(error) = outcome {
            inner
                .live_errors
                .get_or_create(&Failed { query: query.to_owned(), code: error.code().as_str() })
                .inc();
        }
    }

    /// An attempt at a job of `handler` begins, so long after it was due.
    pub(crate) fn runs_job(&self, handler: &str, late: Duration) -> RunningJob {
        let job = Job { handler: handler.to_owned() };
        if let Some(inner) = &self.0 {
            inner.jobs_running.inc();
            inner.job_late_seconds.get_or_create(&job).observe(late.as_secs_f64());
        }
        RunningJob { metrics: self.clone(), job, since: Instant::now(), ended: "cut_off" }
    }

    /// A request was answered.
    pub(crate) fn answered(&self, status: u16) {
        let Some(inner) = &self.0 else { return };
        inner.requests.get_or_create(&Status { status }).inc();
    }

    /// The text, with the state of the live queries; none where metrics are off.
    ///
    /// # Errors
    /// `internal` where it cannot be written.
    pub(crate) fn encode(&self, snapshot: &Snapshot) -> Result<Option<String>> {
        let Some(inner) = &self.0 else { return Ok(None) };
        let mut text = String::new();
        let written = encode_registry(&mut text, &inner.registry)
            .and_then(|()| encode_registry(&mut text, &state(snapshot)))
            .and_then(|()| encode_eof(&mut text));
        written.map_err(|error| Error::internal(format!("the metrics cannot be written: {error}")))?;
        Ok(Some(text))
    }
}

/// What is the case now, and what the live queries have counted themselves.
fn state(now: &Snapshot) -> Registry {
    let mut registry = Registry::default();
    let (shared, affected) = (Family::<Query, Counter>::default(), Family::<Query, Counter>::default());
    for (query, counts) in &now.counts {
        let label = Query { query: query.to_string() };
        shared.get_or_create(&label).inc_by(counts.shared);
        affected.get_or_create(&label).inc_by(counts.affected);
    }
    registry.add("live_shared", "Subscriptions that were served by a live query that ran already", &shared);
    registry.add("live_affected", "Results of live queries that a commit made stale", &affected);
    let gauges = [
        ("sockets", "Open WebSockets", now.sockets),
        ("subscriptions", "Open subscriptions", now.subscriptions),
        ("live_queries", "Distinct live queries", now.entries),
        ("live_running", "Runs of live queries under way or waiting for their turn", now.running),
        ("queue_bytes", "Bytes that wait to be sent to sockets", now.queued_bytes),
        ("mutations_running", "Mutations under way", now.mutations),
    ];
    for (name, help, value) in gauges {
        registry.register(format!("forge_{name}"), help, ConstGauge::new(value as u64));
    }
    let lag = ConstGauge::new(now.feed_lag.as_secs_f64());
    registry.register(
        "forge_feed_lag_seconds",
        "Since when the change feed owes a write of this process; 0 where it has brought all",
        lag,
    );
    let (up, version) =
        (Family::<Database, Gauge>::default(), Family::<Database, Gauge<u64, AtomicU64>>::default());
    let (commits, lost, down) = (
        Family::<Database, Counter>::default(),
        Family::<Database, Counter>::default(),
        Family::<Database, Gauge<f64, AtomicU64>>::default(),
    );
    for feed in &now.feeds {
        // The crate takes label values as they are.
        let database = feed.database.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let label = Database { database };
        commits.get_or_create(&label).inc_by(feed.commits);
        lost.get_or_create(&label).inc_by(feed.lost);
        down.get_or_create(&label).set(feed.down.as_secs_f64());
        up.get_or_create(&label).set(i64::from(feed.up));
        version.get_or_create(&label).set(feed.version);
    }
    registry.add("feed_up", "Whether the change feed of a database is open", &up);
    registry.add("feed_commits", "Commits that the change feed of a database brought", &commits);
    registry.add(
        "feed_lost",
        "How often the history of a change feed was lost and live queries ran afresh",
        &lost,
    );
    registry.add(
        "feed_down_seconds",
        "Since when the change feed of a database is down; 0 while it is open",
        &down,
    );
    registry.add("feed_version", "The newest version that the change feed of a database brought", &version);
    registry
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::machine::Counts;
    use crate::live::snapshot::FeedSnapshot;

    #[test]
    fn metrics_that_are_off_cost_nothing_and_tell_nothing() {
        let metrics = Metrics::default();
        metrics.answered(200);
        assert!(!metrics.is_on() && metrics.encode(&Snapshot::default()).unwrap().is_none());
    }

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let metrics = Metrics::on();
        metrics.called(HandlerKind::Query, "delayed", "ok", Duration::from_millis(3));
        metrics.called(HandlerKind::Query, "delayed", "timeout", Duration::from_secs(30));
        metrics.ran("delayed", Err(&Error::timeout("x")), Duration::from_millis(1));
        metrics.answered(404);
        let snapshot = Snapshot {
            counts: vec![("delayed".into(), Counts { shared: 7, affected: 2 })],
            feeds: vec![FeedSnapshot {
                database: "a\"b".into(),
                up: true,
                version: 1 << 52,
                commits: 5,
                lost: 1,
                down: Duration::ZERO,
            }],
            sockets: 3,
            ..Snapshot::default()
        };
        let text = metrics.encode(&snapshot).unwrap().unwrap();
        for line in [
            "forge_calls_total{kind=\"query\",handler=\"delayed\",code=\"ok\"} 1",
            "forge_calls_total{kind=\"query\",handler=\"delayed\",code=\"timeout\"} 1",
            "forge_call_seconds_bucket{le=\"0.005\",kind=\"query\",handler=\"delayed\"} 1",
            "forge_call_seconds_count{kind=\"query\",handler=\"delayed\"} 2",
            "forge_live_run_seconds_count{query=\"delayed\"} 1",
            "forge_live_errors_total{query=\"delayed\",code=\"timeout\"} 1",
            "forge_live_shared_total{query=\"delayed\"} 7",
            "forge_live_affected_total{query=\"delayed\"} 2",
            "forge_http_requests_total{status=\"404\"} 1",
            "forge_sockets 3",
            "forge_feed_up{database=\"a\\\"b\"} 1",
            "forge_feed_version{database=\"a\\\"b\"} 4503599627370496",
            "forge_feed_lag_seconds 0.0",
            "forge_feed_commits_total{database=\"a\\\"b\"} 5",
            "forge_feed_lost_total{database=\"a\\\"b\"} 1",
            "forge_feed_down_seconds{database=\"a\\\"b\"} 0.0",
            "# TYPE forge_call_seconds histogram",
        ] {
            assert!(text.lines().any(|known| known == line), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
