//! The static data of a model: fields, relations, indexes.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::Ident;

use super::super::check::{Access, Index, Model, Origin, Relation, SearchIndex, Stored, Vector};
use super::Names;
use super::bounds::bounds;
use crate::attr::index::Kind;
use crate::attr::model::{OnDelete, RelationKind};
use crate::attr::vector::Similarity;
use crate::names::plain;
use crate::{spans, ty};

/// `__FIELDS`, `__RELATIONS`, `__DEF` and the registration.
pub(super) fn definition(model: &Model<'_>, names: &Names) -> TokenStream {
    let fields = model.fields.iter().map(field_def);
    let relations = model.relations.iter().map(|relation| relation_def(model, relation));
    let indexes = model.indexes.iter().map(index_def);
    let (field_count, relation_count) = (model.fields.len(), model.relations.len());
    let (name, collection, docs, id) = (plain(&names.model), &model.collection, &model.ast.docs, model.id);
    let attrs = &model.ast.attrs;
    let mut more = TokenStream::new();
    if !docs.is_empty() {
        more.extend(quote!(docs: #docs,));
    }
    if relation_count > 0 {
        more.extend(quote!(relations: &__RELATIONS,));
    }
    if !model.indexes.is_empty() {
        more.extend(quote!(indexes: &[#(#indexes),*],));
    }
    for (set, option) in [
        (attrs.timestamps.is_set(), quote!(timestamps)),
        (attrs.soft_delete.is_set(), quote!(soft_delete)),
        (attrs.sync.is_set(), quote!(sync)),
        (attrs.pre_images.is_set(), quote!(pre_images)),
    ] {
        if set {
            more.extend(quote!(#option: true,));
        }
    }
    more.extend(schema(model));
    if !model.vectors.is_empty() {
        let vectors = model.vectors.iter().map(vector_def);
        more.extend(quote!(vectors: &[#(#vectors),*],));
    }
    if let Some(search) = &model.search {
        let definition = search_def(search);
        more.extend(quote!(search: ::core::option::Option::Some(#definition),));
    }
    if let Some(path) = &model.tenant {
        more.extend(quote!(tenant: ::core::option::Option::Some(#path),));
    }
    if let Some(policy) = attrs.policy.get() {
        let model_name = &names.model;
        let of = quote_spanned!(spans::of(policy)=> __forge::PolicyDef::of::<#model_name, #policy>());
        more.extend(quote!(policy: ::core::option::Option::Some(#of),));
    }
    if let Some(path) = &model.version {
        more.extend(quote!(version: ::core::option::Option::Some(#path),));
    }
    let plain = quote!(__forge::ModelDef::new(#name, #collection, &__FIELDS, #id));
    let definition = if more.is_empty() { plain } else { quote!(__forge::ModelDef { #more ..#plain }) };
    quote! {
        static __FIELDS: [__forge::FieldDef; #field_count] = [#(#fields),*];
        static __RELATIONS: [__forge::RelationDef; #relation_count] = [#(#relations),*];
        static __DEF: __forge::ModelDef = #definition;
        __forge::inventory::submit! { __forge::Registered(&__DEF) }
    }
}

fn search_def(index: &SearchIndex) -> TokenStream {
    let SearchIndex { dynamic, analyzer, fields } = index;
    let analyzer = match analyzer {
        Some(analyzer) => quote!(::core::option::Option::Some(#analyzer)),
        None => quote!(::core::option::Option::None),
    };
    let fields = fields.iter().map(|(path, kind)| {
        let kind = Ident::new(kind, Span::call_site());
        quote!((#path, __forge::SearchKind::#kind))
    });
    quote!(__forge::SearchDef { dynamic: #dynamic, analyzer: #analyzer, fields: &[#(#fields),*] })
}

fn vector_def(vector: &Vector) -> TokenStream {
    let Vector { path, dims, similarity, filters } = vector;
    let similarity = match similarity {
        Similarity::Cosine => quote!(Cosine),
        Similarity::DotProduct => quote!(DotProduct),
        Similarity::Euclidean => quote!(Euclidean),
    };
    quote! {
        __forge::VectorDef {
            path: #path,
            dims: #dims,
            similarity: __forge::Similarity::#similarity,
            filters: &[#(#filters),*],
        }
    }
}

/// What the database keeps about the collection beside documents and indexes.
fn schema(model: &Model<'_>) -> TokenStream {
    let attrs = &model.ast.attrs;
    let some = quote!(::core::option::Option::Some);
    let mut more = TokenStream::new();
    if let Some(view) = attrs.view.get() {
        let (source, pipeline) = (&view.source, &view.pipeline);
        let refresh = match view.materialized {
            None => quote!(::core::option::Option::None),
            Some(false) => quote!(#some(__forge::Refresh::Replace)),
            Some(true) => quote!(#some(__forge::Refresh::Merge)),
        };
        let source = quote_spanned!(spans::of(source)=> <#source as __forge::Model>::def);
        let pipeline = quote_spanned!(spans::of(pipeline)=> |source| __forge::stages_of(source, #pipeline));
        more.extend(quote!(view: #some(__forge::ViewDef { source: #source, pipeline: #pipeline, refresh: #refresh }),));
    }
    if let Some(schema) = attrs.json_schema.get() {
        let (strict, refuse) = (schema.strict, schema.refuse);
        more.extend(quote!(json_schema: #some(__forge::ValidatorDef { strict: #strict, refuse: #refuse }),));
    }
    if let Some(shard_key) = attrs.shard_key.get() {
        let (keys, unique) = (keys(&model.shard_key), shard_key.unique);
        more.extend(quote!(shard_key: #some(__forge::ShardKeyDef { keys: &[#keys], unique: #unique }),));
    }
    more
}

/// A `FieldDef`: what differs from a public, required field is written out.
pub(crate) fn field_def(field: &Stored<'_>) -> TokenStream {
    let (name, docs, ty) = (&field.field.name, &field.field.docs, &field.field.ty);
    let Stored { stored, client, .. } = field;
    let schema = quote_spanned!(spans::of(ty)=> __forge::schema_of::<#ty>);
    let mut more = TokenStream::new();
    if field.access != Access::Public {
        let access = access(field.access);
        more.extend(quote!(access: #access,));
    }
    let default = match field.origin {
        Origin::Given | Origin::Deletion => None,
        Origin::Generated => Some(quote!(Generated)),
        Origin::Default => Some(quote!(Value)),
        Origin::Timestamp => Some(quote!(Timestamp)),
        Origin::Version => Some(quote!(Version)),
    };
    more.extend(default.map(|default| quote!(default: __forge::DefaultDef::#default,)));
    if field.optional {
        more.extend(quote!(optional: true,));
    }
    if field.embed.is_some() {
        let of = embedded_type(field);
        let definition = quote_spanned!(spans::of(of)=> <#of as __forge::Embed>::def);
        more.extend(quote!(embed: ::core::option::Option::Some(#definition),));
    }
    if !docs.is_empty() {
        more.extend(quote!(docs: #docs,));
    }
    more.extend(bounds(&field.field.validate));
    let plain = quote!(__forge::FieldDef::new(#name, #stored, #client, #schema));
    if more.is_empty() { plain } else { quote!(__forge::FieldDef { #more ..#plain }) }
}

/// The type that derives `Embed`, behind `Option` and `Vec`.
pub(super) fn embedded_type<'a>(field: &Stored<'a>) -> &'a syn::Type {
    let (inner, _) = ty::required(&field.field.ty);
    ty::argument(inner, "Vec").unwrap_or(inner)
}

fn access(access: Access) -> TokenStream {
    match access {
        Access::Public => quote!(__forge::Access::Public),
        Access::ReadOnly => quote!(__forge::Access::ReadOnly),
        Access::Private => quote!(__forge::Access::Private),
    }
}

fn relation_def(model: &Model<'_>, relation: &Relation<'_>) -> TokenStream {
    let Relation { field, client, target, key, .. } = relation;
    let name = &field.name;
    let local = &model.fields[relation.local.unwrap_or(model.id)].stored;
    let kind = match relation.kind {
        RelationKind::BelongsTo => quote!(BelongsTo),
        RelationKind::HasMany => quote!(HasMany),
        RelationKind::HasOne => quote!(HasOne),
        RelationKind::ReferencesMany => quote!(ReferencesMany),
        RelationKind::ManyToMany => quote!(ManyToMany),
    };
    // A key that the other model does not have, or of another type, is an error of the compiler at the user's own span.
    let (this, key_span) = (&model.ast.ident, spans::of(key));
    let key_on = |of: &TokenStream, holder: &TokenStream, key: &syn::Ident| quote_spanned!(spans::of(key)=> __forge::key_path::<#of, #holder, _>(<#holder as __forge::Model>::FIELDS.#key));
    let (own, other) = (quote!(#this), quote!(#target));
    let (foreign, through) = match (relation.local, relation.through) {
        (Some(local), _) => {
            let key_type = &model.fields[local].field.ty;
            let check = match relation.kind {
                RelationKind::ReferencesMany => quote_spanned!(key_span=> list_path),
                _ => quote_spanned!(key_span=> id_path),
            };
            (quote_spanned!(key_span=> __forge::#check::<#target, #key_type>()), None)
        }
        (None, None) => (key_on(&own, &other, key), None),
        (None, Some(through)) => {
            let between = through.model.to_token_stream();
            let (local, foreign) = (key_on(&own, &between, key), key_on(&other, &between, &through.other));
            let between = quote_spanned!(spans::of(&through.model)=> <#between as __forge::Model>::def);
            let definition =
                quote!(__forge::ThroughDef { model: #between, local: #local, foreign: #foreign });
            (quote!("_id"), Some(definition))
        }
    };
    let through = match through {
        Some(through) => quote!(::core::option::Option::Some(#through)),
        None => quote!(::core::option::Option::None),
    };
    let on_delete = match relation.on_delete {
        OnDelete::Cascade => quote!(Cascade),
        OnDelete::SetNull => quote!(SetNull),
        OnDelete::Restrict => quote!(Restrict),
        OnDelete::NoAction => quote!(NoAction),
    };
    let access = access(relation.access);
    let definition = quote_spanned!(spans::of(target)=> <#target as __forge::Model>::def);
    quote! {
        __forge::RelationDef {
            name: #name,
            client: #client,
            kind: __forge::RelationKind::#kind,
            target: #definition,
            local_key: &[(#local, __forge::IndexKey::Ascending)],
            foreign: #foreign,
            through: #through,
            on_delete: __forge::OnDelete::#on_delete,
            access: #access,
        }
    }
}

fn keys(keys: &[(String, Kind)]) -> TokenStream {
    let keys = keys.iter().map(|(path, kind)| {
        let kind = match kind {
            Kind::Ascending => quote!(Ascending),
            Kind::Descending => quote!(Descending),
            Kind::Sphere => quote!(Sphere),
            Kind::Planar => quote!(Planar),
            Kind::Hashed => quote!(Hashed),
            Kind::Text(weight) => quote!(Text(#weight)),
        };
        quote!((#path, __forge::IndexKey::#kind))
    });
    quote!(#(#keys),*)
}

fn index_def(index: &Index) -> TokenStream {
    let keys = keys(&index.keys);
    let plain = quote!(__forge::IndexDef::new(&[#keys]));
    let options = options(index);
    if options.is_empty() { plain } else { quote!(__forge::IndexDef { #options ..#plain }) }
}

fn options(index: &Index) -> TokenStream {
    let mut options = TokenStream::new();
    let some = quote!(::core::option::Option::Some);
    if let Some(name) = &index.name {
        options.extend(quote!(name: #some(#name),));
    }
    if index.unique {
        options.extend(quote!(unique: true,));
    }
    if index.sparse {
        options.extend(quote!(sparse: true,));
    }
    if let Some(seconds) = index.ttl {
        options.extend(quote!(ttl_seconds: #some(#seconds),));
    }
    if let Some(partial) = &index.partial {
        options.extend(quote!(partial: #some(#partial),));
    }
    if let Some((locale, strength)) = &index.collation {
        options.extend(quote!(collation: #some((#locale, #strength)),));
    }
    if let Some(projection) = &index.projection {
        options.extend(quote!(projection: #some(#projection),));
    }
    if let Some(language) = &index.language {
        options.extend(quote!(language: #some(#language),));
    }
    if index.hidden {
        options.extend(quote!(hidden: true,));
    }
    options
}
