//! `#[query]` and `#[mutation]`: parse, check, expand.

pub(crate) mod ast;
mod check;
mod expand;

use proc_macro2::TokenStream;
use quote::quote;
use syn::{ItemFn, LitStr};

use crate::diag::Diag;

pub(crate) use ast::Kind;

/// What the attribute writes in place of the function `item`.
pub(crate) fn attribute(kind: Kind, options: TokenStream, item: &TokenStream) -> TokenStream {
    let function: ItemFn = match syn::parse2(item.clone()) {
        Ok(function) => function,
        Err(_) => return not_a_function(kind, item),
    };
    let diag = Diag::new();
    let handler = ast::Handler::parse(kind, options, function, &diag);
    check::check(&handler, &diag);
    match diag.check() {
        Ok(()) => expand::handler(&handler),
        Err(errors) => {
            let stub = expand::stub(&handler);
            quote!(#errors #stub)
        }
    }
}

/// What `#[cron("…", …)]` writes in place of the function `item`: an internal mutation that runs by itself.
pub(crate) fn cron(options: TokenStream, item: &TokenStream) -> TokenStream {
    let mut tokens = options.into_iter();
    let first = tokens.next();
    let expression = first.clone().and_then(|first| syn::parse2::<LitStr>(first.into()).ok());
    let Some(expression) = expression else {
        let diag = Diag::new();
        let message = "`#[cron]` begins with when it runs";
        let hint = "write minute, hour, day of the month, month and day of the week: #[cron(\"30 3 * * 1\")]";
        diag.hint(first.map_or_else(TokenStream::new, TokenStream::from), message, hint);
        let errors = diag.check().err();
        return quote!(#errors #item);
    };
    let more: TokenStream = tokens.collect();
    attribute(Kind::Mutation, quote!(internal, cron = #expression #more), item)
}

/// An error for everything else that an attribute can stand on; a function that is malformed is the compiler's to report.
fn not_a_function(kind: Kind, item: &TokenStream) -> TokenStream {
    let Ok(parsed) = syn::parse2::<syn::Item>(item.clone()) else { return item.clone() };
    let diag = Diag::new();
    let what = kind.attribute();
    diag.hint(
        &parsed,
        format_args!("`#[{what}]` is for functions"),
        format_args!("write `async fn name(ctx: &{}, …) -> Result<…>`", kind.context()),
    );
    let errors = diag.check().err();
    quote!(#errors #item)
}
