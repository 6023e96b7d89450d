//! Errors as Feathers' clients know them.

use std::fmt;
use std::sync::Arc;

use forge_core::error::Details;
use forge_core::{Error, ErrorCode};
use serde_json::{Map, Value, json};

use super::faults::{FAILED, misfit};

/// The result of everything that a service does.
pub type ServiceResult<T> = std::result::Result<T, ServiceError>;

/// What kind of failure it is: decides the status, and the class that clients make of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// 400
    BadRequest,
    /// 401
    NotAuthenticated,
    /// 402
    PaymentError,
    /// 403
    Forbidden,
    /// 404
    NotFound,
    /// 405
    MethodNotAllowed,
    /// 406
    NotAcceptable,
    /// 408
    Timeout,
    /// 409
    Conflict,
    /// 410
    Gone,
    /// 411
    LengthRequired,
    /// 413
    PayloadTooLarge,
    /// 422
    Unprocessable,
    /// 429
    TooManyRequests,
    /// 500
    GeneralError,
    /// 501
    NotImplemented,
    /// 502
    BadGateway,
    /// 503
    Unavailable,
}

impl ErrorKind {
    /// The status, the name, and the class.
    const fn parts(self) -> (u16, &'static str, &'static str) {
        match self {
            ErrorKind::BadRequest => (400, "BadRequest", "bad-request"),
            ErrorKind::NotAuthenticated => (401, "NotAuthenticated", "not-authenticated"),
            ErrorKind::PaymentError => (402, "PaymentError", "payment-error"),
            ErrorKind::Forbidden => (403, "Forbidden", "forbidden"),
            ErrorKind::NotFound => (404, "NotFound", "not-found"),
            ErrorKind::MethodNotAllowed => (405, "MethodNotAllowed", "method-not-allowed"),
            ErrorKind::NotAcceptable => (406, "NotAcceptable", "not-acceptable"),
            ErrorKind::Timeout => (408, "Timeout", "timeout"),
            ErrorKind::Conflict => (409, "Conflict", "conflict"),
            ErrorKind::Gone => (410, "Gone", "gone"),
            ErrorKind::LengthRequired => (411, "LengthRequired", "length-required"),
            ErrorKind::PayloadTooLarge => (413, "PayloadTooLarge", "payload-too-large"),
            ErrorKind::Unprocessable => (422, "Unprocessable", "unprocessable"),
            ErrorKind::TooManyRequests => (429, "TooManyRequests", "too-many-requests"),
            ErrorKind::GeneralError => (500, "GeneralError", "general-error"),
            ErrorKind::NotImplemented => (501, "NotImplemented", "not-implemented"),
            ErrorKind::BadGateway => (502, "BadGateway", "bad-gateway"),
            ErrorKind::Unavailable => (503, "Unavailable", "unavailable"),
        }
    }

    /// The HTTP status.
    pub const fn status(self) -> u16 {
        self.parts().0
    }
}

/// A failure of a service: `{name, message, code, className, data?, errors?}` for clients.
///
/// A [`forge_core::Error`] becomes one by `?`; services' own code makes others with [`ServiceError::new`].
#[derive(Clone)]
pub struct ServiceError(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    data: Option<Value>,
    errors: Option<Value>,
    /// Whether a unique index was hit.
    duplicate: bool,
    /// What it comes from. What clients may not see of it stays in the log.
    cause: Option<Arc<Error>>,
}

impl ServiceError {
    /// A failure with a message that clients read.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            data: None,
            errors: None,
            duplicate: false,
            cause: None,
        }))
    }

    /// The same failure with more about it, for clients.
    #[must_use]
    pub fn with_data(mut self, data: Value) -> Self {
        self.0.data = Some(data);
        self
    }

    /// More about it, as clients read it.
    pub(super) fn data(&self) -> Option<&Value> {
        self.0.data.as_ref()
    }

    /// What is wrong with each field, as clients read it.
    pub(super) fn errors(&self) -> Option<&Value> {
        self.0.errors.as_ref()
    }

    pub(super) fn set_errors(&mut self, errors: Map<String, Value>) {
        self.0.errors = Some(errors.into());
    }

    /// The same failure with what is wrong with each field, for clients.
    #[must_use]
    pub fn with_errors(mut self, errors: Value) -> Self {
        self.0.errors = Some(errors);
        self
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::BadRequest, message)
    }

    pub(super) fn not_allowed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::MethodNotAllowed, message)
    }

    /// No document has this id, or it does not match the query.
    pub(super) fn no_record(id: &Value) -> Self {
        let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
        let shown: String = id.chars().take(64).collect();
        Self::new(ErrorKind::NotFound, format!("No record found for id '{shown}'"))
    }

    /// The same failure as another kind.
    #[must_use]
    pub fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// Whether a unique index was hit.
    pub(super) fn is_duplicate(&self) -> bool {
        self.0.duplicate
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The message that clients read.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The body that clients receive.
    pub fn to_json(&self) -> Value {
        let (code, name, class) = self.0.kind.parts();
        let mut body = json!({ "name": name, "message": self.0.message, "code": code, "className": class });
        for (key, value) in [("data", &self.0.data), ("errors", &self.0.errors)] {
            if let Some(value) = value {
                body[key] = value.clone();
            }
        }
        body
    }

    /// Writes down what does not reach the client.
    pub(crate) fn log(&self) {
        if let Some(cause) = self.0.cause.as_ref().filter(|_| self.0.kind == ErrorKind::GeneralError) {
            tracing::error!(error = ?cause, "a service failed");
        }
    }
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceError").field("kind", &self.0.kind).field("message", &self.0.message).finish()
    }
}

impl std::error::Error for ServiceError {}

impl From<Error> for ServiceError {
    fn from(error: Error) -> Self {
        let kind = match error.code() {
            ErrorCode::NotFound => ErrorKind::NotFound,
            ErrorCode::UniqueViolation | ErrorCode::Restricted | ErrorCode::Conflict => ErrorKind::Conflict,
            ErrorCode::Validation | ErrorCode::BadRequest => ErrorKind::BadRequest,
            ErrorCode::Unauthorized => ErrorKind::NotAuthenticated,
            ErrorCode::Forbidden => ErrorKind::Forbidden,
            ErrorCode::Unsupported => ErrorKind::NotImplemented,
            ErrorCode::Timeout => ErrorKind::Timeout,
            ErrorCode::TooLarge => ErrorKind::PayloadTooLarge,
            ErrorCode::Unavailable => ErrorKind::Unavailable,
            _ => ErrorKind::GeneralError,
        };
        let mut failure = Self::new(kind, error.public_message());
        failure = match error.details() {
            Details::Validation(messages) => {
                let errors: Map<_, _> =
                    messages.iter().map(|(path, list)| (path.clone(), list.join(", ").into())).collect();
                let items = errors.iter().map(|(path, message)| {
                    let at = format!("/{}", path.replace('.', "/"));
                    json!({ "instancePath": at, "keyword": "validate", "params": {}, "message": message })
                });
                let items = items.collect::<Vec<_>>();
                failure.0.message = FAILED.to_owned();
                failure.with_data(items.into()).with_errors(errors.into())
            }
            Details::Field { path, keyword, message } => misfit(path, keyword, message),
            Details::Unique { fields, .. } => {
                let errors: Map<_, _> =
                    fields.iter().map(|field| (field.clone(), "must be unique".into())).collect();
                failure.0.duplicate = true;
                failure.with_data(json!({ "fields": fields })).with_errors(errors.into())
            }
            Details::Restricted { relation, count } => {
                failure.with_data(json!({ "relation": relation, "count": count }))
            }
            _ => failure,
        };
        failure.0.cause = Some(Arc::new(error));
        failure
    }
}

/// For code that calls services among other things: a handler, or a transaction, which tries again what may be tried again.
impl From<ServiceError> for Error {
    fn from(failure: ServiceError) -> Self {
        let Inner { kind, message, cause, .. } = *failure.0;
        if let Some(error) = cause.and_then(Arc::into_inner) {
            return error;
        }
        let code = match kind.status() {
            404 | 410 => ErrorCode::NotFound,
            409 => ErrorCode::Conflict,
            401 => ErrorCode::Unauthorized,
            402 | 403 => ErrorCode::Forbidden,
            408 => ErrorCode::Timeout,
            413 => ErrorCode::TooLarge,
            501 => ErrorCode::Unsupported,
            502 | 503 => ErrorCode::Unavailable,
            500 => ErrorCode::Internal,
            _ => ErrorCode::BadRequest,
        };
        Error::new(code, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_have_the_form_of_feathers() {
        let body = ServiceError::no_record(&json!("x")).to_json();
        let expected = json!({
            "name": "NotFound", "message": "No record found for id 'x'", "code": 404, "className": "not-found",
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn a_unique_violation_names_its_fields() {
        let body = ServiceError::from(Error::unique_violation("people", vec!["email".into()])).to_json();
        assert_eq!((&body["code"], &body["name"]), (&json!(409), &json!("Conflict")));
        assert_eq!(body["data"], json!({ "fields": ["email"] }));
        assert_eq!(body["errors"], json!({ "email": "must be unique" }));
    }

    #[test]
    fn defects_stay_in_the_log() {
        let error = ServiceError::from(Error::internal("secret path"));
        assert!(!error.to_json().to_string().contains("secret"));
        assert_eq!(error.kind().status(), 500);
    }
}
