//! A partial change: `FlightPatch`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};

use super::super::check::{Model, Stored};
use super::record::{Record, Slot, Take};
use super::rules::Rules;
use super::{Names, docs};
use crate::spans;

/// The struct.
pub(super) fn structure(model: &Model<'_>, names: &Names) -> TokenStream {
    let Names { model: this, patch: ident, .. } = names;
    let vis = &model.ast.vis;
    let fields = fields(model).map(|(_, field)| {
        let (ident, ty, docs) = (&field.field.ident, &field.field.ty, docs(&field.field.docs));
        quote!(#docs pub #ident: ::core::option::Option<#ty>,)
    });
    let text = format!("A partial change of [`{this}`]: what is none stays as it is.");
    quote! {
        #[doc = #text]
        #[derive(Debug, Clone, Default)]
        #[allow(missing_docs)]
        #vis struct #ident { #(#fields)* }
    }
}

/// Its traits.
pub(super) fn implementation(model: &Model<'_>, names: &Names, rules: &Rules<'_>) -> TokenStream {
    let Names { model: this, patch: ident, .. } = names;
    let record = Record {
        ident,
        name: ident.to_string(),
        role: quote!(Patch),
        shape: quote!(fields: &__FIELDS, relations: &[],),
        picked: fields(model).map(|(position, _)| position).collect(),
        slots: fields(model).map(|(_, field)| slot(field)).collect(),
        relations: Vec::new(),
    };
    let record = record.implementation();
    let changes = fields(model).map(|(_, field)| {
        let (ident, stored) = (&field.field.ident, &field.stored);
        let span = spans::of(&field.field.ty);
        match field.optional {
            true => quote_spanned!(span=> changes.set_or_unset(#stored, &self.#ident)?;),
            false => quote_spanned!(span=> changes.set(#stored, &self.#ident)?;),
        }
    });
    let validate = rules.implementation(ident, |field| {
        (!field.field.attrs.id.is_set()).then_some(1 + usize::from(field.optional))
    });
    let unruled = rules.none();
    quote! {
        #record
        #validate
        #[allow(unused_variables)]
        impl __forge::PatchRecord for #ident {
            type Model = #this;
            #unruled
            fn changes(&self, changes: &mut __forge::Changes) -> __forge::Result<()> {
                #(#changes)*
                ::core::result::Result::Ok(())
            }
        }
    }
}

/// The fields with their positions: all but the id and what Forge keeps.
fn fields<'m, 'a>(model: &'m Model<'a>) -> impl Iterator<Item = (usize, &'m Stored<'a>)> {
    let fields = model.fields.iter().enumerate();
    fields.filter(|(position, field)| *position != model.id && !field.is_owned())
}

fn slot<'a>(field: &Stored<'a>) -> Slot<'a> {
    Slot { ident: &field.field.ident, span: spans::of(&field.field.ty), take: Take::None, optional: true }
}
