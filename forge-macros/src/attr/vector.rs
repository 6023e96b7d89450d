//! `vector(…)` on fields.

use syn::Ident;

use super::{Grammar, Item, Slot, Value};
use crate::diag::Diag;
use crate::names;

const VECTOR: Grammar = Grammar {
    around: ("#[model(vector(", "))]"),
    of: "a vector index",
    keys: &[
        ("dims", "dims = 384"),
        ("similarity", "dims = 384, similarity = cosine"),
        ("filter", "dims = 384, filter(city, open)"),
    ],
};

/// A vector index.
#[derive(Debug, Clone)]
pub(crate) struct Vector {
    pub(crate) dims: u32,
    pub(crate) similarity: Similarity,
    /// The fields that a search may filter by.
    pub(crate) filter: Vec<Ident>,
}

/// What makes two vectors alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Similarity {
    #[default]
    Cosine,
    DotProduct,
    Euclidean,
}

const SIMILARITIES: [(&str, Similarity); 3] = [
    ("cosine", Similarity::Cosine),
    ("dot_product", Similarity::DotProduct),
    ("euclidean", Similarity::Euclidean),
];

/// Reads `vector(dims = 384, similarity = cosine, filter(city))` of a field.
pub(super) fn vector(diag: &Diag, grammar: &Grammar, item: &Item) -> Option<Vector> {
    let (mut dims, mut similarity, mut filter) = (Slot::default(), Slot::default(), Slot::default());
    for part in &grammar.list(diag, item)? {
        match names::plain(&part.key).as_str() {
            "dims" => dims.set(diag, part, dimensions(diag, part)),
            "similarity" => similarity.set(diag, part, named(diag, part)),
            "filter" => filter.set(diag, part, fields(diag, part)),
            _ => VECTOR.unknown(diag, part),
        }
    }
    if !dims.is_set() {
        grammar.malformed(diag, item, item, "needs the number of dimensions");
    }
    Some(Vector {
        dims: *dims.get()?,
        similarity: similarity.get().copied().unwrap_or_default(),
        filter: filter.get().cloned().unwrap_or_default(),
    })
}

fn dimensions(diag: &Diag, part: &Item) -> Option<u32> {
    let dims = part.integer().and_then(|n| u32::try_from(n).ok()).filter(|n| (1..=8_192).contains(n));
    if dims.is_none() {
        VECTOR.malformed(diag, part, part, "is a whole number from 1 to 8192");
    }
    dims
}

fn named(diag: &Diag, part: &Item) -> Option<Similarity> {
    let name = part.ident().map(names::plain);
    let found = SIMILARITIES.iter().find(|(known, _)| Some(*known) == name.as_deref());
    if found.is_none() {
        let known = SIMILARITIES.iter().map(|(known, _)| *known);
        diag.hint(
            part,
            "unknown similarity of vectors",
            format_args!("it is one of {}, without quotes", names::listed(known)),
        );
    }
    found.map(|(_, similarity)| *similarity)
}

fn fields(diag: &Diag, part: &Item) -> Option<Vec<Ident>> {
    let mut fields: Vec<Ident> = Vec::new();
    for name in VECTOR.list(diag, part)? {
        if !matches!(name.value, Value::Flag) {
            VECTOR.malformed(diag, part, &name, "takes the names of fields only");
        } else if let Some(first) = fields.iter().find(|known| **known == name.key) {
            diag.duplicate(&names::plain(&name.key), first, &name.key);
        } else {
            fields.push(name.key);
        }
    }
    Some(fields)
}
