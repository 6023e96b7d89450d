//! The codes with which servers refuse administrative commands.

use std::error::Error as StdError;
use std::fmt;

use forge_core::Error;

/// A namespace that does not exist.
#[cfg(feature = "driver")]
pub(crate) const NAMESPACE_NOT_FOUND: i32 = 26;
/// `CannotCreateIndex`: the definition is not allowed.
pub(crate) const CANNOT_CREATE_INDEX: i32 = 67;
/// `IndexAlreadyExists`.
pub(crate) const INDEX_ALREADY_EXISTS: i32 = 68;
/// `IndexOptionsConflict`: an index over the same fields has other options, or another name.
pub(crate) const INDEX_OPTIONS_CONFLICT: i32 = 85;
/// `IndexKeySpecsConflict`: an index of the same name has other fields or options.
pub(crate) const INDEX_KEY_SPECS_CONFLICT: i32 = 86;

/// That a server refused a command, and with which of its codes: a source of errors.
#[derive(Debug)]
pub struct Refusal {
    code: i32,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Refusal {
    /// A refusal with this code.
    pub fn new(code: i32) -> Self {
        Self { code, source: None }
    }

    /// The same, with what the driver said.
    #[must_use]
    pub fn with_source(self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// The code in `error`, where a server refused something.
    pub fn code_of(error: &Error) -> Option<i32> {
        let mut source = error.source();
        while let Some(error) = source {
            if let Some(refusal) = error.downcast_ref::<Self>() {
                return Some(refusal.code);
            }
            source = error.source();
        }
        None
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => source.fmt(f),
            None => write!(f, "refused with code {}", self.code),
        }
    }
}

impl StdError for Refusal {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn StdError + 'static))
    }
}
