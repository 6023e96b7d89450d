//! Answers kept under idempotency keys, so that a mutation that is sent twice happens once.

pub(crate) mod kept;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use forge_core::{Error, Result};
use tokio::sync::watch;
use tokio::time::Instant;

pub use kept::KeptAnswer;

fn other_arguments() -> Error {
    Error::conflict("this idempotency key was used with other arguments; use a fresh one")
}

/// How many bytes of answers are at hand in memory, beside the newest one.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// What a key is unique among: the same key of another caller or for another handler is another key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey {
    /// The mutation.
    pub handler: Arc<str>,
    /// Who calls, as a hash of what identifies them.
    pub caller: Arc<str>,
    /// The key that the client chose.
    pub key: Arc<str>,
}

/// The answer of a mutation, as it was first given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAnswer {
    /// The HTTP status: 200, or that of the error.
    pub status: u16,
    /// The result, or the error body without its request id.
    pub body: Arc<str>,
    /// The version that includes the write; 0 where none is known.
    pub version: u64,
}

impl StoredAnswer {
    /// Whether the mutation succeeded.
    pub fn is_ok(&self) -> bool {
        self.status == 200
    }
}

/// What [`IdempotencyStore::begin`] found.
#[derive(Debug)]
pub enum Claim {
    /// Nothing: the caller runs the mutation and calls [`IdempotencyStore::finish`].
    New,
    /// The first answer.
    Answered(StoredAnswer),
}

/// Where answers are kept.
#[async_trait]
pub trait IdempotencyStore: Send + Sync + 'static {
    /// Claims `key` for a request with this `fingerprint`; waits for an equal request that is under way.
    ///
    /// # Errors
    /// `conflict` where the key was used with another fingerprint.
    async fn begin(&self, key: &IdempotencyKey, fingerprint: &str) -> Result<Claim>;

    /// Ends a claim. Without an answer, the next request runs the mutation again.
    fn finish(&self, key: &IdempotencyKey, answer: Option<StoredAnswer>);
}

/// Answers in the memory of this process: bounded in number, size (64 MiB) and age, gone when it ends, unknown to other processes.
/// Within these limits an equal request never runs twice.
#[derive(Debug)]
pub struct MemoryStore {
    state: Mutex<State>,
    keys: usize,
    age: Duration,
}

#[derive(Debug, Default)]
struct State {
    slots: HashMap<IdempotencyKey, Slot>,
    /// Finished keys, oldest first.
    order: VecDeque<(Instant, IdempotencyKey)>,
    /// The bytes of their answers.
    bytes: usize,
}

#[derive(Debug)]
struct Slot {
    fingerprint: String,
    answer: watch::Sender<Option<StoredAnswer>>,
}

impl Slot {
    /// The bytes of its answer.
    fn bytes(&self) -> usize {
        self.answer.borrow().as_ref().map_or(0, |answer| answer.body.len())
    }
}

impl MemoryStore {
    /// A store for this many answers, each for this long. The oldest go first.
    pub fn new(keys: usize, age: Duration) -> Self {
        Self { state: Mutex::default(), keys, age }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((finished, _)) = state.order.front() {
            let is_small = state.bytes <= MAX_BYTES || state.order.len() == 1;
            if state.order.len() <= self.keys && is_small && finished.elapsed() < self.age {
                break;
            }
            if let Some((_, key)) = state.order.pop_front()
                && let Some(slot) = state.slots.remove(&key)
            {
                state.bytes -= slot.bytes();
            }
        }
        state
    }
}

#[async_trait]
impl IdempotencyStore for MemoryStore {
    async fn begin(&self, key: &IdempotencyKey, fingerprint: &str) -> Result<Claim> {
        loop {
            let mut running = {
                let mut state = self.state();
                match state.slots.get(key) {
                    None => {
                        let slot =
                            Slot { fingerprint: fingerprint.to_owned(), answer: watch::Sender::new(None) };
                        state.slots.insert(key.clone(), slot);
                        return Ok(Claim::New);
                    }
                    Some(slot) if slot.fingerprint != fingerprint => {
                        return Err(other_arguments());
                    }
                    Some(slot) => slot.answer.subscribe(),
                }
            };
            // The sender goes away without an answer where the claim was given up: then this request claims it.
            if let Ok(answer) = running.wait_for(Option::is_some).await
                && let Some(answer) = &*answer
            {
                return Ok(Claim::Answered(answer.clone()));
            }
        }
    }

    fn finish(&self, key: &IdempotencyKey, answer: Option<StoredAnswer>) {
        let mut state = self.state();
        if answer.is_none() {
            state.slots.remove(key);
        } else if let Some(slot) = state.slots.get(key) {
            slot.answer.send_replace(answer);
            let bytes = slot.bytes();
            state.bytes += bytes;
            state.order.push_back((Instant::now(), key.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> IdempotencyKey {
        IdempotencyKey { handler: "add".into(), caller: "".into(), key: name.into() }
    }

    fn answer(body: &str) -> Option<StoredAnswer> {
        Some(StoredAnswer { status: 200, body: body.into(), version: 1 })
    }

    async fn is_new(store: &MemoryStore, name: &str, fingerprint: &str) -> bool {
        matches!(store.begin(&key(name), fingerprint).await.unwrap(), Claim::New)
    }

    #[tokio::test]
    async fn the_first_answer_is_given_again() {
        let store = MemoryStore::new(10, Duration::from_secs(60));
        assert!(is_new(&store, "k", "a").await);
        store.finish(&key("k"), answer("1"));
        match store.begin(&key("k"), "a").await.unwrap() {
            Claim::Answered(stored) => assert_eq!(Some(stored), answer("1")),
            Claim::New => panic!("it ran already"),
        }
        let error = store.begin(&key("k"), "b").await.unwrap_err();
        assert_eq!(error.code(), forge_core::ErrorCode::Conflict);
    }

    /// A store in which one request runs, and an equal one waits for it.
    async fn one_running_one_waiting() -> (Arc<MemoryStore>, tokio::task::JoinHandle<Result<Claim>>) {
        let store = Arc::new(MemoryStore::new(10, Duration::from_secs(60)));
        assert!(is_new(&store, "k", "a").await);
        let second = tokio::spawn({
            let store = store.clone();
            async move { store.begin(&key("k"), "a").await }
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!second.is_finished());
        (store, second)
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_request_waits_for_the_first() {
        let (store, second) = one_running_one_waiting().await;
        store.finish(&key("k"), answer("1"));
        assert!(matches!(second.await.unwrap().unwrap(), Claim::Answered(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_that_is_given_up_goes_to_the_next() {
        let (store, second) = one_running_one_waiting().await;
        store.finish(&key("k"), None);
        assert!(matches!(second.await.unwrap().unwrap(), Claim::New));
    }

    #[tokio::test(start_paused = true)]
    async fn answers_are_bounded_in_number_and_age() {
        let store = MemoryStore::new(2, Duration::from_secs(60));
        for name in ["a", "b", "c"] {
            assert!(is_new(&store, name, "x").await);
            store.finish(&key(name), answer("1"));
        }
        assert!(is_new(&store, "a", "x").await, "the oldest of three went");
        assert!(!is_new(&store, "c", "x").await);
        tokio::time::advance(Duration::from_secs(61)).await;
        assert!(is_new(&store, "c", "x").await, "it was too old");
    }

    #[tokio::test]
    async fn answers_are_bounded_in_size_but_for_the_newest() {
        let store = MemoryStore::new(10_000, Duration::from_secs(60));
        let large = "x".repeat(MAX_BYTES / 4);
        for name in 0..6 {
            assert!(is_new(&store, &name.to_string(), "x").await);
            store.finish(&key(&name.to_string()), answer(&large));
        }
        assert!(!is_new(&store, "5", "x").await);
        assert!(is_new(&store, "1", "x").await, "the oldest of more than there is room for went");
        assert!(is_new(&store, "huge", "x").await);
        store.finish(&key("huge"), answer(&"x".repeat(MAX_BYTES * 2)));
        assert!(!is_new(&store, "huge", "x").await);
        assert_eq!(store.state().order.len(), 1);
    }
}
