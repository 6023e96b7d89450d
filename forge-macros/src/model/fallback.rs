//! What a derive writes after an error: every name and trait that the rest of the program may rely on, without a body,
//! so that one bad attribute does not bring twenty errors about missing traits.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{DeriveInput, Type};

use super::ast::{Field, Struct};
use super::check;
use super::expand::{Names, handles_name};
use crate::ty;

/// Stubs for a model.
pub(crate) fn model(input: &DeriveInput, ast: Option<&Struct>) -> TokenStream {
    let Some(ast) = ast.filter(|_| input.generics.params.is_empty()) else { return TokenStream::new() };
    let Names { model: this, fields, new, patch } = Names::of(&input.ident);
    let (vis, krate) = (&ast.vis, ast.krate());
    let handles = handles(ast, &krate, &quote!(#this));
    let values = values(ast);
    let id = owned(ast)
        .find(|field| field.attrs.id.is_set())
        .map_or_else(|| quote!(()), |id| id.ty.to_token_stream());
    let (new_fields, patch_fields) = (new_fields(ast), patch_fields(ast));
    let records = [stub_record(&quote!(#this)), stub_record(&quote!(#new)), stub_record(&quote!(#patch))];
    let validate = [stub_validate(&quote!(#new)), stub_validate(&quote!(#patch))];
    quote! {
        #[doc(hidden)]
        #vis struct #fields { #handles }
        #[doc(hidden)]
        #vis struct #new { #new_fields }
        #[doc(hidden)]
        #[derive(Default)]
        #vis struct #patch { #patch_fields }
        const _: () = {
            use #krate::__private as __forge;
            #(#records)*
            #(#validate)*
            impl __forge::Model for #this {
                type Id = #id;
                type Fields = #fields;
                type New = #new;
                type Patch = #patch;
                const FIELDS: &'static #fields = &#fields { #values };
                fn def() -> &'static __forge::ModelDef { ::core::unreachable!() }
                fn attach(&mut self, _: usize, _: &__forge::Related<'_>) -> __forge::Result<()> { ::core::unreachable!() }
            }
            impl __forge::NewRecord for #new {
                type Model = #this;
                fn fill(&mut self, _: &__forge::Env) {}
                fn missing(&self, _: &mut dyn ::core::ops::FnMut(&'static str)) {}
            }
            impl __forge::PatchRecord for #patch {
                type Model = #this;
                fn changes(&self, _: &mut __forge::Changes) -> __forge::Result<()> { ::core::unreachable!() }
            }
        };
    }
}

/// Stubs for an embed.
pub(crate) fn embed(input: &DeriveInput, ast: Option<&Struct>) -> TokenStream {
    let Some(ast) = ast.filter(|_| input.generics.params.is_empty()) else { return TokenStream::new() };
    let this = &input.ident;
    let (vis, krate, fields) = (&ast.vis, ast.krate(), handles_name(this));
    let handles = handles(ast, &krate, &quote!(M));
    let (record, validate) = (stub_record(&quote!(#this)), stub_validate(&quote!(#this)));
    quote! {
        #[doc(hidden)]
        #vis struct #fields<M: 'static> { #handles __none: ::core::marker::PhantomData<fn() -> M> }
        const _: () = {
            use #krate::__private as __forge;
            #record
            #validate
            impl __forge::Embed for #this {
                type Fields<M: 'static> = #fields<M>;
                fn def() -> &'static __forge::EmbedDef { ::core::unreachable!() }
                fn fields_below<M: 'static>(_: &'static str) -> #fields<M> { ::core::unreachable!() }
            }
        };
    }
}

/// The fields that own their values; the others cannot stand in another struct.
fn owned(ast: &Struct) -> impl Iterator<Item = &Field> {
    ast.fields.iter().filter(|field| ty::borrowed(&field.ty).is_none())
}

fn stored(ast: &Struct) -> impl Iterator<Item = &Field> {
    owned(ast).filter(|field| target(field).is_none() && check::owned(ast, &field.name).is_none())
}

/// The handle and the other model, of a relation.
fn target(field: &Field) -> Option<(TokenStream, &Type)> {
    let to = |wrapper: &str| ty::argument(&field.ty, wrapper);
    let one = to("BelongsTo").or_else(|| to("HasOne")).map(|target| (quote!(ToOne), target));
    one.or_else(|| to("HasMany").map(|target| (quote!(ToMany), target)))
}

fn embed_handle(field: &Field) -> Option<(TokenStream, &Type)> {
    let (inner, _) = ty::required(&field.ty);
    let one = field.attrs.embed.is_set().then_some((quote!(EmbedOne), inner));
    one.or_else(|| {
        Some((quote!(EmbedMany), ty::argument(inner, "Vec")?)).filter(|_| field.attrs.embed_many.is_set())
    })
}

fn handles(ast: &Struct, krate: &TokenStream, of: &TokenStream) -> TokenStream {
    let handles = owned(ast).map(|field| {
        let (ident, plain) = (&field.ident, (quote!(Field), &field.ty));
        let (handle, ty) = target(field).or_else(|| embed_handle(field)).unwrap_or(plain);
        quote!(pub #ident: #krate::__private::#handle<#of, #ty>,)
    });
    quote!(#(#handles)*)
}

fn values(ast: &Struct) -> TokenStream {
    let values = owned(ast).map(|field| {
        let ident = &field.ident;
        match (target(field), embed_handle(field)) {
            (Some((handle, _)), _) => quote!(#ident: __forge::#handle::new(0),),
            (None, Some((handle, _))) => quote!(#ident: __forge::#handle::new(""),),
            (None, None) => quote!(#ident: __forge::Field::new(""),),
        }
    });
    quote!(#(#values)*)
}

fn new_fields(ast: &Struct) -> TokenStream {
    let fields = stored(ast).map(|field| {
        let (ident, ty, attrs) = (&field.ident, &field.ty, &field.attrs);
        let generated = attrs.id.is_set() && ty::is_any(ty, &["Id", "Uuid"]);
        let left_out =
            generated || attrs.default.is_set() || attrs.private.is_set() || attrs.readonly.is_set();
        if left_out && !ty::required(ty).1 {
            quote!(pub #ident: ::core::option::Option<#ty>,)
        } else {
            quote!(pub #ident: #ty,)
        }
    });
    quote!(#(#fields)*)
}

fn patch_fields(ast: &Struct) -> TokenStream {
    let fields = stored(ast).filter(|field| !field.attrs.id.is_set()).map(|field| {
        let (ident, ty) = (&field.ident, &field.ty);
        quote!(pub #ident: ::core::option::Option<#ty>,)
    });
    quote!(#(#fields)*)
}

fn stub_validate(ident: &TokenStream) -> TokenStream {
    quote! {
        impl __forge::validator::Validate for #ident {
            fn validate(&self) -> ::core::result::Result<(), __forge::validator::ValidationErrors> { ::core::unreachable!() }
        }
    }
}

fn stub_record(ident: &TokenStream) -> TokenStream {
    quote! {
        impl __forge::Record for #ident {
            fn shape() -> &'static __forge::Shape { ::core::unreachable!() }
            fn read<'de, A: __forge::serde::de::MapAccess<'de>>(
                _: &mut __forge::Reader<'de, A>,
            ) -> ::core::result::Result<Self, A::Error> { ::core::unreachable!() }
            fn write<S: __forge::serde::ser::SerializeMap>(
                &self,
                _: &mut __forge::Writer<S>,
            ) -> ::core::result::Result<(), S::Error> { ::core::unreachable!() }
        }
        impl __forge::serde::Serialize for #ident {
            fn serialize<S: __forge::serde::Serializer>(&self, _: S) -> ::core::result::Result<S::Ok, S::Error> { ::core::unreachable!() }
        }
        impl<'de> __forge::serde::Deserialize<'de> for #ident {
            fn deserialize<D: __forge::serde::Deserializer<'de>>(_: D) -> ::core::result::Result<Self, D::Error> { ::core::unreachable!() }
        }
        impl __forge::schemars::JsonSchema for #ident {
            fn schema_name() -> ::std::borrow::Cow<'static, str> { ::core::unreachable!() }
            fn json_schema(_: &mut __forge::schemars::SchemaGenerator) -> __forge::schemars::Schema { ::core::unreachable!() }
        }
    }
}
