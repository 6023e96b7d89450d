//! Transactions of one operation's own, run again when they lose against another.

use forge_core::Result;
use forge_core::adapter::Exec;
use forge_core::error::Retry;
use futures_util::future::BoxFuture;

use super::run::Run;

/// The waits before the attempts after the first, in milliseconds: some 3.5 s in all.
const WAITS_MS: [u64; 9] = [5, 10, 25, 50, 100, 250, 500, 1_000, 1_500];
/// How often a transaction is run again before the conflict is the caller's.
const RETRIES: u32 = WAITS_MS.len() as u32;

impl Run<'_> {
    /// Runs `work` in the caller's transaction. Without one, and where the deployment has transactions, in one of its own,
    /// which is run again when it fails for a transient reason.
    pub(super) async fn atomically<T: Send>(
        &self,
        work: impl for<'r> Fn(Run<'r>) -> BoxFuture<'r, Result<T>> + Send + Sync,
    ) -> Result<T> {
        if self.exec.transaction.is_some() || !self.driver.capabilities().transactions {
            return work(*self).await;
        }
        for attempt in 1..=RETRIES {
            match self.attempt(&work).await {
                Err(error) if error.retry() == Retry::Transaction => backoff(attempt).await,
                result => return result,
            }
        }
        self.attempt(&work).await
    }

    async fn attempt<T: Send>(
        &self,
        work: &(impl for<'r> Fn(Run<'r>) -> BoxFuture<'r, Result<T>> + Send + Sync),
    ) -> Result<T> {
        let transaction = self.driver.begin(self.database()).await?;
        let exec = Exec { transaction: Some(transaction.clone()), ..self.exec.clone() };
        match work(Run { exec: &exec, ..*self }).await {
            Ok(value) => {
                if let Some(version) = transaction.commit().await? {
                    self.written(version);
                }
                Ok(value)
            }
            Err(error) => {
                // The first failure is the one to tell; a transaction that cannot be aborted ends by itself.
                if let Err(abort) = transaction.abort().await {
                    tracing::debug!(%abort, "aborting a failed transaction failed");
                }
                Err(error)
            }
        }
    }
}

/// Waits before the `attempt`th repetition, where the runtime has a timer; elsewhere only lets others run.
pub(super) async fn backoff(attempt: u32) {
    #[cfg(feature = "driver")]
    if tokio::runtime::Handle::try_current().is_ok() {
        let last = WAITS_MS.len() - 1;
        let wait = WAITS_MS[(attempt.saturating_sub(1) as usize).min(last)];
        tokio::time::sleep(std::time::Duration::from_millis(wait)).await;
        return;
    }
    #[cfg(not(feature = "driver"))]
    let _ = attempt;
    let mut yielded = false;
    futures_util::future::poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return std::task::Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}
