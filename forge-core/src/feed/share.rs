//! One feed for all who read it: whoever looks next reads it on for everybody.
//!
//! There is no task behind it, so that it works wherever futures do. A reader that finds nothing new polls the feed under
//! a waker that wakes all readers; what comes is kept until everybody has seen it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};

use futures_core::Stream;
use futures_core::stream::BoxStream;
use futures_util::StreamExt;

use super::News;

/// Changes that are kept for the slowest reader; one who is further behind has lost them.
const MAX_CHANGES: usize = 10_000;
/// News that are kept, however small they are.
const MAX_NEWS: usize = 10_000;

/// The feeds of a process that somebody reads, by database.
#[derive(Default)]
pub(super) struct Shares(Mutex<HashMap<Arc<str>, Weak<Shared>>>);

impl Shares {
    /// The feed of `database`; `follow` begins one where nobody reads it.
    pub(super) fn open(
        &self,
        database: &Arc<str>,
        follow: impl FnOnce() -> BoxStream<'static, News>,
    ) -> Feed {
        let mut shares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = shares.get(database).and_then(Weak::upgrade) {
            return Feed::new(shared);
        }
        shares.retain(|_, shared| shared.strong_count() > 0);
        let shared = Arc::new(Shared { wakers: Arc::default(), state: Mutex::new(State::new(follow())) });
        shares.insert(database.clone(), Arc::downgrade(&shared));
        Feed::new(shared)
    }
}

struct Shared {
    wakers: Arc<Wakers>,
    state: Mutex<State>,
}

struct State {
    news: BoxStream<'static, News>,
    /// What somebody has not seen yet, with how many those are.
    log: VecDeque<(News, usize)>,
    /// The number of the first in `log`.
    first: u64,
    changes: usize,
    readers: usize,
    next_reader: u64,
    /// What tells a new reader where the feed stands.
    standing: Option<News>,
    ended: bool,
}

/// A reader of a shared feed: a stream of [`News`].
///
/// The first news are where the feed stands, once that is known. It ends when the database is closed.
pub struct Feed {
    shared: Arc<Shared>,
    reader: u64,
    position: u64,
    standing: Option<News>,
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("position", &self.position).finish_non_exhaustive()
    }
}

impl State {
    fn new(news: BoxStream<'static, News>) -> Self {
        Self {
            news,
            log: VecDeque::new(),
            first: 0,
            changes: 0,
            readers: 0,
            next_reader: 0,
            standing: None,
            ended: false,
        }
    }

    fn end(&self) -> u64 {
        self.first + self.log.len() as u64
    }

    fn push(&mut self, news: News) {
        match &news {
            News::Commit(commit) => self.changes += commit.changes.len(),
            News::Up | News::Afresh => self.standing = Some(News::Up),
            News::Down(_) | News::Never(_) => self.standing = Some(news.clone()),
        }
        self.log.push_back((news, self.readers));
        while self.changes > MAX_CHANGES || self.log.len() > MAX_NEWS {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((news, _)) = self.log.pop_front() {
            self.first += 1;
            if let News::Commit(commit) = news {
                self.changes -= commit.changes.len();
            }
        }
    }

    /// What is at `position`, for a reader who then is past it.
    fn read(&mut self, position: &mut u64) -> Option<News> {
        if *position < self.first {
            self.skip(*position);
            *position = self.end();
            return Some(News::Afresh);
        }
        let (news, unseen) = self.log.get_mut(usize::try_from(*position - self.first).ok()?)?;
        *unseen -= 1;
        let news = news.clone();
        *position += 1;
        self.forget_seen();
        Some(news)
    }

    /// A reader at `position` does not want the rest.
    fn skip(&mut self, position: u64) {
        let seen = usize::try_from(position.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.log.iter_mut().skip(seen).for_each(|(_, unseen)| *unseen -= 1);
        self.forget_seen();
    }

    fn forget_seen(&mut self) {
        while self.log.front().is_some_and(|(_, unseen)| *unseen == 0) {
            self.drop_oldest();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Feed {
    fn new(shared: Arc<Shared>) -> Self {
        let mut state = shared.state();
        state.readers += 1;
        state.next_reader += 1;
        let (reader, position, standing) = (state.next_reader, state.end(), state.standing.clone());
        drop(state);
        Self { shared, reader, position, standing }
    }

    /// The next news; none once the database is closed.
    pub async fn next(&mut self) -> Option<News> {
        StreamExt::next(self).await
    }
}

impl Stream for Feed {
    type Item = News;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<News>> {
        let this = &mut *self;
        if let Some(standing) = this.standing.take() {
            return Poll::Ready(Some(standing));
        }
        // Before the look: what comes after it wakes this reader.
        this.shared.wakers.add(this.reader, cx.waker());
        let mut state = this.shared.state();
        loop {
            if let Some(news) = state.read(&mut this.position) {
                return Poll::Ready(Some(news));
            }
            if state.ended {
                return Poll::Ready(None);
            }
            let waker = Waker::from(this.shared.wakers.clone());
            match state.news.poll_next_unpin(&mut Context::from_waker(&waker)) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(news)) => state.push(news),
                Poll::Ready(None) => state.ended = true,
            }
            this.shared.wakers.wake_but(this.reader);
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.shared.wakers.remove(self.reader);
        let mut state = self.shared.state();
        state.readers -= 1;
        state.skip(self.position);
        drop(state);
        // The feed may wait for this reader alone to be read on.
        self.shared.wakers.wake_but(self.reader);
    }
}

/// Those who wait for news.
#[derive(Default)]
struct Wakers(Mutex<BTreeMap<u64, Waker>>);

impl Wakers {
    fn locked(&self) -> MutexGuard<'_, BTreeMap<u64, Waker>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, reader: u64, waker: &Waker) {
        self.locked().insert(reader, waker.clone());
    }

    fn remove(&self, reader: u64) {
        self.locked().remove(&reader);
    }

    fn wake_but(&self, reader: u64) {
        let others = {
            let mut wakers = self.locked();
            let own = wakers.remove(&reader);
            let others = std::mem::take(&mut *wakers);
            wakers.extend(own.map(|own| (reader, own)));
            others
        };
        others.into_values().for_each(Waker::wake);
    }
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        let all = std::mem::take(&mut *self.locked());
        all.into_values().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use bson::Bson;
    use futures_util::FutureExt as _;
    use futures_util::task::noop_waker;

    use super::*;
    use crate::adapter::{Commit, ResumeToken};

    fn commit(version: u64) -> News {
        let token = ResumeToken(Bson::Null);
        News::Commit(Arc::new(Commit { version, token, changes: Vec::new() }))
    }

    /// A feed that brings what is sent.
    fn feed(shares: &Shares) -> (mpsc::Sender<News>, Feed) {
        let (sender, receiver) = mpsc::channel();
        let receiver = Mutex::new(receiver);
        let news = futures_util::stream::poll_fn(move |_| match receiver.lock().unwrap().try_recv() {
            Ok(news) => Poll::Ready(Some(news)),
            Err(mpsc::TryRecvError::Empty) => Poll::Pending,
            Err(mpsc::TryRecvError::Disconnected) => Poll::Ready(None),
        });
        (sender, shares.open(&"db".into(), || news.boxed()))
    }

    fn take(feed: &mut Feed) -> Vec<String> {
        let mut told = Vec::new();
        while let Some(news) = feed.next().now_or_never() {
            told.push(match news {
                Some(News::Commit(commit)) => commit.version.to_string(),
                Some(News::Up) => "up".into(),
                Some(News::Afresh) => "afresh".into(),
                Some(_) => "down".into(),
                None => return [told, vec!["end".into()]].concat(),
            });
        }
        told
    }

    #[test]
    fn everybody_sees_everything_from_when_they_came() {
        let shares = Shares::default();
        let (sender, mut early) = feed(&shares);
        sender.send(News::Up).unwrap();
        sender.send(commit(1)).unwrap();
        assert_eq!(take(&mut early), ["up", "1"]);
        let mut late = shares.open(&"db".into(), || panic!("it is open already"));
        sender.send(commit(2)).unwrap();
        assert_eq!(take(&mut late), ["up", "2"]);
        assert_eq!(take(&mut early), ["2"]);
        drop(sender);
        assert_eq!((take(&mut late), take(&mut early)), (vec!["end".to_owned()], vec!["end".to_owned()]));
    }

    #[test]
    fn a_reader_that_goes_or_sleeps_keeps_nothing_for_ever() {
        let shares = Shares::default();
        let (sender, mut reader) = feed(&shares);
        let sleeper = shares.open(&"db".into(), || panic!("it is open already"));
        for version in 0..MAX_NEWS as u64 + 5 {
            sender.send(commit(version)).unwrap();
        }
        assert_eq!(take(&mut reader).len(), MAX_NEWS + 5);
        assert_eq!(sleeper.shared.state().log.len(), MAX_NEWS);
        let mut sleeper = sleeper;
        assert_eq!(take(&mut sleeper), ["afresh"]);
        assert_eq!(sleeper.shared.state().log.len(), 0);
        sender.send(commit(9)).unwrap();
        assert_eq!(take(&mut reader), ["9"]);
        drop(sleeper);
        assert_eq!(reader.shared.state().log.len(), 0);
    }

    #[test]
    fn the_last_reader_closes_the_feed() {
        let shares = Shares::default();
        let (sender, reader) = feed(&shares);
        drop(reader);
        assert!(sender.send(News::Up).is_err());
        let (sender, mut reader) = feed(&shares);
        sender.send(News::Up).unwrap();
        assert_eq!(take(&mut reader), ["up"]);
    }

    #[test]
    fn news_wake_all_who_wait_whoever_asked_last() {
        struct Flag(std::sync::atomic::AtomicBool);
        impl Wake for Flag {
            fn wake(self: Arc<Self>) {
                self.0.store(true, std::sync::atomic::Ordering::SeqCst);
            }
        }
        let wakers = Arc::new(Wakers::default());
        let flags: Vec<_> = (0..3).map(|_| Arc::new(Flag(false.into()))).collect();
        for (reader, flag) in (0_u64..).zip(&flags) {
            wakers.add(reader, &Waker::from(flag.clone()));
        }
        wakers.add(9, &noop_waker());
        wakers.wake_but(1);
        let woken = |at: usize| flags[at].0.load(std::sync::atomic::Ordering::SeqCst);
        assert!(woken(0) && !woken(1) && woken(2));
        Waker::from(wakers).wake();
        assert!(woken(1));
    }
}
