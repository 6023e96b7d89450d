//! What an insert takes: `NewFlight`.

use std::collections::HashSet;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::{Ident, Type};

use super::super::check::{Access, Model, Origin, Stored};
use super::record::{Record, Slot, Take};
use super::rules::Rules;
use super::{Names, docs, own_slot};
use crate::{spans, ty};

/// The most elements of a tuple that `Exactness` knows.
const TUPLE: usize = 8;

/// The struct.
pub(super) fn structure(model: &Model<'_>, names: &Names) -> TokenStream {
    let Names { model: this, new: ident, .. } = names;
    let vis = &model.ast.vis;
    let fields = fields(model).map(|(_, field)| {
        let (ident, ty, docs) = (&field.field.ident, &field.field.ty, docs(&field.field.docs));
        match may_be_left_out(field) {
            true => quote!(#docs pub #ident: ::core::option::Option<#ty>,),
            false => quote!(#docs pub #ident: #ty,),
        }
    });
    let text = format!(
        "What an insert of [`{this}`] takes. Values that are generated or have a default may be left out."
    );
    quote! {
        #[doc = #text]
        #[derive(Debug, Clone)]
        #[allow(missing_docs)]
        #vis struct #ident { #(#fields)* }
    }
}

/// Its traits.
pub(super) fn implementation(model: &Model<'_>, names: &Names, rules: &Rules<'_>) -> TokenStream {
    let Names { model: this, new: ident, .. } = names;
    let record = Record {
        ident,
        name: ident.to_string(),
        role: quote!(New),
        shape: quote!(fields: &__FIELDS, relations: &[],),
        picked: fields(model).map(|(position, _)| position).collect(),
        slots: fields(model).map(|(_, field)| slot(field)).collect(),
        relations: Vec::new(),
    };
    let record = record.implementation();
    let fill = fields(model).filter_map(|(_, field)| fill(this, field));
    let missing = fields(model).filter_map(|(_, field)| missing(field));
    let stored = stored(model, this);
    let validate =
        rules.implementation(ident, |field| Some(usize::from(field.optional || may_be_left_out(field))));
    quote! {
        #record
        #validate
        #[allow(unused_variables)]
        impl __forge::NewRecord for #ident {
            type Model = #this;
            fn fill(&mut self, env: &__forge::Env) {
                #(#fill)*
            }
            fn missing(&self, report: &mut dyn ::core::ops::FnMut(&'static str)) {
                #(#missing)*
            }
            #stored
        }
    }
}

/// The model made of what was inserted, where that is what would be read: not where an absent value reads as another, or
/// where the database handle gives one.
fn stored(model: &Model<'_>, this: &Ident) -> Option<TokenStream> {
    let another = |field: &Stored<'_>| {
        field.field.attrs.tenant_key.is_set() || field.optional && field.field.serde.default.is_set()
    };
    if model.fields.iter().any(another) {
        return None;
    }
    let mut types: Vec<&Type> = fields(model).map(|(_, field)| &field.field.ty).collect();
    let mut seen = HashSet::new();
    types.retain(|ty| seen.insert(ty.to_token_stream().to_string()));
    // Tuples of tuples, where there are more elements than impls are for.
    let types: Vec<TokenStream> = match types.len() {
        0..=TUPLE => types.iter().map(ToTokens::to_token_stream).collect(),
        _ => types.chunks(TUPLE).map(|types| quote!((#(#types,)*))).collect(),
    };
    let values = model.fields.iter().map(|field| {
        let ident = &field.field.ident;
        let value = match field.origin {
            Origin::Timestamp => quote!(::core::convert::From::from(kept.at?)),
            Origin::Deletion => quote!(::core::option::Option::None),
            Origin::Version => quote!(kept.version()?),
            _ if may_be_left_out(field) => quote!(self.#ident?),
            _ => quote!(self.#ident),
        };
        quote!(#ident: #value,)
    });
    let relations = model.relations.iter().map(|relation| &relation.field.ident);
    Some(quote! {
        fn stored(self, kept: &__forge::Kept) -> ::core::option::Option<#this> {
            type Types = (#(#types,)*);
            __forge::Exactness::<Types>::EXACT.then_some(())?;
            ::core::option::Option::Some(#this {
                #(#values)*
                #(#relations: ::core::default::Default::default(),)*
            })
        }
    })
}

/// The fields with their positions: the id first, as it stands first in stored documents.
fn fields<'m, 'a>(model: &'m Model<'a>) -> impl Iterator<Item = (usize, &'m Stored<'a>)> {
    let others = (0..model.fields.len()).filter(|position| *position != model.id);
    let order = std::iter::once(model.id).chain(others);
    order.map(|position| (position, &model.fields[position])).filter(|(_, field)| !field.is_owned())
}

/// Whether the field is an `Option` of what is declared: it has a default, or a client cannot give it.
fn may_be_left_out(field: &Stored<'_>) -> bool {
    !field.optional && (field.origin != Origin::Given || field.access != Access::Public)
}

fn slot<'a>(field: &Stored<'a>) -> Slot<'a> {
    if may_be_left_out(field) {
        return Slot {
            ident: &field.field.ident,
            span: spans::of(&field.field.ty),
            take: Take::None,
            optional: true,
        };
    }
    // An absent `Option` stays absent until its default is filled in.
    Slot { take: Take::Required, ..own_slot(field) }
}

fn fill(this: &Ident, field: &Stored<'_>) -> Option<TokenStream> {
    let (ident, ty) = (&field.field.ident, &field.field.ty);
    let span = spans::of(ty);
    let value = match field.origin {
        Origin::Generated if ty::is_any(ty, &["Uuid"]) => quote!(env.uuid()),
        Origin::Generated => quote!(<#ty>::from_object_id(env.object_id())),
        Origin::Default => default(this, field),
        Origin::Given | Origin::Timestamp | Origin::Deletion | Origin::Version => return None,
    };
    Some(match may_be_left_out(field) {
        true => quote_spanned!(span=> self.#ident.get_or_insert_with(|| #value);),
        false => quote_spanned!(span=> if self.#ident.is_none() { self.#ident = #value; }),
    })
}

/// The declared default: `#[model(default)]`, else `#[serde(default)]`.
fn default(this: &Ident, field: &Stored<'_>) -> TokenStream {
    let ty = &field.field.ty;
    match (field.field.attrs.default.get(), field.field.serde.default.get()) {
        (Some(Some(value)), _) => {
            let convert = quote_spanned!(spans::of(value)=> __forge::IntoValue::<#ty>::into_value);
            let value = ty::without_self(value.to_token_stream(), this);
            quote!(#convert(#value))
        }
        (None, Some(Some(function))) => {
            let function = ty::without_self(function.to_token_stream(), this);
            quote!(#function())
        }
        _ => quote_spanned!(spans::of(ty)=> <#ty as ::core::default::Default>::default()),
    }
}

fn missing(field: &Stored<'_>) -> Option<TokenStream> {
    // A tenant key is given by the database handle.
    let needed =
        may_be_left_out(field) && field.origin == Origin::Given && !field.field.attrs.tenant_key.is_set();
    let (ident, name) = (&field.field.ident, &field.field.name);
    needed.then(|| quote!(if self.#ident.is_none() { report(#name); }))
}
