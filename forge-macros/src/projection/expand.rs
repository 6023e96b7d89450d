//! What `#[derive(Projection)]` writes.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};

use super::{Field, From, Struct};
use crate::names::plain;
use crate::{spans, ty};

/// Everything that the derive writes.
pub(super) fn projection(of: &Struct) -> TokenStream {
    let (ident, krate) = (&of.ident, &of.krate);
    let model = of.model.to_token_stream();
    let (asks, reads) = (of.fields.iter().map(ask), of.fields.iter().map(read));
    let (definitions, name) = (of.fields.iter().map(definition), plain(ident));
    let puts = of.fields.iter().enumerate().map(|(at, field)| {
        let ident = &field.ident;
        quote_spanned!(spans::of(&field.ty)=> writer.put(#at, &self.#ident)?;)
    });
    let fields = quote!(let __f = <#model as __forge::Model>::FIELDS;);
    quote! {
        const _: () = {
            use #krate::__private as __forge;
            #[allow(unused_variables)]
            impl __forge::Projection for #ident {
                type Model = #model;
                fn ask(asked: &mut __forge::Asked) {
                    #fields
                    #(#asks)*
                }
                fn read(row: &mut __forge::Row<'_>) -> __forge::Result<Self> {
                    #fields
                    ::core::result::Result::Ok(Self { #(#reads)* })
                }
            }
            #[allow(unused_variables)]
            fn __shape() -> &'static __forge::Shape {
                static SHAPE: ::std::sync::OnceLock<__forge::Shape> = ::std::sync::OnceLock::new();
                SHAPE.get_or_init(|| {
                    #fields
                    __forge::projection_shape(#name, ::std::vec![#(#definitions),*])
                })
            }
            impl __forge::serde::Serialize for #ident {
                #[allow(unused_variables)]
                fn serialize<S: __forge::serde::Serializer>(&self, serializer: S) -> ::core::result::Result<S::Ok, S::Error> {
                    __forge::serialize_shape(__shape(), serializer, |writer| {
                        #(#puts)*
                        ::core::result::Result::Ok(())
                    })
                }
            }
            impl __forge::schemars::JsonSchema for #ident {
                fn schema_name() -> ::std::borrow::Cow<'static, str> {
                    ::std::borrow::Cow::Borrowed(#name)
                }
                fn json_schema(generator: &mut __forge::schemars::SchemaGenerator) -> __forge::schemars::Schema {
                    __forge::shape_schema(__shape(), generator)
                }
            }
        };
    }
}

/// After an error: the traits that the rest of the program needs, without their work.
pub(super) fn stubs(of: &Struct) -> TokenStream {
    let (ident, krate) = (&of.ident, &of.krate);
    let projection = of.model.as_ref().map(|model| {
        quote! {
            impl __forge::Projection for #ident {
                type Model = #model;
                fn ask(_: &mut __forge::Asked) {}
                fn read(_: &mut __forge::Row<'_>) -> __forge::Result<Self> { ::core::unreachable!() }
            }
        }
    });
    quote! {
        const _: () = {
            use #krate::__private as __forge;
            #projection
            impl __forge::serde::Serialize for #ident {
                fn serialize<S: __forge::serde::Serializer>(&self, _: S) -> ::core::result::Result<S::Ok, S::Error> { ::core::unreachable!() }
            }
            impl __forge::schemars::JsonSchema for #ident {
                fn schema_name() -> ::std::borrow::Cow<'static, str> { ::core::unreachable!() }
                fn json_schema(_: &mut __forge::schemars::SchemaGenerator) -> __forge::schemars::Schema { ::core::unreachable!() }
            }
        };
    }
}

/// The part of the model, as an expression.
fn part(field: &Field) -> TokenStream {
    match &field.from {
        From::Path(path) => quote!(__f #(.#path)*),
        From::Count(relation) => quote!(__forge::count_of(__f.#relation)),
    }
}

fn ask(field: &Field) -> TokenStream {
    let (part, ty) = (part(field), &field.ty);
    quote_spanned!(spans::of(ty)=> __forge::ReadAs::<#ty>::ask_for(#part, asked);)
}

fn read(field: &Field) -> TokenStream {
    let (part, ty, ident) = (part(field), &field.ty, &field.ident);
    quote_spanned!(spans::of(ty)=> #ident: __forge::ReadAs::<#ty>::read_from(#part, row)?,)
}

fn definition(field: &Field) -> TokenStream {
    let Field { ty, docs, client, .. } = field;
    let (part, name, optional) = (part(field), plain(&field.ident), ty::required(ty).1);
    quote_spanned! {spans::of(ty)=>
        __forge::projected_field::<#ty, _>(#part, #name, #client, #optional, #docs)
    }
}
