//! `impl Validate`: one hidden struct per model holds the rules, over borrowed values that may be absent; inserts and
//! partial changes are both looked at through it, so that validator's derive is expanded once.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{Ident, Type};

use super::super::check::{Model, Stored, is_nested};
use crate::{spans, ty};

/// The fields that have rules.
pub(crate) struct Rules<'m> {
    fields: Vec<&'m Stored<'m>>,
}

/// The types that validator takes by value.
const NUMBERS: [&str; 4] = ["i128", "u128", "f32", "f64"];

impl<'m> Rules<'m> {
    pub(crate) fn new(fields: impl IntoIterator<Item = &'m Stored<'m>>) -> Self {
        let ruled = |field: &&Stored<'_>| {
            !field.is_owned() && (!field.field.validate.is_empty() || field.embed.is_some())
        };
        Self { fields: fields.into_iter().filter(ruled).collect() }
    }

    pub(crate) fn of_model(model: &'m Model<'m>) -> Self {
        Self::new(&model.fields)
    }

    /// That there is no rule, where that is so.
    pub(crate) fn none(&self) -> TokenStream {
        if self.fields.is_empty() {
            quote!(
                const RULED: bool = false;
            )
        } else {
            TokenStream::new()
        }
    }

    /// The hidden struct, where there is a rule.
    pub(crate) fn structure(&self) -> TokenStream {
        if self.fields.is_empty() {
            return TokenStream::new();
        }
        let fields = self.fields.iter().map(|field| {
            let (ident, rules) = (&field.field.ident, &field.field.validate);
            let (inner, _) = ty::required(&field.field.ty);
            let nested = (field.embed.is_some() && !is_nested(field.field)).then(|| {
                // A broken type is shown where it stands.
                quote_spanned!(spans::of(inner)=> #[validate(nested)])
            });
            let value = if is_number(inner) { quote!(#inner) } else { quote!(&'a #inner) };
            quote!(#(#rules)* #nested #ident: Option<#value>,)
        });
        let asked = self.fields.iter().filter(|field| is_nested(field.field)).map(|field| {
            let (inner, _) = ty::required(&field.field.ty);
            let check = quote_spanned!(spans::of(inner)=> __forge::has_rules::<#inner>());
            quote!(const _: () = #check;)
        });
        quote! {
            #(#asked)*
            #[derive(__forge::validator::Validate)]
            #[validate(crate = "__forge::validator")]
            struct __Rules<'a> {
                #(#fields)*
                __of: ::core::marker::PhantomData<&'a ()>,
            }
        }
    }

    /// `impl Validate for #ident`, whose fields are wrapped in as many `Option`s as `depth` says; none where the struct
    /// does not have the field.
    pub(crate) fn implementation(
        &self,
        ident: &Ident,
        depth: impl Fn(&Stored<'_>) -> Option<usize>,
    ) -> TokenStream {
        let body = if self.fields.is_empty() {
            quote!(::core::result::Result::Ok(()))
        } else {
            let values = self.fields.iter().map(|field| {
                let (ident, value) = (&field.field.ident, value(field, depth(field)));
                quote!(#ident: #value,)
            });
            quote!(__Rules { #(#values)* __of: ::core::marker::PhantomData }.validate())
        };
        quote! {
            impl __forge::validator::Validate for #ident {
                fn validate(&self) -> __forge::Out<(), __forge::validator::ValidationErrors> {
                    #body
                }
            }
        }
    }
}

fn is_number(ty: &Type) -> bool {
    ty::is_any(ty, &ty::INTEGERS) || ty::is_any(ty, &NUMBERS)
}

/// The value of the field as an `Option` of a number or a reference.
fn value(field: &Stored<'_>, depth: Option<usize>) -> TokenStream {
    let ident = &field.field.ident;
    let (inner, _) = ty::required(&field.field.ty);
    match (depth, is_number(inner)) {
        (None, _) => quote!(::core::option::Option::None),
        (Some(0), true) => quote!(::core::option::Option::Some(self.#ident)),
        (Some(0), false) => quote!(::core::option::Option::Some(&self.#ident)),
        (Some(1), true) => quote!(self.#ident),
        (Some(1), false) => quote!(self.#ident.as_ref()),
        (Some(_), true) => quote!(self.#ident.flatten()),
        (Some(_), false) => quote!(self.#ident.as_ref().and_then(::core::option::Option::as_ref)),
    }
}
