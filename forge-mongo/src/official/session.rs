//! Transactions over driver sessions.

use std::any::Any;
use std::time::Duration;

use async_trait::async_trait;
use forge_core::adapter::Transaction;
use forge_core::{Error, Result};
use mongodb::error::{
    Result as DriverResult, TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT,
};
use mongodb::options::{ReadConcern, WriteConcern};
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
    pub(super) async fn begin(client: &Client) -> Result<Self> {
        let start = async {
            let mut session = client.start_session().await?;
            session
                .start_transaction()
                .read_concern(ReadConcern::snapshot())
                .write_concern(WriteConcern::majority())
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
