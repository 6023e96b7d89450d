//! Fields with vectors, and what a search may filter by.

use super::super::ast::Struct;
use super::{Stored, owned};
use crate::attr::vector::Similarity;
use crate::diag::Diag;
use crate::{names as words, ty};

/// A vector index over stored paths.
#[derive(Debug)]
pub(crate) struct Vector {
    pub(crate) path: String,
    pub(crate) dims: u32,
    pub(crate) similarity: Similarity,
    pub(crate) filters: Vec<String>,
}

/// The vector indexes of a model.
pub(super) fn check(ast: &Struct, stored: &[Stored<'_>], diag: &Diag) -> Vec<Vector> {
    let mut vectors = Vec::new();
    for field in stored {
        let Some(vector) = field.field.attrs.vector.get() else { continue };
        let (inner, _) = ty::required(&field.field.ty);
        if !ty::argument(inner, "Vec").is_some_and(|of| ty::is_any(of, &["f32"])) {
            diag.hint(
                &field.field.ty,
                format_args!("`{}` does not hold vectors", field.field.name),
                "`vector` is for `Vec<f32>` and `Option<Vec<f32>>`",
            );
        }
        let mut filters = Vec::with_capacity(vector.filter.len());
        for name in &vector.filter {
            let plain = words::plain(name);
            let kept = owned(ast, &plain).map(|(stored, _)| stored.to_owned());
            let known =
                || stored.iter().find(|other| other.field.name == plain).map(|other| other.stored.clone());
            match kept.or_else(known) {
                Some(path) => filters.push(path),
                None => diag.hint(
                    name,
                    format_args!("`{}` has no stored field `{plain}`", ast.ident),
                    format_args!(
                        "there are {}",
                        words::listed(stored.iter().map(|other| other.field.name.as_str()))
                    ),
                ),
            }
        }
        let path = field.stored.clone();
        vectors.push(Vector { path, dims: vector.dims, similarity: vector.similarity, filters });
    }
    vectors
}
