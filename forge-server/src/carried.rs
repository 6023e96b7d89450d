//! Work that is done in the task of whoever waits for it, and goes on by itself when nobody does any more.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;

/// A future that goes on in a task of its own when it is dropped before its end. A task from the beginning would cost
/// every call the way to another thread and back.
///
/// What its work panics with goes to who polls it.
#[must_use = "nothing is done before it is awaited"]
pub(crate) struct Carried<T: Send + 'static>(Option<BoxFuture<'static, T>>);

impl<T: Send + 'static> Carried<T> {
    /// Dropped before it was ever awaited, it begins in a task of its own.
    pub(crate) fn new(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self(Some(work.boxed()))
    }
}

impl<T: Send + 'static> Future for Carried<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        // Taken out, so that work which panics is not carried on.
        let Some(mut work) = self.0.take() else { return Poll::Pending };
        let polled = work.as_mut().poll(context);
        if polled.is_pending() {
            self.0 = Some(work);
        }
        polled
    }
}

impl<T: Send + 'static> Drop for Carried<T> {
    fn drop(&mut self) {
        // Without a runtime there is nothing left that could finish it.
        if let (Some(work), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::AssertUnwindSafe;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;
    use tokio::time::{sleep, timeout};

    async fn counting(steps: Arc<AtomicU32>) -> &'static str {
        for _ in 0..3 {
            sleep(Duration::from_millis(10)).await;
            steps.fetch_add(1, Ordering::Relaxed);
        }
        "done"
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_is_awaited_answers() {
        assert_eq!(Carried::new(counting(Arc::default())).await, "done");
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_nobody_awaits_any_more_goes_on() {
        for wait in [0, 15] {
            let steps = Arc::new(AtomicU32::new(0));
            let work = Carried::new(counting(steps.clone()));
            assert!(timeout(Duration::from_millis(wait), work).await.is_err());
            sleep(Duration::from_millis(50)).await;
            assert_eq!(steps.load(Ordering::Relaxed), 3, "after {wait} ms");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_panicked_is_not_begun_again() {
        let steps = Arc::new(AtomicU32::new(0));
        let counted = steps.clone();
        let work = Carried::new(async move {
            counted.fetch_add(1, Ordering::Relaxed);
            sleep(Duration::from_millis(1)).await;
            panic!("broken");
        });
        assert!(AssertUnwindSafe(work).catch_unwind().await.is_err());
        sleep(Duration::from_millis(50)).await;
        assert_eq!(steps.load(Ordering::Relaxed), 1);
    }
}
