//! The way from what waits for a socket to its connection.
//!
//! What can be sent at once is sent where it comes from: by the call that is answered, or by the [`Writers`] where many
//! sockets get something at once. A socket is idle most of the time and its connection takes what it is given, so that
//! nobody has to be woken. Only what a connection does not take is left to the socket's own task, which then waits for
//! it ([`Outbox::send_next`]), and to which everything is left until nothing waits.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use tokio::sync::Notify;

use super::event::Frame;
use super::queue::{Closing, Next, Queue, Text};
use super::writers::Writers;
use crate::ws::wire::Wire;

/// What waits for a socket, and the connection that it goes to.
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    /// Locked before the queue, where both are.
    line: Mutex<Line>,
    /// Told when the line is left to the socket's own task.
    stuck: Notify,
    /// Whether the writers are to look at it.
    due: AtomicBool,
    writers: Writers,
}

#[derive(Default)]
struct Line {
    /// None before there is a connection, and after its end.
    wire: Option<Wire>,
    /// Whether it is left to the socket's own task.
    stuck: bool,
}

impl Outbox {
    /// An empty queue for at most about `limit` bytes, without a connection.
    pub(crate) fn new(limit: usize, writers: Writers) -> Self {
        Self {
            queue: Mutex::new(Queue::new(limit)),
            line: Mutex::default(),
            stuck: Notify::new(),
            due: AtomicBool::new(false),
            writers,
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends over `wire` from now on.
    pub(crate) fn attach(&self, wire: Wire) {
        self.line().wire = Some(wire);
        self.flush();
    }

    /// Sends nothing any more. The connection, unless it is gone already.
    pub(crate) fn detach(&self) -> Option<Wire> {
        self.line().wire.take()
    }

    /// How many bytes wait.
    pub(crate) fn bytes(&self) -> usize {
        self.queue().bytes()
    }

    /// Sends a text frame.
    pub(crate) fn text(&self, text: impl Into<Text>) {
        self.queue().text(text);
        self.flush();
    }

    /// Sends what the protocol itself answers a client, in place of an earlier such that still waits.
    pub(crate) fn reply(&self, bytes: Vec<u8>) {
        self.queue().reply(bytes);
        self.flush();
    }

    /// Sends the answer to the client's end, and nothing behind it.
    pub(crate) fn answer_end(&self, bytes: Vec<u8>) {
        let mut queue = self.queue();
        queue.reply(bytes);
        queue.close(Closing::ByClient);
        drop(queue);
        self.flush();
    }

    /// Asks whether the client is there, unless it is answered just now.
    pub(crate) fn ping(&self, bytes: Vec<u8>) {
        self.queue().ping(bytes);
        self.flush();
    }

    /// Sends a text frame that other sockets get as well.
    pub(crate) fn shared(self: &Arc<Self>, text: impl Into<Text>) {
        self.queue().text(text);
        self.leave();
    }

    /// Sends a frame of the live-query machine, which other sockets may get as well.
    pub(crate) fn frame(self: &Arc<Self>, frame: Frame) {
        self.queue().frame(frame);
        self.leave();
    }

    /// Ends the socket once what waits is sent. The first reason stays.
    pub(crate) fn close(&self, reason: Closing) {
        self.queue().close(reason);
        self.flush();
    }

    /// Leaves what waits to the writers.
    fn leave(self: &Arc<Self>) {
        if !self.due.swap(true, Ordering::AcqRel) {
            self.writers.add(self.clone());
        }
    }

    /// For the writers: sends what was left to them.
    pub(super) fn write(&self) {
        // Before the queue is looked at: what comes then is left anew.
        self.due.store(false, Ordering::Release);
        self.flush();
    }

    /// Sends what the connection takes at once.
    fn flush(&self) {
        let mut line = self.line();
        if line.stuck || line.wire.is_none() {
            return;
        }
        let mut nobody = Context::from_waker(Waker::noop());
        loop {
            match self.poll_next(&mut line, &mut nobody) {
                Poll::Ready(Ok(true)) => {}
                Poll::Ready(Ok(false)) => return,
                Poll::Pending | Poll::Ready(Err(_)) => {
                    line.stuck = true;
                    return self.stuck.notify_one();
                }
            }
        }
    }

    /// For the socket's own task: waits until something is left to it.
    pub(crate) async fn stuck(&self) {
        self.stuck.notified().await;
    }

    /// For the socket's own task, where something was left to it: sends the next frame, and tells whether there was one.
    /// After a frame that was none, nothing is left to the task any more.
    ///
    /// # Errors
    /// How the socket is to end; none where its connection has broken.
    pub(crate) async fn send_next(&self) -> Result<bool, Option<Closing>> {
        poll_fn(|cx| self.poll_next(&mut self.line(), cx)).await
    }

    /// Sends the next frame, or the rest of one.
    fn poll_next(&self, line: &mut Line, cx: &mut Context<'_>) -> Poll<Result<bool, Option<Closing>>> {
        let Some(wire) = &mut line.wire else { return Poll::Ready(Err(None)) };
        let sent = if wire.is_at_a_frame() {
            ready!(wire.poll_rest(cx))
        } else {
            // Others may go on adding while this is sent.
            let next = self.queue().pop();
            match next {
                Some(Next::Text(text)) => ready!(wire.poll_text(text, cx)),
                Some(Next::Reply(bytes)) => ready!(wire.poll_bytes(bytes, cx)),
                Some(Next::Close(reason)) => return Poll::Ready(Err(Some(reason))),
                None => {
                    line.stuck = false;
                    return Poll::Ready(Ok(false));
                }
            }
        };
        if sent.is_err() {
            line.wire = None;
        }
        Poll::Ready(sent.map(|()| true).map_err(|_| None))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, BufWriter, DuplexStream, duplex};
    use tokio::time::timeout;

    use super::*;

    /// An outbox whose connection takes `room` bytes that nobody reads, and the client's end of it.
    fn connected(room: usize) -> (Arc<Outbox>, DuplexStream) {
        let outbox = Arc::new(Outbox::new(usize::MAX, Writers::start()));
        let (ours, theirs) = duplex(room);
        outbox.attach(Wire::new(Box::new(ours), usize::MAX));
        (outbox, theirs)
    }

    /// What the socket's own task does.
    async fn carry_on(outbox: Arc<Outbox>) -> Option<Closing> {
        loop {
            outbox.stuck().await;
            loop {
                match outbox.send_next().await {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(reason) => return reason,
                }
            }
        }
    }

    /// The text of the next frame, which is short.
    async fn frame(client: &mut DuplexStream) -> String {
        let mut header = [0; 2];
        client.read_exact(&mut header).await.unwrap();
        let mut text = vec![0; header[1].into()];
        client.read_exact(&mut text).await.unwrap();
        String::from_utf8(text).unwrap()
    }

    #[tokio::test]
    async fn what_the_connection_takes_is_sent_without_the_sockets_task() {
        let (outbox, mut client) = connected(1_000);
        outbox.text("now".to_owned());
        assert_eq!(frame(&mut client).await, "now");
        outbox.shared("soon".to_owned());
        assert_eq!(timeout(Duration::from_secs(5), frame(&mut client)).await.unwrap(), "soon");
        assert!(
            timeout(Duration::from_millis(20), outbox.stuck()).await.is_err(),
            "nothing is left to the task"
        );
    }

    #[tokio::test]
    async fn what_waits_for_a_connection_is_sent_once_there_is_one() {
        let outbox = Arc::new(Outbox::new(usize::MAX, Writers::start()));
        outbox.text("early".to_owned());
        let (ours, mut client) = duplex(1_000);
        outbox.attach(Wire::new(Box::new(ours), usize::MAX));
        assert_eq!(frame(&mut client).await, "early");
    }

    #[tokio::test]
    async fn what_a_full_connection_does_not_take_is_left_to_the_sockets_task() {
        let (outbox, mut client) = connected(10);
        for text in ["first", "second", "third"] {
            outbox.text(text.to_owned());
        }
        timeout(Duration::from_secs(5), outbox.stuck()).await.unwrap();
        let task = tokio::spawn({
            let outbox = outbox.clone();
            async move { while outbox.send_next().await.unwrap() {} }
        });
        for text in ["first", "second", "third"] {
            assert_eq!(frame(&mut client).await, text);
        }
        task.await.unwrap();
        // From now on the task is not needed again.
        outbox.text("fourth".to_owned());
        assert_eq!(frame(&mut client).await, "fourth");
    }

    #[tokio::test]
    async fn nothing_comes_behind_the_answer_to_the_clients_end() {
        let (outbox, mut client) = connected(1_000);
        outbox.shared("waits for a writer".to_owned());
        outbox.answer_end(b"end".to_vec());
        outbox.text("late".to_owned());
        assert_eq!(carry_on(outbox.clone()).await, Some(Closing::ByClient));
        drop(outbox.detach());
        let mut all = Vec::new();
        client.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"end");
    }

    #[tokio::test]
    async fn a_connection_that_keeps_back_what_is_written_to_it_is_flushed() {
        let outbox = Arc::new(Outbox::new(usize::MAX, Writers::start()));
        let (ours, mut client) = duplex(1_000);
        outbox.attach(Wire::new(Box::new(BufWriter::new(ours)), usize::MAX));
        outbox.text("now".to_owned());
        assert_eq!(timeout(Duration::from_secs(5), frame(&mut client)).await.unwrap(), "now");
    }

    #[tokio::test]
    async fn the_end_and_a_broken_connection_are_told_to_the_sockets_task() {
        let (outbox, _client) = connected(1_000);
        outbox.close(Closing::GoingAway);
        assert_eq!(carry_on(outbox).await, Some(Closing::GoingAway));
        let (outbox, client) = connected(1_000);
        drop(client);
        outbox.text("nobody".to_owned());
        assert_eq!(carry_on(outbox).await, None);
    }

    const SENDERS: u32 = 4;
    const EACH: u32 = 2_000;

    /// Lets several tasks send to an outbox at the same time, and reads what arrives: each frame whole, once and in the
    /// order of its sender.
    async fn sent_by_many(room: usize, send: fn(&Arc<Outbox>, u32, String)) {
        let (outbox, mut client) = connected(room);
        let task = tokio::spawn(carry_on(outbox.clone()));
        for sender in 0..SENDERS {
            let outbox = outbox.clone();
            tokio::spawn(async move {
                for n in 0..EACH {
                    send(&outbox, n, format!("{sender} {n}"));
                    tokio::task::yield_now().await;
                }
            });
        }
        let mut next = [0; SENDERS as usize];
        for _ in 0..SENDERS * EACH {
            let text = timeout(Duration::from_secs(10), frame(&mut client)).await.expect("none is lost");
            let (sender, n) = text.split_once(' ').unwrap();
            let next = &mut next[sender.parse::<usize>().unwrap()];
            assert_eq!(n.parse(), Ok(*next));
            *next += 1;
        }
        task.abort();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn frames_of_many_senders_arrive_over_a_connection_that_is_mostly_full() {
        let send = |outbox: &Arc<Outbox>, n, text| match n % 2 {
            0 => outbox.text(text),
            _ => outbox.shared(text),
        };
        sent_by_many(16, send).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn what_comes_while_the_writers_are_at_the_socket_is_not_forgotten() {
        let (outbox, mut client) = connected(1_000);
        let task = tokio::spawn(carry_on(outbox.clone()));
        for n in 0..5_000_u32 {
            // The one before has just arrived: its writer may not be done.
            outbox.shared(n.to_string());
            let text = timeout(Duration::from_secs(10), frame(&mut client)).await.expect("it comes");
            assert_eq!(text, n.to_string());
        }
        task.abort();
    }
}
