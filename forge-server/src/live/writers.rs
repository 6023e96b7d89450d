//! The tasks that send what many sockets get at once.
//!
//! A task for each socket would be woken for each frame, which costs more than to make the frame. A few tasks, as many
//! as there are threads, go from socket to socket.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::yield_now;

use super::outbox::Outbox;

/// After how many sockets others have their turn: less than what tokio lets a task do in one go.
const TOGETHER: usize = 32;

/// Sends what waits in outboxes. Cheap to clone; ends with its last clone.
#[derive(Clone)]
pub(crate) struct Writers(Arc<Inner>);

struct Inner {
    queues: Vec<UnboundedSender<Arc<Outbox>>>,
    next: AtomicUsize,
}

impl Writers {
    /// Starts as many as the runtime has threads.
    pub(crate) fn start() -> Self {
        let start = |_| {
            let (queue, due) = unbounded_channel();
            tokio::spawn(write(due));
            queue
        };
        let queues = (0..Handle::current().metrics().num_workers()).map(start).collect();
        Self(Arc::new(Inner { queues, next: AtomicUsize::new(0) }))
    }

    /// Leaves an outbox to the writers, which look at it once. There are never more of them than open sockets.
    pub(super) fn add(&self, outbox: Arc<Outbox>) {
        let Inner { queues, next } = &*self.0;
        let queue = next.fetch_add(1, Ordering::Relaxed) % queues.len();
        // A writer ends with the runtime, and so do the sockets.
        let _ = queues[queue].send(outbox);
    }
}

async fn write(mut due: UnboundedReceiver<Arc<Outbox>>) {
    let mut together = Vec::with_capacity(TOGETHER);
    while due.recv_many(&mut together, TOGETHER).await > 0 {
        together.drain(..).for_each(|outbox: Arc<Outbox>| outbox.write());
        yield_now().await;
    }
}
