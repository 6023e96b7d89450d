//! `#[validate(…)]` rules that a schema can say, as data.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Expr, ExprLit, ExprUnary, Lit, LitFloat, UnOp};

use crate::attr::{self, Item, Value};
use crate::diag::Diag;
use crate::names;

/// `rules: &[…],`, or nothing.
pub(crate) fn bounds(rules: &[Attribute]) -> TokenStream {
    // What is malformed is validator's own to report.
    let ignored = Diag::new();
    let items = attr::named(rules, "validate", "", &ignored);
    let all: Vec<_> = items.iter().flat_map(|item| rule(item, &ignored)).collect();
    if ignored.check().is_err() || all.is_empty() {
        return TokenStream::new();
    }
    quote!(rules: &[#(__forge::Rule::#all),*],)
}

fn rule(item: &Item, diag: &Diag) -> Vec<TokenStream> {
    let parts = match &item.value {
        Value::List(list) => attr::items(list.stream(), diag),
        _ => Vec::new(),
    };
    let each = |bound: fn(&str, &Expr) -> Vec<TokenStream>| {
        let given = parts.iter().filter_map(|part| match &part.value {
            Value::Is(value) => Some(bound(&names::plain(&part.key), &unquoted(value))),
            _ => None,
        });
        given.flatten().collect()
    };
    match names::plain(&item.key).as_str() {
        "length" => each(length),
        "range" => each(range),
        "contains" => each(|key, value| match value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) if key == "pattern" => {
                vec![quote!(Contains(#text))]
            }
            _ => Vec::new(),
        }),
        "email" => vec![quote!(Format("email"))],
        "url" => vec![quote!(Format("uri"))],
        _ => Vec::new(),
    }
}

/// Bounds may be expressions in quotes.
fn unquoted(value: &Expr) -> Expr {
    match value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => text.parse().unwrap_or_else(|_| value.clone()),
        value => value.clone(),
    }
}

fn length(key: &str, value: &Expr) -> Vec<TokenStream> {
    match key {
        "min" => vec![quote!(MinLength(#value))],
        "max" => vec![quote!(MaxLength(#value))],
        "equal" => vec![quote!(MinLength(#value)), quote!(MaxLength(#value))],
        _ => Vec::new(),
    }
}

fn range(key: &str, value: &Expr) -> Vec<TokenStream> {
    let number = number(value);
    match key {
        "min" => vec![quote!(Minimum(#number))],
        "max" => vec![quote!(Maximum(#number))],
        "exclusive_min" => vec![quote!(Above(#number))],
        "exclusive_max" => vec![quote!(Below(#number))],
        _ => Vec::new(),
    }
}

/// A bound, whatever the type of its field, as an `f64`.
fn number(value: &Expr) -> TokenStream {
    let literal = |value: &Expr| match value {
        Expr::Lit(ExprLit { lit: Lit::Int(n), .. }) => n.base10_parse::<f64>().ok(),
        Expr::Lit(ExprLit { lit: Lit::Float(n), .. }) => n.base10_parse::<f64>().ok(),
        _ => None,
    };
    let known = match value {
        Expr::Unary(ExprUnary { op: UnOp::Neg(_), expr, .. }) => literal(expr).map(|n| (true, n)),
        value => literal(value).map(|n| (false, n)),
    };
    match known.filter(|(_, n)| n.is_finite()) {
        Some((negative, n)) => {
            let n = LitFloat::new(&format!("{n:?}"), proc_macro2::Span::call_site());
            if negative { quote!(-#n) } else { quote!(#n) }
        }
        // A constant of the program.
        None => quote!({
            #[allow(clippy::unnecessary_cast, clippy::cast_lossless, clippy::cast_precision_loss)]
            const BOUND: f64 = (#value) as f64;
            BOUND
        }),
    }
}
