//! The log in Redis or Valkey: a stream, a lease and a place for each database, changed together by scripts.

mod board;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use forge_core::adapter::{Commit, WatchOptions, is_history_lost};
use forge_core::feed::{FanOut, FeedSource, News};
use forge_core::{Error, Result};
use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, stream};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use self::board::{Board, Entry, Reading};
use super::leader::{Done, Leader, Step};
use super::reader::Reader;

/// How long a process that is silent keeps the lead.
const LEASE: Duration = Duration::from_secs(3);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// One of many processes follows the database and tells the others by Redis or Valkey (6.2 or newer).
///
/// The process that leads holds a lease; where it dies, another takes over after 3 s at most, and goes on exactly where
/// it was. While Redis is out of reach live results stand still; `/readyz` says so. Nothing is lost: when it is back, what
/// was missed follows, or everything runs afresh.
///
/// ```ignore
/// forge::App::new().fan_out(RedisFanOut::new("redis://127.0.0.1")?).run().await
/// ```
#[derive(Debug, Clone)]
pub struct RedisFanOut {
    client: redis::Client,
    prefix: Arc<str>,
    lease: Duration,
}

impl RedisFanOut {
    /// Processes that meet at the Redis behind `url`, as in `redis://:password@host:6379/0`, or `rediss://…` for TLS. Whom to
    /// trust is then what the system says, or the certificates in the file that `SSL_CERT_FILE` names.
    ///
    /// # Errors
    /// `bad_request` where that is no such URL.
    pub fn new(url: &str) -> Result<Self> {
        let client = redis::Client::open(url).map_err(|error| {
            // The URL may hold a password.
            Error::bad_request(
                "the URL of the fan-out is not one of Redis; write it as in redis://127.0.0.1:6379",
            )
            .with_source(error)
        })?;
        if matches!(client.get_connection_info().addr(), redis::ConnectionAddr::TcpTls { .. }) {
            choose_cryptography();
        }
        Ok(Self { client, prefix: "forge".into(), lease: LEASE })
    }

    /// What the names of its keys begin with, `forge` unless said otherwise: programs that share a Redis, and have
    /// databases of the same name on different servers, need different ones.
    #[must_use]
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long a process that is silent keeps the lead; 3 s unless said otherwise.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease.max(Duration::from_millis(100));
        self
    }
}

/// Where nobody has chosen for this process: it has to be one, and there may be several to choose from.
fn choose_cryptography() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // It fails where somebody else was faster, which is as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}

impl FanOut for RedisFanOut {
    fn follow(&self, source: FeedSource) -> BoxStream<'static, News> {
        if !source.adapter.capabilities().change_streams {
            let error = Error::unsupported(format!("{} has no change streams here", source.adapter.name()));
            return stream::iter([News::Never(Arc::new(error))]).boxed();
        }
        let owner = source.env.uuid().to_string();
        let board = Board::new(&self.client, &self.prefix, &source.database, owner, self.lease);
        let (guard, dropped) = oneshot::channel();
        tokio::spawn(lead(board.clone(), source.clone(), self.lease, dropped));
        let listener = Listener {
            board,
            source,
            reader: Reader::default(),
            reading: None,
            id: "0-0".to_owned(),
            ready: VecDeque::new(),
            pause: FIRST_PAUSE,
            down: false,
            _guard: guard,
        };
        stream::unfold(listener, async |mut listener| Some((listener.next().await?, listener))).boxed()
    }
}

/// Leads where it can, until nobody listens any more or the database is closed.
async fn lead(board: Board, source: FeedSource, lease: Duration, dropped: oneshot::Receiver<()>) {
    let leading = async {
        let mut leader = Leader::new(lease);
        let mut feed = None;
        let mut step = leader.start();
        while !source.adapter.is_closed() {
            let done = take_step(&board, &source, lease, &mut feed, step).await;
            step = leader.after(done);
        }
    };
    tokio::select! {
        () = leading => {}
        _ = dropped => {}
    }
    board.release().await;
}

type Commits = BoxStream<'static, Result<Commit>>;

async fn take_step(
    board: &Board,
    source: &FeedSource,
    lease: Duration,
    feed: &mut Option<Commits>,
    step: Step,
) -> Done {
    match step {
        Step::Take => board.take().await.map_or_else(unreachable, Done::Taken),
        Step::Open(resume) => {
            // A quiet feed tells its place now and then, so that who takes over finds one that is not too old.
            let options = WatchOptions { resume, progress: true, ..WatchOptions::default() };
            match source.adapter.watch_with(&source.database, options).await {
                Ok(commits) => {
                    *feed = Some(commits);
                    Done::Opened
                }
                Err(error) => failed(&error),
            }
        }
        Step::Read => {
            let Some(commits) = feed else { return failed(&Error::internal("the feed is not open")) };
            match timeout(lease / 3, commits.next()).await {
                Err(_) => Done::Quiet,
                Ok(Some(Ok(commit))) => Done::Came(Arc::new(commit)),
                Ok(Some(Err(error))) => failed(&error),
                Ok(None) => failed(&Error::unavailable("the change feed ended")),
            }
        }
        Step::Add(record) => board.add(&record).await.map_or_else(unreachable, Done::Added),
        Step::Wait(pause) => {
            *feed = None;
            sleep(pause).await;
            Done::Waited
        }
    }
}

#[allow(clippy::needless_pass_by_value, reason = "for map_or_else")]
fn unreachable(error: Error) -> Done {
    tracing::debug!(%error, "the fan-out is out of reach");
    Done::Unreachable
}

fn failed(error: &Error) -> Done {
    Done::Failed { lost: is_history_lost(error), why: error.message().into() }
}

/// Reads the log for this process.
struct Listener {
    board: Board,
    source: FeedSource,
    reader: Reader,
    reading: Option<Reading>,
    /// The id of the last record that was read.
    id: String,
    ready: VecDeque<News>,
    pause: Duration,
    down: bool,
    /// Ends the task that leads.
    _guard: oneshot::Sender<()>,
}

impl Listener {
    async fn next(&mut self) -> Option<News> {
        loop {
            if let Some(news) = self.ready.pop_front() {
                return Some(news);
            }
            if self.source.adapter.is_closed() {
                return None;
            }
            if let Err(error) = self.listen().await {
                self.reading = None;
                let database = &self.source.database;
                if !std::mem::replace(&mut self.down, true) {
                    tracing::warn!(%database, %error, "the fan-out is out of reach; it is tried again until it is back");
                    return Some(self.reader.broken(error));
                }
                sleep(self.pause).await;
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
            }
        }
    }

    async fn listen(&mut self) -> Result<()> {
        let reading = match &mut self.reading {
            Some(reading) => reading,
            None => {
                let (reading, standing) = self.board.read().await?;
                let (news, goes_on) = self.reader.connected(standing.seq, standing.up);
                self.ready.extend(news);
                if !goes_on {
                    self.id = standing.last;
                }
                if std::mem::replace(&mut self.down, false) {
                    tracing::info!(database = %self.source.database, "the fan-out is back");
                }
                self.pause = FIRST_PAUSE;
                self.reading.insert(reading)
            }
        };
        if !self.ready.is_empty() {
            return Ok(());
        }
        for Entry { id, seq, record } in reading.next(&self.id).await? {
            match (seq, record) {
                (Some(seq), Ok(record)) => self.ready.extend(self.reader.hear(seq, record)),
                (seq, record) => {
                    let error = record.err();
                    let database = &self.source.database;
                    tracing::warn!(%database, id, ?error, "a record of the fan-out cannot be read; everything runs afresh");
                    self.ready.push_back(self.reader.hear_nothing(seq));
                }
            }
            self.id = id;
        }
        Ok(())
    }
}
