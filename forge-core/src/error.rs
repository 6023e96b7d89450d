//! The one error type of Forge: a stable code, a short message for clients, a source for logs.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The result of every fallible Forge call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Messages by the path of the value they are about: `{"legs.0.distance": ["must be at least 1"]}`.
pub type Messages = BTreeMap<String, Vec<String>>;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// What kind of thing went wrong. The names are part of the wire protocol and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorCode {
    /// The document, handler or route does not exist, or the caller may not know that it does.
    NotFound,
    /// A unique index already holds the value.
    UniqueViolation,
    /// The value breaks a rule of its model or handler.
    Validation,
    /// Other documents still refer to the one being deleted.
    Restricted,
    /// Somebody else changed the same thing at the same time, or a key was reused for something else.
    Conflict,
    /// The request cannot be understood.
    BadRequest,
    /// The caller is not known.
    Unauthorized,
    /// The caller is known and may not do this.
    Forbidden,
    /// The engine or server lacks the feature that the message names.
    Unsupported,
    /// The time allowed for the work ran out.
    Timeout,
    /// The request, document or result is over a limit.
    TooLarge,
    /// The database or another part needed for the answer cannot be reached now; retrying may help.
    Unavailable,
    /// A defect. The message says no more to clients; the log does.
    Internal,
}

impl ErrorCode {
    /// Every code, in the order of the documentation.
    pub const ALL: [ErrorCode; 13] = [
        ErrorCode::NotFound,
        ErrorCode::UniqueViolation,
        ErrorCode::Validation,
        ErrorCode::Restricted,
        ErrorCode::Conflict,
        ErrorCode::BadRequest,
        ErrorCode::Unauthorized,
        ErrorCode::Forbidden,
        ErrorCode::Unsupported,
        ErrorCode::Timeout,
        ErrorCode::TooLarge,
        ErrorCode::Unavailable,
        ErrorCode::Internal,
    ];

    /// The stable name, as it travels: `"unique_violation"`.
    pub const fn as_str(self) -> &'static str {
        match self {
            ErrorCode::NotFound => "not_found",
            ErrorCode::UniqueViolation => "unique_violation",
            ErrorCode::Validation => "validation",
            ErrorCode::Restricted => "restricted",
            ErrorCode::Conflict => "conflict",
            ErrorCode::BadRequest => "bad_request",
            ErrorCode::Unauthorized => "unauthorized",
            ErrorCode::Forbidden => "forbidden",
            ErrorCode::Unsupported => "unsupported",
            ErrorCode::Timeout => "timeout",
            ErrorCode::TooLarge => "too_large",
            ErrorCode::Unavailable => "unavailable",
            ErrorCode::Internal => "internal",
        }
    }

    /// The HTTP status that answers carry with this code.
    pub const fn http_status(self) -> u16 {
        match self {
            ErrorCode::NotFound => 404,
            ErrorCode::UniqueViolation | ErrorCode::Restricted | ErrorCode::Conflict => 409,
            ErrorCode::Validation => 422,
            ErrorCode::BadRequest => 400,
            ErrorCode::Unauthorized => 401,
            ErrorCode::Forbidden => 403,
            ErrorCode::Unsupported => 501,
            ErrorCode::Timeout => 504,
            ErrorCode::TooLarge => 413,
            ErrorCode::Unavailable => 503,
            ErrorCode::Internal => 500,
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is known about an error beyond its code and message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Details {
    /// Nothing more.
    #[default]
    None,
    /// Which values broke which rules.
    Validation(Messages),
    /// Which field of what a client sent does not fit.
    Field {
        /// Its path, by the names that clients use.
        path: String,
        /// What it breaks, as JSON Schema calls it: `type`, `required`, `additionalProperties`.
        keyword: &'static str,
        /// What it must be, as the end of a sentence: `must be a number`.
        message: String,
    },
    /// Which unique index was hit.
    Unique {
        /// The model or, where no model is known, the collection.
        model: String,
        /// The stored paths of the index, in its order.
        fields: Vec<String>,
    },
    /// A document has another version than the one that was read.
    Version {
        /// The model.
        model: String,
        /// The id of the document.
        id: String,
        /// The version that was read.
        expected: i64,
        /// The version that it has now.
        found: i64,
    },
    /// Which relation still refers to the document.
    Restricted {
        /// The referring relation, as `Model.relation`.
        relation: String,
        /// How many documents refer to it.
        count: u64,
    },
}

/// How the transaction machinery may treat a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Retry {
    /// Trying again would fail again, or might apply twice.
    #[default]
    Never,
    /// The whole transaction may be run again (`TransientTransactionError`).
    Transaction,
    /// Only the commit may be sent again (`UnknownTransactionCommitResult`).
    Commit,
}

struct Inner {
    code: ErrorCode,
    message: Cow<'static, str>,
    details: Details,
    retry: Retry,
    server_code: Option<i32>,
    source: Option<Source>,
}

/// The error of every Forge call: [`code`](Error::code), a message for clients, and a source for logs.
///
/// ```
/// use forge_core::{Error, ErrorCode};
///
/// let error = Error::bad_request("argument `minutes` is missing");
/// assert_eq!(error.code(), ErrorCode::BadRequest);
/// assert_eq!(error.to_string(), "argument `minutes` is missing");
/// ```
pub struct Error(Box<Inner>);

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $code:ident;)*) => {
        $($(#[$doc])*
        pub fn $name(message: impl Into<Cow<'static, str>>) -> Self {
            Self::new(ErrorCode::$code, message)
        })*
    };
}

impl Error {
    /// An error with this code and a message that clients may read.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            code,
            message: message.into(),
            details: Details::None,
            retry: Retry::Never,
            server_code: None,
            source: None,
        }))
    }

    constructors! {
        /// [`ErrorCode::NotFound`].
        not_found => NotFound;
        /// [`ErrorCode::Conflict`].
        conflict => Conflict;
        /// [`ErrorCode::BadRequest`].
        bad_request => BadRequest;
        /// [`ErrorCode::Unauthorized`].
        unauthorized => Unauthorized;
        /// [`ErrorCode::Forbidden`].
        forbidden => Forbidden;
        /// [`ErrorCode::Unsupported`]: the message names the operator or feature.
        unsupported => Unsupported;
        /// [`ErrorCode::Timeout`].
        timeout => Timeout;
        /// [`ErrorCode::TooLarge`].
        too_large => TooLarge;
        /// [`ErrorCode::Unavailable`].
        unavailable => Unavailable;
        /// [`ErrorCode::Internal`]: the message is for the log; clients read a fixed sentence.
        internal => Internal;
    }

    /// A validation failure. The message joins every path: `Validation failed for Flight.insert: delay: …; …`.
    pub fn validation(operation: &str, messages: Messages) -> Self {
        use fmt::Write as _;
        let mut text = format!("Validation failed for {operation}: ");
        for (i, (path, list)) in messages.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            let _ = write!(text, "{separator}{path}: {}", list.join(", "));
        }
        Self::new(ErrorCode::Validation, text).with_details(Details::Validation(messages))
    }

    /// A unique index already holds the values of `fields`. The values themselves are not repeated.
    pub fn unique_violation(model: impl Into<String>, fields: Vec<String>) -> Self {
        let model = model.into();
        let text = format!("another {model} already has this {}", fields.join(", "));
        Self::new(ErrorCode::UniqueViolation, text).with_details(Details::Unique { model, fields })
    }

    /// The document was changed since it was read: it has the version `found`, not the `expected` one.
    pub fn version_conflict(model: &str, id: impl Into<String>, expected: i64, found: i64) -> Self {
        let (model, id) = (model.to_owned(), id.into());
        let text = format!(
            "the {model} {id} was changed by somebody else: expected version {expected}, found {found}"
        );
        Self::new(ErrorCode::Conflict, text).with_details(Details::Version { model, id, expected, found })
    }

    /// `count` documents refer to the one to be deleted through `relation` (`Model.relation`).
    pub fn restricted(model: &str, relation: impl Into<String>, count: u64) -> Self {
        let relation = relation.into();
        let text = format!(
            "cannot delete {model}: {count} {} to it through {relation}",
            if count == 1 { "document still refers" } else { "documents still refer" }
        );
        Self::new(ErrorCode::Restricted, text).with_details(Details::Restricted { relation, count })
    }

    /// The same error with `details`.
    pub fn with_details(mut self, details: Details) -> Self {
        self.0.details = details;
        self
    }

    /// The same error with the failure that caused it, for logs only.
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same error, marked with how a transaction may be retried.
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// The same error with the code that the database server gave, for logs and traces.
    pub fn with_server_code(mut self, code: i32) -> Self {
        self.0.server_code = Some(code);
        self
    }

    /// The code that the database server gave: 11000 for a duplicate key, 112 for a write conflict.
    pub fn server_code(&self) -> Option<i32> {
        self.0.server_code
    }

    /// The same error with `context` before its message: `loading airports: …`.
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.0.message = format!("{context}: {}", self.0.message).into();
        self
    }

    /// The stable code.
    pub fn code(&self) -> ErrorCode {
        self.0.code
    }

    /// The message, as logs see it.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The message that a client may read: a defect's own text stays in the log.
    pub fn public_message(&self) -> &str {
        match self.0.code {
            ErrorCode::Internal => {
                "an internal error occurred; the log has the details under this request id"
            }
            _ => &self.0.message,
        }
    }

    /// What is known beyond code and message.
    pub fn details(&self) -> &Details {
        &self.0.details
    }

    /// Whether the transaction or its commit may be tried again.
    pub fn retry(&self) -> Retry {
        self.0.retry
    }

    /// Path → messages, where the code is [`ErrorCode::Validation`].
    pub fn messages(&self) -> Option<&Messages> {
        match &self.0.details {
            Details::Validation(messages) => Some(messages),
            _ => None,
        }
    }

    /// The body that clients receive: `{code, message, errors?, …}`. Every transport uses this one.
    pub fn to_body(&self) -> ErrorBody<'_> {
        let (mut errors, mut model, mut fields, mut relation, mut count) = (None, None, None, None, None);
        match &self.0.details {
            Details::None | Details::Field { .. } => {}
            Details::Validation(messages) => errors = Some(messages),
            Details::Unique { model: m, fields: f } => {
                (model, fields) = (Some(m.as_str()), Some(f.as_slice()));
            }
            Details::Version { model: m, .. } => model = Some(m.as_str()),
            Details::Restricted { relation: r, count: c } => (relation, count) = (Some(r.as_str()), Some(*c)),
        }
        ErrorBody {
            code: self.0.code,
            message: self.public_message(),
            errors,
            model,
            fields,
            relation,
            count,
            request_id: None,
        }
    }
}

/// An error as it travels, in HTTP bodies and in WebSocket `error` frames.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ErrorBody<'a> {
    /// The stable code.
    pub code: ErrorCode,
    /// One sentence for a person.
    pub message: &'a str,
    /// Path → messages of a validation failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<&'a Messages>,
    /// The model of a unique violation, or of a document that was changed meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<&'a str>,
    /// The fields of a unique violation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fields: Option<&'a [String]>,
    /// The relation that restricts a delete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relation: Option<&'a str>,
    /// How many documents restrict it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// The id under which the log knows the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<&'a str>,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { code, message, details, retry, server_code, source } = &*self.0;
        let mut out = f.debug_struct("Error");
        out.field("code", &code.as_str()).field("message", message);
        if *details != Details::None {
            out.field("details", details);
        }
        if *retry != Retry::Never {
            out.field("retry", retry);
        }
        if let Some(server_code) = server_code {
            out.field("server_code", server_code);
        }
        if let Some(source) = source {
            out.field("source", source);
        }
        out.finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl From<bson::error::Error> for Error {
    fn from(source: bson::error::Error) -> Self {
        Error::internal(format!("BSON: {source}")).with_source(source)
    }
}

impl From<serde_json::Error> for Error {
    fn from(source: serde_json::Error) -> Self {
        Error::internal(format!("JSON: {source}")).with_source(source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validation_names_every_path_in_one_sentence() {
        let messages = Messages::from([
            ("delay".into(), vec!["must be at least 0".into()]),
            ("iata".into(), vec!["must have 3 characters".into()]),
        ]);
        let error = Error::validation("Flight.insert", messages);
        assert_eq!(
            error.to_string(),
            "Validation failed for Flight.insert: delay: must be at least 0; iata: must have 3 characters"
        );
    }

    #[test]
    fn internal_messages_do_not_reach_clients() {
        let error = Error::internal("secret path /x");
        assert!(!serde_json::to_string(&error.to_body()).unwrap().contains("secret"));
    }

    #[test]
    fn code_names_match_their_wire_form() {
        for code in ErrorCode::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
    }

    #[test]
    fn the_documentation_lists_every_code_with_its_status() {
        let page = include_str!("../../docs/errors.md");
        for code in ErrorCode::ALL {
            let row = format!("| `{code}` | {} |", code.http_status());
            assert!(page.contains(&row), "docs/errors.md lacks the row {row}");
        }
    }
}
