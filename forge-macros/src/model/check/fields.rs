//! Stored fields: ids, access, defaults, embeds, the fields that Forge keeps.

use quote::ToTokens;
use syn::{Ident, Type};

use super::super::ast::{Field, Struct};
use super::{Access, Embedded, Origin, Stored, names, owned, relations, rules};
use crate::attr::Slot;
use crate::diag::Diag;
use crate::{names as words, ty};

/// The stored fields of a model.
pub(super) fn stored<'a>(ast: &'a Struct, diag: &Diag) -> Vec<Stored<'a>> {
    let fields = ast
        .fields
        .iter()
        .filter(|field| !field.attrs.relation.is_set() && relations::kind_of(&field.ty).is_none());
    fields.map(|field| self::field(ast, field, diag)).collect()
}

/// The fields of an embed.
pub(crate) fn embed<'a>(ast: &'a Struct, diag: &Diag) -> Vec<Stored<'a>> {
    for field in &ast.fields {
        not_for_embeds(field, diag);
    }
    let fields: Vec<_> = ast.fields.iter().filter(|field| !field.attrs.relation.is_set()).collect();
    let fields = fields.into_iter().map(|field| self::field(ast, field, diag)).collect::<Vec<_>>();
    names::check(ast, &fields, &[], diag);
    fields
}

fn field<'a>(ast: &'a Struct, field: &'a Field, diag: &Diag) -> Stored<'a> {
    let (inner, optional) = ty::required(&field.ty);
    let kept = owned(ast, &field.name);
    let client = names::client(ast, field);
    let (stored, origin) = match kept {
        Some((stored, origin)) => (stored.to_owned(), origin),
        None if field.attrs.id.is_set() => ("_id".to_owned(), id_origin(inner)),
        None if field.attrs.version.is_set() => (client.clone(), Origin::Version),
        None if has_default(field) => (client.clone(), Origin::Default),
        None => (client.clone(), Origin::Given),
    };
    owns_its_value(&field.ty, diag);
    if kept.is_some() {
        kept_by_forge(field, origin, diag);
    }
    text(field, inner, diag);
    rules::check(field, diag);
    let access = access(ast, field, kept.is_some() || origin == Origin::Version, diag);
    let embed = embedded(field, inner, diag);
    Stored { field, stored, client, access, origin, optional, embed }
}

fn has_default(field: &Field) -> bool {
    field.attrs.default.is_set() || field.serde.default.is_set()
}

fn id_origin(ty: &Type) -> Origin {
    if ty::is_any(ty, &["Id", "Uuid"]) { Origin::Generated } else { Origin::Given }
}

fn owns_its_value(ty: &Type, diag: &Diag) {
    if let Some(reference) = ty::borrowed(ty) {
        diag.hint(
            reference,
            "a field cannot borrow: documents are read into values of their own",
            format_args!("write `{}`", owned_form(reference)),
        );
    }
}

/// What to write in place of a reference.
pub(crate) fn owned_form(ty: &Type) -> String {
    let Type::Reference(reference) = ty::bare(ty) else { return "an owned type".to_owned() };
    match ty::bare(&reference.elem) {
        Type::Slice(slice) => format!("Vec<{}>", slice.elem.to_token_stream()),
        elem if ty::is_any(elem, &["str"]) => "String".to_owned(),
        elem => elem.to_token_stream().to_string(),
    }
}

/// The position of the id.
pub(super) fn id(ast: &Struct, fields: &[Stored<'_>], diag: &Diag) -> Option<usize> {
    let marked: Vec<usize> = (0..fields.len()).filter(|i| fields[*i].field.attrs.id.is_set()).collect();
    match marked.as_slice() {
        [] => no_id(ast, diag),
        [only] => id_type(ast, fields[*only].field, diag),
        [first, others @ ..] => {
            for other in others {
                diag.hint(
                    fields[*other].field.attrs.id.key(),
                    format_args!("`{}` has two ids", ast.ident),
                    "keep one #[model(id)]; for a second key use #[model(unique)]",
                );
            }
            diag.error(fields[*first].field.attrs.id.key(), "the first id is here");
        }
    }
    marked.first().copied()
}

fn no_id(ast: &Struct, diag: &Diag) {
    // A relation with #[model(id)] has an error of its own.
    if ast.fields.iter().any(|field| field.attrs.id.is_set()) {
        return;
    }
    let hint = match ast.fields.iter().find(|field| field.name == "id") {
        Some(_) => "mark the field `id` with #[model(id)]".to_owned(),
        None => format!("add `#[model(id)] id: Id<{}>`, or mark the field that is the id", ast.ident),
    };
    diag.hint(&ast.ident, format_args!("`{}` has no id", ast.ident), hint);
}

fn id_type(ast: &Struct, field: &Field, diag: &Diag) {
    let (inner, optional) = ty::required(&field.ty);
    if optional {
        let hint = if id_origin(inner) == Origin::Generated {
            ": `New…` generates it where it is not given"
        } else {
            ""
        };
        diag.hint(
            &field.ty,
            "an id is never absent",
            format_args!(
                "write `{}: {}`{hint}",
                field.name,
                inner.to_token_stream().to_string().replace(' ', "")
            ),
        );
    } else if ty::is_any(inner, &["Vec", "HashMap", "BTreeMap", "HashSet", "BTreeSet"]) {
        diag.hint(
            &field.ty,
            "an id cannot be a list or a map",
            "ids are `Id<Self>`, `Uuid`, `String`, numbers or other scalars",
        );
    } else if let Some(of) = ty::argument(inner, "Id")
        && !ty::is_any(of, &["Self", &ast.ident.to_string()])
    {
        diag.hint(
            &field.ty,
            format_args!("this is the id of another model than `{}`", ast.ident),
            format_args!("write `Id<{}>`", ast.ident),
        );
    }
    if field.attrs.default.is_set() {
        diag.hint(
            field.attrs.default.key(),
            "an id has no default",
            "`Id<…>` and `Uuid` are generated; every other id must be given",
        );
    }
    let redundant = field
        .attrs
        .unique
        .key()
        .into_iter()
        .chain(field.attrs.indexes.iter().map(|(_, index)| &index.at.key));
    for key in redundant.chain(field.attrs.text.key()) {
        diag.hint(key, "the id has a unique index already", format_args!("remove `{key}`"));
    }
}

fn access(ast: &Struct, field: &Field, kept: bool, diag: &Diag) -> Access {
    let access = declared_access(ast, field, diag);
    // Who a document belongs to is not for clients to say.
    let kept = kept || field.attrs.tenant_key.is_set();
    if kept && access == Access::Public { Access::ReadOnly } else { access }
}

/// What `private`, `readonly` and the allow-list say.
pub(super) fn declared_access(ast: &Struct, field: &Field, diag: &Diag) -> Access {
    let (private, readonly) = (&field.attrs.private, &field.attrs.readonly);
    if let (Some(_), Some(key)) = (private.get(), readonly.key()) {
        diag.hint(
            key,
            format_args!("`{}` is both `private` and `readonly`", field.name),
            "clients do not see private fields at all: remove one of the two",
        );
    }
    let allowed = ast.attrs.client.get();
    let listed = allowed.and_then(|names| names.iter().find(|name| words::plain(name) == field.name));
    if let (Some(name), true) = (listed, private.is_set()) {
        diag.hint(
            name,
            format_args!("`{}` is private, and allowed to clients here", field.name),
            "remove it from the list, or remove `private` from the field",
        );
    }
    match (private.is_set(), readonly.is_set()) {
        (true, _) => Access::Private,
        _ if allowed.is_some() && listed.is_none() => Access::Private,
        (_, true) => Access::ReadOnly,
        _ => Access::Public,
    }
}

/// Reports names of the allow-list that no field has.
pub(super) fn client_list(ast: &Struct, diag: &Diag) {
    for name in ast.attrs.client.get().into_iter().flatten() {
        unknown_field(ast, name, "client(…)", diag);
    }
}

/// Reports `name` if it is not a field of the struct. Whether it is one.
pub(super) fn unknown_field(ast: &Struct, name: &Ident, place: &str, diag: &Diag) -> bool {
    let plain = words::plain(name);
    let known = ast.fields.iter().map(|field| field.name.as_str());
    if known.clone().any(|field| field == plain) {
        return false;
    }
    let hint = match words::closest(&plain, known.clone()) {
        _ if owned(ast, &plain).is_some() => {
            format!("declare it to show it: `{plain}: {}`", kept_type(&plain))
        }
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("the fields are {}", words::listed(known)),
    };
    diag.hint(name, format_args!("`{}` has no field `{plain}` to name in `{place}`", ast.ident), hint);
    true
}

fn kept_type(name: &str) -> &'static str {
    if name == "deleted_at" { "Option<DateTime>" } else { "DateTime" }
}

fn kept_by_forge(field: &Field, origin: Origin, diag: &Diag) {
    let (inner, optional) = ty::required(&field.ty);
    let fits = ty::is_any(inner, &["DateTime"]) && (origin == Origin::Timestamp || optional);
    if !fits {
        let attribute = if origin == Origin::Deletion { "soft_delete" } else { "timestamps" };
        diag.hint(
            &field.ty,
            format_args!("`{}` has the wrong type for `{attribute}`", field.name),
            format_args!("write `{}: {}`", field.name, kept_type(&field.name)),
        );
    }
    let attrs = &field.attrs;
    let taken = [attrs.id.key(), attrs.default.key(), attrs.readonly.key(), field.serde.default.key()];
    for key in taken.into_iter().flatten() {
        diag.hint(
            key,
            format_args!("`{}` is kept by Forge: `{key}` has no meaning here", field.name),
            format_args!("remove `{key}`, or name the field otherwise"),
        );
    }
    for attr in &field.validate {
        diag.hint(
            attr,
            format_args!("`{}` is kept by Forge: nobody else gives a value to check", field.name),
            "remove the rule",
        );
    }
}

fn text(field: &Field, inner: &Type, diag: &Diag) {
    let strings = ty::is_any(inner, &["String"])
        || ty::argument(inner, "Vec").is_some_and(|of| ty::is_any(of, &["String"]));
    if field.attrs.text.is_set() && !field.attrs.id.is_set() && !strings {
        diag.hint(
            &field.ty,
            format_args!("`{}` cannot be searched as text", field.name),
            "`text` is for `String`, `Option<String>` and `Vec<String>`",
        );
    }
}

fn embedded(field: &Field, inner: &Type, diag: &Diag) -> Option<Embedded> {
    let (one, many) = (&field.attrs.embed, &field.attrs.embed_many);
    let is_list = ty::argument(inner, "Vec").is_some();
    match (one.key(), many.key()) {
        (Some(_), Some(key)) => {
            diag.hint(key, "a field is `embed` or `embed_many`, not both", "remove one of the two");
            None
        }
        (Some(key), None) if is_list => {
            diag.hint(key, format_args!("`{}` is a list", field.name), "write #[model(embed_many)]");
            None
        }
        (None, Some(key)) if !is_list => {
            let hint = format!("write #[model(embed)], or `{}: Vec<…>`", field.name);
            diag.hint(key, format_args!("`{}` is not a `Vec`", field.name), hint);
            None
        }
        (Some(_), None) => Some(Embedded::One),
        (None, Some(_)) => Some(Embedded::Many),
        (None, None) => None,
    }
}

fn not_for_embeds(field: &Field, diag: &Diag) {
    fn report<T>(field: &Field, slot: &Slot<T>, hint: &str, diag: &Diag) {
        if let Some(key) = slot.key() {
            diag.hint(key, format_args!("`{key}` is not for fields of embeds (`{}`)", field.name), hint);
        }
    }
    let attrs = &field.attrs;
    report(field, &attrs.id, "only models have ids", diag);
    report(field, &attrs.tenant_key, "a document has one tenant: put the key on the model", diag);
    report(field, &attrs.relation, "put the relation and its key on the model", diag);
    report(field, &attrs.unique, "put the key on the model", diag);
    report(field, &attrs.version, "it counts the changes of a whole document: put it on the model", diag);
    report(field, &attrs.text, "put the text on the model", diag);
    report(field, &attrs.vector, "put the vectors on the model", diag);
    report(
        field,
        &attrs.search,
        "mark the field of the model that embeds it: all of the embed is searched then",
        diag,
    );
    for (_, index) in &attrs.indexes {
        diag.hint(
            &index.at.key,
            format_args!("`index` is not for fields of embeds (`{}`)", field.name),
            "put what is looked up on the model",
        );
    }
    if let (Some(kind), false) = (relations::kind_of(&field.ty), attrs.relation.is_set()) {
        diag.hint(
            &field.ty,
            format_args!("`{}` is not for fields of embeds (`{}`)", kind.wrapper(), field.name),
            "put the relation and its key on the model",
        );
    }
}
