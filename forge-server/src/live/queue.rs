//! What waits for one socket: bounded, and for each subscription only its newest result.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use forge_core::Result;

use super::event::{Content, Frame, Item, SubId};
use super::results::Results;
use crate::{deflate, protocol};

/// Why a socket is closed by the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closing {
    /// The client ended it; the answer to that is among the replies.
    ByClient,
    /// 1001: the server goes away.
    GoingAway,
    /// 1002: the client broke the protocol of WebSocket.
    Malformed,
    /// 1007: the client sent a text that is none.
    NotText,
    /// 1009: the client sent too large a frame.
    TooLarge,
    /// 1013: the client takes frames too slowly.
    TooSlow,
}

/// What is to be sent next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// A text frame.
    Text(Text),
    /// Bytes of the protocol of WebSocket itself: a pong, or the answer to the client's end.
    Reply(Vec<u8>),
    /// The end.
    Close(Closing),
}

/// The text of a frame: what is the socket's own, what is shared with others, and what is always the same. Of an update
/// that brings one whole result, only the first words are the socket's own.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Text {
    head: String,
    shared: Option<Arc<Shared>>,
    tail: &'static str,
}

impl Text {
    /// The pieces of the text, in their order.
    #[cfg(test)]
    pub(crate) fn pieces(&self) -> [&str; 3] {
        [&self.head, self.shared.as_ref().map_or("", |shared| shared), self.tail]
    }

    /// What is the socket's own, what others send as well, and the end.
    pub(crate) fn into_pieces(self) -> (String, Option<Arc<Shared>>, &'static str) {
        (self.head, self.shared, self.tail)
    }

    /// The length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.head.len() + self.shared.as_ref().map_or(0, |shared| shared.len()) + self.tail.len()
    }
}

impl From<String> for Text {
    fn from(head: String) -> Self {
        Self { head, ..Self::default() }
    }
}

impl From<Arc<Shared>> for Text {
    fn from(shared: Arc<Shared>) -> Self {
        Self { shared: Some(shared), ..Self::default() }
    }
}

/// A text for many sockets.
#[derive(Debug)]
pub(crate) struct Shared {
    text: Arc<str>,
    /// The text compressed, once the first socket wants it so.
    deflated: OnceLock<Box<[u8]>>,
}

impl Shared {
    /// The text as [`deflate`](deflate::deflate) makes it, once for all.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn deflated(&self) -> Result<&[u8]> {
        if let Some(deflated) = self.deflated.get() {
            return Ok(deflated);
        }
        let deflated = deflate::deflate(self.as_bytes())?.into();
        Ok(self.deflated.get_or_init(|| deflated))
    }
}

impl<T: Into<Arc<str>>> From<T> for Shared {
    fn from(text: T) -> Self {
        Self { text: text.into(), deflated: OnceLock::new() }
    }
}

impl Deref for Shared {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Shared {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Shared {}

/// What waits for one socket.
#[derive(Debug)]
pub(crate) struct Queue {
    /// The newest reply: of several pings, the last is answered (RFC 6455, 5.5.3).
    reply: Option<Vec<u8>>,
    texts: VecDeque<Text>,
    /// A version, and results by the order of their subscriptions' numbers.
    update: Option<(u64, Results)>,
    bytes: usize,
    limit: usize,
    closing: Option<Closing>,
}

impl Queue {
    /// An empty queue for at most about `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { reply: None, texts: VecDeque::new(), update: None, bytes: 0, limit, closing: None }
    }

    /// How many bytes wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a text frame; others may have the same bytes.
    pub(crate) fn text(&mut self, text: impl Into<Text>) {
        if self.closing.is_none() {
            self.push(text);
            self.bound();
        }
    }

    /// Adds what the protocol itself says to a client, in place of an earlier such that still waits.
    pub(crate) fn reply(&mut self, bytes: Vec<u8>) {
        if self.closing.is_none() {
            self.reply = Some(bytes);
        }
    }

    /// Adds what the protocol itself asks a client, unless it is answered something.
    pub(crate) fn ping(&mut self, bytes: Vec<u8>) {
        if self.closing.is_none() {
            self.reply.get_or_insert(bytes);
        }
    }

    /// Adds a frame of the live-query machine. Results that still wait are replaced by newer ones of the same
    /// subscription, and dropped where it ended or failed.
    pub(crate) fn frame(&mut self, frame: Frame) {
        if self.closing.is_some() {
            return;
        }
        match frame {
            Frame::Update { version, results } => self.merge(version, results),
            Frame::Error { id, error } => {
                self.forget(id);
                self.push(protocol::error(Some(id), &error));
            }
            Frame::Unsubscribed { id } => {
                self.forget(id);
                self.push(protocol::unsubscribed(id));
            }
            Frame::Ready { session, version } => self.push(protocol::ready(&session, version)),
            Frame::Retracted { id } => self.forget(id),
        }
        self.bound();
    }

    /// Ends the socket once what waits is sent. The first reason stays, and nothing is added behind it.
    pub(crate) fn close(&mut self, reason: Closing) {
        if reason == Closing::ByClient {
            // Nobody reads what comes behind the answer.
            let (reply, closing) = (self.reply.take(), self.closing);
            *self = Self { reply, closing, ..Self::new(self.limit) };
        }
        self.closing.get_or_insert(reason);
    }

    /// The next thing to send, if there is one. The end stays the next.
    pub(crate) fn pop(&mut self) -> Option<Next> {
        if let Some(reply) = self.reply.take() {
            return Some(Next::Reply(reply));
        }
        if let Some(text) = self.texts.pop_front() {
            self.bytes = self.bytes.saturating_sub(text.len());
            return Some(Next::Text(text));
        }
        if let Some((version, items)) = self.update.take() {
            self.bytes = 0;
            return Some(Next::Text(frame(version, items)));
        }
        self.closing.map(Next::Close)
    }

    /// A single frame may be larger than the limit: what matters is that they do not pile up.
    fn bound(&mut self) {
        let waiting = self.texts.len() + self.update.as_ref().map_or(0, |(_, items)| items.len());
        if self.bytes > self.limit && waiting > 1 {
            *self = Self { closing: Some(Closing::TooSlow), ..Self::new(self.limit) };
        }
    }

    fn push(&mut self, text: impl Into<Text>) {
        let text = text.into();
        self.bytes += text.len();
        self.texts.push_back(text);
    }

    fn merge(&mut self, version: u64, results: Results) {
        let Some((newest, waiting)) = &mut self.update else {
            self.bytes += results.iter().map(Item::size).sum::<usize>();
            self.update = Some((version, results));
            return;
        };
        *newest = version.max(*newest);
        for item in results {
            let (before, now) = waiting.add(item);
            self.bytes = self.bytes + now - before;
        }
    }

    fn forget(&mut self, id: SubId) {
        let waiting = self.update.as_mut().and_then(|(_, waiting)| waiting.remove(id));
        self.bytes -= waiting.map_or(0, |item| item.size());
    }
}

/// The frame of an update.
fn frame(version: u64, results: Results) -> Text {
    match results.only() {
        Ok(Item { id, hash, json, content: Content::Whole }) => {
            let head = format!(
                r#"{{"op":"update","version":{version},"results":[{{"id":{id},"hash":"{hash}","data":"#
            );
            Text { head, shared: Some(json), tail: "}]}" }
        }
        Ok(item) => render(version, &[item]).into(),
        Err(several) => render(version, &several).into(),
    }
}

fn render(version: u64, items: &[Item]) -> String {
    let size: usize = items.iter().map(|item| item.size() + 80).sum();
    let mut text = String::with_capacity(size + 48);
    let _ = write!(text, r#"{{"op":"update","version":{version},"results":["#);
    for (i, Item { id, hash, json, content }) in items.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        let _ = write!(text, r#"{comma}{{"id":{id},"hash":"{hash}","#);
        match content {
            Content::Whole => text.extend([r#""data":"#, json]),
            Content::Unchanged => text.push_str(r#""unchanged":true"#),
            Content::Patched(steps) => {
                text.push_str(r#""delta":["#);
                for (i, step) in steps.iter().enumerate() {
                    text.extend([if i == 0 { "" } else { "," }, &step.operations]);
                }
                text.push(']');
            }
        }
        text.push('}');
    }
    text.push_str("]}");
    text
}

#[cfg(test)]
mod tests {
    use super::super::entry::Sub;
    use super::super::event::Data;
    use super::*;

    fn update(version: u64, results: &[(SubId, &str)]) -> Frame {
        let item = |(id, json): &(SubId, &str)| Item::new(*id, &Data::new(*json), Content::Whole);
        Frame::Update { version, results: results.iter().map(item).collect() }
    }

    fn next_text(queue: &mut Queue) -> Text {
        match queue.pop() {
            Some(Next::Text(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    fn next_update(queue: &mut Queue) -> serde_json::Value {
        serde_json::from_str(&next_text(queue).pieces().concat()).unwrap()
    }

    #[test]
    fn sockets_share_a_result_and_not_its_number_or_version() {
        let data = Data::new("[1,2,3]");
        let deflated = data.json.deflated().unwrap().as_ptr();
        for (version, id) in [(1, 1), (2, 7)] {
            let mut queue = Queue::new(1_000);
            let item = Item::new(id, &data, Content::Whole);
            queue.frame(Frame::Update { version, results: [item].into_iter().collect() });
            let text = next_text(&mut queue);
            assert!(std::ptr::eq(text.pieces()[1], &**data.json));
            let frame: serde_json::Value = serde_json::from_str(&text.pieces().concat()).unwrap();
            let result = serde_json::json!({ "id": id, "hash": data.hash.to_string(), "data": [1, 2, 3] });
            let whole = serde_json::json!({ "op": "update", "version": version, "results": [result] });
            assert_eq!(frame, whole);
            assert_eq!(text.len(), text.pieces().concat().len());
            let shared = text.into_pieces().1.unwrap();
            assert_eq!(shared.deflated().unwrap().as_ptr(), deflated, "compressed once");
        }
    }

    #[test]
    fn of_many_pings_the_last_is_answered_and_before_what_waits() {
        let mut queue = Queue::new(1_000);
        queue.text("waits".to_owned());
        (0..10_000_u32).for_each(|n| queue.reply(n.to_le_bytes().to_vec()));
        assert_eq!(queue.pop(), Some(Next::Reply(9_999_u32.to_le_bytes().to_vec())));
        assert_eq!(next_text(&mut queue).pieces()[0], "waits");
        assert_eq!(queue.pop(), None);
    }

    #[test]
    fn only_the_newest_result_of_a_subscription_waits() {
        let mut queue = Queue::new(1_000);
        queue.frame(update(1, &[(1, "\"a\""), (2, "\"b\"")]));
        queue.frame(update(2, &[(1, "\"c\"")]));
        let frame = next_update(&mut queue);
        assert_eq!(frame["version"], 2);
        assert_eq!(frame["results"][0]["data"], "c");
        assert_eq!(frame["results"][1]["data"], "b");
    }

    /// What a client has after `frame`.
    fn apply(held: &mut serde_json::Value, frame: &serde_json::Value) {
        let result = &frame["results"][0];
        match result.get("delta") {
            Some(delta) => {
                let patch: json_patch::Patch = serde_json::from_value(delta.clone()).unwrap();
                json_patch::patch(held, &patch).unwrap();
            }
            None => *held = result["data"].clone(),
        }
    }

    #[test]
    fn a_client_that_falls_behind_gets_the_differences_from_what_it_has() {
        let mut queue = Queue::new(100_000);
        let data = |ns: &[u32]| {
            let row = |n: &u32| serde_json::json!({ "id": n, "pad": "x".repeat(50) });
            Data::new(ns.iter().map(row).collect::<serde_json::Value>().to_string())
        };
        let steps: [&[u32]; 5] = [&[1, 2, 3], &[1, 2, 3, 4], &[2, 3, 4], &[2, 3, 4, 5], &[5]];
        let mut sub = Sub {
            caller: forge_core::Caller::default(),
            delta: true,
            has: None,
            answered: false,
            holds: false,
            told: None,
        };
        let mut before: Option<Data> = None;
        let mut held = serde_json::Value::Null;
        let mut patched = 0;
        for (version, step) in steps.into_iter().enumerate() {
            let next = match &before {
                Some(before) => data(step).after(before),
                None => data(step),
            };
            let results = sub.take(1, &next).into_iter().collect();
            queue.frame(Frame::Update { version: version as u64, results });
            before = Some(next);
            // The second and third wait for the fourth.
            if matches!(version, 0 | 3 | 4) {
                let frame = next_update(&mut queue);
                apply(&mut held, &frame);
                assert_eq!(
                    held,
                    serde_json::from_str::<serde_json::Value>(&before.as_ref().unwrap().json).unwrap()
                );
                patched += usize::from(frame["results"][0].get("delta").is_some());
            }
        }
        assert_eq!(patched, 1, "the three steps in between, in one frame");
    }

    #[test]
    fn nothing_arrives_of_a_subscription_that_ended() {
        let mut queue = Queue::new(1_000);
        queue.frame(update(1, &[(1, "1")]));
        queue.frame(Frame::Unsubscribed { id: 1 });
        assert_eq!(next_update(&mut queue)["op"], "unsubscribed");
        assert_eq!(next_update(&mut queue)["results"].as_array().unwrap().len(), 0);
    }

    #[test]
    fn a_socket_that_lets_frames_pile_up_is_closed() {
        let mut queue = Queue::new(100);
        queue.frame(update(1, &[(1, &format!("\"{}\"", "x".repeat(200)))]));
        queue.text("y".repeat(200));
        queue.text("z".to_owned());
        assert_eq!(queue.pop(), Some(Next::Close(Closing::TooSlow)));
    }

    #[test]
    fn one_large_frame_is_no_pile() {
        let mut queue = Queue::new(100);
        queue.frame(update(1, &[(1, &format!("\"{}\"", "x".repeat(200)))]));
        queue.close(Closing::GoingAway);
        assert!(matches!(queue.pop(), Some(Next::Text(_))));
        assert_eq!(queue.pop(), Some(Next::Close(Closing::GoingAway)));
    }
}
