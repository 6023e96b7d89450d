//! Relations: the attribute, the type and the key must agree.

use syn::Type;

use super::super::ast::{Field, Struct};
use super::{Relation, Stored, fields, names};
use crate::attr::model::{self as attr, OnDelete, RelationKind};
use crate::diag::Diag;
use crate::{names as words, ty};

/// The relation that `ty` is spelled as.
pub(super) fn kind_of(ty: &Type) -> Option<RelationKind> {
    RelationKind::ALL.into_iter().find(|kind| ty::is_any(ty, &[kind.wrapper()]))
}

/// The relations of a model.
pub(super) fn relations<'a>(ast: &'a Struct, fields: &[Stored<'_>], diag: &Diag) -> Vec<Relation<'a>> {
    let mut relations = Vec::new();
    for field in &ast.fields {
        match (field.relation(), kind_of(&field.ty)) {
            (None, Some(kind)) if !field.attrs.relation.is_set() => without_attribute(field, kind, diag),
            (None, _) => {}
            (Some(attribute), kind) => {
                stored_only(field, diag);
                relations.extend(relation(ast, field, attribute, kind, fields, diag));
            }
        }
    }
    relations
}

fn without_attribute(field: &Field, kind: RelationKind, diag: &Diag) {
    diag.hint(
        &field.ty,
        format_args!("the relation `{}` has no key", field.name),
        format_args!("write #[model({}(key = …))] above it", kind.attribute()),
    );
}

fn relation<'a>(
    ast: &'a Struct,
    field: &'a Field,
    attribute: &'a attr::Relation,
    found: Option<RelationKind>,
    fields: &[Stored<'_>],
    diag: &Diag,
) -> Option<Relation<'a>> {
    let kind = attribute.kind;
    let target = ty::argument(&field.ty, kind.wrapper());
    let fits = found.is_some_and(|found| found.wrapper() == kind.wrapper());
    if !fits || target.is_none() {
        diag.hint(
            &field.ty,
            format_args!("`{}` is for a `{}<…>`", kind.attribute(), kind.wrapper()),
            match found {
                Some(found) if !fits => format!("write #[model({}(key = …))]", found.attribute()),
                _ => format!("write `{}: {}<Target>`", field.name, kind.wrapper()),
            },
        );
    }
    let local = if kind.holds_key() { local_key(ast, attribute, fields, diag) } else { None };
    let access = fields::declared_access(ast, field, diag);
    if kind.holds_key() && local.is_none() {
        return None;
    }
    Some(Relation {
        field,
        client: names::client(ast, field),
        kind,
        target: target?,
        key: &attribute.key,
        through: attribute.through.as_ref(),
        local,
        on_delete: attribute.on_delete.get().copied().unwrap_or(OnDelete::NoAction),
        access,
    })
}

/// The position of the key of a `belongs_to` or `references_many` among the stored fields.
fn local_key(ast: &Struct, attribute: &attr::Relation, fields: &[Stored<'_>], diag: &Diag) -> Option<usize> {
    let key = words::plain(&attribute.key);
    let Some(position) = fields.iter().position(|field| field.field.name == key) else {
        let known = fields.iter().map(|field| field.field.name.as_str());
        let hint = match words::closest(&key, known.clone()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!(
                "the key is a field of this struct that holds the other's id{}; there are {}",
                if attribute.kind == RelationKind::ReferencesMany { "s" } else { "" },
                words::listed(known)
            ),
        };
        diag.hint(&attribute.key, format_args!("`{}` has no stored field `{key}`", ast.ident), hint);
        return None;
    };
    let (ty, _) = ty::required(&fields[position].field.ty);
    if attribute.kind == RelationKind::ReferencesMany {
        if ty::argument(ty, "Vec").is_none() {
            diag.hint(
                &fields[position].field.ty,
                format_args!("`{key}` holds one id, and `references_many` leads to many"),
                format_args!("write `{key}: Vec<…>`, or `belongs_to` with a `BelongsTo<…>`"),
            );
        }
        return Some(position);
    }
    if attribute.on_delete.get() == Some(&OnDelete::SetNull) && !fields[position].optional {
        diag.hint(
            &fields[position].field.ty,
            format_args!("`{key}` cannot be null, and `on_delete = set_null` would make it so"),
            format_args!(
                "make the key optional, `{key}: Option<…>`, or choose cascade, restrict or no_action"
            ),
        );
    }
    Some(position)
}

/// Reports attributes of stored fields on a relation.
fn stored_only(field: &Field, diag: &Diag) {
    let attrs = &field.attrs;
    let key = attrs.relation.get().map_or_else(String::new, |relation| words::plain(&relation.key));
    let misplaced = [
        attrs.id.key(),
        attrs.unique.key(),
        attrs.default.key(),
        attrs.text.key(),
        attrs.vector.key(),
        attrs.search.key(),
        attrs.version.key(),
        attrs.readonly.key(),
        attrs.embed.key(),
        attrs.embed_many.key(),
        field.serde.default.key(),
    ];
    let misplaced =
        misplaced.into_iter().flatten().chain(attrs.indexes.iter().map(|(_, index)| &index.at.key));
    for attribute in misplaced {
        diag.hint(
            attribute,
            format_args!("`{attribute}` is not for relations: `{}` is not stored", field.name),
            format_args!("put it on the key `{key}`, or remove it"),
        );
    }
    for rule in &field.validate {
        diag.hint(
            rule,
            format_args!("`{}` is a relation: nobody gives a value to check", field.name),
            "remove the rule",
        );
    }
}
