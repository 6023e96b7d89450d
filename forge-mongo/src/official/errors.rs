//! The driver's errors, as Forge's codes with one clear line each.

use bson::RawDocument;
use forge_core::error::Retry;
use forge_core::{Error, ErrorCode};
use mongodb::error::{
    Error as DriverError, ErrorKind, TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT,
    WriteFailure,
};

use crate::faults;
use crate::refusal::Refusal;

pub(super) use crate::faults::NEEDS_REPLICA_SET;

const DUPLICATE_KEY: i32 = crate::artifact::DUPLICATE_KEY;

/// The error without what only the server can tell about duplicate keys: see [`duplicate`].
pub(super) fn map(error: DriverError) -> Error {
    let mapped = match kind(&error) {
        Kind::Known(code, message) => Error::new(code, message),
        Kind::Other => Error::internal(format!("the database failed: {}", text_of(&error))),
    };
    let retry = if error.contains_label(TRANSIENT_TRANSACTION_ERROR) {
        Retry::Transaction
    } else if error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT) {
        Retry::Commit
    } else if code_of(&error) == Some(112) {
        Retry::Transaction
    } else {
        Retry::Never
    };
    let mapped = match code_of(&error) {
        Some(code) => mapped.with_server_code(code),
        None => mapped,
    };
    mapped.with_retry(retry).with_source(error)
}

/// The error of an administrative command: with the server's code among its sources, and `unsupported` for a command or
/// an option that the server does not know.
pub(super) fn refused(error: DriverError) -> Error {
    let Some(code) = code_of(&error) else { return map(error) };
    let text = text_of(&error);
    let mapped = match kind(&error) {
        Kind::Known(known, message) => Error::new(known, message),
        Kind::Other if lacks_operator(code, &text) => {
            Error::unsupported(format!("the database does not know this: {text}"))
        }
        Kind::Other => Error::conflict(format!("the database refused this: {text}")),
    };
    mapped.with_source(Refusal::new(code).with_source(error))
}

enum Kind {
    Known(ErrorCode, String),
    Other,
}

fn kind(error: &DriverError) -> Kind {
    let known = |code, message: &str| Kind::Known(code, message.to_owned());
    match &*error.kind {
        ErrorKind::Shutdown => return known(ErrorCode::Unavailable, "the database client is closed"),
        ErrorKind::Authentication { .. } => return known(ErrorCode::Unauthorized, UNAUTHORIZED),
        ErrorKind::ServerSelection { .. } if !error.contains_label(TRANSIENT_TRANSACTION_ERROR) => {
            return known(ErrorCode::Unavailable, NO_SERVER);
        }
        ErrorKind::Io(_) | ErrorKind::ConnectionPoolCleared { .. } | ErrorKind::DnsResolve { .. } => {
            return known(
                ErrorCode::Unavailable,
                "the connection to the database broke, and the driver has tried again where that was safe; a write may or \
                 may not have happened",
            );
        }
        ErrorKind::SessionsNotSupported => return known(ErrorCode::Unsupported, NEEDS_REPLICA_SET),
        _ => {}
    }
    let text = text_of(error);
    match code_of(error) {
        Some(code) => by_code(code, &text, error),
        None if error.contains_label(TRANSIENT_TRANSACTION_ERROR) => known(ErrorCode::Conflict, CONFLICT),
        None => Kind::Other,
    }
}

const NO_SERVER: &str = "no server of the database can be reached now; is it running, and are the hosts, the name of the \
     replica set and tls right in the URL?";
const UNAUTHORIZED: &str = "the database refused the user name or password of its URL";
const CONFLICT: &str = "another transaction changed the same documents at the same time; try again";

fn by_code(code: i32, text: &str, error: &DriverError) -> Kind {
    match faults::find(code, text) {
        Some(fault) if fault.code == ErrorCode::Unsupported => Kind::Known(fault.code, fault.message(text)),
        // Whatever it is, the whole transaction is to be run again.
        _ if error.contains_label(TRANSIENT_TRANSACTION_ERROR) => {
            Kind::Known(ErrorCode::Conflict, CONFLICT.to_owned())
        }
        Some(fault) => Kind::Known(fault.code, fault.message(text)),
        None => Kind::Other,
    }
}

fn lacks_operator(code: i32, text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    code == 40324
        || ["unrecognized", "unknown", "not supported", "no such command", "not implemented"]
            .iter()
            .any(|sign| text.contains(sign))
}

/// The server's code, wherever the driver keeps it.
pub(super) fn code_of(error: &DriverError) -> Option<i32> {
    match &*error.kind {
        ErrorKind::Command(command) => Some(command.code),
        ErrorKind::Write(WriteFailure::WriteError(write)) => Some(write.code),
        ErrorKind::Write(WriteFailure::WriteConcernError(concern)) => Some(concern.code),
        ErrorKind::InsertMany(insert) => insert
            .write_errors
            .iter()
            .flatten()
            .map(|write| write.code)
            .next()
            .or_else(|| insert.write_concern_error.as_ref().map(|concern| concern.code)),
        _ => None,
    }
}

/// The server's own words, without the driver's wrapping.
fn text_of(error: &DriverError) -> String {
    match &*error.kind {
        ErrorKind::Command(command) => command.message.clone(),
        ErrorKind::Write(WriteFailure::WriteError(write)) => write.message.clone(),
        ErrorKind::Write(WriteFailure::WriteConcernError(concern)) => concern.message.clone(),
        kind => kind.to_string(),
    }
}

/// What a failure says about the unique index it hit.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Duplicate {
    /// The paths of the index, where the answer names them.
    pub(super) paths: Vec<String>,
    /// The name of the index, where only the message tells.
    pub(super) index: Option<String>,
}

/// What `error` says about the unique index it hit; none where that is not what happened.
pub(super) fn duplicate(error: &DriverError) -> Option<Duplicate> {
    if code_of(error) != Some(DUPLICATE_KEY) {
        return None;
    }
    let paths = error.server_response().map(|response| key_pattern(response)).unwrap_or_default();
    let index = if paths.is_empty() { index_name(&text_of(error)) } else { None };
    Some(Duplicate { paths, index })
}

/// The paths in the `keyPattern` of a reply or of its first write error.
fn key_pattern(response: &RawDocument) -> Vec<String> {
    let own = response.get_document("keyPattern").ok();
    let pattern = own.or_else(|| {
        let first = response.get_array("writeErrors").ok()?.get_document(0).ok()?;
        first.get_document("keyPattern").ok()
    });
    let paths = pattern.into_iter().flat_map(|pattern| pattern.iter().flatten());
    paths.map(|(path, _)| path.as_str().to_owned()).collect()
}

/// The name of the index in `E11000 duplicate key error collection: db.c index: NAME dup key: { … }`.
pub(super) fn index_name(message: &str) -> Option<String> {
    // The values come last, so nothing that a client wrote stands before the name.
    let (_, rest) = message.split_once(" index: ")?;
    let (name, _) = rest.split_once(" dup key")?;
    Some(name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::rawdoc;

    #[test]
    fn the_index_name_is_read_before_any_value() {
        let message = r#"E11000 duplicate key error collection: t.a index: email_1 dup key: { email: "x index: y dup key" }"#;
        assert_eq!(index_name(message).as_deref(), Some("email_1"));
        assert_eq!(index_name("something else"), None);
    }

    #[test]
    fn key_patterns_are_found_in_replies_and_write_errors() {
        let command = rawdoc! { "code": 11000, "keyPattern": { "state": 1, "city": 1 } };
        assert_eq!(key_pattern(&command), ["state", "city"]);
        let write = rawdoc! { "writeErrors": [{ "index": 0, "code": 11000, "keyPattern": { "email": 1 } }] };
        assert_eq!(key_pattern(&write), ["email"]);
        assert_eq!(key_pattern(&rawdoc! {}), [""; 0]);
    }

    #[test]
    fn missing_operators_are_unsupported_by_name_and_bad_values_are_not() {
        let error = DriverError::custom(());
        let code = |code, text: &str| match by_code(code, text, &error) {
            Kind::Known(code, message) => Some((code, message.contains(text))),
            Kind::Other => None,
        };
        assert_eq!(
            code(40324, "Unrecognized pipeline stage name: '$foo'"),
            Some((ErrorCode::Unsupported, true))
        );
        assert_eq!(code(2, "unknown operator: $foo"), Some((ErrorCode::Unsupported, true)));
        assert_eq!(code(2, "$size must be a whole number"), Some((ErrorCode::BadRequest, true)));
        assert_eq!(code(8_000, "something else"), None);
        assert_eq!(code(50, "operation exceeded time limit"), Some((ErrorCode::Timeout, false)));
        assert_eq!(code(112, "WriteConflict"), Some((ErrorCode::Conflict, false)));
        let standalone = "Transaction numbers are only allowed on a replica set member or mongos";
        assert_eq!(code(20, standalone), Some((ErrorCode::Unsupported, false)));
    }
}
