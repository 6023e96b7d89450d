//! `#[serde(…)]` on models and embeds: what Forge honours, and clear errors for the rest.

use super::{Grammar, Item, Slot, Value};
use crate::diag::Diag;
use crate::names::{self, RenameRule};

const CONTAINER: Grammar = Grammar {
    around: ("#[serde(", ")]"),
    of: "`serde` on a struct",
    keys: &[("rename_all", "rename_all = \"camelCase\"")],
};

const FIELD: Grammar = Grammar {
    around: ("#[serde(", ")]"),
    of: "`serde` on a field",
    keys: &[("rename", "rename = \"name\""), ("default", "default")],
};

/// Keys that serde knows and models cannot have.
const UNSUPPORTED: [&str; 24] = [
    "alias",
    "bound",
    "borrow",
    "content",
    "crate",
    "deny_unknown_fields",
    "deserialize_with",
    "expecting",
    "flatten",
    "from",
    "getter",
    "into",
    "other",
    "remote",
    "rename_all_fields",
    "serialize_with",
    "skip",
    "skip_deserializing",
    "skip_serializing",
    "skip_serializing_if",
    "tag",
    "transparent",
    "try_from",
    "untagged",
];

/// What `#[serde(…)]` says about a struct.
#[derive(Debug, Default)]
pub(crate) struct Container {
    pub(crate) rename_all: Slot<RenameRule>,
}

/// What `#[serde(…)]` says about a field.
#[derive(Debug, Default)]
pub(crate) struct Field {
    pub(crate) rename: Slot<syn::LitStr>,
    /// A field that is missing in a stored document takes this value: the path of a function, or `Default`.
    pub(crate) default: Slot<Option<syn::Path>>,
}

impl Container {
    pub(crate) fn parse(attrs: &[syn::Attribute], diag: &Diag) -> Self {
        let mut container = Self::default();
        for item in &serde_items(attrs, diag) {
            match names::plain(&item.key).as_str() {
                "rename_all" => container.rename_all.set(diag, item, rule(diag, item)),
                "rename" => {
                    unsupported(diag, item, "give the collection a name with #[model(collection = \"…\")]");
                }
                "default" => {
                    unsupported(diag, item, "put #[serde(default)] on the fields that may be missing");
                }
                _ => other(diag, &CONTAINER, item),
            }
        }
        container
    }
}

impl Field {
    pub(crate) fn parse(attrs: &[syn::Attribute], diag: &Diag) -> Self {
        let mut field = Self::default();
        for item in &serde_items(attrs, diag) {
            match names::plain(&item.key).as_str() {
                "rename" => match &item.value {
                    Value::List(_) => split(diag, item),
                    _ => field.rename.set(diag, item, FIELD.string(diag, item)),
                },
                "default" => field.default.set(diag, item, default(diag, item)),
                "rename_all" => unsupported(diag, item, "put it on the struct"),
                _ => other(diag, &FIELD, item),
            }
        }
        field
    }
}

fn serde_items(attrs: &[syn::Attribute], diag: &Diag) -> Vec<Item> {
    super::named(attrs, "serde", "#[serde(rename = \"…\")]", diag)
}

fn other(diag: &Diag, grammar: &Grammar, item: &Item) {
    let key = names::plain(&item.key);
    match key.as_str() {
        "with" => unsupported(
            diag,
            item,
            "wrap the value in a type of its own that implements Serialize and Deserialize",
        ),
        "skip" | "skip_serializing" | "skip_deserializing" => {
            unsupported(
                diag,
                item,
                "every field of a model is stored; hide it from clients with #[model(private)]",
            );
        }
        known if UNSUPPORTED.contains(&known) => {
            let honoured = names::listed(grammar.keys.iter().map(|(key, _)| *key));
            unsupported(diag, item, &format!("Forge honours {honoured} here"));
        }
        _ => grammar.unknown(diag, item),
    }
}

fn unsupported(diag: &Diag, item: &Item, hint: &str) {
    diag.hint(item, format_args!("serde's `{}` is not supported on models", names::plain(&item.key)), hint);
}

fn split(diag: &Diag, item: &Item) {
    let hint = "stored documents are read back by the names they are written with: write `rename = \"…\"`";
    unsupported(diag, item, hint);
}

fn rule(diag: &Diag, item: &Item) -> Option<RenameRule> {
    if let Value::List(_) = &item.value {
        split(diag, item);
        return None;
    }
    let text = CONTAINER.string(diag, item)?;
    let rule = RenameRule::parse(&text.value());
    if rule.is_none() {
        let known = RenameRule::ALL.iter().map(|(name, _)| *name);
        diag.hint(
            &text,
            format_args!("unknown rename rule {:?}", text.value()),
            format_args!("the rules are {}", names::listed(known)),
        );
    }
    rule
}

fn default(diag: &Diag, item: &Item) -> Option<Option<syn::Path>> {
    match &item.value {
        Value::Flag => Some(None),
        _ => {
            let text = FIELD.string(diag, item)?;
            let path = text.parse_with(syn::Path::parse_mod_style);
            path.map(Some)
                .map_err(|_| FIELD.malformed(diag, item, &text, "takes the path of a function"))
                .ok()
        }
    }
}
