//! `json_schema`, `shard_key(…)` and `view(…)` on structs.

use syn::{Expr, ExprPath, Path};

use super::index::{Key, Kind};
use super::{Grammar, Item, Slot, Value};
use crate::diag::Diag;
use crate::names;

const SCHEMA: Grammar = Grammar {
    around: ("#[model(json_schema(", "))]"),
    of: "a schema",
    keys: &[("strict", "strict"), ("error", "error")],
};

const SHARD_KEY: Grammar = Grammar {
    around: ("#[model(shard_key(tenant_id, ", "))]"),
    of: "a shard key",
    keys: &[("unique", "unique")],
};

const VIEW: Grammar = Grammar {
    around: ("#[model(view(", "))]"),
    of: "a view",
    keys: &[
        ("source", "source = Flight, pipeline = delays"),
        ("pipeline", "source = Flight, pipeline = delays"),
        ("materialized", "source = Flight, pipeline = delays, materialized"),
    ],
};

/// How documents are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Schema {
    pub(crate) strict: bool,
    pub(crate) refuse: bool,
}

/// `json_schema`, or `json_schema(strict, error)`.
pub(super) fn json_schema(diag: &Diag, grammar: &Grammar, item: &Item) -> Option<Schema> {
    let (mut strict, mut refuse) = (Slot::default(), Slot::default());
    if !matches!(item.value, Value::Flag) {
        for part in &grammar.list(diag, item)? {
            match names::plain(&part.key).as_str() {
                "strict" => strict.set(diag, part, SCHEMA.flag(diag, part)),
                "error" => refuse.set(diag, part, SCHEMA.flag(diag, part)),
                _ => SCHEMA.unknown(diag, part),
            }
        }
    }
    Some(Schema { strict: strict.is_set(), refuse: refuse.is_set() })
}

/// The fields that divide a collection.
#[derive(Debug, Clone)]
pub(crate) struct ShardKey {
    pub(crate) keys: Vec<(Key, Kind)>,
    pub(crate) unique: bool,
}

/// `shard_key(tenant_id, created_at)`, `shard_key(id = "hashed")`.
pub(super) fn shard_key(diag: &Diag, grammar: &Grammar, item: &Item, fields: &[String]) -> Option<ShardKey> {
    let (mut keys, mut unique): (Vec<(Key, Kind)>, _) = (Vec::new(), Slot::default());
    let mut sound = true;
    for part in grammar.list(diag, item)? {
        let name = names::plain(&part.key);
        if name == "unique" && !fields.contains(&name) {
            unique.set(diag, &part, SHARD_KEY.flag(diag, &part));
            continue;
        }
        let kind = match (&part.value, part.integer(), part.string().map(syn::LitStr::value).as_deref()) {
            (Value::Flag, ..) | (_, Some(1), _) => Kind::Ascending,
            (.., Some("hashed")) => Kind::Hashed,
            _ => {
                diag.hint(
                    &part,
                    "this is not a part of a shard key",
                    "write `field`, or `field = \"hashed\"`",
                );
                sound = false;
                continue;
            }
        };
        let key = part.path.clone().map_or_else(|| Key::Field(part.key.clone()), Key::Path);
        if let Some((first, _)) = keys.iter().find(|(known, _)| known.text() == key.text()) {
            diag.duplicate(&key.text(), first, &key);
            continue;
        }
        keys.push((key, kind));
    }
    if sound && keys.is_empty() {
        grammar.malformed(diag, item, item, "names no field");
        return None;
    }
    let hashed = keys.iter().filter(|(_, kind)| *kind == Kind::Hashed);
    if let Some((second, _)) = hashed.clone().nth(1) {
        diag.hint(
            second,
            "a shard key hashes one field at most",
            "hash one of them, and take the others as they are",
        );
    }
    if let (Some(key), Some(_)) = (unique.key(), hashed.clone().next()) {
        diag.hint(key, "a hashed shard key cannot be unique", "remove `unique`; the id is unique anyway");
    }
    sound.then_some(ShardKey { keys, unique: unique.is_set() })
}

/// Where the documents of a view come from.
#[derive(Debug, Clone)]
pub(crate) struct View {
    /// The model that it reads.
    pub(crate) source: Path,
    /// The function that makes the stages.
    pub(crate) pipeline: ExprPath,
    /// Whether it is stored; whether a refresh merges.
    pub(crate) materialized: Option<bool>,
}

/// `view(source = Flight, pipeline = delays, materialized)`.
pub(super) fn view(diag: &Diag, grammar: &Grammar, item: &Item) -> Option<View> {
    let (mut source, mut pipeline) = (Slot::default(), Slot::default());
    let mut materialized: Slot<bool> = Slot::default();
    for part in &grammar.list(diag, item)? {
        let path = match &part.value {
            Value::Is(Expr::Path(path)) => Some(path.clone()),
            _ => None,
        };
        match names::plain(&part.key).as_str() {
            key @ ("source" | "pipeline") => {
                if path.is_none() {
                    let what =
                        if key == "source" { "is the name of a model" } else { "is the name of a function" };
                    VIEW.malformed(diag, part, part, what);
                }
                if key == "source" { source.set(diag, part, path) } else { pipeline.set(diag, part, path) }
            }
            "materialized" => materialized.set(diag, part, refresh(diag, part)),
            _ => VIEW.unknown(diag, part),
        }
    }
    for (slot, what) in [(&source, "source"), (&pipeline, "pipeline")] {
        if !slot.is_set() {
            diag.hint(
                item,
                format_args!("`view` needs a {what}"),
                "write `view(source = Flight, pipeline = delays)`, where `fn delays()` answers with the stages",
            );
        }
    }
    Some(View {
        source: source.get()?.path.clone(),
        pipeline: pipeline.get()?.clone(),
        materialized: materialized.get().copied(),
    })
}

/// Whether a refresh merges: `materialized`, `materialized = merge`.
fn refresh(diag: &Diag, item: &Item) -> Option<bool> {
    match (&item.value, item.ident().map(names::plain).as_deref()) {
        (Value::Flag, _) | (_, Some("replace")) => Some(false),
        (_, Some("merge")) => Some(true),
        _ => {
            diag.hint(
                item,
                "`materialized` is `replace` or `merge`",
                "write `materialized` to replace all at each refresh, `materialized = merge` to merge by id",
            );
            None
        }
    }
}
