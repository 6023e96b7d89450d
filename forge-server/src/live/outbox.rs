//! What waits for one socket: bounded, and for each subscription only its newest result.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use forge_core::Result;
use tokio::sync::Notify;

use super::event::{Content, Frame, Item, SubId};
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

/// Something to send.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outgoing {
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
    pub(crate) fn pieces(&self) -> [&str; 3] {
        [&self.head, self.shared.as_ref().map_or("", |shared| shared), self.tail]
    }

    /// The piece that others send as well.
    pub(crate) fn shared(&self) -> Option<&Shared> {
        self.shared.as_deref()
    }

    /// The length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.pieces().iter().map(|piece| piece.len()).sum()
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

/// The queue of one socket.
#[derive(Debug)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    filled: Notify,
    limit: usize,
}

#[derive(Debug, Default)]
struct State {
    /// The newest reply: of several pings, the last is answered (RFC 6455, 5.5.3).
    reply: Option<Vec<u8>>,
    texts: VecDeque<Text>,
    update: Option<(u64, BTreeMap<SubId, Item>)>,
    bytes: usize,
    closing: Option<Closing>,
}

impl Outbox {
    /// An empty queue for at most about `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { state: Mutex::default(), filled: Notify::new(), limit }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, unless the socket is to be closed: nothing is added then.
    fn open_state(&self) -> Option<MutexGuard<'_, State>> {
        Some(self.state()).filter(|state| state.closing.is_none())
    }

    /// How many bytes wait.
    pub(crate) fn bytes(&self) -> usize {
        self.state().bytes
    }

    /// Adds a text frame; others may have the same bytes.
    pub(crate) fn text(&self, text: impl Into<Text>) {
        let Some(mut state) = self.open_state() else { return };
        state.push(text);
        self.filled(state);
    }

    /// Adds what the protocol itself answers a client, in place of an earlier such that still waits.
    pub(crate) fn reply(&self, bytes: &[u8]) {
        let Some(mut state) = self.open_state() else { return };
        state.reply = Some(bytes.to_vec());
        self.filled(state);
    }

    /// Adds a frame of the live-query machine. Results that still wait are replaced by newer ones of the same
    /// subscription, and dropped where it ended or failed.
    pub(crate) fn frame(&self, frame: Frame) {
        let Some(mut state) = self.open_state() else { return };
        match frame {
            Frame::Update { version, results } => state.merge(version, results),
            Frame::Error { id, error } => {
                state.forget(id);
                state.push(protocol::error(Some(id), &error));
            }
            Frame::Unsubscribed { id } => {
                state.forget(id);
                state.push(protocol::unsubscribed(id));
            }
            Frame::Ready { session, version } => state.push(protocol::ready(&session, version)),
            Frame::Retracted { id } => state.forget(id),
        }
        self.filled(state);
    }

    fn filled(&self, mut state: MutexGuard<'_, State>) {
        // A single frame may be larger than the limit: what matters is that they do not pile up.
        if state.bytes > self.limit && state.len() > 1 {
            *state = State { closing: Some(Closing::TooSlow), ..State::default() };
        }
        drop(state);
        self.filled.notify_one();
    }

    /// Ends the socket once what waits is sent. The first reason stays.
    pub(crate) fn close(&self, reason: Closing) {
        let mut state = self.state();
        if reason == Closing::ByClient {
            // Nobody reads what comes behind the answer.
            *state = State { reply: state.reply.take(), closing: state.closing, ..State::default() };
        }
        state.closing.get_or_insert(reason);
        drop(state);
        self.filled.notify_one();
    }

    /// The next thing to send, once there is one. For one reader.
    pub(crate) async fn next(&self) -> Outgoing {
        loop {
            if let Some(outgoing) = self.state().pop() {
                return outgoing;
            }
            self.filled.notified().await;
        }
    }

    /// The next thing to send, if there is one.
    #[cfg(test)]
    pub(crate) fn try_next(&self) -> Option<Outgoing> {
        self.state().pop()
    }
}

impl State {
    fn len(&self) -> usize {
        self.texts.len() + self.update.as_ref().map_or(0, |(_, items)| items.len())
    }

    fn push(&mut self, text: impl Into<Text>) {
        let text = text.into();
        self.bytes += text.len();
        self.texts.push_back(text);
    }

    fn merge(&mut self, version: u64, results: Vec<Item>) {
        let (newest, items) = self.update.get_or_insert_default();
        *newest = version.max(*newest);
        for item in results {
            let item = match items.remove(&item.id) {
                Some(earlier) => {
                    self.bytes -= earlier.size();
                    item.in_place_of(earlier)
                }
                None => item,
            };
            self.bytes += item.size();
            items.insert(item.id, item);
        }
    }

    fn forget(&mut self, id: SubId) {
        if let Some(old) = self.update.as_mut().and_then(|(_, items)| items.remove(&id)) {
            self.bytes -= old.size();
        }
    }

    fn pop(&mut self) -> Option<Outgoing> {
        if let Some(reply) = self.reply.take() {
            return Some(Outgoing::Reply(reply));
        }
        if let Some(text) = self.texts.pop_front() {
            self.bytes = self.bytes.saturating_sub(text.len());
            return Some(Outgoing::Text(text));
        }
        if let Some((version, items)) = self.update.take() {
            self.bytes = 0;
            return Some(Outgoing::Text(frame(version, &items)));
        }
        self.closing.map(Outgoing::Close)
    }
}

/// The frame of an update.
fn frame(version: u64, items: &BTreeMap<SubId, Item>) -> Text {
    match items.first_key_value() {
        Some((id, Item { data, content: Content::Whole, .. })) if items.len() == 1 => {
            let hash = &data.hash;
            let head = format!(
                r#"{{"op":"update","version":{version},"results":[{{"id":{id},"hash":"{hash}","data":"#
            );
            Text { head, shared: Some(data.json.clone()), tail: "}]}" }
        }
        _ => render(version, items.values()).into(),
    }
}

fn render<'a>(version: u64, items: impl Iterator<Item = &'a Item> + Clone) -> String {
    let size: usize = items.clone().map(|item| item.size() + 80).sum();
    let mut text = String::with_capacity(size + 48);
    let _ = write!(text, r#"{{"op":"update","version":{version},"results":["#);
    for (i, Item { id, data, content }) in items.enumerate() {
        let comma = if i == 0 { "" } else { "," };
        let _ = write!(text, r#"{comma}{{"id":{id},"hash":"{}","#, data.hash);
        match content {
            Content::Whole => text.extend([r#""data":"#, &data.json]),
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
        let item =
            |(id, json): &(SubId, &str)| Item { id: *id, data: Data::new(*json), content: Content::Whole };
        Frame::Update { version, results: results.iter().map(item).collect() }
    }

    async fn next_text(outbox: &Outbox) -> Text {
        match outbox.next().await {
            Outgoing::Text(text) => text,
            other => panic!("{other:?}"),
        }
    }

    async fn next_update(outbox: &Outbox) -> serde_json::Value {
        serde_json::from_str(&next_text(outbox).await.pieces().concat()).unwrap()
    }

    #[tokio::test]
    async fn sockets_share_a_result_and_not_its_number_or_version() {
        let data = Data::new("[1,2,3]");
        let deflated = data.json.deflated().unwrap().as_ptr();
        for (version, id) in [(1, 1), (2, 7)] {
            let outbox = Outbox::new(1_000);
            let item = Item { id, data: data.clone(), content: Content::Whole };
            outbox.frame(Frame::Update { version, results: vec![item] });
            let text = next_text(&outbox).await;
            assert!(std::ptr::eq(text.pieces()[1], &**data.json));
            assert_eq!(text.shared().unwrap().deflated().unwrap().as_ptr(), deflated, "compressed once");
            let frame: serde_json::Value = serde_json::from_str(&text.pieces().concat()).unwrap();
            let result = serde_json::json!({ "id": id, "hash": &*data.hash, "data": [1, 2, 3] });
            let whole = serde_json::json!({ "op": "update", "version": version, "results": [result] });
            assert_eq!(frame, whole);
            assert_eq!(text.len(), text.pieces().concat().len());
        }
    }

    #[tokio::test]
    async fn of_many_pings_the_last_is_answered_and_before_what_waits() {
        let outbox = Outbox::new(1_000);
        outbox.text("waits".to_owned());
        (0..10_000_u32).for_each(|n| outbox.reply(&n.to_le_bytes()));
        assert_eq!(outbox.next().await, Outgoing::Reply(9_999_u32.to_le_bytes().to_vec()));
        assert_eq!(next_text(&outbox).await.pieces()[0], "waits");
        assert_eq!(outbox.try_next(), None);
    }

    #[tokio::test]
    async fn only_the_newest_result_of_a_subscription_waits() {
        let outbox = Outbox::new(1_000);
        outbox.frame(update(1, &[(1, "\"a\""), (2, "\"b\"")]));
        outbox.frame(update(2, &[(1, "\"c\"")]));
        let frame = next_update(&outbox).await;
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

    #[tokio::test]
    async fn a_client_that_falls_behind_gets_the_differences_from_what_it_has() {
        let outbox = Outbox::new(100_000);
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
            let results = vec![sub.take(1, &next).unwrap()];
            outbox.frame(Frame::Update { version: version as u64, results });
            before = Some(next);
            // The second and third wait for the fourth.
            if matches!(version, 0 | 3 | 4) {
                let frame = next_update(&outbox).await;
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

    #[tokio::test]
    async fn nothing_arrives_of_a_subscription_that_ended() {
        let outbox = Outbox::new(1_000);
        outbox.frame(update(1, &[(1, "1")]));
        outbox.frame(Frame::Unsubscribed { id: 1 });
        assert_eq!(next_update(&outbox).await["op"], "unsubscribed");
        assert_eq!(next_update(&outbox).await["results"].as_array().unwrap().len(), 0);
    }

    #[tokio::test]
    async fn a_socket_that_lets_frames_pile_up_is_closed() {
        let outbox = Outbox::new(100);
        outbox.frame(update(1, &[(1, &format!("\"{}\"", "x".repeat(200)))]));
        outbox.text("y".repeat(200));
        outbox.text("z".to_owned());
        assert_eq!(outbox.next().await, Outgoing::Close(Closing::TooSlow));
    }

    #[tokio::test]
    async fn one_large_frame_is_no_pile() {
        let outbox = Outbox::new(100);
        outbox.frame(update(1, &[(1, &format!("\"{}\"", "x".repeat(200)))]));
        outbox.close(Closing::GoingAway);
        assert!(matches!(outbox.next().await, Outgoing::Text(_)));
        assert_eq!(outbox.next().await, Outgoing::Close(Closing::GoingAway));
    }
}
