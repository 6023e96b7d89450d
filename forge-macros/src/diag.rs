//! Errors are collected, so that the user sees all of them at once.

use std::cell::RefCell;
use std::fmt::Display;

use proc_macro2::TokenStream;
use quote::ToTokens;

/// Collects the errors of one macro call.
///
/// Every collector ends in [`Diag::check`]; one that is dropped unchecked panics, since its errors would be lost.
pub(crate) struct Diag {
    errors: RefCell<Option<Vec<syn::Error>>>,
}

impl Diag {
    pub(crate) fn new() -> Self {
        Self { errors: RefCell::new(Some(Vec::new())) }
    }

    /// Reports `message` at the tokens of `at`.
    pub(crate) fn error(&self, at: impl ToTokens, message: impl Display) {
        self.push(syn::Error::new_spanned(at, message));
    }

    /// Reports `message` at the tokens of `at`, with a line that says what to do.
    pub(crate) fn hint(&self, at: impl ToTokens, message: impl Display, hint: impl Display) {
        self.error(at, format_args!("{message}\n  = help: {hint}"));
    }

    /// Reports that `key` is given twice, at both places.
    pub(crate) fn duplicate(&self, name: &str, first: impl ToTokens, second: impl ToTokens) {
        self.hint(second, format_args!("`{name}` is given twice"), "remove one of the two");
        self.error(first, format_args!("`{name}` is given here first"));
    }

    /// Takes over an error of the parser.
    pub(crate) fn push(&self, error: syn::Error) {
        if let Some(errors) = self.errors.borrow_mut().as_mut() {
            errors.push(error);
        }
    }

    /// Ends the collection: what was reported, as `compile_error!` calls at their places.
    pub(crate) fn check(self) -> Result<(), TokenStream> {
        let errors = self.errors.borrow_mut().take().unwrap_or_default();
        if errors.is_empty() {
            return Ok(());
        }
        Err(errors.iter().map(syn::Error::to_compile_error).collect())
    }
}

impl Drop for Diag {
    fn drop(&mut self) {
        assert!(
            std::thread::panicking() || self.errors.borrow().is_none(),
            "errors were collected and never checked"
        );
    }
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    #[test]
    fn every_error_is_reported() {
        let diag = Diag::new();
        diag.error(quote!(a), "one");
        diag.hint(quote!(b), "two", "three");
        let text = diag.check().unwrap_err().to_string();
        assert!(text.contains("one") && text.contains("two\\n  = help: three"), "{text}");
    }

    #[test]
    fn no_error_is_ok() {
        assert!(Diag::new().check().is_ok());
    }

    #[test]
    #[should_panic(expected = "never checked")]
    fn a_collector_must_be_checked() {
        drop(Diag::new());
    }
}
