//! Names in documents and in JSON.

use quote::ToTokens;

use super::super::ast::{Field, Struct};
use super::{OWNED, Relation, Stored, owned};
use crate::diag::Diag;

/// The name of `field` in JSON: what serde makes of it, or the usual one where Forge keeps the field.
pub(super) fn client(ast: &Struct, field: &Field) -> String {
    if let Some(name) = field.serde.rename.get() {
        return name.value();
    }
    if let Some(rule) = ast.serde.rename_all.get() {
        return rule.apply(&field.name);
    }
    owned(ast, &field.name).map_or_else(|| field.name.clone(), |(stored, _)| stored.to_owned())
}

/// Reports names that a document cannot have, and names that two fields share.
pub(super) fn check(ast: &Struct, fields: &[Stored<'_>], relations: &[Relation<'_>], diag: &Diag) {
    // Inside of a document `_id` is a field like any other.
    let is_embed = !fields.iter().any(|field| field.field.attrs.id.is_set());
    let declared = fields
        .iter()
        .map(|field| (field.field, field.client.as_str(), is_embed || field.field.attrs.id.is_set()));
    let declared =
        declared.chain(relations.iter().map(|relation| (relation.field, relation.client.as_str(), false)));
    let mut seen: Vec<(&str, &Field)> = Vec::new();
    for (field, name, is_id) in declared {
        spelling(field, name, is_id, diag);
        match seen.iter().find(|(known, _)| *known == name) {
            Some((_, first)) => clash(first, field, name, diag),
            None => seen.push((name, field)),
        }
    }
    undeclared(ast, fields, diag);
}

/// Reports declared fields that take the stored name of a timestamp that is not declared.
fn undeclared(ast: &Struct, fields: &[Stored<'_>], diag: &Diag) {
    for (name, stored, _) in OWNED {
        let kept = owned(ast, name).is_some() && !fields.iter().any(|field| field.field.name == name);
        let Some(taken) = fields.iter().find(|field| kept && field.stored == stored) else { continue };
        diag.hint(
            place(taken.field),
            format_args!("`{stored}` is the stored name of the field that Forge keeps as `{name}`"),
            format_args!("name this field `{name}`, or give it another name"),
        );
    }
}

fn spelling(field: &Field, name: &str, is_id: bool, diag: &Diag) {
    let wrong = if name.is_empty() {
        "is empty"
    } else if name.starts_with('$') {
        "starts with `$`, which MongoDB takes for an operator"
    } else if name.contains('.') {
        "contains `.`, which separates the parts of a path"
    } else if name.contains('\0') {
        "contains a NUL character"
    } else if name == "_id" && !is_id {
        return diag.hint(
            place(field),
            "the stored name `_id` is for the id only",
            "mark the field with #[model(id)], or give it another name",
        );
    } else {
        return;
    };
    diag.hint(
        place(field),
        format_args!("the stored name of `{}` {wrong}", field.name),
        "give it another name",
    );
}

fn clash(first: &Field, second: &Field, name: &str, diag: &Diag) {
    diag.hint(
        place(second),
        format_args!("`{}` and `{}` are both stored as {name:?}", first.name, second.name),
        "give one of them another name with #[serde(rename = \"…\")]",
    );
}

/// Where the name of a field was given.
fn place(field: &Field) -> &dyn ToTokens {
    match field.serde.rename.get() {
        Some(name) => name,
        None => &field.ident,
    }
}
