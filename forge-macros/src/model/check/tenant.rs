//! Models that belong to tenants: the one field that says whose a document is, and what that means for indexes.

use super::super::ast::Struct;
use super::indexes::plain;
use super::{Index, Stored};
use crate::attr::index::Kind;
use crate::diag::Diag;

/// The stored path of the tenant key; reports what cannot be one.
pub(super) fn key(ast: &Struct, stored: &[Stored<'_>], diag: &Diag) -> Option<String> {
    let mut marked = stored.iter().filter(|field| field.field.attrs.tenant_key.is_set());
    let first = marked.next()?;
    for other in marked {
        diag.hint(
            other.field.attrs.tenant_key.key(),
            format_args!("`{}` has two tenant keys", ast.ident),
            "keep one #[model(tenant_key)]; embed the rest, or make one key of them",
        );
    }
    fits(first, diag);
    Some(first.stored.clone())
}

fn fits(field: &Stored<'_>, diag: &Diag) {
    let attrs = &field.field.attrs;
    if field.optional {
        diag.hint(
            &field.field.ty,
            "a tenant key is never absent",
            "a document without one would be nobody's: remove `Option`",
        );
    }
    let taken = [attrs.id.key(), attrs.default.key(), attrs.embed.key(), attrs.embed_many.key()];
    let taken = taken.into_iter().flatten().chain(field.field.serde.default.key());
    for key in taken {
        diag.hint(
            key,
            format_args!("`{key}` is not for tenant keys (`{}`)", field.field.name),
            "a tenant key is a plain value that `db.tenant(…)` gives: remove one of the two",
        );
    }
}

/// Makes unique indexes hold for each tenant by itself, and lets one index begin with the key.
pub(super) fn indexes(indexes: &mut Vec<Index>, tenant: &str) {
    for index in indexes.iter_mut().filter(|index| index.unique) {
        if index.keys.iter().any(|(path, _)| path == tenant) {
            continue;
        }
        if std::mem::take(&mut index.sparse) && index.partial.is_none() {
            // Every document has a tenant: a sparse index would hold those without the other fields as well.
            let exist: Vec<_> =
                index.keys.iter().map(|(path, _)| format!("{path:?}:{{\"$exists\":true}}")).collect();
            index.partial = Some(format!("{{{}}}", exist.join(",")));
        }
        index.keys.insert(0, (tenant.to_owned(), Kind::Ascending));
    }
    let begins = |index: &Index| {
        index.partial.is_none()
            && matches!(index.keys.first(), Some((path, Kind::Ascending)) if path == tenant)
    };
    if !indexes.iter().any(begins) {
        indexes.push(plain(vec![(tenant.to_owned(), Kind::Ascending)]));
    }
}
