//! The search index: what its fields are kept as.

use super::super::ast::Struct;
use super::Stored;
use crate::attr::search::TextKind;
use crate::diag::Diag;
use crate::ty;

/// A search index over stored paths; the kinds are variants of `SearchKind`.
#[derive(Debug)]
pub(crate) struct SearchIndex {
    pub(crate) dynamic: bool,
    pub(crate) analyzer: Option<String>,
    pub(crate) fields: Vec<(String, &'static str)>,
}

/// The search index of a model, where it asks for one.
pub(super) fn check(ast: &Struct, stored: &[Stored<'_>], diag: &Diag) -> Option<SearchIndex> {
    let mut fields = Vec::new();
    for field in stored {
        let Some(given) = field.field.attrs.search.get() else { continue };
        match (kind_of(field), given.as_slice()) {
            (Some("Words") | None, kinds @ [_, ..]) => {
                fields.extend(kinds.iter().map(|kind| (field.stored.clone(), named(*kind))));
            }
            (Some(kind), []) => fields.push((field.stored.clone(), kind)),
            (Some(_), _) => diag.hint(
                field.field.attrs.search.key(),
                format_args!("`{}` is no text, and kept as what it is", field.field.name),
                "write `#[model(search)]`",
            ),
            (None, []) => diag.hint(
                &field.field.ty,
                format_args!("a macro cannot tell how a search index keeps `{}`", field.field.name),
                "where it is stored as text, write `search(token)` for the whole of it or `search(string)` for its words; \
                 search indexes also keep numbers, dates, `bool`, ids, places and embeds",
            ),
        }
    }
    let index = ast.attrs.search.get();
    let nothing = fields.is_empty() && !index.is_some_and(|index| index.dynamic);
    if let (Some(key), true, true) = (ast.attrs.search.key(), nothing, index.is_some()) {
        let any = stored.iter().any(|field| field.field.attrs.search.is_set());
        if !any {
            diag.hint(
                key,
                "this search index has no fields",
                "put `#[model(search)]` on fields, or write `search(dynamic)` for all of them",
            );
        }
    }
    (!nothing).then(|| SearchIndex {
        dynamic: index.is_some_and(|index| index.dynamic),
        analyzer: index.and_then(|index| Some(index.analyzer.as_ref()?.value())),
        fields,
    })
}

fn named(kind: TextKind) -> &'static str {
    match kind {
        TextKind::String => "Words",
        TextKind::Autocomplete => "Autocomplete",
        TextKind::Token => "Token",
    }
}

/// The types of GeoJSON.
const GEOMETRIES: [&str; 8] = [
    "GeoPoint",
    "GeoLine",
    "GeoPolygon",
    "GeoMultiPoint",
    "GeoMultiLine",
    "GeoMultiPolygon",
    "GeoCollection",
    "GeoShape",
];

/// How a field is kept, by the spelling of its type.
fn kind_of(field: &Stored<'_>) -> Option<&'static str> {
    if field.embed.is_some() {
        return Some("Documents");
    }
    let (inner, _) = ty::required(&field.field.ty);
    let inner = ty::argument(inner, "Vec").unwrap_or(inner);
    let is = |names: &[&str]| ty::is_any(inner, names);
    match () {
        () if is(&["String"]) => Some("Words"),
        () if is(&ty::INTEGERS) || is(&["f32", "f64", "Int64"]) => Some("Numbers"),
        () if is(&["DateTime", "Date"]) => Some("Dates"),
        () if is(&["bool"]) => Some("Booleans"),
        () if is(&["Id", "ObjectId"]) => Some("ObjectIds"),
        () if is(&["Uuid"]) => Some("Uuids"),
        () if is(&GEOMETRIES) => Some("Geo"),
        () => None,
    }
}
