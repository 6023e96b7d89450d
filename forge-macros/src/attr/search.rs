//! `search(…)` on structs and on fields.

use syn::LitStr;

use super::{Grammar, Item, Slot, Value};
use crate::diag::Diag;
use crate::names;

const INDEX: Grammar = Grammar {
    around: ("#[model(search(", "))]"),
    of: "a search index",
    keys: &[("dynamic", "dynamic"), ("analyzer", "analyzer = \"lucene.german\"")],
};

const FIELD: Grammar = Grammar {
    around: ("#[model(search(", "))]"),
    of: "a field of a search index",
    keys: &[("string", "string"), ("autocomplete", "autocomplete"), ("token", "token")],
};

/// `search(…)` of a struct.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    pub(crate) dynamic: bool,
    pub(crate) analyzer: Option<LitStr>,
}

/// How a text is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextKind {
    String,
    Autocomplete,
    Token,
}

/// Reads `search(dynamic, analyzer = "…")` of a struct.
pub(super) fn index(diag: &Diag, grammar: &Grammar, item: &Item) -> Option<Index> {
    let (mut dynamic, mut analyzer) = (Slot::default(), Slot::default());
    for part in &grammar.list(diag, item)? {
        match names::plain(&part.key).as_str() {
            "dynamic" => dynamic.set(diag, part, INDEX.flag(diag, part)),
            "analyzer" => analyzer.set(diag, part, INDEX.string(diag, part)),
            _ => INDEX.unknown(diag, part),
        }
    }
    Some(Index { dynamic: dynamic.is_set(), analyzer: analyzer.get().cloned() })
}

/// Reads `search` or `search(autocomplete, token)` of a field; an empty list stands for what its type says.
pub(super) fn field(diag: &Diag, grammar: &Grammar, item: &Item) -> Option<Vec<TextKind>> {
    if matches!(item.value, Value::Flag) {
        return Some(Vec::new());
    }
    let mut kinds: Vec<(TextKind, syn::Ident)> = Vec::new();
    for part in grammar.list(diag, item)? {
        let name = names::plain(&part.key);
        let kind = match name.as_str() {
            "string" => TextKind::String,
            "autocomplete" => TextKind::Autocomplete,
            "token" => TextKind::Token,
            _ => {
                FIELD.unknown(diag, &part);
                continue;
            }
        };
        FIELD.flag(diag, &part);
        match kinds.iter().find(|(known, _)| *known == kind) {
            Some((_, first)) => diag.duplicate(&name, first, &part.key),
            None => kinds.push((kind, part.key)),
        }
    }
    Some(kinds.into_iter().map(|(kind, _)| kind).collect())
}
