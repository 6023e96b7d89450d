//! Transactions over driver sessions.

use std::any::Any;
use std::time::Duration;

use async_trait::async_trait;
use forge_core::adapter::Transaction;
use forge_core::transaction::{self, Nodes, TransactionOptions};
use forge_core::{Error, Result};
use mongodb::error::{
    Result as DriverResult, TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT,
};
use mongodb::options::{Acknowledgment, ReadConcern, WriteConcern};
use mongodb::{Client, ClientSession};
use tokio::sync::{Mutex, MutexGuard};

use super::errors;

/// How often a commit whose answer was lost is asked for again. Each attempt has the driver's own retry as well.
const COMMIT_ATTEMPTS: u32 = 6;

/// An open transaction. A session carries one command at a time: others wait for it.
///
/// Dropping it without a commit makes the driver abort it in the background.
pub(super) struct Session(Mutex<ClientSession>);

impl Session {
    pub(super) async fn begin(client: &Client, options: &TransactionOptions) -> Result<Self> {
        let read_concern = read_concern(options.read_concern);
        let write_concern = write_concern(&options.write_concern);
        let start = async {
            let mut session = client.start_session().await?;
            session
                .start_transaction()
                .read_concern(read_concern)
                .write_concern(write_concern)
                .max_commit_time(options.deadline)
                .await?;
            DriverResult::Ok(session)
        };
        Ok(Self(Mutex::new(start.await.map_err(errors::map)?)))
    }

    /// The session behind a transaction of this driver.
    pub(super) async fn of(transaction: &dyn Transaction) -> Result<MutexGuard<'_, ClientSession>> {
        match transaction.as_any().downcast_ref::<Session>() {
            Some(session) => Ok(session.0.lock().await),
            None => Err(Error::internal("the transaction belongs to another database")),
        }
    }
}

fn read_concern(wanted: transaction::ReadConcern) -> ReadConcern {
    match wanted {
        transaction::ReadConcern::Local => ReadConcern::local(),
        transaction::ReadConcern::Majority => ReadConcern::majority(),
        _ => ReadConcern::snapshot(),
    }
}

fn write_concern(wanted: &transaction::WriteConcern) -> WriteConcern {
    let acknowledgment = match &wanted.nodes {
        Nodes::Majority => Acknowledgment::Majority,
        // The server refuses transactions that nobody acknowledges.
        Nodes::Count(count) => Acknowledgment::Nodes((*count).max(1)),
        Nodes::Tagged(name) => Acknowledgment::Custom(name.clone()),
    };
    let mut concern = WriteConcern::from(acknowledgment);
    (concern.journal, concern.w_timeout) = (wanted.journal, wanted.timeout);
    concern
}

#[async_trait]
impl Transaction for Session {
    fn as_any(&self) -> &dyn Any {
        self
    }

    async fn commit(&self) -> Result<Option<u64>> {
        let mut session = self.0.lock().await;
        let mut attempt = 1;
        loop {
            let Err(error) = session.commit_transaction().await else { return Ok(None) };
            let unknown = error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT)
                && !error.contains_label(TRANSIENT_TRANSACTION_ERROR);
            if !unknown || attempt == COMMIT_ATTEMPTS {
                return Err(errors::map(error));
            }
            // Asking again is safe: a commit that has happened is only confirmed.
            tokio::time::sleep(Duration::from_millis(50 << attempt)).await;
            attempt += 1;
        }
    }

    async fn abort(&self) -> Result<()> {
        self.0.lock().await.abort_transaction().await.map_err(errors::map)
    }
}
