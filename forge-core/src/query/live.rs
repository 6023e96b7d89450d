//! Live results in Rust code: a stream that always comes to what a fresh query would give.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use futures_core::stream::BoxStream;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};

use super::find::{Count, Find, Selected};
use super::reading::Reading;
use crate::adapter::{Read, ReadLog};
use crate::db::{Db, Handle, ReadOnly};
use crate::error::{Error, ErrorCode, Result};
use crate::feed::{Dependencies, Feed, News};
use crate::ir::Rows;
use crate::traits::Model;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A result that follows the database: a [`Stream`] of `Result<T>`.
///
/// The first item is the result as it is. Others follow when commits change it, whoever makes them. They are coalesced:
/// what commits while nobody asks, or while the query runs, makes one item of it, and the same result is not told twice.
/// All live results of a process share one change feed for each database.
///
/// While the database is away the stream waits. It ends when the database is closed, and after an error; an error about a
/// single document, which another change can mend, does not end it. Dropping it ends its interest in the feed.
///
/// ```ignore
/// let mut late = db.find::<Flight>().filter(|f| f.delay.gt(60)).sort(|f| f.delay.desc()).limit(10).live();
/// while let Some(flights) = late.next().await {
///     println!("{} are late", flights?.len());
/// }
/// ```
#[must_use = "a stream runs when it is polled"]
pub struct Live<T>(BoxStream<'static, Result<T>>);

impl<T> Live<T> {
    /// The next result; none at the end.
    pub async fn next(&mut self) -> Option<Result<T>> {
        self.0.next().await
    }
}

impl<T> fmt::Debug for Live<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Live")
    }
}

impl<T> Stream for Live<T> {
    type Item = Result<T>;
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        self.0.poll_next_unpin(cx)
    }
}

/// What the database answered, to be told from what it answered before.
enum Answer {
    Rows(Rows),
    Count(u64),
    /// Anything: never the same.
    Any,
}

impl Answer {
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Rows(a), Self::Rows(b)) => a == b,
            (Self::Count(a), Self::Count(b)) => a == b,
            _ => false,
        }
    }
}

/// One run: the database's answer, and what it is read as.
type Run<T> = Box<dyn Fn(Handle) -> BoxFuture<'static, Result<(Answer, Result<T>)>> + Send>;

impl<T: Send + 'static> Live<T> {
    fn new(handle: Handle, run: Run<T>) -> Self {
        let live = Following {
            handle,
            run,
            feeds: Vec::new(),
            seen: None,
            stale: true,
            over: false,
            pause: FIRST_PAUSE,
        };
        Self(stream::unfold(live, async |mut live| Some((live.next().await?, live))).boxed())
    }

    fn failed(error: Error) -> Self {
        Self(stream::once(std::future::ready(Err(error))).boxed())
    }
}

struct Following<T> {
    handle: Handle,
    run: Run<T>,
    /// Those of the databases that it reads, its own first.
    feeds: Vec<Followed>,
    seen: Option<(Answer, Dependencies)>,
    stale: bool,
    over: bool,
    pause: Duration,
}

struct Followed {
    database: Arc<str>,
    feed: Feed,
    /// Whether it was ever open: before, a change could be missed.
    up: bool,
}

impl<T> Following<T> {
    async fn next(&mut self) -> Option<Result<T>> {
        while !self.over {
            let ended = match self.listen().await {
                Ok(()) => self.answer().await,
                Err(error) => Some(Err(error)),
            };
            match ended {
                Some(Ok(result)) => return Some(result),
                Some(Err(error)) => {
                    self.over = true;
                    return Some(Err(error));
                }
                None => {}
            }
        }
        None
    }

    /// Listens to the feeds until a run is due: everything that has come is heard before one starts.
    async fn listen(&mut self) -> Result<()> {
        if self.feeds.is_empty() {
            if self.handle.in_transaction() {
                return Err(Error::bad_request(
                    "a transaction ends, and a live result does not: use a handle outside",
                ));
            }
            self.follow(self.handle.database().into());
        }
        loop {
            let (from, news) = match self.news().now_or_never() {
                Some(news) => news,
                None if self.stale && self.feeds.iter().all(|followed| followed.up) => return Ok(()),
                None => self.news().await,
            };
            let Some(followed) = self.feeds.get_mut(from) else { return Ok(()) };
            match news {
                None => {
                    self.over = true;
                    return Ok(());
                }
                Some(News::Never(error)) => return Err(Error::new(error.code(), error.message().to_owned())),
                Some(News::Up) => followed.up = true,
                Some(News::Afresh) => (followed.up, self.stale) = (true, true),
                // What was missed comes when the feed is back.
                Some(News::Down(_)) => {}
                Some(News::Commit(commit)) => {
                    let database = &followed.database;
                    self.stale |=
                        self.seen.as_ref().is_none_or(|(_, reads)| reads.affected_by(database, &commit));
                }
            }
        }
    }

    /// What a feed tells next, and which.
    fn news(&mut self) -> impl Future<Output = (usize, Option<News>)> {
        poll_fn(|cx| {
            let mut feeds = self.feeds.iter_mut().enumerate();
            let told = feeds.find_map(|(at, followed)| match followed.feed.poll_next_unpin(cx) {
                Poll::Ready(news) => Some((at, news)),
                Poll::Pending => None,
            });
            told.map_or(Poll::Pending, Poll::Ready)
        })
    }

    fn follow(&mut self, database: Arc<str>) {
        let feed = Db::<ReadOnly>::with(self.handle.clone()).database(&database).feed();
        self.feeds.push(Followed { database, feed, up: false });
    }

    /// Follows the databases that `reads` are of and no others, beside its own. Whether all of them were followed before.
    fn follow_all(&mut self, reads: &[Read]) -> bool {
        let own = self.handle.database();
        let is_read = |database: &str| reads.iter().any(|read| *read.database == *database);
        self.feeds.retain(|followed| *followed.database == *own || is_read(&followed.database));
        let before = self.feeds.len();
        for read in reads {
            if self.feeds.iter().all(|followed| followed.database != read.database) {
                self.follow(read.database.clone());
            }
        }
        self.feeds.len() == before
    }

    /// Runs the query. None where there is nothing to tell.
    async fn answer(&mut self) -> Option<Result<Result<T>>> {
        if self.over {
            return None;
        }
        let reads = Arc::new(ReadLog::default());
        let mut handle = self.handle.clone();
        handle.exec.reads = Some(reads.clone());
        match (self.run)(handle).await {
            Ok((answer, result)) => {
                let reads = reads.take();
                self.pause = FIRST_PAUSE;
                // Read before its changes were followed: once more when they are.
                self.stale = !self.follow_all(&reads);
                if self.stale {
                    return None;
                }
                let same = self.seen.as_ref().is_some_and(|(before, _)| before.is(&answer));
                self.seen = Some((answer, Dependencies::new(reads)));
                (!same).then_some(Ok(result))
            }
            Err(error) if matches!(error.code(), ErrorCode::Unavailable | ErrorCode::Timeout) => {
                self.wait(error).await
            }
            Err(error) => Some(Err(error)),
        }
    }

    /// Waits before the query is tried again.
    async fn wait(&mut self, error: Error) -> Option<Result<Result<T>>> {
        let adapter = self.handle.shared.adapter.clone();
        if adapter.is_closed() {
            self.over = true;
            return None;
        }
        let Some(timer) = adapter.timer(self.pause) else { return Some(Err(error)) };
        tracing::debug!(%error, "a live result waits for the database");
        timer.await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        None
    }
}

/// Follows everything that `reading` finds.
fn follow<T: Send + 'static>(reading: Reading<T>) -> Live<Vec<T>> {
    let Reading { handle, select, error, decode } = reading;
    if let Some(error) = error {
        return Live::failed(error);
    }
    let run = move |handle: Handle| {
        let (select, decode) = (select.clone(), decode.clone());
        async move {
            let rows = Reading::<T>::rows(&handle, select).await?;
            let items = Reading::decode(&decode, &rows, None);
            Ok((Answer::Rows(rows), items))
        }
        .boxed()
    };
    Live::new(handle, Box::new(run))
}

impl<M: Model> Find<M> {
    /// The documents, and what they become: see [`Live`].
    pub fn live(self) -> Live<Vec<M>> {
        follow(self.reading())
    }
}

impl<M: Model, T: Send + 'static> Selected<M, T> {
    /// As [`Find::live`].
    pub fn live(self) -> Live<Vec<T>> {
        follow(self.into_reading())
    }
}

impl<M: Model> Count<M> {
    /// The count, and what it becomes: see [`Live`].
    pub fn live(self) -> Live<u64> {
        match self.into_find().into_parts() {
            Err(error) => Live::failed(error),
            Ok((handle, select)) => {
                let run = move |handle: Handle| {
                    let select = select.clone();
                    async move {
                        let count = Find::<M>::of(handle, select).count().await?;
                        Ok((Answer::Count(count), Ok(count)))
                    }
                    .boxed()
                };
                Live::new(handle, Box::new(run))
            }
        }
    }
}

impl<A> Db<A> {
    /// What `query` answers, and what that becomes, whatever it reads: it is run again when something that it read
    /// through its argument changed, in other databases too. See [`Live`]; results that stayed the same are told as well.
    ///
    /// ```ignore
    /// let mut delays = db.live(|db| async move {
    ///     let worst = db.find::<Flight>().sort(|f| f.delay.desc()).first().await?;
    ///     Ok((worst, db.find::<Flight>().filter(|f| f.delay.gt(60)).count().await?))
    /// });
    /// ```
    pub fn live<T, F>(&self, query: impl Fn(Db<ReadOnly>) -> F + Send + 'static) -> Live<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let run = move |handle: Handle| {
            let result = query(Db::with(handle));
            async move { Ok((Answer::Any, Ok(result.await?))) }.boxed()
        };
        Live::new(self.handle.clone(), Box::new(run))
    }
}
