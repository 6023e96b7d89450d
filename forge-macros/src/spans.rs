//! Where the compiler shows an error about code that a macro wrote.

use proc_macro2::Span;
use quote::ToTokens;
use syn::spanned::Spanned;

/// The place of `tokens`, with the names of the macro's caller in reach.
pub(crate) fn of(tokens: &impl ToTokens) -> Span {
    tokens.span().resolved_at(Span::call_site())
}
