//! What the attributes of one struct mean together. Rules that need two structs are the catalog's, at start-up.

mod fields;
mod indexes;
mod names;
mod relations;
mod rules;
mod schema;
mod search;
mod service;
mod tenant;
mod vectors;
mod version;

use syn::Ident;

use super::ast::{Field, Struct};
use crate::attr::index::Kind;
use crate::attr::model::{OnDelete, RelationKind, Through};
use crate::attr::service::Service;
use crate::diag::Diag;
use crate::names as words;

pub(crate) use fields::{embed, owned_form};
pub(crate) use rules::is_nested;
pub(crate) use search::SearchIndex;
pub(crate) use vectors::Vector;

/// A model that can be expanded.
#[derive(Debug)]
pub(crate) struct Model<'a> {
    pub(crate) ast: &'a Struct,
    pub(crate) collection: String,
    /// The stored fields, in declared order.
    pub(crate) fields: Vec<Stored<'a>>,
    /// The position of the id in `fields`.
    pub(crate) id: usize,
    pub(crate) relations: Vec<Relation<'a>>,
    pub(crate) indexes: Vec<Index>,
    /// The stored paths of the shard key.
    pub(crate) shard_key: Vec<(String, Kind)>,
    /// The stored path of the tenant key.
    pub(crate) tenant: Option<String>,
    /// The stored path of the version.
    pub(crate) version: Option<String>,
    pub(crate) vectors: Vec<Vector>,
    pub(crate) search: Option<SearchIndex>,
    pub(crate) service: Option<Service>,
}

impl Model<'_> {
    /// Whether it is a view, which is only read.
    pub(crate) fn is_view(&self) -> bool {
        self.ast.attrs.view.is_set()
    }
}

/// A field that is stored.
#[derive(Debug)]
pub(crate) struct Stored<'a> {
    pub(crate) field: &'a Field,
    pub(crate) stored: String,
    pub(crate) client: String,
    pub(crate) access: Access,
    pub(crate) origin: Origin,
    pub(crate) optional: bool,
    pub(crate) embed: Option<Embedded>,
}

impl Stored<'_> {
    /// Whether only Forge writes it: timestamps, the time of a soft delete, the version.
    pub(crate) fn is_owned(&self) -> bool {
        matches!(self.origin, Origin::Timestamp | Origin::Deletion | Origin::Version)
    }
}

/// Who may read and write a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Public,
    ReadOnly,
    Private,
}

/// Where the value of a field comes from when an insert gives none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nowhere.
    Given,
    /// A new id.
    Generated,
    /// `#[model(default)]` or `#[serde(default)]`.
    Default,
    /// The time of the write.
    Timestamp,
    /// The time of a soft delete.
    Deletion,
    /// The number of the write: `#[model(version)]`.
    Version,
}

/// How a field embeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Embedded {
    One,
    Many,
}

/// A relation whose key is known to exist, where it is on this side.
#[derive(Debug)]
pub(crate) struct Relation<'a> {
    pub(crate) field: &'a Field,
    pub(crate) client: String,
    pub(crate) kind: RelationKind,
    pub(crate) target: &'a syn::Type,
    pub(crate) key: &'a Ident,
    /// The model between, of `many_to_many`.
    pub(crate) through: Option<&'a Through>,
    /// For `belongs_to` and `references_many`: the position of the key in the stored fields.
    pub(crate) local: Option<usize>,
    pub(crate) on_delete: OnDelete,
    pub(crate) access: Access,
}

/// An index over stored paths.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) keys: Vec<(String, Kind)>,
    pub(crate) unique: bool,
    pub(crate) sparse: bool,
    pub(crate) ttl: Option<u32>,
    pub(crate) partial: Option<String>,
    pub(crate) collation: Option<(String, u8)>,
    pub(crate) projection: Option<String>,
    pub(crate) language: Option<String>,
    pub(crate) hidden: bool,
    pub(crate) name: Option<String>,
}

/// The fields that Forge keeps: Rust name, stored name, and which attribute asks for them.
pub(crate) const OWNED: [(&str, &str, Origin); 3] = [
    ("created_at", "createdAt", Origin::Timestamp),
    ("updated_at", "updatedAt", Origin::Timestamp),
    ("deleted_at", "deletedAt", Origin::Deletion),
];

/// The stored name of the field `name` if Forge keeps it for a struct with these attributes.
pub(crate) fn owned(ast: &Struct, name: &str) -> Option<(&'static str, Origin)> {
    let (_, stored, origin) = OWNED.iter().find(|(owned, ..)| *owned == name)?;
    let asked = match origin {
        Origin::Deletion => ast.attrs.soft_delete.is_set(),
        _ => ast.attrs.timestamps.is_set(),
    };
    asked.then_some((*stored, *origin))
}

/// Compares the attributes of `ast` with each other; reports everything that does not fit.
pub(crate) fn model<'a>(ast: &'a Struct, diag: &Diag) -> Option<Model<'a>> {
    let collection = collection(ast, diag);
    let fields = fields::stored(ast, diag);
    let id = fields::id(ast, &fields, diag);
    let relations = relations::relations(ast, &fields, diag);
    fields::client_list(ast, diag);
    names::check(ast, &fields, &relations, diag);
    let mut indexes = indexes::indexes(ast, &fields, diag);
    let tenant = tenant::key(ast, &fields, diag);
    if let Some(tenant) = &tenant {
        tenant::indexes(&mut indexes, tenant);
    }
    let version = version::version(ast, &fields, diag);
    let shard_key = schema::shard_key(ast, &fields, diag);
    schema::view(ast, diag);
    let vectors = vectors::check(ast, &fields, diag);
    let search = search::check(ast, &fields, diag);
    let service = service::service(ast, &fields, diag);
    let id = id?;
    Some(Model {
        ast,
        collection,
        fields,
        id,
        relations,
        indexes,
        shard_key,
        tenant,
        version,
        vectors,
        search,
        service,
    })
}

fn collection(ast: &Struct, diag: &Diag) -> String {
    let Some(given) = ast.attrs.collection.get() else {
        return words::collection_of(&words::plain(&ast.ident));
    };
    let name = given.value();
    let wrong = if name.is_empty() {
        Some("is empty")
    } else if name.contains('$') {
        Some("contains `$`")
    } else if name.contains('\0') {
        Some("contains a NUL character")
    } else if name.starts_with("system.") {
        Some("starts with `system.`, which MongoDB keeps for itself")
    } else {
        None
    };
    if let Some(wrong) = wrong {
        diag.hint(
            given,
            format_args!("the collection name {wrong}"),
            format_args!("write a name such as {:?}", words::collection_of(&words::plain(&ast.ident))),
        );
    }
    name
}
