//! The combining queue: whoever gets the writer runs every single write that waits, in one transaction with one flush.
//!
//! Each command stays a commit of its own in the feed, and fails on its own.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use forge_core::{Error, Result};
use forge_mongo::{MongoArtifact, Reply};
use futures_util::future::{Either, select};
use tokio::sync::oneshot;

use crate::engine::{Engine, Prepared, Writer, WriterState, lock};
use crate::write::{Pending, Writing};

/// The most commands that share a transaction, so that no answer waits for a long line behind it.
const MAX_BATCH: usize = 512;

type Answer = Result<(Reply, Option<u64>)>;

/// Single writes that wait for the writer.
#[derive(Default)]
pub(crate) struct Queue(Mutex<VecDeque<Job>>);

struct Job {
    database: String,
    artifact: Box<MongoArtifact>,
    /// Set by whoever comes first: the writer that runs it, or the caller that gives up.
    claimed: Arc<AtomicBool>,
    answer: oneshot::Sender<Answer>,
}

/// Gives up on a job when its caller goes away before anybody ran it.
struct Claim(Arc<AtomicBool>);

impl Claim {
    fn take(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.take();
    }
}

impl Queue {
    /// The next jobs, claimed.
    fn take(&self) -> Vec<Job> {
        let mut queue = lock(&self.0);
        let mut jobs = Vec::new();
        while jobs.len() < MAX_BATCH {
            let Some(job) = queue.pop_front() else { break };
            if !job.claimed.swap(true, Ordering::AcqRel) {
                jobs.push(job);
            }
        }
        jobs
    }
}

/// Commands that ran in one transaction.
struct Batch {
    /// None where nothing changed.
    prepared: Option<Prepared>,
    answers: Vec<Answer>,
}

impl Engine {
    /// Runs one write outside of transactions.
    pub(crate) async fn write(self: &Arc<Self>, database: &str, artifact: Box<MongoArtifact>) -> Answer {
        if let Ok(writer) = self.writer.clone().try_lock_owned() {
            let own = self.lead(writer, Some((database, &artifact))).await;
            return own.unwrap_or_else(|| Err(unanswered()));
        }
        self.refuse_own_transaction()?;
        let (answer, mut answered) = oneshot::channel();
        let claim = Claim(Arc::new(AtomicBool::new(false)));
        let database = database.to_owned();
        lock(&self.queue.0).push_back(Job { database, artifact, claimed: claim.0.clone(), answer });
        loop {
            let writer = pin!(self.acquire());
            let next = match select(&mut answered, writer).await {
                Either::Left((answer, _)) => return answer.unwrap_or_else(|_| Err(unanswered())),
                Either::Right((writer, _)) => writer,
            };
            match next {
                Ok(writer) => {
                    self.lead(writer, None).await;
                }
                // Somebody is running it already: the answer is near.
                Err(_) if !claim.take() => return answered.await.unwrap_or_else(|_| Err(unanswered())),
                Err(late) => return Err(late),
            }
        }
    }

    /// Runs the caller's command and those that wait; answers the caller's.
    async fn lead(
        self: &Arc<Self>,
        mut writer: Writer,
        own: Option<(&str, &MongoArtifact)>,
    ) -> Option<Answer> {
        let jobs = self.queue.take();
        let mut commands: Vec<(&str, &MongoArtifact)> = own.into_iter().collect();
        commands.extend(jobs.iter().map(|job| (job.database.as_str(), &*job.artifact)));
        if commands.is_empty() {
            return None;
        }
        let batch = self.run_batch(&mut writer, &commands);
        let leads = own.is_some();
        let senders: Vec<_> = jobs.into_iter().map(|job| job.answer).collect();
        match batch {
            Err(error) => deliver(Vec::new(), senders, leads, &Err(error)),
            Ok(Batch { prepared: None, answers }) => deliver(answers, senders, leads, &Ok(())),
            Ok(Batch { prepared: Some(prepared), answers }) => {
                let answer = move |committed| deliver(answers, senders, leads, &committed);
                self.commit(writer, prepared, answer).await
            }
        }
    }

    fn run_batch(&self, writer: &mut WriterState, commands: &[(&str, &MongoArtifact)]) -> Result<Batch> {
        let mut txn = self.begin()?;
        let mut pending = Pending::new(writer.catalog.clone());
        let (mut replies, mut units) =
            (Vec::with_capacity(commands.len()), Vec::with_capacity(commands.len() + 1));
        {
            let mut writing = Writing::open(&mut txn, &mut pending, &self.env)?;
            for (database, artifact) in commands {
                replies.push(writing.run(database, artifact));
                units.push(writing.take_changes()?);
            }
            let now = self.env.now();
            if writer.purge_is_due(now) {
                writing.purge_expired(now)?;
                units.push(writing.take_changes()?);
            }
        }
        if units.iter().all(Vec::is_empty) && !pending.catalog_changed {
            let answers = replies.into_iter().map(|reply| reply.map(|reply| (reply, None))).collect();
            return Ok(Batch { prepared: None, answers });
        }
        let (prepared, versions) = writer.prepare(txn, &units, pending, self.env.now())?;
        let answers =
            replies.into_iter().zip(versions).map(|(reply, version)| reply.map(|reply| (reply, version)));
        Ok(Batch { prepared: Some(prepared), answers: answers.collect() })
    }
}

fn unanswered() -> Error {
    Error::internal("a write was not answered")
}

/// Sends the answers on their way; where the commit failed, that failure instead.
fn deliver(
    answers: Vec<Answer>,
    senders: Vec<oneshot::Sender<Answer>>,
    leads: bool,
    committed: &Result<()>,
) -> Option<Answer> {
    let mut answers = answers.into_iter().map(Some).chain(std::iter::repeat_with(|| None));
    let mut next = || match committed {
        Ok(()) => answers.next().flatten().unwrap_or_else(|| Err(unanswered())),
        Err(error) => Err(Error::new(error.code(), error.message().to_owned())),
    };
    let own = leads.then(&mut next);
    for sender in senders {
        // A caller that went away does not want its answer.
        let _ = sender.send(next());
    }
    own
}
