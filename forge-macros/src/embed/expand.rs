//! What `#[derive(Embed)]` writes.

use proc_macro2::TokenStream;
use quote::quote;

use crate::model::ast::Struct;
use crate::model::check::Stored;
use crate::model::expand::record::Record;
use crate::model::expand::rules::Rules;
use crate::model::expand::{embed_handles, embed_struct, field_def, handles_name, own_slot};
use crate::names;

/// Everything that the derive writes.
pub(super) fn embed(ast: &Struct, fields: &[Stored<'_>]) -> TokenStream {
    let this = &ast.ident;
    let handles = handles_name(this);
    let structure = embed_struct(ast, &ast.vis, &handles, fields);
    let value = embed_handles(&handles, fields);
    let (krate, name, count) = (ast.krate(), names::plain(this), fields.len());
    let definitions = fields.iter().map(field_def);
    let record = Record {
        ident: this,
        name: name.clone(),
        role: quote!(Embed),
        shape: quote!(fields: &__FIELDS, relations: &[],),
        picked: (0..count).collect(),
        slots: fields.iter().map(own_slot).collect(),
        relations: Vec::new(),
    };
    let record = record.implementation();
    let rules = Rules::new(fields);
    let (rules, validate) =
        (rules.structure(), rules.implementation(this, |field| Some(usize::from(field.optional))));
    quote! {
        #structure
        const _: () = {
            use #krate::__private as __forge;
            #[allow(unused_imports)]
            use __forge::fallbacks::*;
            static __FIELDS: [__forge::FieldDef; #count] = [#(#definitions),*];
            impl __forge::Embed for #this {
                type Fields<M: 'static> = #handles<M>;
                fn def() -> &'static __forge::EmbedDef {
                    static DEF: __forge::EmbedDef = __forge::EmbedDef { name: #name, fields: &__FIELDS };
                    &DEF
                }
                #[allow(unused_variables)]
                fn fields_below<M: 'static>(prefix: &'static str) -> #handles<M> {
                    #value
                }
            }
            #record
            #rules
            #validate
        };
    }
}
