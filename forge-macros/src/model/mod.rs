//! `#[derive(Model)]`: parse, check, expand.

pub(crate) mod ast;
pub(crate) mod check;
pub(crate) mod expand;
pub(crate) mod fallback;

use proc_macro2::TokenStream;
use syn::DeriveInput;

use crate::diag::Diag;

pub(crate) use check::owned_form;

/// What `#[derive(Model)]` writes for `input`.
pub(crate) fn derive(input: TokenStream) -> TokenStream {
    let input: DeriveInput = match syn::parse2(input) {
        Ok(input) => input,
        Err(error) => return error.into_compile_error(),
    };
    let diag = Diag::new();
    let ast = ast::Struct::parse(ast::Derive::Model, &input, &diag);
    let checked = ast.as_ref().and_then(|ast| check::model(ast, &diag));
    match (diag.check(), checked) {
        (Ok(()), Some(model)) => expand::model(&model),
        (errors, _) => {
            let stubs = fallback::model(&input, ast.as_ref());
            let errors = errors.err();
            quote::quote!(#errors #stubs)
        }
    }
}
