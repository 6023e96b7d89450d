//! `#[model(…)]` on structs and fields.

use syn::{Expr, Ident, LitStr};

use super::index::{Index, Kind};
use super::relation;
pub(crate) use super::relation::{OnDelete, Relation, RelationKind, Through};
use super::schema::{self, Schema, ShardKey, View};
use super::search::{self, TextKind};
use super::service::{self, Service};
use super::vector::{self, Vector};
use super::{Grammar, Item, Slot, Value};
use crate::diag::Diag;
use crate::names;

const STRUCT: Grammar = Grammar {
    around: ("#[model(", ")]"),
    of: "a model",
    keys: &[
        ("collection", "collection = \"flights\""),
        ("timestamps", "timestamps"),
        ("soft_delete", "soft_delete"),
        ("sync", "sync"),
        ("pre_images", "pre_images"),
        ("client", "client(name, city)"),
        ("policy", "policy = OwnNotes"),
        ("index", "index(city, date = -1, unique)"),
        ("search", "search(dynamic, analyzer = \"lucene.german\")"),
        ("view", "view(source = Flight, pipeline = delays)"),
        ("json_schema", "json_schema(strict, error)"),
        ("shard_key", "shard_key(tenant_id, created_at)"),
        ("service", "service(path = \"people\", paginate(default = 10))"),
        ("crate", "crate = \"my_forge\""),
    ],
};

const EMBED: Grammar =
    Grammar { around: ("#[model(", ")]"), of: "an embed", keys: &[("crate", "crate = \"my_forge\"")] };

const FIELD: Grammar = Grammar {
    around: ("#[model(", ")]"),
    of: "a field",
    keys: &[
        ("id", "id"),
        ("private", "private"),
        ("readonly", "readonly"),
        ("tenant_key", "tenant_key"),
        ("version", "version"),
        ("index", "index"),
        ("unique", "unique"),
        ("default", "default = 0"),
        ("text", "text(weight = 10)"),
        ("vector", "vector(dims = 384, similarity = cosine)"),
        ("search", "search(string, autocomplete)"),
        ("embed", "embed"),
        ("embed_many", "embed_many"),
        ("belongs_to", "belongs_to(key = origin_id, on_delete = cascade)"),
        ("has_many", "has_many(key = origin_id)"),
        ("has_one", "has_one(key = origin_id)"),
        ("references_many", "references_many(key = tag_ids)"),
        ("many_to_many", "many_to_many(through = Enrolment, key = student_id, other = course_id)"),
    ],
};

const TEXT: Grammar =
    Grammar { around: ("#[model(text(", "))]"), of: "a text index", keys: &[("weight", "weight = 10")] };

/// What `#[model(…)]` says about a struct.
#[derive(Debug, Default)]
pub(crate) struct Struct {
    pub(crate) collection: Slot<LitStr>,
    pub(crate) timestamps: Slot<()>,
    pub(crate) soft_delete: Slot<()>,
    pub(crate) sync: Slot<()>,
    pub(crate) pre_images: Slot<()>,
    pub(crate) client: Slot<Vec<Ident>>,
    pub(crate) policy: Slot<syn::Path>,
    pub(crate) indexes: Vec<Index>,
    pub(crate) search: Slot<search::Index>,
    pub(crate) view: Slot<View>,
    pub(crate) json_schema: Slot<Schema>,
    pub(crate) shard_key: Slot<ShardKey>,
    pub(crate) service: Slot<Service>,
    pub(crate) krate: Slot<syn::Path>,
}

impl Struct {
    /// Parses the attributes of a model whose fields have these names.
    pub(crate) fn parse(attrs: &[syn::Attribute], fields: &[String], diag: &Diag) -> Self {
        let mut model = Self::default();
        for item in &super::named(attrs, "model", "#[model(timestamps)]", diag) {
            match names::plain(&item.key).as_str() {
                "collection" => model.collection.set(diag, item, STRUCT.string(diag, item)),
                "timestamps" => model.timestamps.set(diag, item, STRUCT.flag(diag, item)),
                "soft_delete" => model.soft_delete.set(diag, item, STRUCT.flag(diag, item)),
                "sync" => model.sync.set(diag, item, STRUCT.flag(diag, item)),
                "pre_images" => model.pre_images.set(diag, item, STRUCT.flag(diag, item)),
                "client" => model.client.set(diag, item, allowed(diag, item)),
                "policy" => model.policy.set(diag, item, policy(diag, item)),
                "index" => model.indexes.extend(Index::of_struct(diag, &STRUCT, item, fields)),
                "search" => model.search.set(diag, item, search::index(diag, &STRUCT, item)),
                "view" => model.view.set(diag, item, schema::view(diag, &STRUCT, item)),
                "json_schema" => model.json_schema.set(diag, item, schema::json_schema(diag, &STRUCT, item)),
                "shard_key" => {
                    model.shard_key.set(diag, item, schema::shard_key(diag, &STRUCT, item, fields));
                }
                "service" => model.service.set(diag, item, service::service(diag, &STRUCT, item)),
                "crate" => model.krate.set(diag, item, krate(diag, &STRUCT, item)),
                _ => STRUCT.unknown(diag, item),
            }
        }
        model
    }

    /// Parses the attributes of an embed, which has no collection of its own.
    pub(crate) fn parse_embed(attrs: &[syn::Attribute], diag: &Diag) -> Self {
        let mut embed = Self::default();
        for item in &super::named(attrs, "model", "#[model(crate = \"…\")]", diag) {
            let key = names::plain(&item.key);
            match key.as_str() {
                "crate" => embed.krate.set(diag, item, krate(diag, &EMBED, item)),
                known if STRUCT.keys.iter().any(|(key, _)| *key == known) => diag.hint(
                    item,
                    format_args!("`{key}` is not for embeds"),
                    "an embed is stored inside the documents of a model: put it on the model",
                ),
                _ => EMBED.unknown(diag, item),
            }
        }
        embed
    }
}

fn krate(diag: &Diag, grammar: &Grammar, item: &Item) -> Option<syn::Path> {
    super::path(diag, &grammar.string(diag, item)?)
}

/// The type that is the policy of a model.
fn policy(diag: &Diag, item: &Item) -> Option<syn::Path> {
    let Value::Is(Expr::Path(path)) = &item.value else {
        STRUCT.malformed(diag, item, item, "is the name of a type that implements `Policy`");
        return None;
    };
    Some(path.path.clone())
}

/// The names of an allow-list.
fn allowed(diag: &Diag, item: &Item) -> Option<Vec<Ident>> {
    let mut allowed: Vec<Ident> = Vec::new();
    for name in STRUCT.list(diag, item)? {
        if !matches!(name.value, Value::Flag) {
            STRUCT.malformed(diag, item, &name, "takes the names of fields only");
        } else if let Some(first) = allowed.iter().find(|known| **known == name.key) {
            diag.duplicate(&names::plain(&name.key), first, &name.key);
        } else {
            allowed.push(name.key);
        }
    }
    Some(allowed)
}

/// What `#[model(…)]` says about a field.
#[derive(Debug, Default)]
pub(crate) struct Field {
    pub(crate) id: Slot<()>,
    pub(crate) private: Slot<()>,
    pub(crate) readonly: Slot<()>,
    /// It says whose the document is.
    pub(crate) tenant_key: Slot<()>,
    /// It counts the changes of the document.
    pub(crate) version: Slot<()>,
    pub(crate) indexes: Vec<(Kind, Index)>,
    pub(crate) unique: Slot<()>,
    /// The expression, or `Default::default()`.
    pub(crate) default: Slot<Option<Expr>>,
    /// The weight.
    pub(crate) text: Slot<u32>,
    pub(crate) vector: Slot<Vector>,
    /// How the search index keeps it; as its type says, where nothing is named.
    pub(crate) search: Slot<Vec<TextKind>>,
    pub(crate) embed: Slot<()>,
    pub(crate) embed_many: Slot<()>,
    pub(crate) relation: Slot<Relation>,
}

impl Field {
    pub(crate) fn parse(attrs: &[syn::Attribute], diag: &Diag) -> Self {
        let mut field = Self::default();
        for item in &super::named(attrs, "model", "#[model(index)]", diag) {
            field.item(diag, item);
        }
        field
    }

    fn item(&mut self, diag: &Diag, item: &Item) {
        let flag = || FIELD.flag(diag, item);
        match names::plain(&item.key).as_str() {
            "id" => self.id.set(diag, item, flag()),
            "private" => self.private.set(diag, item, flag()),
            "readonly" => self.readonly.set(diag, item, flag()),
            "tenant_key" => self.tenant_key.set(diag, item, flag()),
            "version" => self.version.set(diag, item, flag()),
            "unique" => self.unique.set(diag, item, flag()),
            "embed" => self.embed.set(diag, item, flag()),
            "embed_many" => self.embed_many.set(diag, item, flag()),
            "index" => self.indexes.extend(Index::of_field(diag, &FIELD, item)),
            "default" => self.default.set(diag, item, default(diag, item)),
            "text" => self.text.set(diag, item, text(diag, item)),
            "vector" => self.vector.set(diag, item, vector::vector(diag, &FIELD, item)),
            "search" => self.search.set(diag, item, search::field(diag, &FIELD, item)),
            "belongs_to" => self.relation(diag, item, RelationKind::BelongsTo),
            "has_many" => self.relation(diag, item, RelationKind::HasMany),
            "has_one" => self.relation(diag, item, RelationKind::HasOne),
            "references_many" => self.relation(diag, item, RelationKind::ReferencesMany),
            "many_to_many" => self.relation(diag, item, RelationKind::ManyToMany),
            known if STRUCT.keys.iter().any(|(key, _)| *key == known) => diag.hint(
                item,
                format_args!("`{known}` is an attribute of the struct, not of a field"),
                format_args!("put {} above the struct", STRUCT.form(known)),
            ),
            _ => FIELD.unknown(diag, item),
        }
    }
}

impl Field {
    fn relation(&mut self, diag: &Diag, item: &Item, kind: RelationKind) {
        match self.relation.key() {
            Some(first) if *first != item.key => {
                diag.hint(
                    &item.key,
                    format_args!("a field is one relation, and this is `{first}` too"),
                    "remove one of the two",
                );
            }
            _ => {
                let parts = FIELD.list(diag, item);
                let relation = parts.and_then(|parts| relation::relation(diag, item, &parts, kind));
                self.relation.set(diag, item, relation);
            }
        }
    }
}

fn default(diag: &Diag, item: &Item) -> Option<Option<Expr>> {
    match &item.value {
        Value::Flag => Some(None),
        Value::Is(value) => Some(Some(value.clone())),
        Value::List(_) => {
            FIELD.malformed(diag, item, item, "takes an expression");
            None
        }
    }
}

fn text(diag: &Diag, item: &Item) -> Option<u32> {
    if matches!(item.value, Value::Flag) {
        return Some(1);
    }
    let mut weight = Slot::default();
    for part in &FIELD.list(diag, item)? {
        if names::plain(&part.key) != "weight" {
            TEXT.unknown(diag, part);
            continue;
        }
        let given = part.integer().and_then(|n| u32::try_from(n).ok()).filter(|n| (1..=99_999).contains(n));
        if given.is_none() {
            TEXT.malformed(diag, part, part, "is a whole number from 1 to 99999");
        }
        weight.set(diag, part, given);
    }
    weight.get().copied()
}
