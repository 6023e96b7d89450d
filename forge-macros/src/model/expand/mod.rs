//! What `#[derive(Model)]` writes, from a model that is known to be sound.
//!
//! Whatever is the same for all models is in `forge-core`; what is written here is data and short functions, since
//! every line is compiled once for each model of a program.

mod bounds;
mod definition;
mod fields;
mod insert;
mod patch;
pub(crate) mod record;
pub(crate) mod rules;
mod service;

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::Ident;

use super::check::{Model, Origin, Stored};
use crate::names::plain;
use crate::spans;
use record::{Record, Slot, Take};

pub(crate) use bounds::bounds;
pub(crate) use definition::field_def;
pub(crate) use fields::{embed_handles, embed_struct};

/// The names of what a derive makes for a model.
pub(crate) struct Names {
    pub(crate) model: Ident,
    pub(crate) fields: Ident,
    pub(crate) new: Ident,
    pub(crate) patch: Ident,
}

impl Names {
    pub(crate) fn of(model: &Ident) -> Self {
        let (name, span) = (plain(model), model.span());
        Self {
            model: model.clone(),
            fields: handles_name(model),
            new: format_ident!("New{name}", span = span),
            patch: format_ident!("{name}Patch", span = span),
        }
    }
}

/// The name of the struct of handles.
pub(crate) fn handles_name(of: &Ident) -> Ident {
    format_ident!("{}Fields", plain(of), span = of.span())
}

/// Everything that the derive writes.
pub(crate) fn model(model: &Model<'_>) -> TokenStream {
    let names = Names::of(&model.ast.ident);
    let krate = model.ast.krate();
    let mut structs = fields::structure(model, &names);
    let definition = definition::definition(model, &names);
    let implementation = implementation(model, &names);
    let record = own_record(model, &names);
    let service = service::registration(model, &names);
    let mut writes = TokenStream::new();
    if !model.is_view() {
        structs.extend([insert::structure(model, &names), patch::structure(model, &names)]);
        let rules = rules::Rules::of_model(model);
        writes.extend([
            rules.structure(),
            insert::implementation(model, &names, &rules),
            patch::implementation(model, &names, &rules),
        ]);
    }
    quote! {
        #structs
        const _: () = {
            use #krate::__private as __forge;
            #[allow(unused_imports)]
            use __forge::fallbacks::*;
            #definition
            #implementation
            #record
            #writes
            #service
        };
    }
}

fn implementation(model: &Model<'_>, names: &Names) -> TokenStream {
    let Names { model: this, fields, new, patch } = names;
    let id = &model.fields[model.id].field.ty;
    let handles = fields::handles(model, names);
    let attach = model.relations.iter().enumerate().map(|(position, relation)| {
        let ident = &relation.field.ident;
        quote!(#position => self.#ident.fill(related),)
    });
    let ok = quote!(::core::result::Result::Ok(()));
    let attach = if model.relations.is_empty() {
        quote!(let _ = (relation, related); #ok)
    } else {
        quote!(match relation { #(#attach)* _ => #ok, })
    };
    let (new, patch) = if model.is_view() {
        let none = quote!(__forge::NoWrites<#this>);
        (none.clone(), none)
    } else {
        (quote!(#new), quote!(#patch))
    };
    quote! {
        impl __forge::Model for #this {
            type Id = #id;
            type Fields = #fields;
            type New = #new;
            type Patch = #patch;
            const FIELDS: &'static #fields = &#handles;
            fn def() -> &'static __forge::ModelDef {
                &__DEF
            }
            fn attach(&mut self, relation: usize, related: &__forge::Related<'_>) -> __forge::Result<()> {
                #attach
            }
        }
    }
}

/// The model itself as a record: every field, then the relations.
fn own_record(model: &Model<'_>, names: &Names) -> TokenStream {
    let record = Record {
        ident: &names.model,
        name: plain(&names.model),
        role: quote!(Model),
        shape: quote!(fields: &__FIELDS, relations: &__RELATIONS,),
        picked: (0..model.fields.len()).collect(),
        slots: model.fields.iter().map(own_slot).collect(),
        relations: model.relations.iter().map(|relation| &relation.field.ident).collect(),
    };
    record.implementation()
}

/// A field as it is declared.
pub(crate) fn own_slot<'a>(field: &Stored<'a>) -> Slot<'a> {
    let take = match field.field.serde.default.get() {
        Some(Some(function)) => Take::Or(quote!(#function)),
        Some(None) => Take::Or(quote!(::core::default::Default::default)),
        // Documents from before the model had a version have none.
        None if field.origin == Origin::Version => Take::Or(quote!(::core::default::Default::default)),
        None => Take::Required,
    };
    Slot { ident: &field.field.ident, span: spans::of(&field.field.ty), take, optional: field.optional }
}

/// The documentation of a field that another struct takes over.
fn docs(text: &str) -> TokenStream {
    let lines = text.lines().map(|line| if line.is_empty() { String::new() } else { format!(" {line}") });
    quote!(#(#[doc = #lines])*)
}
