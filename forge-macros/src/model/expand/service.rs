//! The registration of a model's service.

use proc_macro2::TokenStream;
use quote::quote;

use super::super::check::Model;
use super::Names;
use crate::attr::Slot;

/// Nothing, for models without one.
pub(super) fn registration(model: &Model<'_>, names: &Names) -> TokenStream {
    let Some(service) = &model.service else { return TokenStream::new() };
    let this = &names.model;
    let some = quote!(::core::option::Option::Some);
    let mut more = TokenStream::new();
    if let Some(path) = service.path.get() {
        more.extend(quote!(path: #some(#path),));
    }
    if let Some(count) = service.page {
        more.extend(quote!(page: #some(#count),));
    }
    if let Some(count) = service.max_page {
        more.extend(quote!(max_page: #some(#count),));
    }
    more.extend(list(&service.multi, "").map(|names| quote!(multi: #names,)));
    let methods = match list(&service.methods, "") {
        None if model.is_view() => Some(quote!(&["find", "get"])),
        methods => methods,
    };
    more.extend(methods.map(|names| quote!(methods: #some(#names),)));
    more.extend(list(&service.operators, "$").map(|names| quote!(operators: #names,)));
    let disabled = list(&service.disabled_operators, "$");
    more.extend(disabled.map(|names| quote!(disabled_operators: #some(#names),)));
    more.extend(list(&service.filters, "$").map(|names| quote!(filters: #names,)));
    if let Some(id) = service.id.get() {
        more.extend(quote!(id: #some(#id),));
    }
    more.extend(list(&service.events, "").map(|names| quote!(events: #names,)));
    if service.estimated_count.is_set() {
        more.extend(quote!(estimated_count: true,));
    }
    quote! {
        __forge::inventory::submit! { __forge::ServiceDef { #more ..__forge::ServiceDef::of::<#this>() } }
    }
}

fn list(names: &Slot<Vec<String>>, prefix: &str) -> Option<TokenStream> {
    let names = names.get()?.iter().map(|name| format!("{prefix}{name}"));
    Some(quote!(&[#(#names),*]))
}
