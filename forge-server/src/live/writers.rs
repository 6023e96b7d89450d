//! The tasks that send what many sockets get at once.
//!
//! Waking a task of each socket for each frame costs more than to make the frame. So sockets are taken together, some at
//! a time, each time in a task of its own: with a core to spare they are on their way at the same time, and where much
//! else is to do, a crowd of sockets has its share.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::yield_now;

use super::outbox::Outbox;

/// How many sockets are taken together: fewer than what tokio lets a task send in one go.
const TOGETHER: usize = 32;
/// After how long others have their turn: some sockets are sent what has to be compressed first.
const TURN: Duration = Duration::from_micros(500);

/// Sends what waits in outboxes. Cheap to clone; ends with its last clone.
#[derive(Clone)]
pub(crate) struct Writers(UnboundedSender<Arc<Outbox>>);

impl Writers {
    /// Starts the task that takes sockets together.
    pub(crate) fn start() -> Self {
        let (queue, due) = unbounded_channel();
        tokio::spawn(take_together(due));
        Self(queue)
    }

    /// Leaves an outbox to the writers, which look at it once. There are never more of them than open sockets.
    pub(super) fn add(&self, outbox: Arc<Outbox>) {
        // The task ends with the runtime, and so do the sockets.
        let _ = self.0.send(outbox);
    }
}

async fn take_together(mut due: UnboundedReceiver<Arc<Outbox>>) {
    let mut together = Vec::with_capacity(TOGETHER);
    while due.recv_many(&mut together, TOGETHER).await > 0 {
        match together.as_slice() {
            [_] => write(together.drain(..)).await,
            _ => {
                let taken = mem::replace(&mut together, Vec::with_capacity(TOGETHER));
                tokio::spawn(write(taken.into_iter()));
            }
        }
    }
}

async fn write(outboxes: impl Iterator<Item = Arc<Outbox>>) {
    let mut turn = Instant::now();
    for outbox in outboxes {
        // Whatever one of them is sent, the others get theirs.
        if catch_unwind(AssertUnwindSafe(|| outbox.write())).is_err() {
            tracing::error!("a frame could not be sent, because making it panicked");
        }
        if turn.elapsed() > TURN {
            yield_now().await;
            turn = Instant::now();
        }
    }
}
