//! Shard keys and views.

use super::super::ast::Struct;
use super::{Stored, indexes};
use crate::attr::Slot;
use crate::attr::index::Kind;
use crate::diag::Diag;

/// The stored paths of the shard key.
pub(super) fn shard_key(ast: &Struct, stored: &[Stored<'_>], diag: &Diag) -> Vec<(String, Kind)> {
    let keys = ast.attrs.shard_key.get().into_iter().flat_map(|key| &key.keys);
    keys.filter_map(|(key, kind)| {
        Some((indexes::stored_path(ast, stored, key, "shard_key(…)", diag)?.0, *kind))
    })
    .collect()
}

/// Reports what has no meaning for a model that is only read.
pub(super) fn view(ast: &Struct, diag: &Diag) {
    let attrs = &ast.attrs;
    let Some(view) = attrs.view.get() else { return };
    fn report<T>(slot: &Slot<T>, hint: &str, diag: &Diag) {
        if let Some(key) = slot.key() {
            diag.hint(key, format_args!("`{key}` is not for views"), hint);
        }
    }
    report(&attrs.timestamps, "nobody writes a view; take the times over in its pipeline", diag);
    report(
        &attrs.soft_delete,
        "nobody deletes from a view; leave deleted documents out in its pipeline",
        diag,
    );
    report(&attrs.pre_images, "keep them on the models that the view reads", diag);
    report(&attrs.sync, "replicate the models that the view reads", diag);
    report(&attrs.json_schema, "the documents of a view are checked where they are written", diag);
    report(&attrs.shard_key, "a view is read from where its source is", diag);
    for field in &ast.fields {
        report(
            &field.attrs.default,
            "nobody inserts into a view; use #[serde(default)] for absent values",
            diag,
        );
        if view.materialized.is_none() {
            let index = field.attrs.indexes.iter().map(|(_, index)| &index.at.key);
            let search = [field.attrs.text.key(), field.attrs.vector.key(), field.attrs.search.key()];
            let search = search.into_iter().flatten();
            for key in index.chain(field.attrs.unique.key()).chain(search) {
                no_index(key, diag);
            }
        }
    }
    if view.materialized.is_none() {
        for key in attrs.indexes.iter().map(|index| &index.at.key).chain(attrs.search.key()) {
            no_index(key, diag);
        }
    }
}

fn no_index(key: &syn::Ident, diag: &Diag) {
    diag.hint(
        key,
        "a view that is not stored has no indexes of its own",
        "index the model that it reads, or store the view: `view(…, materialized)`",
    );
}
