//! A handler as it is written.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Attribute, FnArg, Ident, ItemFn, LitStr, Pat, PatType, ReturnType, Type};

use crate::attr::{self, Grammar, Item, Slot};
use crate::diag::Diag;
use crate::names;

/// What a handler may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Query,
    Mutation,
}

impl Kind {
    /// The attribute: `query`.
    pub(crate) fn attribute(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Mutation => "mutation",
        }
    }

    /// The type of its context: `QueryCtx`.
    pub(crate) fn context(self) -> &'static str {
        match self {
            Self::Query => "QueryCtx",
            Self::Mutation => "MutationCtx",
        }
    }

    /// The other one.
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Query => Self::Mutation,
            Self::Mutation => Self::Query,
        }
    }

    fn grammar(self) -> Grammar {
        match self {
            Self::Query => Grammar {
                around: ("#[query(", ")]"),
                of: "a query",
                keys: &[
                    ("internal", "internal"),
                    ("auth", "auth"),
                    ("roles", "roles(\"admin\", \"editor\")"),
                    ("deadline", "deadline = \"5s\""),
                    ("concurrency", "concurrency = 8"),
                    ("crate", "crate = \"my_forge\""),
                ],
            },
            Self::Mutation => Grammar {
                around: ("#[mutation(", ")]"),
                of: "a mutation",
                keys: &[
                    ("internal", "internal"),
                    ("transaction", "transaction"),
                    ("cron", "cron = \"30 3 * * 1\""),
                    ("auth", "auth"),
                    ("roles", "roles(\"admin\", \"editor\")"),
                    ("deadline", "deadline = \"5s\""),
                    ("concurrency", "concurrency = 8"),
                    ("crate", "crate = \"my_forge\""),
                ],
            },
        }
    }
}

/// The options of the attribute.
#[derive(Debug, Default)]
pub(crate) struct Options {
    pub(crate) internal: Slot<()>,
    pub(crate) transaction: Slot<()>,
    /// When it runs by itself.
    pub(crate) cron: Slot<LitStr>,
    pub(crate) auth: Slot<()>,
    pub(crate) roles: Slot<Vec<LitStr>>,
    /// In milliseconds.
    pub(crate) deadline: Slot<u64>,
    pub(crate) concurrency: Slot<u32>,
    pub(crate) krate: Slot<syn::Path>,
}

/// A function under `#[query]` or `#[mutation]`.
#[derive(Debug)]
pub(crate) struct Handler {
    pub(crate) kind: Kind,
    pub(crate) options: Options,
    pub(crate) docs: String,
    /// The parameters after the context.
    pub(crate) args: Vec<Arg>,
    /// The function, without the attributes of its parameters.
    pub(crate) item: ItemFn,
}

/// One parameter after the context.
#[derive(Debug)]
pub(crate) struct Arg {
    /// The name, where the pattern is one.
    pub(crate) ident: Option<Ident>,
    pub(crate) pat: Pat,
    pub(crate) ty: Type,
    pub(crate) docs: String,
    /// The `#[validate(…)]` attributes, as they are.
    pub(crate) validate: Vec<Attribute>,
}

impl Handler {
    /// Parses the options and takes the function apart; reports everything that is malformed.
    pub(crate) fn parse(kind: Kind, options: TokenStream, mut item: ItemFn, diag: &Diag) -> Self {
        let options = Options::parse(kind, options, diag);
        let mut args = Vec::new();
        for (position, input) in item.sig.inputs.iter_mut().enumerate() {
            if let FnArg::Typed(input) = input {
                let attrs = std::mem::take(&mut input.attrs);
                if position > 0 {
                    args.push(Arg::parse(input, &attrs, diag));
                } else if let Some(attr) = attrs.first() {
                    diag.hint(attr, "the context takes no attributes", "remove it");
                }
            }
        }
        Self { kind, options, docs: attr::docs(&item.attrs), args, item }
    }

    /// The path of the facade crate in the user's program.
    pub(crate) fn krate(&self) -> TokenStream {
        self.options.krate.get().map_or_else(|| quote!(::forge), ToTokens::to_token_stream)
    }

    /// The name without `r#`.
    pub(crate) fn name(&self) -> String {
        names::plain(&self.item.sig.ident)
    }

    /// What the function answers with.
    pub(crate) fn output(&self) -> Option<&Type> {
        match &self.item.sig.output {
            ReturnType::Default => None,
            ReturnType::Type(_, ty) => Some(ty),
        }
    }
}

impl Options {
    fn parse(kind: Kind, tokens: TokenStream, diag: &Diag) -> Self {
        let grammar = kind.grammar();
        let mut options = Self::default();
        for item in &attr::items(tokens, diag) {
            match names::plain(&item.key).as_str() {
                "internal" => options.internal.set(diag, item, grammar.flag(diag, item)),
                "transaction" if kind == Kind::Mutation => {
                    options.transaction.set(diag, item, grammar.flag(diag, item));
                }
                "transaction" => diag.hint(
                    item,
                    "`transaction` is for mutations",
                    "a query only reads: remove it, or write #[mutation(transaction)]",
                ),
                "cron" if kind == Kind::Mutation => {
                    options.cron.set(diag, item, grammar.string(diag, item));
                }
                "cron" => diag.hint(
                    item,
                    "`cron` is for mutations",
                    "nobody would see the answer of a query: make it a mutation",
                ),
                "auth" => options.auth.set(diag, item, grammar.flag(diag, item)),
                "roles" => options.roles.set(diag, item, grammar.strings(diag, item)),
                "deadline" => options.deadline.set(diag, item, deadline(diag, &grammar, item)),
                "concurrency" => options.concurrency.set(diag, item, concurrency(diag, &grammar, item)),
                "crate" => {
                    let path = grammar.string(diag, item).and_then(|text| attr::path(diag, &text));
                    options.krate.set(diag, item, path);
                }
                _ => grammar.unknown(diag, item),
            }
        }
        if let (Some(()), Some(key)) = (options.auth.get(), options.roles.key()) {
            diag.hint(key, "`roles` asks for a signed-in caller already", "remove `auth`");
        }
        options
    }
}

/// A time in milliseconds, from text such as `"5s"`.
fn deadline(diag: &Diag, grammar: &Grammar, item: &Item) -> Option<u64> {
    let text = item.string().map(LitStr::value).unwrap_or_default();
    let number = text.trim_end_matches(|last: char| last.is_ascii_alphabetic());
    let factor = match &text[number.len()..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => 0,
    };
    let millis = number.trim().parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    let millis = millis.filter(|millis| *millis > 0);
    if millis.is_none() {
        grammar.malformed(diag, item, item, "takes a time with its unit (ms, s, m, h)");
    }
    millis
}

/// How many calls at a time.
fn concurrency(diag: &Diag, grammar: &Grammar, item: &Item) -> Option<u32> {
    let calls = item.integer().and_then(|calls| u32::try_from(calls).ok()).filter(|calls| *calls > 0);
    if calls.is_none() {
        grammar.malformed(diag, item, item, "takes a whole number above 0");
    }
    calls
}

impl Arg {
    fn parse(input: &PatType, attrs: &[Attribute], diag: &Diag) -> Self {
        let is = |attr: &Attribute, name: &str| attr.path().is_ident(name);
        for attr in attrs.iter().filter(|attr| !is(attr, "validate") && !is(attr, "doc")) {
            diag.hint(
                attr,
                "this attribute has no meaning on an argument",
                "arguments take #[validate(…)] and comments",
            );
        }
        let ident = match &*input.pat {
            Pat::Ident(pat) if pat.by_ref.is_none() && pat.subpat.is_none() => Some(pat.ident.clone()),
            _ => None,
        };
        Self {
            ident,
            pat: (*input.pat).clone(),
            ty: (*input.ty).clone(),
            docs: attr::docs(attrs),
            validate: attrs.iter().filter(|attr| is(attr, "validate")).cloned().collect(),
        }
    }
}
