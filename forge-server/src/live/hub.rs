//! The tasks around the live-query machine: feeds, runs, sockets.

mod subscriber;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use forge_core::feed::News;
use forge_core::{Caller, Error, Runtime};
use futures_util::StreamExt as _;
use rustc_hash::FxHashMap;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;
use tracing::Instrument as _;

use super::event::{Action, Data, Event, RunId, SocketId, Wanted};
use super::health::{FeedCounts, Health};
use super::machine::{Config, LiveReport, Machine};
use super::outbox::Outbox;
use super::queue::Closing;
use super::run::run_query;
use super::snapshot::{FeedSnapshot, Snapshot};
use super::versions::Versions;
use super::writers::Writers;
use crate::Limits;
use crate::gates::Gates;
use crate::metrics::Metrics;
use crate::trace;
pub(crate) use subscriber::{Start, Subscriber};

/// Events that may wait for the hub; whoever brings more waits.
const QUEUE: usize = 4_096;
/// News of a feed that the hub looks at in one go.
const TOGETHER: usize = 64;

/// Of the runs that there are at the same time, one in so many at most is for one socket alone, so that others' come in between.
const SHARE: usize = 4;

enum Command {
    Open { socket: SocketId, outbox: Arc<Outbox> },
    Close { socket: SocketId },
    Event(Event),
    Look { answer: oneshot::Sender<Snapshot> },
    Report { answer: oneshot::Sender<LiveReport> },
    News { database: Arc<str>, feed: u64, news: Vec<News> },
}

/// The live queries of a server. Cheap to clone; ends with its last clone, or by [`Hub::shut_down`].
#[derive(Clone)]
pub(crate) struct Hub(Arc<Inner>);

struct Inner {
    commands: mpsc::Sender<Command>,
    database: Arc<str>,
    limits: Limits,
    health: Arc<Health>,
    versions: Arc<Versions>,
    next_socket: AtomicU64,
    open: Arc<AtomicUsize>,
    writers: Writers,
    stop: watch::Sender<bool>,
}

impl Hub {
    /// Starts the hub and opens the change feed of the default database.
    pub(crate) fn start(runtime: Runtime, limits: Limits, metrics: Metrics, gates: Gates) -> Self {
        let (commands, inbox) = mpsc::channel(QUEUE);
        let versions = Arc::new(Versions::default());
        let (stop, stopped) = watch::channel(false);
        let database: Arc<str> = runtime.db().name().into();
        let health = Arc::new(Health::default());
        let task = Task {
            machine: Machine::new(config(&limits), database.clone()),
            started: Instant::now(),
            runtime,
            slots: Arc::new(Semaphore::new(limits.live_runs)),
            share: (limits.live_runs / SHARE).max(1),
            shares: FxHashMap::default(),
            gates,
            metrics,
            database: database.clone(),
            // The hub's own task must not keep the hub alive.
            commands: commands.downgrade(),
            sockets: FxHashMap::default(),
            tasks: JoinSet::new(),
            runs: FxHashMap::default(),
            health: health.clone(),
            versions: versions.clone(),
            feeds: HashMap::new(),
            opened: 0,
            following: HashMap::new(),
        };
        tokio::spawn(task.run(inbox, stopped));
        Self(Arc::new(Inner {
            commands,
            database,
            limits,
            health,
            versions,
            next_socket: AtomicU64::new(1),
            open: Arc::default(),
            writers: Writers::start(),
            stop,
        }))
    }

    /// Registers a socket.
    ///
    /// # Errors
    /// `unavailable` where the server stops, or has as many sockets as it may.
    pub(crate) async fn open(&self) -> Result<Subscriber, Error> {
        let max = self.0.limits.sockets;
        let outbox = Arc::new(Outbox::new(self.0.limits.queued_bytes, self.0.writers.clone()));
        let id = SocketId(self.0.next_socket.fetch_add(1, Ordering::Relaxed));
        if self.0.open.fetch_add(1, Ordering::AcqRel) >= max {
            self.0.open.fetch_sub(1, Ordering::AcqRel);
            return Err(Error::unavailable("the server has as many sockets as it may; try again later"));
        }
        let subscriber = Subscriber { hub: self.clone(), id, outbox: outbox.clone() };
        match self.0.commands.send(Command::Open { socket: id, outbox }).await {
            Ok(()) => Ok(subscriber),
            Err(_) => Err(stopping()),
        }
    }

    /// The name of the default database.
    pub(crate) fn database(&self) -> &Arc<str> {
        &self.0.database
    }

    /// The database that a caller means.
    pub(crate) fn database_of(&self, caller: &Caller) -> Arc<str> {
        caller.database.as_ref().unwrap_or(&self.0.database).clone()
    }

    /// The newest version that the feed of `database` brought; 0 where it is not followed.
    pub(crate) fn version(&self, database: &str) -> u64 {
        self.followed(database).unwrap_or_default()
    }

    /// As [`Hub::version`]; none where `database` is not followed.
    pub(crate) fn followed(&self, database: &str) -> Option<u64> {
        self.0.versions.of(database)
    }

    /// Whether the change feed of the default database is open, or the engine has none.
    pub(crate) fn is_healthy(&self) -> bool {
        self.0.health.is_up() || self.0.health.is_never()
    }

    /// Whether the engine has a change feed.
    pub(crate) fn has_feed(&self) -> bool {
        !self.0.health.is_never()
    }

    /// The version to answer a mutation in `database` with, which began when its feed stood at `before`.
    ///
    /// An engine that numbers its commits knows it (`committed`); where such an engine says nothing, nothing was
    /// written. For others only the feed knows: the answer waits a moment ([`Limits::version_wait`]) for the feed to
    /// move beyond `before`, and carries where it then stands. That may be another client's commit, or, when nothing
    /// arrives in time, `before` itself: such an answer can name a version below the one that includes the write. The
    /// live results themselves arrive all the same. Where nobody follows the database, nobody waits for a version.
    pub(crate) async fn version_of_write(
        &self,
        database: &str,
        committed: Option<u64>,
        before: Option<u64>,
    ) -> u64 {
        let versions = &self.0.versions;
        match (committed, before) {
            (Some(version), before) => {
                versions.commits_have_numbers();
                if before.is_some() {
                    versions.owe(database, version);
                }
                version
            }
            (None, None) => self.version(database),
            (None, Some(before)) => {
                versions.moved(database, before, self.0.limits.version_wait).await;
                self.version(database).max(before)
            }
        }
    }

    /// For how long a feed owes a write of this process, at most.
    pub(crate) fn feed_lag(&self) -> Duration {
        self.0.versions.lag()
    }

    /// The state of the live queries; an empty one once they have ended.
    pub(crate) async fn look(&self) -> Snapshot {
        let (answer, answered) = oneshot::channel();
        let _ = self.0.commands.send(Command::Look { answer }).await;
        let snapshot = answered.await.unwrap_or_default();
        Snapshot { sockets: self.open_sockets(), feed_lag: self.feed_lag(), ..snapshot }
    }

    /// What single live queries cost; nothing once they have ended.
    pub(crate) async fn report(&self) -> LiveReport {
        let (answer, answered) = oneshot::channel();
        let _ = self.0.commands.send(Command::Report { answer }).await;
        answered.await.unwrap_or_default()
    }

    /// Since when the change feed of the default database is down; none while it is open.
    pub(crate) fn feed_down(&self) -> Option<Duration> {
        self.0.health.down()
    }

    /// Closes every socket with 1001 and ends feeds and runs.
    pub(crate) fn shut_down(&self) {
        self.0.stop.send_replace(true);
    }

    /// Waits until feeds and runs have ended, after [`Hub::shut_down`].
    pub(crate) async fn ended(&self) {
        // The other end lives as long as the hub's task.
        self.0.commands.closed().await;
    }

    /// Becomes true when [`Hub::shut_down`] is called.
    #[cfg(feature = "socketio")]
    pub(crate) fn stops(&self) -> watch::Receiver<bool> {
        self.0.stop.subscribe()
    }

    /// How many sockets are open.
    pub(crate) fn open_sockets(&self) -> usize {
        self.0.open.load(Ordering::Acquire)
    }
}

fn stopping() -> Error {
    Error::unavailable("the server is stopping")
}

fn config(limits: &Limits) -> Config {
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Config {
        refresh_min: millis(limits.refresh_min),
        refresh_max: millis(limits.refresh_max).max(millis(limits.refresh_min)),
        hold: millis(limits.hold),
        subscriptions: limits.subscriptions,
        window: limits.window,
        feeds: limits.feeds,
        feed_idle: millis(limits.feed_idle),
    }
}

/// The task that owns the machine.
struct Task {
    machine: Machine,
    started: Instant,
    runtime: Runtime,
    slots: Arc<Semaphore>,
    /// How many of them are for one socket alone at most, and what is left to those for whom any ran.
    share: usize,
    shares: FxHashMap<SocketId, Arc<Semaphore>>,
    gates: Gates,
    metrics: Metrics,
    database: Arc<str>,
    commands: mpsc::WeakSender<Command>,
    sockets: FxHashMap<SocketId, Arc<Outbox>>,
    tasks: JoinSet<()>,
    runs: FxHashMap<RunId, AbortHandle>,
    health: Arc<Health>,
    versions: Arc<Versions>,
    feeds: HashMap<Arc<str>, FeedCounts>,
    /// How many feeds were opened so far.
    opened: u64,
    /// The number of each feed that is open, and its task.
    following: HashMap<Arc<str>, (u64, AbortHandle)>,
}

impl Task {
    async fn run(mut self, mut inbox: mpsc::Receiver<Command>, mut stopped: watch::Receiver<bool>) {
        let database = self.database.clone();
        self.follow(database);
        loop {
            let deadline = self.machine.next_deadline();
            let tick = deadline.map(|at| self.started + Duration::from_millis(at));
            tokio::select! {
                biased;
                _ = stopped.wait_for(|stop| *stop) => break,
                command = inbox.recv() => match command {
                    Some(command) => self.obey(command),
                    None => break,
                },
                () = tokio::time::sleep_until(tick.unwrap_or(self.started)), if tick.is_some() => self.handle(Event::Tick),
                Some(_) = self.tasks.join_next() => {}
            }
        }
        for outbox in self.sockets.values() {
            outbox.close(Closing::GoingAway);
        }
        self.tasks.shutdown().await;
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Open { socket, outbox } => drop(self.sockets.insert(socket, outbox)),
            Command::Close { socket } => {
                self.sockets.remove(&socket);
                self.shares.remove(&socket);
                self.handle(Event::SocketClosed { socket });
            }
            Command::Event(event) => {
                // What a socket asked for just before it closed must not bring it back.
                let socket = match &event {
                    Event::Subscribe { socket, .. }
                    | Event::Page { socket, .. }
                    | Event::Identify { socket, .. }
                    | Event::Unsubscribe { socket, .. } => Some(socket),
                    Event::RunFinished { run, .. } => {
                        self.runs.remove(run);
                        None
                    }
                    _ => None,
                };
                if socket.is_none_or(|socket| self.sockets.contains_key(socket)) {
                    self.handle(event);
                }
            }
            Command::News { database, feed, news } => {
                self.hear(&database, feed, news);
            }
            Command::Report { answer } => drop(answer.send(self.machine.report())),
            Command::Look { answer } => drop(answer.send(self.look())),
        }
    }

    fn look(&self) -> Snapshot {
        let machine = &self.machine;
        let feed = |(database, up, version): (&Arc<str>, bool, u64)| {
            let counts = self.feeds.get(database).copied().unwrap_or_default();
            FeedSnapshot {
                up: up && counts.down.is_none(),
                database: database.clone(),
                version,
                commits: counts.commits,
                lost: counts.lost,
                down: counts.down.map_or(Duration::ZERO, |since| since.elapsed()),
            }
        };
        Snapshot {
            counts: machine.counts().map(|(query, counts)| (query.clone(), counts)).collect(),
            subscriptions: machine.subscriptions(),
            entries: machine.entries(),
            running: self.runs.len(),
            queued_bytes: self.sockets.values().map(|outbox| outbox.bytes()).sum(),
            feeds: machine.feeds().map(feed).collect(),
            ..Snapshot::default()
        }
    }

    fn hear(&mut self, database: &Arc<str>, feed: u64, news: Vec<News>) {
        let default = *database == self.database;
        for news in news {
            // What a feed told before it was closed must not pass for news of one that was opened since.
            if !self.is_followed_by(database, feed) {
                return;
            }
            let counts = self.feeds.entry(database.clone()).or_default();
            counts.hear(&news);
            let down = counts.down;
            if default {
                self.health.set(down, matches!(news, News::Never(_)));
            }
            let database = database.clone();
            self.handle(match news {
                News::Up => Event::FeedUp { database },
                News::Afresh => Event::HistoryLost { database },
                News::Commit(commit) => Event::Commit { database, commit },
                News::Down(error) | News::Never(error) => Event::FeedFailed { database, error },
            });
        }
        if !self.is_followed_by(database, feed) {
            return;
        }
        let up = self.feeds.get(database).is_some_and(|counts| counts.up);
        self.versions.hear(database, up, self.machine.version(database));
    }

    /// Whether `database` is followed by the feed with this number.
    fn is_followed_by(&self, database: &str, feed: u64) -> bool {
        self.following.get(database).is_some_and(|(current, _)| *current == feed)
    }

    fn handle(&mut self, event: Event) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        for action in self.machine.handle(now, event) {
            match action {
                Action::Run { run, alone, wanted, caller, before } => {
                    let share = alone.map(|socket| {
                        let share = self.shares.entry(socket);
                        share.or_insert_with(|| Arc::new(Semaphore::new(self.share))).clone()
                    });
                    self.start_run(run, share, wanted, caller, before);
                }
                Action::Cancel { run } => {
                    if let Some(run) = self.runs.remove(&run) {
                        run.abort();
                    }
                }
                Action::OpenFeed { database } => {
                    if database != self.database {
                        self.follow(database);
                    }
                }
                Action::CloseFeed { database } => self.unfollow(&database),
                Action::Send { socket, frame } => {
                    if let Some(outbox) = self.sockets.get(&socket) {
                        outbox.frame(frame);
                    }
                }
            }
        }
    }

    fn follow(&mut self, database: Arc<str>) {
        let feed = self.runtime.database(&database).feed();
        // What was committed together is looked at together.
        let (mut all, commands) = (feed.ready_chunks(TOGETHER), self.commands.clone());
        self.opened += 1;
        let (name, feed) = (database.clone(), self.opened);
        let task = self.tasks.spawn(async move {
            while let Some(news) = all.next().await {
                let Some(commands) = commands.upgrade() else { return };
                if commands.send(Command::News { database: database.clone(), feed, news }).await.is_err() {
                    return;
                }
            }
        });
        self.following.insert(name, (feed, task));
    }

    fn unfollow(&mut self, database: &str) {
        if let Some((_, task)) = self.following.remove(database) {
            task.abort();
        }
        self.feeds.remove(database);
        self.versions.forget(database);
    }

    fn start_run(
        &mut self,
        run: RunId,
        share: Option<Arc<Semaphore>>,
        wanted: Wanted,
        caller: Caller,
        before: Option<Data>,
    ) {
        let (runtime, slots) = (self.runtime.clone(), self.slots.clone());
        let (commands, gates, metrics) = (self.commands.clone(), self.gates.clone(), self.metrics.clone());
        let span = trace::live_run(&wanted.query);
        let run_span = span.clone();
        let work = async move {
            let _share = match share {
                Some(share) => share.acquire_owned().await.ok(),
                None => None,
            };
            let _turn = gates.wait(&wanted.query).await;
            let _slot = slots.acquire_owned().await;
            let started = Instant::now();
            let mut outcome = run_query(&runtime, &wanted, caller, &gates).await;
            let ended = outcome.result.as_ref().map(|_| ()).map_err(|failure| &*failure.error);
            if let Err(error) = ended {
                trace::called(&run_span, error.code().as_str());
            }
            metrics.ran(&wanted.query, ended, started.elapsed());
            if let Some(before) = before {
                outcome.result = outcome.result.map(|data| data.after(&before));
            }
            if let Some(commands) = commands.upgrade() {
                let _ = commands.send(Command::Event(Event::RunFinished { run, outcome })).await;
            }
        };
        let task = self.tasks.spawn(work.instrument(span));
        self.runs.insert(run, task);
    }
}
