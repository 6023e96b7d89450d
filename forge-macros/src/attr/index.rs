//! `index(…)` on structs and fields.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::{Expr, ExprLit, Ident, Lit, LitStr};

use super::{Grammar, Item, Slot, Value};
use crate::diag::Diag;
use crate::names;

/// A declared index, before its fields are looked up.
#[derive(Debug)]
pub(crate) struct Index {
    /// The attribute, for errors.
    pub(crate) at: Item,
    /// The fields in order; empty for an index of the field that carries it.
    pub(crate) keys: Vec<(Key, Kind)>,
    pub(crate) unique: Slot<()>,
    pub(crate) sparse: Slot<()>,
    /// Seconds.
    pub(crate) ttl: Slot<u32>,
    pub(crate) partial: Slot<LitStr>,
    pub(crate) collation: Slot<(String, u8)>,
    pub(crate) projection: Slot<LitStr>,
    pub(crate) language: Slot<LitStr>,
    pub(crate) hidden: Slot<()>,
    pub(crate) name: Slot<LitStr>,
    /// Whether a part of it was reported.
    broken: bool,
}

/// What a key is over.
#[derive(Debug, Clone)]
pub(crate) enum Key {
    /// A field of the struct.
    Field(Ident),
    /// A stored path: into an embed, or `$**`.
    Path(LitStr),
}

impl Key {
    /// As it is written, without quotes.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Field(name) => names::plain(name),
            Self::Path(path) => path.value(),
        }
    }
}

impl quote::ToTokens for Key {
    fn to_tokens(&self, tokens: &mut proc_macro2::TokenStream) {
        match self {
            Self::Field(name) => name.to_tokens(tokens),
            Self::Path(path) => path.to_tokens(tokens),
        }
    }
}

/// How a key is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ascending,
    Descending,
    Sphere,
    Planar,
    Hashed,
    Text(u32),
}

const KEYS: &str = "an index key is `field` or `\"path.inside\"`, with `= -1`, `= \"2dsphere\"`, `= \"2d\"`, \
                    `= \"hashed\"`, `= \"text\"` or `= text(10)`, its weight";

const OPTIONS: Grammar = Grammar {
    around: ("#[model(index(…, ", "))]"),
    of: "an index",
    keys: &[
        ("unique", "unique"),
        ("sparse", "sparse"),
        ("ttl", "ttl = \"7d\""),
        ("partial", "partial = r#\"{ \"active\": true }\"#"),
        ("collation", "collation(locale = \"en\", strength = 2)"),
        ("projection", "projection = r#\"{ \"secret\": 0 }\"#"),
        ("language", "language = \"german\""),
        ("hidden", "hidden"),
        ("name", "name = \"by_name\""),
    ],
};

const COLLATION: Grammar = Grammar {
    around: ("collation(", ")"),
    of: "a collation",
    keys: &[("locale", "locale = \"en\""), ("strength", "strength = 2")],
};

impl Index {
    pub(crate) fn new(at: Item) -> Self {
        Self {
            at,
            keys: Vec::new(),
            unique: Slot::default(),
            sparse: Slot::default(),
            ttl: Slot::default(),
            partial: Slot::default(),
            collation: Slot::default(),
            projection: Slot::default(),
            language: Slot::default(),
            hidden: Slot::default(),
            name: Slot::default(),
            broken: false,
        }
    }

    /// Whether a key or an option is malformed.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
            || self.ttl.is_broken()
            || self.partial.is_broken()
            || self.collation.is_broken()
            || self.projection.is_broken()
            || self.language.is_broken()
            || self.hidden.is_broken()
            || self.name.is_broken()
    }

    /// `index(a, b = -1, unique, …)` or `index([a, b = -1], unique, …)` of a struct. Without brackets `fields` decide what
    /// `name = "text"` means.
    pub(crate) fn of_struct(diag: &Diag, grammar: &Grammar, item: &Item, fields: &[String]) -> Option<Self> {
        let mut index = Self::new(item.clone());
        if let Value::List(list) = &item.value
            && let Some((keys, options)) = bracketed(list.stream())
        {
            super::items(keys, diag).iter().for_each(|key| index.key(diag, key));
            for item in &super::items(options, diag) {
                if !index.option(diag, item, &[]) {
                    OPTIONS.unknown(diag, item);
                }
            }
            return Some(index);
        }
        for item in &grammar.list(diag, item)? {
            if !index.option(diag, item, fields) {
                index.key(diag, item);
            }
        }
        Some(index)
    }

    /// `index`, `index = -1` or `index(unique, …)` of a field.
    pub(crate) fn of_field(diag: &Diag, grammar: &Grammar, item: &Item) -> Option<(Kind, Self)> {
        let mut index = Self::new(item.clone());
        match &item.value {
            Value::Flag => Some((Kind::Ascending, index)),
            Value::Is(_) => kind(diag, item).map(|kind| (kind, index)),
            Value::List(_) => {
                for option in &grammar.list(diag, item)? {
                    if !index.option(diag, option, &[]) {
                        OPTIONS.unknown(diag, option);
                    }
                }
                Some((Kind::Ascending, index))
            }
        }
    }

    fn key(&mut self, diag: &Diag, item: &Item) {
        let key = item.path.clone().map_or_else(|| Key::Field(item.key.clone()), Key::Path);
        let name = key.text();
        if let Some((first, _)) = self.keys.iter().find(|(key, _)| key.text() == name) {
            self.broken = true;
            return diag.duplicate(&name, first, &key);
        }
        match kind(diag, item) {
            Some(kind) => self.keys.push((key, kind)),
            None => self.broken = true,
        }
    }

    /// Takes `item` if it is an option.
    fn option(&mut self, diag: &Diag, item: &Item, fields: &[String]) -> bool {
        let key = names::plain(&item.key);
        match key.as_str() {
            "unique" if !is_key(item) => self.unique.set(diag, item, OPTIONS.flag(diag, item)),
            "sparse" if !is_key(item) => self.sparse.set(diag, item, OPTIONS.flag(diag, item)),
            "hidden" if !is_key(item) && !fields.contains(&key) => {
                self.hidden.set(diag, item, OPTIONS.flag(diag, item));
            }
            "projection" if item.string().is_some() && !is_key(item) => {
                self.projection.set(diag, item, json_object(diag, item));
            }
            "language" if item.string().is_some() && !is_key(item) => {
                self.language.set(diag, item, OPTIONS.string(diag, item));
            }
            "ttl" if matches!(item.value, Value::Is(_)) => self.ttl.set(diag, item, seconds(diag, item)),
            "partial" if item.string().is_some() => self.partial.set(diag, item, json_object(diag, item)),
            "collation" if !matches!(item.value, Value::Flag) => {
                self.collation.set(diag, item, collation(diag, item));
            }
            "name" if item.string().is_some() && !(is_key(item) && fields.contains(&key)) => {
                self.name.set(diag, item, OPTIONS.string(diag, item));
            }
            "ttl" | "partial" | "collation" | "projection" | "language" | "name"
                if !fields.contains(&key) =>
            {
                self.broken = true;
                OPTIONS.malformed(diag, item, item, "needs a value");
            }
            _ => return false,
        }
        true
    }
}

/// The keys in brackets at the beginning, and what follows them.
fn bracketed(list: TokenStream) -> Option<(TokenStream, TokenStream)> {
    let mut tokens = list.into_iter();
    let TokenTree::Group(keys) = tokens.next()? else { return None };
    let comma = tokens.next();
    let separated = matches!(&comma, None | Some(TokenTree::Punct(_)));
    (keys.delimiter() == Delimiter::Bracket && separated).then(|| (keys.stream(), tokens.collect()))
}

fn is_key(item: &Item) -> bool {
    match &item.value {
        Value::Flag => false,
        Value::Is(_) => {
            item.integer().is_some()
                || item.string().is_some_and(|text| {
                    matches!(text.value().as_str(), "2dsphere" | "2d" | "hashed" | "text")
                })
                || weight(item).is_some()
        }
        Value::List(_) => false,
    }
}

fn kind(diag: &Diag, item: &Item) -> Option<Kind> {
    let text = item.string().map(LitStr::value);
    let kind = match (&item.value, item.integer(), text.as_deref()) {
        (Value::Flag, ..) | (_, Some(1), _) => Some(Kind::Ascending),
        (_, Some(-1), _) => Some(Kind::Descending),
        (.., Some("2dsphere")) => Some(Kind::Sphere),
        (.., Some("2d")) => Some(Kind::Planar),
        (.., Some("hashed")) => Some(Kind::Hashed),
        (.., Some("text")) => Some(Kind::Text(1)),
        _ => weight(item).map(Kind::Text),
    };
    if kind.is_none() {
        diag.hint(item, "this is not a kind of index", KEYS);
    }
    kind
}

/// The 10 of `text(10)`.
fn weight(item: &Item) -> Option<u32> {
    let Value::Is(Expr::Call(call)) = &item.value else { return None };
    match (&*call.func, call.args.first()) {
        (Expr::Path(name), Some(Expr::Lit(ExprLit { lit: Lit::Int(weight), .. })))
            if name.path.is_ident("text") && call.args.len() == 1 =>
        {
            weight.base10_parse().ok().filter(|weight| (1..=99_999).contains(weight))
        }
        _ => None,
    }
}

/// A number of seconds, or text such as `"7d"`.
fn seconds(diag: &Diag, item: &Item) -> Option<u32> {
    let given = match (item.integer(), item.string().map(LitStr::value)) {
        (Some(number), _) => u32::try_from(number).ok(),
        (_, Some(text)) => duration(&text),
        _ => None,
    };
    if given.is_none() {
        diag.hint(
            item,
            "`ttl` is a time in seconds",
            "write `ttl = 3600`, or with a unit (s, m, h, d, w) `ttl = \"7d\"`; at most 4294967295 seconds",
        );
    }
    given
}

fn duration(text: &str) -> Option<u32> {
    let unit = text.chars().next_back()?;
    let factor: u32 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return None,
    };
    text.strip_suffix(unit)?.trim().parse::<u32>().ok()?.checked_mul(factor)
}

/// Text with the look of a JSON object. Whether it is one, the catalog says at start-up.
fn json_object(diag: &Diag, item: &Item) -> Option<LitStr> {
    let text = item.string()?;
    let value = text.value();
    let value = value.trim();
    if value.starts_with('{') && value.ends_with('}') {
        return Some(text.clone());
    }
    OPTIONS.malformed(diag, item, text, "takes a JSON object");
    None
}

fn collation(diag: &Diag, item: &Item) -> Option<(String, u8)> {
    let (mut locale, mut strength) = (Slot::default(), Slot::default());
    for part in &OPTIONS.list(diag, item)? {
        match names::plain(&part.key).as_str() {
            "locale" => locale.set(diag, part, COLLATION.string(diag, part).map(|text| text.value())),
            "strength" => {
                let level =
                    part.integer().and_then(|level| u8::try_from(level).ok()).filter(|n| (1..=5).contains(n));
                if level.is_none() {
                    COLLATION.malformed(diag, part, part, "is a whole number from 1 to 5");
                }
                strength.set(diag, part, level);
            }
            _ => COLLATION.unknown(diag, part),
        }
    }
    let Some(locale) = locale.get() else {
        OPTIONS.malformed(diag, item, item, "needs a locale");
        return None;
    };
    // MongoDB's own default.
    Some((locale.clone(), strength.get().copied().unwrap_or(3)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("7d"), Some(604_800));
        assert_eq!(duration("90 m"), Some(5_400));
        assert_eq!(duration("7"), None);
        assert_eq!(duration("9999999w"), None);
        assert_eq!(duration(""), None);
    }
}
