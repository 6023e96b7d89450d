//! The typed fields that closures receive: `|f| f.delay.gt(5)`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Ident, Visibility};

use super::super::ast::Struct;
use super::super::check::{Embedded, Model, OWNED, Stored, owned};
use super::definition::embedded_type;
use super::{Names, docs};

/// The struct of a model's handles.
pub(super) fn structure(model: &Model<'_>, names: &Names) -> TokenStream {
    let krate = model.ast.krate();
    let forge = quote!(#krate::__private);
    let Names { model: this, fields: ident, .. } = names;
    let vis = &model.ast.vis;
    let fields = model.fields.iter().map(|field| handle_field(field, &forge, &quote!(#this)));
    let kept = undeclared(model).map(|(name, _)| {
        let (ident, text) = (format_ident!("{name}"), format!("`{name}`, which Forge keeps."));
        let ty = if name == "deleted_at" {
            quote!(::core::option::Option<#forge::DateTime>)
        } else {
            quote!(#forge::DateTime)
        };
        quote!(#[doc = #text] pub #ident: #forge::Field<#this, #ty>,)
    });
    let relations = model.relations.iter().map(|relation| {
        let (ident, target, docs) = (&relation.field.ident, relation.target, docs(&relation.field.docs));
        let handle = if relation.kind.is_to_one() { quote!(ToOne) } else { quote!(ToMany) };
        quote!(#docs pub #ident: #forge::#handle<#this, #target>,)
    });
    let text = format!("Typed fields of [`{this}`], as closures receive them.");
    quote! {
        #[doc = #text]
        #[allow(missing_docs)]
        #vis struct #ident { #(#fields)* #(#kept)* #(#relations)* }
    }
}

/// The value of that struct.
pub(super) fn handles(model: &Model<'_>, names: &Names) -> TokenStream {
    let fields = model.fields.iter().map(|field| {
        let (ident, stored, handle) = (&field.field.ident, &field.stored, handle(field));
        quote!(#ident: __forge::#handle::new(#stored),)
    });
    let kept = undeclared(model).map(|(name, stored)| {
        let ident = format_ident!("{name}");
        quote!(#ident: __forge::Field::new(#stored),)
    });
    let relations = model.relations.iter().enumerate().map(|(position, relation)| {
        let ident = &relation.field.ident;
        let handle = if relation.kind.is_to_one() { quote!(ToOne) } else { quote!(ToMany) };
        quote!(#ident: __forge::#handle::new(#position),)
    });
    let ident = &names.fields;
    quote!(#ident { #(#fields)* #(#kept)* #(#relations)* })
}

/// The struct of an embed's handles inside documents of `M`.
pub(crate) fn embed_struct(
    ast: &Struct,
    vis: &Visibility,
    ident: &Ident,
    fields: &[Stored<'_>],
) -> TokenStream {
    let krate = ast.krate();
    let forge = quote!(#krate::__private);
    let this = &ast.ident;
    let of = quote!(M);
    let handles = fields.iter().map(|field| handle_field(field, &forge, &of));
    let text = format!("Typed fields of [`{this}`] inside documents of `M`, as closures receive them.");
    // A struct without fields would not use its parameter.
    let nothing = fields.is_empty().then(|| quote!(__none: ::core::marker::PhantomData<fn() -> M>,));
    quote! {
        #[doc = #text]
        #[allow(missing_docs)]
        #vis struct #ident<M: 'static> { #(#handles)* #nothing }
    }
}

/// The value of that struct, below `prefix`.
pub(crate) fn embed_handles(ident: &Ident, fields: &[Stored<'_>]) -> TokenStream {
    let handles = fields.iter().map(|field| {
        let (ident, stored, handle) = (&field.field.ident, &field.stored, handle(field));
        quote!(#ident: __forge::#handle::below(prefix, #stored),)
    });
    let nothing = fields.is_empty().then(|| quote!(__none: ::core::marker::PhantomData,));
    quote!(#ident { #(#handles)* #nothing })
}

/// The fields that Forge keeps and the struct does not declare: Rust name and stored name.
fn undeclared(model: &Model<'_>) -> impl Iterator<Item = (&'static str, &'static str)> {
    OWNED.into_iter().filter_map(|(name, stored, _)| {
        let declared = model.ast.fields.iter().any(|field| field.name == name);
        (!declared && owned(model.ast, name).is_some()).then_some((name, stored))
    })
}

fn handle(field: &Stored<'_>) -> TokenStream {
    match field.embed {
        None => quote!(Field),
        Some(Embedded::One) => quote!(EmbedOne),
        Some(Embedded::Many) => quote!(EmbedMany),
    }
}

fn handle_field(field: &Stored<'_>, forge: &TokenStream, of: &TokenStream) -> TokenStream {
    let (ident, docs, handle) = (&field.field.ident, docs(&field.field.docs), handle(field));
    let ty = if field.embed.is_some() { embedded_type(field) } else { &field.field.ty };
    quote!(#docs pub #ident: #forge::#handle<#of, #ty>,)
}
