//! The frames of the WebSocket protocol, version 1: one JSON object each.

use std::time::Duration;

use forge_core::{Error, Result};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::json;
use crate::live::event::SubId;

/// The largest number that JavaScript holds exactly.
const MAX_ID: u64 = (1 << 53) - 1;

/// A frame from a client.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Request {
    /// Says who the client is.
    Auth {
        /// The token; none to be anonymous again.
        #[serde(default)]
        token: Option<String>,
    },
    /// Starts a live query.
    Subscribe {
        /// The client's number for it.
        id: SubId,
        /// The handler.
        query: String,
        /// Its arguments.
        #[serde(default)]
        args: Map<String, Value>,
        /// The hash of the result that the client has already.
        #[serde(default)]
        hash: Option<String>,
        /// Whether the client takes `delta` in place of `data`. Whole results are always allowed.
        #[serde(default)]
        delta: bool,
        /// By how much the window is longer than its first page, where the client had loaded more before.
        #[serde(default)]
        more: u64,
        /// The same at the start of the window.
        #[serde(default)]
        before: u64,
    },
    /// Ends a live query.
    Unsubscribe {
        /// Its number.
        id: SubId,
    },
    /// Calls a mutation.
    Mutate {
        /// The client's number for the call.
        id: SubId,
        /// The handler.
        mutation: String,
        /// Its arguments.
        #[serde(default)]
        args: Map<String, Value>,
        /// The idempotency key.
        #[serde(default)]
        key: Option<String>,
    },
    /// Runs a query once.
    Query {
        /// The client's number for the call.
        id: SubId,
        /// The handler.
        query: String,
        /// Its arguments.
        #[serde(default)]
        args: Map<String, Value>,
    },
    /// Calls a service.
    Call {
        /// The client's number for the call.
        id: SubId,
        /// The path of the service.
        service: String,
        /// The method.
        method: String,
        /// The id of the document; none where many are meant.
        #[serde(default)]
        document: Option<Value>,
        /// What is sent.
        #[serde(default)]
        data: Option<Value>,
        /// The query.
        #[serde(default)]
        query: Map<String, Value>,
    },
    /// Asks for a longer window of a live query.
    Page {
        /// The number of the live query.
        id: SubId,
        /// How many more at its end.
        #[serde(default)]
        more: u64,
        /// How many more at its start.
        #[serde(default)]
        before: u64,
    },
}

/// What is wrong with a frame, and whose call it was, where that can be told.
#[derive(Debug)]
pub(crate) struct Malformed {
    pub(crate) id: Option<SubId>,
    pub(crate) error: Error,
}

/// Reads a frame.
pub(crate) fn parse(text: &str, max_depth: usize) -> Result<Request, Malformed> {
    let anonymous = |error| Malformed { id: None, error };
    let value = json::parse(text.as_bytes(), "the frame", max_depth).map_err(anonymous)?;
    if !value.is_object() {
        let message = format!("a frame must be a JSON object with \"op\", not {}", json::kind(&value));
        return Err(anonymous(Error::bad_request(message)));
    }
    let id = value.get("id").and_then(Value::as_u64).filter(|id| *id <= MAX_ID);
    if value.get("id").is_some() && id.is_none() {
        return Err(anonymous(Error::bad_request("id must be a whole number from 0 to 2^53 - 1")));
    }
    serde_json::from_value(value).map_err(|error| Malformed {
        id,
        error: Error::bad_request(format!("the frame is not understood: {error}")),
    })
}

/// The first frame of a session, and the answer to `auth`.
pub(crate) fn ready(session: &str, version: u64) -> String {
    json!({ "op": "ready", "session": session, "version": version }).to_string()
}

/// The last frame before the server closes a socket because it stops.
pub(crate) fn closing(reconnect_after: Duration) -> String {
    json!({ "op": "closing", "reconnectAfter": u64::try_from(reconnect_after.as_millis()).unwrap_or(u64::MAX) }).to_string()
}

/// The answer to a query.
pub(crate) fn result(id: SubId, data: &str) -> String {
    format!(r#"{{"op":"result","id":{id},"data":{data}}}"#)
}

/// The answer to a mutation.
pub(crate) fn mutated(id: SubId, version: u64, data: &str) -> String {
    format!(r#"{{"op":"result","id":{id},"version":{version},"data":{data}}}"#)
}

/// An event of a service. `data` is JSON.
pub(crate) fn event(service: &str, event: &str, data: &str) -> String {
    let (service, event) = (Value::from(service), Value::from(event));
    format!(r#"{{"op":"event","service":{service},"event":{event},"data":{data}}}"#)
}

/// The end of a subscription.
pub(crate) fn unsubscribed(id: SubId) -> String {
    format!(r#"{{"op":"unsubscribed","id":{id}}}"#)
}

/// A failure.
pub(crate) fn error(id: Option<SubId>, error: &Error) -> String {
    error_body(id, &crate::calls::error_body(error))
}

/// A failure, as the body that HTTP answers with.
pub(crate) fn error_body(id: Option<SubId>, body: &str) -> String {
    match id {
        Some(id) => format!(r#"{{"op":"error","id":{id},"error":{body}}}"#),
        None => format!(r#"{{"op":"error","error":{body}}}"#),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> (Option<SubId>, String) {
        let malformed = parse(text, 8).unwrap_err();
        assert_eq!(malformed.error.code(), forge_core::ErrorCode::BadRequest, "{text}");
        (malformed.id, malformed.error.to_string())
    }

    #[test]
    fn frames_of_the_protocol_are_read() {
        let frame =
            parse(r#"{"op":"subscribe","id":1,"query":"delayed","args":{"state":"TX"},"delta":true}"#, 8);
        assert!(matches!(frame, Ok(Request::Subscribe { id: 1, .. })), "{frame:?}");
        assert!(matches!(parse(r#"{"op":"auth","token":null}"#, 8), Ok(Request::Auth { .. })));
        assert_eq!(parse(r#"{"op":"unsubscribe","id":7}"#, 8).unwrap(), Request::Unsubscribe { id: 7 });
    }

    #[test]
    fn whatever_is_wrong_is_told_with_the_id_where_there_is_one() {
        for text in
            ["null", "[]", "7", "\"x\"", "", "{", "{\"op\":7}", "{}", "{\"op\":\"subscribe\",\"id\":-1}"]
        {
            assert_eq!(refusal(text).0, None, "{text}");
        }
        let (id, message) = refusal(r#"{"op":"mutate","id":3,"mutation":"x","arguments":{}}"#);
        assert_eq!(id, Some(3));
        assert!(message.contains("arguments"), "{message}");
        assert_eq!(refusal(r#"{"op":"query","id":4,"query":"x","args":[]}"#).0, Some(4));
        assert_eq!(refusal(r#"{"op":"drop","id":5}"#).0, Some(5));
    }

    #[test]
    fn answers_are_json() {
        for text in [
            ready("s", 1),
            result(1, "[]"),
            mutated(1, 2, "null"),
            unsubscribed(3),
            event("a\"b", "created", "[]"),
            closing(Duration::from_millis(7)),
            error(None, &Error::bad_request("a \"quote\"")),
            error(Some(1), &Error::internal("secret")),
        ] {
            let value: Value = serde_json::from_str(&text).unwrap();
            assert!(value["op"].is_string());
            assert!(!text.contains("secret"));
        }
    }
}
