//! The derive and attribute macros of Forge.

mod attr;
mod diag;
mod embed;
mod handler;
mod model;
mod names;
mod spans;
#[cfg(test)]
mod tests;
mod ty;

use proc_macro::TokenStream;

/// Model.
#[proc_macro_derive(Model, attributes(model, serde, validate))]
pub fn derive_model(input: TokenStream) -> TokenStream {
    model::derive(input.into()).into()
}

/// Embed.
#[proc_macro_derive(Embed, attributes(model, serde, validate))]
pub fn derive_embed(input: TokenStream) -> TokenStream {
    embed::derive(input.into()).into()
}

/// Query.
#[proc_macro_attribute]
pub fn query(options: TokenStream, item: TokenStream) -> TokenStream {
    handler::attribute(handler::Kind::Query, options.into(), item.into()).into()
}

/// Mutation.
#[proc_macro_attribute]
pub fn mutation(options: TokenStream, item: TokenStream) -> TokenStream {
    handler::attribute(handler::Kind::Mutation, options.into(), item.into()).into()
}
