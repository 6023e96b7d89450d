//! Answers kept in the database of their request: known to every process, and there after a restart.

use std::time::Duration;

use forge_core::error::Retry;
use forge_core::{DateTime, Db, Error, ErrorCode, Result};
use forge_macros::Model;

use super::{IdempotencyKey, StoredAnswer, other_arguments};
use crate::json;

/// How often an equal request that another process runs is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// The first answer to a mutation under an idempotency key, in the database of its request.
#[derive(Debug, Clone, Model)]
#[model(crate = "forge_core", collection = "forge_answers", client(id, begun, expires))]
pub struct KeptAnswer {
    /// A hash of the mutation, the caller and the key.
    #[model(id)]
    pub id: String,
    /// A hash of the arguments.
    pub fingerprint: String,
    /// The HTTP status; none while the mutation runs.
    pub status: Option<i32>,
    /// The result, or the body of the error.
    pub body: Option<String>,
    /// When the mutation was begun.
    pub begun: DateTime,
    /// When the answer is forgotten.
    #[model(index(ttl = "0s"))]
    pub expires: DateTime,
}

/// A key with its arguments, and how answers are kept.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    id: String,
    fingerprint: String,
    /// For how long.
    age: Duration,
    /// After how long a mutation without an answer has died with its process.
    patience: Duration,
}

/// What a claim of a key in the database found.
#[derive(Debug)]
pub(crate) enum Claimed {
    /// Nothing, or the claim of a process that died: the mutation runs, under a claim that was made at this time.
    At(DateTime),
    /// The first answer.
    Answered(StoredAnswer),
}

impl Kept {
    pub(crate) fn new(key: &IdempotencyKey, fingerprint: &str, age: Duration, patience: Duration) -> Self {
        let text = format!("{:?}", [&key.handler, &key.caller, &key.key]);
        let id = json::short_hash(text.as_bytes()).to_string();
        Self { id, fingerprint: fingerprint.to_owned(), age, patience }
    }

    /// What is kept under the key.
    ///
    /// # Errors
    /// `conflict` where it was used with other arguments.
    async fn look(&self, db: &Db) -> Result<Option<KeptAnswer>> {
        let Some(kept) = db.get::<KeptAnswer>(self.id.clone()).await? else { return Ok(None) };
        if kept.expires <= db.env().now() {
            db.delete_many::<KeptAnswer>().filter(|k| k.id.eq(&kept.id) & k.begun.eq(kept.begun)).await?;
            return Ok(None);
        }
        if kept.fingerprint != self.fingerprint {
            return Err(other_arguments());
        }
        Ok(Some(kept))
    }

    /// The answer that is there, in the transaction of the mutation that would make it.
    ///
    /// # Errors
    /// As [`Kept::claim`].
    pub(crate) async fn find(&self, tx: &Db) -> Result<Option<StoredAnswer>> {
        Ok(self.look(tx).await?.as_ref().and_then(answered))
    }

    /// Keeps an answer, in the transaction of the mutation that made it.
    ///
    /// # Errors
    /// What the database answers; a `conflict` that is tried again where another process was first.
    pub(crate) async fn keep(&self, tx: &Db, status: u16, body: &str) -> Result<()> {
        match tx.insert(self.new_answer(tx, Some((status, body)))).await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == ErrorCode::UniqueViolation => {
                let lost = Error::conflict("an equal request was first").with_retry(Retry::Transaction);
                Err(lost.with_source(error))
            }
            Err(error) => Err(error),
        }
    }

    /// Claims the key for a mutation without a transaction; waits for an equal request that another process runs.
    ///
    /// # Errors
    /// `conflict` where the key was used with other arguments; what the database answers.
    pub(crate) async fn claim(&self, db: &Db) -> Result<Claimed> {
        loop {
            let Some(kept) = self.look(db).await? else {
                match db.insert(self.new_answer(db, None)).await {
                    Ok(kept) => return Ok(Claimed::At(kept.begun)),
                    Err(error) if error.code() == ErrorCode::UniqueViolation => continue,
                    Err(error) => return Err(error),
                }
            };
            if let Some(answer) = answered(&kept) {
                return Ok(Claimed::Answered(answer));
            }
            let now = db.env().now();
            if kept.begun.saturating_add(self.patience) > now {
                tokio::time::sleep(LOOK).await;
                continue;
            }
            let left = db
                .update_many::<KeptAnswer>()
                .filter(|k| k.id.eq(&kept.id) & k.begun.eq(kept.begun) & k.status.is_null());
            if left.set(|k| k.begun, now).set(|k| k.expires, now.saturating_add(self.age)).await? > 0 {
                return Ok(Claimed::At(now));
            }
        }
    }

    /// Ends the claim that was made at `begun`; without an answer the next request runs the mutation again. Where another
    /// process took the key over since, its claim stands.
    ///
    /// # Errors
    /// What the database answers.
    pub(crate) async fn settle(&self, db: &Db, begun: DateTime, answer: Option<&StoredAnswer>) -> Result<()> {
        let Some(answer) = answer else {
            let open = db
                .delete_many::<KeptAnswer>()
                .filter(|k| k.id.eq(&self.id) & k.begun.eq(begun) & k.status.is_null());
            return open.await.map(|_| ());
        };
        let update = db
            .update_many::<KeptAnswer>()
            .filter(|k| k.id.eq(&self.id) & k.begun.eq(begun) & k.status.is_null());
        let update = update.set(|k| k.status, Some(i32::from(answer.status)));
        update.set(|k| k.body, Some(answer.body.to_string())).await.map(|_| ())
    }

    fn new_answer(&self, db: &Db, answer: Option<(u16, &str)>) -> NewKeptAnswer {
        let begun = db.env().now();
        NewKeptAnswer {
            id: self.id.clone(),
            fingerprint: Some(self.fingerprint.clone()),
            status: answer.map(|(status, _)| i32::from(status)),
            body: answer.map(|(_, body)| body.to_owned()),
            begun,
            expires: begun.saturating_add(self.age),
        }
    }
}

fn answered(kept: &KeptAnswer) -> Option<StoredAnswer> {
    let status = u16::try_from(kept.status?).ok()?;
    Some(StoredAnswer { status, body: kept.body.as_deref()?.into(), version: 0 })
}
