//! The bridge to the `validator` crate: every broken rule at once, by client path.

use validator::{Validate, ValidationErrors, ValidationErrorsKind};

use crate::error::{Error, Messages, Result};
use crate::record::Shape;

/// Checks `value` by its `#[validate(…)]` rules.
///
/// # Errors
/// [`ErrorCode::Validation`](crate::ErrorCode::Validation): `Validation failed for <operation>: <path>: <message>; …`.
pub fn check<T: Validate>(value: &T, shape: &Shape, operation: impl FnOnce() -> String) -> Result<()> {
    match value.validate() {
        Ok(()) => Ok(()),
        Err(errors) => Err(Error::validation(&operation(), messages(&errors, Some(shape)))),
    }
}

/// The rules of embeds that are none, which stand behind those of embeds: the compiler says once that it is none, and not
/// again where `validator`'s derive asks for its rules, of a reference to a reference to a reference.
#[doc(hidden)]
pub trait Unruled {
    #[doc(hidden)]
    fn validate(&self) -> std::result::Result<(), ValidationErrors> {
        Ok(())
    }
}
impl<T> Unruled for &&&T {}

/// Holds that `T` has rules, for fields that ask for them by `#[validate(nested)]`.
#[doc(hidden)]
pub const fn has_rules<T>()
where
    for<'a> &'a T: Validate,
{
}

/// Path → messages. Top-level names become client names by `shape`.
pub fn messages(errors: &ValidationErrors, shape: Option<&Shape>) -> Messages {
    let mut out = Messages::new();
    collect(errors, "", shape, &mut out);
    out
}

fn collect(errors: &ValidationErrors, prefix: &str, shape: Option<&Shape>, out: &mut Messages) {
    for (name, kind) in errors.errors() {
        let name = name.strip_prefix("r#").unwrap_or(name);
        let client = shape
            .and_then(|shape| shape.fields.iter().find(|field| field.name == name))
            .map_or(name, |f| f.client);
        let path = if prefix.is_empty() { client.to_owned() } else { format!("{prefix}.{client}") };
        match kind {
            ValidationErrorsKind::Struct(inner) => collect(inner, &path, None, out),
            ValidationErrorsKind::List(list) => {
                for (index, inner) in list {
                    collect(inner, &format!("{path}.{index}"), None, out);
                }
            }
            ValidationErrorsKind::Field(list) => {
                out.entry(path).or_default().extend(list.iter().map(sentence));
            }
        }
    }
}

/// The rule's own message, or a sentence from its code and bounds. The rejected value is not repeated.
fn sentence(error: &validator::ValidationError) -> String {
    if let Some(message) = &error.message {
        return message.clone().into_owned();
    }
    let bound = |name: &str| error.params.get(name).map(ToString::to_string);
    let (min, max, equal) = (bound("min"), bound("max"), bound("equal"));
    let (over, under) = (bound("exclusive_min"), bound("exclusive_max"));
    match (error.code.as_ref(), min, max, equal) {
        ("length", _, _, Some(n)) => format!("must have a length of exactly {n}"),
        ("length", Some(a), Some(b), _) => format!("must have a length from {a} to {b}"),
        ("length", Some(a), None, _) => format!("must have a length of at least {a}"),
        ("length", None, Some(b), _) => format!("must have a length of at most {b}"),
        ("range", Some(a), Some(b), _) => format!("must be from {a} to {b}"),
        ("range", Some(a), None, _) => format!("must be at least {a}"),
        ("range", None, Some(b), _) => format!("must be at most {b}"),
        ("range", ..) => match (over, under) {
            (Some(a), Some(b)) => format!("must be above {a} and below {b}"),
            (Some(a), None) => format!("must be above {a}"),
            (None, Some(b)) => format!("must be below {b}"),
            (None, None) => "is out of range".to_owned(),
        },
        ("email", ..) => "must be an e-mail address".to_owned(),
        ("url", ..) => "must be a URL".to_owned(),
        ("required", ..) => "is required".to_owned(),
        ("regex", ..) => "does not have the required form".to_owned(),
        ("contains", ..) => "lacks a required part".to_owned(),
        ("does_not_contain", ..) => "has a forbidden part".to_owned(),
        (code, ..) => format!("is not valid ({code})"),
    }
}
