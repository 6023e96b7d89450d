//! `#[projection(…)]` on structs and fields.

use syn::{Expr, Ident, Member, Path};

use super::{Grammar, Item, Slot, Value};
use crate::diag::Diag;
use crate::names;

const STRUCT: Grammar = Grammar {
    around: ("#[projection(", ")]"),
    of: "a projection",
    keys: &[("model", "model = Flight"), ("crate", "crate = \"my_forge\"")],
};

const FIELD: Grammar = Grammar {
    around: ("#[projection(", ")]"),
    of: "a field of a projection",
    keys: &[("path", "path = address.city"), ("count", "count = departures")],
};

/// What `#[projection(…)]` says about a struct.
#[derive(Debug, Default)]
pub(crate) struct Struct {
    pub(crate) model: Slot<Path>,
    pub(crate) krate: Slot<Path>,
}

impl Struct {
    pub(crate) fn parse(attrs: &[syn::Attribute], diag: &Diag) -> Self {
        let mut found = Self::default();
        for item in &super::named(attrs, "projection", "#[projection(model = Flight)]", diag) {
            match names::plain(&item.key).as_str() {
                "model" => found.model.set(diag, item, model(diag, item)),
                "crate" => {
                    let path = STRUCT.string(diag, item).and_then(|text| super::path(diag, &text));
                    found.krate.set(diag, item, path);
                }
                _ => STRUCT.unknown(diag, item),
            }
        }
        found
    }
}

fn model(diag: &Diag, item: &Item) -> Option<Path> {
    match &item.value {
        Value::Is(Expr::Path(path)) => Some(path.path.clone()),
        _ => {
            STRUCT.malformed(diag, item, item, "is the name of a model");
            None
        }
    }
}

/// What `#[projection(…)]` says about a field.
#[derive(Debug, Default)]
pub(crate) struct Field {
    /// The names that lead to the value in the model.
    pub(crate) path: Slot<Vec<Ident>>,
    /// The relation to count.
    pub(crate) count: Slot<Ident>,
}

impl Field {
    pub(crate) fn parse(attrs: &[syn::Attribute], diag: &Diag) -> Self {
        let mut found = Self::default();
        for item in &super::named(attrs, "projection", "#[projection(path = address.city)]", diag) {
            match names::plain(&item.key).as_str() {
                "path" => {
                    let path = match &item.value {
                        Value::Is(value) => steps(value),
                        _ => None,
                    };
                    if path.is_none() {
                        FIELD.malformed(diag, item, item, "is the path of a field");
                    }
                    found.path.set(diag, item, path);
                }
                "count" => {
                    let relation = item.ident().cloned();
                    if relation.is_none() {
                        FIELD.malformed(diag, item, item, "is the name of a relation");
                    }
                    found.count.set(diag, item, relation);
                }
                _ => FIELD.unknown(diag, item),
            }
        }
        if let (Some(_), Some(key)) = (found.path.key(), found.count.key()) {
            diag.hint(
                key,
                "a field is read from a path or counts a relation, not both",
                "remove one of the two",
            );
        }
        found
    }
}

/// The names in `a.b.c`.
fn steps(value: &Expr) -> Option<Vec<Ident>> {
    match value {
        Expr::Path(path) => path.path.get_ident().map(|ident| vec![ident.clone()]),
        Expr::Field(field) => {
            let mut steps = steps(&field.base)?;
            match &field.member {
                Member::Named(name) => steps.push(name.clone()),
                Member::Unnamed(_) => return None,
            }
            Some(steps)
        }
        _ => None,
    }
}
