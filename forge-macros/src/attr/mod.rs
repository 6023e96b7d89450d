//! Attributes: a list of items (`key`, `key = value`, `key(…)`), each parsed by itself, so that one mistake does not
//! hide the next.

pub(crate) mod index;
pub(crate) mod model;
pub(crate) mod projection;
mod relation;
pub(crate) mod schema;
pub(crate) mod search;
pub(crate) mod serde;
pub(crate) mod service;
pub(crate) mod vector;

use proc_macro2::{Group, TokenStream};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Expr, ExprLit, Ident, Lit, LitInt, LitStr, Meta, Path, Token, UnOp, token};

use crate::diag::Diag;
use crate::names;

/// One `key`, `key = value` or `key(…)` of an attribute.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) key: Ident,
    /// A path in quotes in place of the key, where one may stand: `"address.city" = -1`.
    pub(crate) path: Option<LitStr>,
    pub(crate) value: Value,
}

/// What follows the key.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Flag,
    Is(Expr),
    List(Group),
}

impl ToTokens for Item {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let key = self.path.as_ref().map_or_else(|| self.key.to_token_stream(), ToTokens::to_token_stream);
        tokens.extend(match &self.value {
            Value::Flag => quote!(#key),
            Value::Is(value) => quote!(#key = #value),
            Value::List(list) => quote!(#key #list),
        });
    }
}

/// The keys that an attribute knows, each with its right form.
pub(crate) struct Grammar {
    /// Before and after an item, to show it where it stands: `#[model(` and `)]`.
    pub(crate) around: (&'static str, &'static str),
    /// What the keys describe: "a model".
    pub(crate) of: &'static str,
    /// Key and form.
    pub(crate) keys: &'static [(&'static str, &'static str)],
}

impl Grammar {
    /// The right form of `key`, where it stands.
    fn form(&self, key: &str) -> String {
        let form = self.keys.iter().find(|(known, _)| *known == key).map_or(key, |(_, form)| form);
        format!("`{}{form}{}`", self.around.0, self.around.1)
    }

    /// Reports a key that is not in the grammar.
    pub(crate) fn unknown(&self, diag: &Diag, item: &Item) {
        let key = names::plain(&item.key);
        let known = self.keys.iter().map(|(key, _)| *key);
        if let Some(path) = &item.path {
            return diag.hint(
                path,
                "expected the name of an attribute",
                format_args!("the attributes of {} are {}", self.of, names::listed(known)),
            );
        }
        let meant = names::closest(&key, known.clone())
            .map_or(String::new(), |meant| format!("; did you mean `{meant}`?"));
        diag.hint(
            &item.key,
            format_args!("unknown attribute `{key}` of {}{meant}", self.of),
            format_args!("the attributes of {} are {}", self.of, names::listed(known)),
        );
    }

    /// Reports a known key with a value of the wrong form.
    pub(crate) fn malformed(&self, diag: &Diag, item: &Item, at: impl ToTokens, why: &str) {
        let key = names::plain(&item.key);
        diag.hint(at, format_args!("`{key}` {why}"), format_args!("write {}", self.form(&key)));
    }

    /// A key that stands alone.
    pub(crate) fn flag(&self, diag: &Diag, item: &Item) -> Option<()> {
        if matches!(item.value, Value::Flag) {
            return Some(());
        }
        self.malformed(diag, item, item, "takes no value");
        None
    }

    /// A `key = "text"`.
    pub(crate) fn string(&self, diag: &Diag, item: &Item) -> Option<LitStr> {
        if let Some(text) = item.string() {
            return Some(text.clone());
        }
        self.malformed(diag, item, item, "takes a string");
        None
    }

    /// The strings of a `key("a", "b")`, at least one.
    pub(crate) fn strings(&self, diag: &Diag, item: &Item) -> Option<Vec<LitStr>> {
        let Value::List(list) = &item.value else {
            self.malformed(diag, item, item, "takes strings in parentheses");
            return None;
        };
        let parser = Punctuated::<LitStr, Token![,]>::parse_terminated;
        match parser.parse2(list.stream()) {
            Ok(strings) if !strings.is_empty() => Some(strings.into_iter().collect()),
            _ => {
                self.malformed(diag, item, list, "takes strings, at least one");
                None
            }
        }
    }

    /// The items of a `key(…)`, at least one.
    pub(crate) fn list(&self, diag: &Diag, item: &Item) -> Option<Vec<Item>> {
        match &item.value {
            Value::List(list) if !list.stream().is_empty() => Some(items(list.stream(), diag)),
            Value::List(_) => {
                self.malformed(diag, item, item, "is empty");
                None
            }
            _ => {
                self.malformed(diag, item, item, "takes a list in parentheses");
                None
            }
        }
    }
}

impl Item {
    /// The value, where it is a string.
    pub(crate) fn string(&self) -> Option<&LitStr> {
        match &self.value {
            Value::Is(Expr::Lit(ExprLit { lit: Lit::Str(text), .. })) => Some(text),
            _ => None,
        }
    }

    /// The value, where it is a whole number, perhaps negative.
    pub(crate) fn integer(&self) -> Option<i64> {
        let parse = |lit: &LitInt| lit.base10_parse::<i64>().ok();
        match &self.value {
            Value::Is(Expr::Lit(ExprLit { lit: Lit::Int(number), .. })) => parse(number),
            Value::Is(Expr::Unary(unary)) if matches!(unary.op, UnOp::Neg(_)) => match &*unary.expr {
                Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => parse(number).map(|number| -number),
                _ => None,
            },
            _ => None,
        }
    }

    /// The value, where it is one name.
    pub(crate) fn ident(&self) -> Option<&Ident> {
        match &self.value {
            Value::Is(Expr::Path(path)) => path.path.get_ident(),
            _ => None,
        }
    }
}

/// A place for the value of a key that may be given once.
#[derive(Debug, Clone)]
pub(crate) struct Slot<T> {
    key: Option<Ident>,
    value: Option<T>,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self { key: None, value: None }
    }
}

impl<T> Slot<T> {
    /// Fills the slot, or reports both places. A malformed value, which was reported, fills it with nothing.
    pub(crate) fn set(&mut self, diag: &Diag, item: &Item, value: Option<T>) {
        match &self.key {
            Some(first) => diag.duplicate(&names::plain(&item.key), first, &item.key),
            None => (self.key, self.value) = (Some(item.key.clone()), value),
        }
    }

    /// The value, if it is given and well-formed.
    pub(crate) fn get(&self) -> Option<&T> {
        self.value.as_ref()
    }

    /// The key, if it is given.
    pub(crate) fn key(&self) -> Option<&Ident> {
        self.key.as_ref()
    }

    /// Whether the key is given with a malformed value.
    pub(crate) fn is_broken(&self) -> bool {
        self.key.is_some() && self.value.is_none()
    }

    /// Whether the key is given.
    pub(crate) fn is_set(&self) -> bool {
        self.key.is_some()
    }
}

/// The items of every attribute named `name` among `attrs`.
pub(crate) fn named(attrs: &[syn::Attribute], name: &str, form: &str, diag: &Diag) -> Vec<Item> {
    let mut all = Vec::new();
    for attr in attrs.iter().filter(|attr| attr.path().is_ident(name)) {
        match &attr.meta {
            Meta::List(list)
                if matches!(list.delimiter, syn::MacroDelimiter::Paren(_)) && !list.tokens.is_empty() =>
            {
                all.extend(items(list.tokens.clone(), diag));
            }
            meta => diag.hint(
                meta,
                format_args!("`{name}` takes a list in parentheses"),
                format_args!("write `{form}`"),
            ),
        }
    }
    all
}

/// The items of `tokens`. What cannot be parsed is reported and skipped up to the next comma.
pub(crate) fn items(tokens: TokenStream, diag: &Diag) -> Vec<Item> {
    let parser = |input: ParseStream<'_>| {
        let mut items = Vec::new();
        while !input.is_empty() {
            match item(input) {
                Ok(item) => items.push(item),
                Err(error) => {
                    diag.push(error);
                    skip_to_comma(input)?;
                }
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(items)
    };
    parser.parse2(tokens).unwrap_or_else(|error| {
        diag.push(error);
        Vec::new()
    })
}

fn item(input: ParseStream<'_>) -> syn::Result<Item> {
    let path = input.peek(LitStr).then(|| input.parse::<LitStr>()).transpose()?;
    if path.is_none() && !input.peek(Ident::peek_any) {
        return Err(input.error(
            "expected the name of an attribute\n  = help: items are `key`, `key = value` or `key(…)`",
        ));
    }
    let key = match &path {
        // No attribute has this name.
        Some(path) => Ident::new("__path", path.span()),
        None => input.call(Ident::parse_any)?,
    };
    let value = if input.peek(Token![=]) {
        input.parse::<Token![=]>()?;
        Value::Is(input.parse()?)
    } else if input.peek(token::Paren) {
        Value::List(input.parse()?)
    } else if input.peek(Token![.]) {
        return Err(input.error(format!(
            "expected `,` after `{key}`\n  = help: a field inside another is named by its stored path in quotes, where indexes and shard keys take one: \"{key}.…\""
        )));
    } else {
        Value::Flag
    };
    if !input.is_empty() && !input.peek(Token![,]) {
        return Err(input.error(format!("expected `,` after `{key}`")));
    }
    Ok(Item { key, path, value })
}

fn skip_to_comma(input: ParseStream<'_>) -> syn::Result<()> {
    while !input.is_empty() && !input.peek(Token![,]) {
        input.parse::<proc_macro2::TokenTree>()?;
    }
    Ok(())
}

/// The text of the documentation comments among `attrs`, without the space that follows the slashes.
pub(crate) fn docs(attrs: &[syn::Attribute]) -> String {
    let lines = attrs.iter().filter(|attr| attr.path().is_ident("doc")).filter_map(|attr| match &attr.meta {
        Meta::NameValue(meta) => match &meta.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    });
    let lines: Vec<String> =
        lines.map(|line| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned()).collect();
    lines.join("\n").trim().to_owned()
}

/// The path in a string: `crate = "my::forge"`.
pub(crate) fn path(diag: &Diag, text: &LitStr) -> Option<Path> {
    text.parse_with(Path::parse_mod_style)
        .map_err(|_| diag.hint(text, "this is not the path of a crate", "write `crate = \"my_forge\"`"))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(tokens: TokenStream) -> (Vec<Item>, Result<(), String>) {
        let diag = Diag::new();
        let items = items(tokens, &diag);
        (items, diag.check().map_err(|errors| errors.to_string()))
    }

    #[test]
    fn items_have_three_forms() {
        let (items, result) = parse(quote!(a, b = -1, c(d, e = "x"), crate = "y", r#type));
        assert!(result.is_ok());
        assert!(matches!(items[0].value, Value::Flag));
        assert_eq!(items[1].integer(), Some(-1));
        assert!(matches!(items[2].value, Value::List(_)));
        assert_eq!(items[3].string().unwrap().value(), "y");
        assert_eq!(names::plain(&items[4].key), "type");
    }

    #[test]
    fn a_broken_item_does_not_hide_the_next() {
        let (items, result) = parse(quote!(5, a b, c));
        assert_eq!(items.len(), 1);
        let errors = result.unwrap_err();
        assert_eq!(errors.matches("compile_error").count(), 2, "{errors}");
    }

    #[test]
    fn a_slot_is_set_once() {
        let diag = Diag::new();
        let mut slot = Slot::default();
        let item = items(quote!(a), &diag).remove(0);
        slot.set(&diag, &item, Some(1));
        slot.set(&diag, &item, Some(2));
        assert_eq!(slot.get(), Some(&1));
        assert_eq!(diag.check().unwrap_err().to_string().matches("compile_error").count(), 2);
    }

    #[test]
    fn docs_are_joined() {
        let attrs = [syn::parse_quote!(#[doc = " One."]), syn::parse_quote!(#[doc = " Two."])];
        assert_eq!(docs(&attrs), "One.\nTwo.");
    }
}
