//! `#[derive(Embed)]`: parse, check, expand, with the parts of models.

mod expand;

use proc_macro2::TokenStream;
use quote::quote;
use syn::DeriveInput;

use crate::diag::Diag;
use crate::model::{ast, check, fallback};

/// What `#[derive(Embed)]` writes for `input`.
pub(crate) fn derive(input: TokenStream) -> TokenStream {
    let input: DeriveInput = match syn::parse2(input) {
        Ok(input) => input,
        Err(error) => return error.into_compile_error(),
    };
    let diag = Diag::new();
    let ast = ast::Struct::parse(ast::Derive::Embed, &input, &diag);
    let checked = ast.as_ref().map(|ast| (ast, check::embed(ast, &diag)));
    match (diag.check(), checked) {
        (Ok(()), Some((ast, fields))) => expand::embed(ast, &fields),
        (errors, _) => {
            let stubs = fallback::embed(&input, ast.as_ref());
            let errors = errors.err();
            quote!(#errors #stubs)
        }
    }
}
