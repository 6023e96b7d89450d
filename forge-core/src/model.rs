//! What is known about a model at compile time: plain static data, written by `derive(Model)`.

use std::fmt;

use schemars::{Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::policy::PolicyDef;
pub use crate::schema::{
    Refresh, Rule, SearchDef, SearchKind, ShardKeyDef, Similarity, ValidatorDef, VectorDef, ViewDef,
};

/// A model: its collection, fields, relations and indexes.
#[derive(Debug)]
pub struct ModelDef {
    /// The Rust name, as in error messages and in the manifest: `"Flight"`.
    pub name: &'static str,
    /// The collection that holds its documents.
    pub collection: &'static str,
    /// The documentation comment of the struct.
    pub docs: &'static str,
    /// The stored fields, in declared order. Relations are not among them.
    pub fields: &'static [FieldDef],
    /// The position of the id in `fields`; its stored name is `_id`.
    pub id: usize,
    /// The relations, in declared order.
    pub relations: &'static [RelationDef],
    /// The declared indexes, those of single fields included. [`ModelDef::all_indexes`] adds the implied ones.
    pub indexes: &'static [IndexDef],
    /// Whether `createdAt` and `updatedAt` are kept by the server.
    pub timestamps: bool,
    /// Whether a delete sets `deletedAt` in place of removing the document.
    pub soft_delete: bool,
    /// The stored path of the number that every change raises, where the model has one: what optimistic locking compares.
    pub version: Option<&'static str>,
    /// Whether clients may replicate the model.
    pub sync: bool,
    /// The stored path of the field that says whose a document is, where the model belongs to tenants.
    pub tenant: Option<&'static str>,
    /// What callers may see and change.
    pub policy: Option<PolicyDef>,
    /// Whether change events carry documents as they were: push asks servers to keep them.
    pub pre_images: bool,
    /// Where its documents come from, if it is a view: it cannot be written then.
    pub view: Option<ViewDef>,
    /// How its collection checks documents, where that is asked for.
    pub json_schema: Option<ValidatorDef>,
    /// How its collection is divided among the shards of a cluster.
    pub shard_key: Option<ShardKeyDef>,
    /// The fields that hold vectors to search by.
    pub vectors: &'static [VectorDef],
    /// Its search index, where it has one.
    pub search: Option<SearchDef>,
}

/// The stored name of the creation time of models with `timestamps`.
pub const CREATED_AT: &str = "createdAt";
/// The stored name of the time of the last change of models with `timestamps`.
pub const UPDATED_AT: &str = "updatedAt";
/// The stored name of the deletion time of models with `soft_delete`.
pub const DELETED_AT: &str = "deletedAt";

/// The stored name of what tells the documents that one soft delete took with it from others; only there where it took
/// documents along.
pub const DELETED_WITH: &str = "deletedWith";

/// One stored field of a model or embed.
#[derive(Debug)]
pub struct FieldDef {
    /// The Rust name: `"origin_id"`.
    pub name: &'static str,
    /// The name in documents: `"_id"` for the id, else what serde's `rename` / `rename_all` make of `name`.
    pub stored: &'static str,
    /// The name in JSON: what serde makes of `name`.
    pub client: &'static str,
    /// Who may read and write it.
    pub access: Access,
    /// Where its value comes from when an insert does not give one.
    pub default: Default,
    /// Whether its type is an `Option`.
    pub optional: bool,
    /// The definition behind `derive(Embed)` types, through `Option` and `Vec`.
    pub embed: Option<fn() -> &'static EmbedDef>,
    /// The JSON Schema of its type.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    /// The documentation comment of the field.
    pub docs: &'static str,
    /// The `#[validate]` rules that a schema can say.
    pub rules: &'static [Rule],
}

/// An embedded struct (`derive(Embed)`): a sub-document.
#[derive(Debug)]
pub struct EmbedDef {
    /// The Rust name.
    pub name: &'static str,
    /// The fields, in declared order.
    pub fields: &'static [FieldDef],
}

/// Who may read and write a field from outside. Handlers' own code may always do both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Clients read and write it.
    Public,
    /// Clients read it; only the server writes it.
    ReadOnly,
    /// Never leaves the server.
    Private,
}

/// Where the value of a field comes from when an insert does not give one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Default {
    /// Nowhere: it must be given (or is absent, where optional).
    None,
    /// A new ObjectId or version 4 UUID.
    Generated,
    /// The expression of `#[model(default = …)]`, or `Default::default()`.
    Value,
    /// The time of the write: `created_at`, `updated_at`.
    Timestamp,
    /// One, and one more with every change: `#[model(version)]`.
    Version,
}

/// How two models belong together.
#[derive(Debug)]
pub struct RelationDef {
    /// The Rust name of the field: `"origin"`.
    pub name: &'static str,
    /// The name in JSON.
    pub client: &'static str,
    /// Which side holds the key, and how many documents there can be.
    pub kind: RelationKind,
    /// The other model. A function, since models may refer to each other in rings.
    pub target: fn() -> &'static ModelDef,
    /// The stored path on this model, as the keys of the index that lookups by it use.
    pub local_key: &'static [(&'static str, IndexKey)],
    /// The stored path on the other model.
    pub foreign: &'static str,
    /// The model between the two, of `many_to_many`.
    pub through: Option<ThroughDef>,
    /// What becomes of this model's documents when the target is deleted. Only `belongs_to` and `references_many` have
    /// one; `set_null` of the latter takes the id out of the list.
    pub on_delete: OnDelete,
    /// Who may read it.
    pub access: Access,
}

/// Which side of a relation holds the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RelationKind {
    /// This document holds the other's id.
    BelongsTo,
    /// One other document holds this one's id.
    HasOne,
    /// Other documents hold this one's id.
    HasMany,
    /// This document holds a list of the others' ids.
    ReferencesMany,
    /// Documents of a third model hold this one's id and the other's.
    ManyToMany,
}

/// The model between two others: each of its documents links one of this model with one of the target.
#[derive(Debug, Clone, Copy)]
pub struct ThroughDef {
    /// The model.
    pub model: fn() -> &'static ModelDef,
    /// Its stored path that holds the id of this model's document.
    pub local: &'static str,
    /// Its stored path that holds the id of the target's document.
    pub foreign: &'static str,
}

/// What becomes of a referring document when the one it refers to is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDelete {
    /// It is deleted too, before its parent.
    Cascade,
    /// Its key is set to null.
    SetNull,
    /// The delete is refused while it exists.
    Restrict,
    /// Nothing: the key dangles.
    NoAction,
}

/// An index.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IndexDef {
    /// The name, where one was given; else [`IndexDef::name`] makes MongoDB's own (`state_1_city_1`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'static str>,
    /// Stored paths and kinds, in order.
    pub keys: &'static [(&'static str, IndexKey)],
    /// No two documents may hold the same key.
    pub unique: bool,
    /// Documents without the field are left out.
    pub sparse: bool,
    /// Seconds after the indexed date at which a document expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u32>,
    /// The `partialFilterExpression`, as JSON text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partial: Option<&'static str>,
    /// Locale and strength (1–5) of the comparison of strings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collation: Option<(&'static str, u8)>,
    /// The `wildcardProjection` of an index over [`WILDCARD`], as JSON text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub projection: Option<&'static str>,
    /// The language of a text index; without one the server's default, English.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<&'static str>,
    /// Kept up to date, and not used by queries.
    pub hidden: bool,
}

/// The path of an index over every field. Below a field it is `"field.$**"`.
pub const WILDCARD: &str = "$**";

/// How one path of an index is kept.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum IndexKey {
    /// `1`
    Ascending,
    /// `-1`
    Descending,
    /// `"2dsphere"`
    Sphere,
    /// `"text"` with this weight.
    Text(u32),
    /// `"2d"`: points on a plane, as pairs of numbers.
    Planar,
    /// `"hashed"`: equality only; for shard keys.
    Hashed,
}

impl FieldDef {
    /// A public, required field without a default: what macros start from.
    pub const fn new(
        name: &'static str,
        stored: &'static str,
        client: &'static str,
        schema: fn(&mut SchemaGenerator) -> Schema,
    ) -> Self {
        Self {
            name,
            stored,
            client,
            access: Access::Public,
            default: Default::None,
            optional: false,
            embed: None,
            schema,
            docs: "",
            rules: &[],
        }
    }
}

impl RelationDef {
    /// The stored path on this model.
    pub const fn local(&self) -> &'static str {
        self.local_key[0].0
    }

    /// Whether this model's documents hold the key, or the keys, of the others.
    pub const fn holds_key(&self) -> bool {
        matches!(self.kind, RelationKind::BelongsTo | RelationKind::ReferencesMany)
    }

    /// Whether at most one document is on the other side.
    pub const fn is_to_one(&self) -> bool {
        matches!(self.kind, RelationKind::BelongsTo | RelationKind::HasOne)
    }
}

impl IndexDef {
    /// An index of `keys` without options: what macros start from.
    pub const fn new(keys: &'static [(&'static str, IndexKey)]) -> Self {
        Self {
            name: None,
            keys,
            unique: false,
            sparse: false,
            ttl_seconds: None,
            partial: None,
            collation: None,
            projection: None,
            language: None,
            hidden: false,
        }
    }

    /// Whether it is over every field of the documents, or of a part of them.
    pub fn is_wildcard(&self) -> bool {
        self.keys.iter().any(|(path, _)| path.ends_with(WILDCARD))
    }

    /// Whether it is the text index, or a part of it: a collection has one.
    pub fn is_text(&self) -> bool {
        self.keys.iter().any(|(_, key)| matches!(key, IndexKey::Text(_)))
    }

    /// The given name, or MongoDB's own form: paths and kinds joined by underscores.
    pub fn name(&self) -> String {
        if let Some(name) = self.name {
            return name.to_owned();
        }
        let parts = self.keys.iter().map(|(path, key)| match key {
            IndexKey::Ascending => format!("{path}_1"),
            IndexKey::Descending => format!("{path}_-1"),
            IndexKey::Sphere => format!("{path}_2dsphere"),
            IndexKey::Text(_) => format!("{path}_text"),
            IndexKey::Planar => format!("{path}_2d"),
            IndexKey::Hashed => format!("{path}_hashed"),
        });
        parts.collect::<Vec<_>>().join("_")
    }
}

impl ModelDef {
    /// A model without relations, indexes and options: what macros start from.
    pub const fn new(
        name: &'static str,
        collection: &'static str,
        fields: &'static [FieldDef],
        id: usize,
    ) -> Self {
        Self {
            name,
            collection,
            docs: "",
            fields,
            id,
            relations: &[],
            indexes: &[],
            timestamps: false,
            soft_delete: false,
            version: None,
            sync: false,
            tenant: None,
            policy: None,
            pre_images: false,
            view: None,
            json_schema: None,
            shard_key: None,
            vectors: &[],
            search: None,
        }
    }

    /// Whether Forge keeps it for its own work: then its collection begins with `forge_`, and clients are not told of it.
    pub fn is_own(&self) -> bool {
        self.collection.starts_with("forge_")
    }

    /// The field with this Rust name.
    pub fn field(&self, name: &str) -> Option<&'static FieldDef> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The field with this name in documents.
    pub fn stored_field(&self, stored: &str) -> Option<&'static FieldDef> {
        self.fields.iter().find(|field| field.stored == stored)
    }

    /// Who may read what is at a stored path: the strictest of the fields that lead to it.
    pub fn access_at(&self, path: &str) -> Access {
        let (mut fields, mut access) = (self.fields, Access::Public);
        for part in path.split('.') {
            let Some(field) = fields.iter().find(|field| field.stored == part) else { break };
            if field.access == Access::Private || access == Access::Public {
                access = field.access;
            }
            match field.embed {
                Some(embed) => fields = embed().fields,
                None => break,
            }
        }
        access
    }

    /// Whether the field at a stored path is an `Option`. What is no declared field, such as a key of a map, counts as one.
    pub fn is_optional_at(&self, path: &str) -> bool {
        let mut fields = self.fields;
        let mut parts = path.split('.').peekable();
        while let Some(part) = parts.next() {
            let Some(field) = fields.iter().find(|field| field.stored == part) else { return true };
            match (parts.peek(), field.embed) {
                (None, _) => return field.optional,
                (Some(_), Some(embed)) => fields = embed().fields,
                (Some(_), None) => return true,
            }
        }
        true
    }

    /// The id field.
    pub fn id_field(&self) -> &'static FieldDef {
        &self.fields[self.id]
    }

    /// The relation with this Rust name, and its position.
    pub fn relation(&self, name: &str) -> Option<(usize, &'static RelationDef)> {
        self.relations.iter().enumerate().find(|(_, relation)| relation.name == name)
    }

    /// Whether it is a view whose documents are stored nowhere.
    pub fn is_plain_view(&self) -> bool {
        self.view.as_ref().is_some_and(|view| view.refresh.is_none())
    }

    /// Every index to push: the declared ones, those of the timestamps and of the keys of `belongs_to` and
    /// `references_many` that no other index starts with. A view that is not materialized has none.
    pub fn all_indexes(&self) -> Vec<IndexDef> {
        if self.is_plain_view() {
            return Vec::new();
        }
        const IMPLIED: [&[(&str, IndexKey)]; 3] = [
            &[(CREATED_AT, IndexKey::Ascending)],
            &[(UPDATED_AT, IndexKey::Ascending)],
            &[(DELETED_AT, IndexKey::Ascending)],
        ];
        let mut all = self.indexes.to_vec();
        let covered = |all: &[IndexDef], path: &str| {
            all.iter().any(|index| {
                index.partial.is_none()
                    && !index.sparse
                    && !index.hidden
                    && matches!(index.keys.first(), Some((p, IndexKey::Ascending | IndexKey::Descending)) if *p == path)
            })
        };
        let wanted = [self.timestamps, self.timestamps, self.soft_delete];
        for (keys, _) in IMPLIED.iter().zip(wanted).filter(|(_, wanted)| *wanted) {
            if !covered(&all, keys[0].0) {
                all.push(IndexDef::new(keys));
            }
        }
        for relation in self.relations.iter().filter(|relation| relation.holds_key()) {
            if !covered(&all, relation.local()) {
                all.push(IndexDef::new(relation.local_key));
            }
        }
        all
    }
}

/// A model by reference, inside the IR: serialized as its name, found again in the registry.
#[derive(Clone, Copy)]
pub struct ModelRef(pub &'static ModelDef);

impl std::ops::Deref for ModelRef {
    type Target = ModelDef;
    fn deref(&self) -> &ModelDef {
        self.0
    }
}
impl PartialEq for ModelRef {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0) || self.0.name == other.0.name
    }
}
impl fmt::Debug for ModelRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}
impl Serialize for ModelRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name)
    }
}
impl<'de> Deserialize<'de> for ModelRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        crate::catalog::registered_models()
            .find(|model| model.name == name)
            .map(ModelRef)
            .ok_or_else(|| de::Error::custom(format_args!("no model is named {name:?}")))
    }
}
