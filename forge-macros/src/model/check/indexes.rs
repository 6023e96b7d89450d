//! Indexes: field names become stored paths, and each index is declared once.

use super::super::ast::{Field, Struct};
use super::{Index, Stored, fields, owned};
use crate::attr::Item;
use crate::attr::index::{self as attr, Key, Kind};
use crate::diag::Diag;
use crate::{names as words, ty};

/// Every declared index, those of fields first.
pub(super) fn indexes(ast: &Struct, stored: &[Stored<'_>], diag: &Diag) -> Vec<Index> {
    let mut all: Vec<(Index, Place<'_>)> = Vec::new();
    for field in stored.iter().filter(|field| !field.field.attrs.id.is_set()) {
        of_field(field, &mut all, diag);
    }
    all.extend(text(ast, stored, diag));
    for declared in &ast.attrs.indexes {
        if let Some(index) = of_struct(ast, stored, declared, diag) {
            all.push((index, Place::Item(&declared.at)));
        }
    }
    repeated(&all, diag);
    all.into_iter().map(|(index, _)| index).collect()
}

/// Where an index is declared.
#[derive(Clone, Copy)]
enum Place<'a> {
    Item(&'a Item),
    Key(&'a syn::Ident),
}

impl quote::ToTokens for Place<'_> {
    fn to_tokens(&self, tokens: &mut proc_macro2::TokenStream) {
        match self {
            Self::Item(item) => item.to_tokens(tokens),
            Self::Key(key) => key.to_tokens(tokens),
        }
    }
}

fn of_field<'a>(field: &Stored<'a>, all: &mut Vec<(Index, Place<'a>)>, diag: &Diag) {
    let attrs = &field.field.attrs;
    for (kind, declared) in attrs.indexes.iter().filter(|(_, declared)| !declared.is_broken()) {
        let keys = vec![(field.stored.clone(), *kind)];
        ttl(declared, &[Found::Field(field.field)], diag);
        fits(declared, &keys, diag);
        let mut index = build(declared, keys);
        // Documents without the field would all have the same key.
        index.sparse |= index.unique && field.optional && index.partial.is_none();
        all.push((index, Place::Item(&declared.at)));
    }
    if let Some(key) = attrs.unique.key() {
        let keys = vec![(field.stored.clone(), Kind::Ascending)];
        all.push((Index { unique: true, sparse: field.optional, ..plain(keys) }, Place::Key(key)));
    }
}

/// All `text` fields make one index: a collection has no second one.
fn text<'a>(ast: &'a Struct, stored: &[Stored<'a>], diag: &Diag) -> Option<(Index, Place<'a>)> {
    let fields = || stored.iter().filter(|field| !field.field.attrs.id.is_set());
    let weighted = fields().filter_map(|field| Some((field, *field.field.attrs.text.get()?)));
    let keys: Vec<_> = weighted.map(|(field, weight)| (field.stored.clone(), Kind::Text(weight))).collect();
    let is_text = |keys: &[(Key, Kind)]| keys.iter().any(|(_, kind)| matches!(kind, Kind::Text(_)));
    let of_struct = ast.attrs.indexes.iter().filter(|index| is_text(&index.keys)).map(|index| &index.at);
    let of_fields = stored.iter().flat_map(|field| field.field.attrs.indexes.iter());
    let of_fields = of_fields.filter(|(kind, _)| matches!(kind, Kind::Text(_))).map(|(_, index)| &index.at);
    for extra in of_struct.chain(of_fields).skip(usize::from(keys.is_empty())) {
        diag.hint(
            extra,
            "a collection has one text index",
            "name all its fields in one index, or mark each of them with #[model(text)]",
        );
    }
    let place = fields().find_map(|field| field.field.attrs.text.key())?;
    Some((plain(keys), Place::Key(place)))
}

fn of_struct(ast: &Struct, stored: &[Stored<'_>], declared: &attr::Index, diag: &Diag) -> Option<Index> {
    if declared.keys.is_empty() {
        // Empty parentheses and misspelt keys have been reported.
        let options = [declared.unique.key(), declared.sparse.key(), declared.ttl.key(), declared.name.key()];
        if options.into_iter().flatten().next().is_some()
            || declared.partial.is_set()
            || declared.collation.is_set()
        {
            diag.hint(
                &declared.at,
                "this index has no fields",
                "name them first: `index(city, date = -1, unique)`",
            );
        }
        return None;
    }
    let mut keys = Vec::new();
    let mut found = Vec::new();
    for (key, kind) in &declared.keys {
        if let Some((path, field)) = stored_path(ast, stored, key, "index(…)", diag) {
            keys.push((path, *kind));
            found.push(field);
        }
    }
    if found.len() == declared.keys.len() {
        ttl(declared, &found, diag);
    }
    fits(declared, &keys, diag);
    (keys.len() == declared.keys.len() && !declared.is_broken()).then(|| build(declared, keys))
}

/// What a key of an index is.
#[derive(Clone, Copy)]
pub(super) enum Found<'a> {
    /// A field of the struct.
    Field(&'a Field),
    /// A field that Forge keeps and the struct does not declare.
    Kept,
    /// Something inside a field: the program knows at start-up.
    Inside,
}

/// The stored path that `key` means.
pub(super) fn stored_path<'a>(
    ast: &Struct,
    stored: &[Stored<'a>],
    key: &Key,
    place: &str,
    diag: &Diag,
) -> Option<(String, Found<'a>)> {
    match key {
        Key::Field(name) => {
            let plain = words::plain(name);
            let field = stored.iter().find(|field| field.field.name == plain);
            match (field, owned(ast, &plain)) {
                (Some(field), _) => Some((field.stored.clone(), Found::Field(field.field))),
                (None, Some((path, _))) => Some((path.to_owned(), Found::Kept)),
                (None, None) => {
                    not_stored(ast, name, place, diag);
                    None
                }
            }
        }
        Key::Path(path) => inside(ast, stored, path, diag).then(|| (path.value(), Found::Inside)),
    }
}

/// Types that hold nothing inside.
const SCALARS: [&str; 7] = ["String", "bool", "f32", "f64", "DateTime", "Id", "Uuid"];

/// Whether a path in quotes can lead somewhere.
fn inside(ast: &Struct, stored: &[Stored<'_>], path: &syn::LitStr, diag: &Diag) -> bool {
    let text = path.value();
    let parts: Vec<&str> = text.split('.').collect();
    let (root, last) = (parts[0], parts.len() - 1);
    let sound = |(at, part): (usize, &&str)| {
        (at == last && *part == "$**") || (!part.is_empty() && !part.starts_with('$'))
    };
    if !parts.iter().enumerate().all(sound) {
        diag.hint(
            path,
            "this is no path of an index",
            "write stored names with points between, as in \"address.city\", or \"$**\" for every field",
        );
        return false;
    }
    if text == "$**" {
        return true;
    }
    let Some(field) = stored.iter().find(|field| field.stored == root) else {
        let hint = match stored.iter().find(|field| field.field.name == root) {
            Some(field) => format!("it is stored as `{}`: write that", field.stored),
            None => {
                format!("the stored fields are {}", words::listed(stored.iter().map(|field| &field.stored)))
            }
        };
        diag.hint(path, format_args!("`{}` stores no field `{root}`", ast.ident), hint);
        return false;
    };
    if last == 0 {
        diag.hint(
            path,
            "only paths into a field are in quotes",
            format_args!("write `{}`", field.field.name),
        );
        return false;
    }
    let (inner, _) = ty::required(&field.field.ty);
    if ty::is_any(inner, &SCALARS) || ty::is_any(inner, &ty::INTEGERS) {
        diag.hint(
            path,
            format_args!("`{root}` is a `{}`, and nothing is inside", ty::name(inner).unwrap_or_default()),
            "paths lead into embeds, maps and lists of them",
        );
        return false;
    }
    true
}

/// Reports kinds and options that MongoDB does not take together.
fn fits(declared: &attr::Index, keys: &[(String, Kind)], diag: &Diag) {
    let has = |wanted: fn(&Kind) -> bool| keys.iter().any(|(_, kind)| wanted(kind));
    let hashed = keys.iter().filter(|(_, kind)| *kind == Kind::Hashed).count();
    let wildcard = keys.iter().any(|(path, _)| path.ends_with("$**"));
    if hashed > 1 {
        diag.hint(&declared.at, "an index hashes one field at most", "hash one of them");
    }
    if let Some(key) = declared.unique.key() {
        let kind = match () {
            () if hashed > 0 => Some("a hashed index"),
            () if wildcard => Some("a wildcard index"),
            () if has(|kind| matches!(kind, Kind::Text(_))) => Some("a text index"),
            () => None,
        };
        if let Some(kind) = kind {
            diag.hint(
                key,
                format_args!("{kind} cannot be unique"),
                "declare a plain index of its own for the rule",
            );
        }
    }
    if let (Some(key), true) = (declared.sparse.key(), declared.partial.is_set()) {
        diag.hint(
            key,
            "an index is `sparse` or `partial`, not both",
            r#"remove `sparse`; `{ "field": { "$exists": true } }` in the condition says the same"#,
        );
    }
    if wildcard
        && !keys
            .iter()
            .filter(|(path, _)| path.ends_with("$**"))
            .all(|(_, kind)| matches!(kind, Kind::Ascending | Kind::Descending))
    {
        diag.hint(
            &declared.at,
            "a wildcard index is `\"$**\"`, or `\"$**\" = -1`",
            "declare the other kind by field",
        );
    }
    if let (Some(key), false) = (declared.projection.key(), keys.iter().any(|(path, _)| path == "$**")) {
        diag.hint(
            key,
            "`projection` is for an index over `\"$**\"`",
            "remove it; other indexes name their fields",
        );
    }
    if let (Some(key), false) = (declared.language.key(), has(|kind| matches!(kind, Kind::Text(_)))) {
        diag.hint(key, "`language` is for a text index", "remove it");
    }
}

fn not_stored(ast: &Struct, name: &syn::Ident, place: &str, diag: &Diag) {
    if fields::unknown_field(ast, name, place, diag) {
        return;
    }
    let relation = |field: &&Field| field.name == words::plain(name);
    let key = ast.fields.iter().find(relation).and_then(|field| field.relation());
    let hint = key
        .map_or("index the key instead".to_owned(), |relation| format!("index its key `{}`", relation.key));
    diag.hint(name, format_args!("`{name}` is a relation and not stored"), hint);
}

/// A ttl needs one key, which is a date. A key without a field is a timestamp that is not declared.
fn ttl(declared: &attr::Index, found: &[Found<'_>], diag: &Diag) {
    let Some(at) = declared.ttl.key() else { return };
    let [only] = found else {
        return diag.hint(
            at,
            "`ttl` is for an index of one date field",
            "declare an index of its own for it",
        );
    };
    let Found::Field(field) = only else { return };
    let (inner, _) = ty::required(&field.ty);
    if !ty::is_any(inner, &["DateTime"]) {
        diag.hint(
            &field.ty,
            format_args!("`ttl` needs a date, and `{}` is not one", field.name),
            "documents expire that long after a `DateTime` or `Option<DateTime>`",
        );
    }
}

fn build(declared: &attr::Index, keys: Vec<(String, Kind)>) -> Index {
    Index {
        keys,
        unique: declared.unique.is_set(),
        sparse: declared.sparse.is_set(),
        ttl: declared.ttl.get().copied(),
        partial: declared.partial.get().map(syn::LitStr::value),
        collation: declared.collation.get().cloned(),
        projection: declared.projection.get().map(syn::LitStr::value),
        language: declared.language.get().map(syn::LitStr::value),
        hidden: declared.hidden.is_set(),
        name: declared.name.get().map(syn::LitStr::value),
    }
}

/// An index of `keys` without options.
pub(super) fn plain(keys: Vec<(String, Kind)>) -> Index {
    Index {
        keys,
        unique: false,
        sparse: false,
        ttl: None,
        partial: None,
        collation: None,
        projection: None,
        language: None,
        hidden: false,
        name: None,
    }
}

/// Reports indexes that MongoDB would take for the same one, or that have the same name.
fn repeated(all: &[(Index, Place<'_>)], diag: &Diag) {
    for (i, (index, place)) in all.iter().enumerate() {
        let same = |(other, _): &&(Index, Place<'_>)| {
            other.keys == index.keys && other.partial == index.partial && other.collation == index.collation
        };
        let same_name = |(other, _): &&(Index, Place<'_>)| other.name.is_some() && other.name == index.name;
        if let Some((_, first)) = all[..i].iter().find(same) {
            diag.hint(place, "this index is declared twice", "keep one of them, with the options of both");
            diag.error(first, "the same index is declared here first");
        } else if let Some((_, first)) = all[..i].iter().find(same_name) {
            diag.hint(place, "two indexes have the same name", "give one of them another `name`");
            diag.error(first, "the name is used here first");
        }
    }
}
