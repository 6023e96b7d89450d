//! The version of a model: the one whole number that every change raises.

use super::super::ast::{Field, Struct};
use super::Stored;
use crate::diag::Diag;
use crate::ty;

/// The stored path of the version; reports what cannot be one.
pub(super) fn version(ast: &Struct, stored: &[Stored<'_>], diag: &Diag) -> Option<String> {
    let mut marked = stored.iter().filter(|field| field.field.attrs.version.is_set());
    let first = marked.next()?;
    for other in marked {
        diag.hint(
            other.field.attrs.version.key(),
            format_args!("`{}` has two versions", ast.ident),
            "keep one #[model(version)]: it counts the changes of the whole document",
        );
    }
    fits(first.field, diag);
    Some(first.stored.clone())
}

fn fits(field: &Field, diag: &Diag) {
    if !ty::is_any(&field.ty, &["i64", "i32", "u32"]) {
        diag.hint(
            &field.ty,
            format_args!("`{}` cannot count changes", field.name),
            format_args!("write `{}: i64`", field.name),
        );
    }
    let attrs = &field.attrs;
    let taken = [
        attrs.id.key(),
        attrs.default.key(),
        attrs.readonly.key(),
        attrs.unique.key(),
        attrs.text.key(),
        attrs.embed.key(),
        attrs.embed_many.key(),
        field.serde.default.key(),
    ];
    for key in taken.into_iter().flatten() {
        diag.hint(
            key,
            format_args!("`{}` is counted by Forge: `{key}` has no meaning here", field.name),
            format_args!("remove `{key}`"),
        );
    }
    for attr in &field.validate {
        diag.hint(
            attr,
            format_args!("`{}` is counted by Forge: nobody else gives a value to check", field.name),
            "remove the rule",
        );
    }
}
