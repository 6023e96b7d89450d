//! What `#[query]` and `#[mutation]` write: the function as it is, and its registration.

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{FnArg, Ident};

use super::ast::{Arg, Handler, Kind};
use crate::model::expand::bounds;
use crate::model::expand::record::{Record, Slot, Take};
use crate::{names, spans, ty};

/// The function and its registration.
pub(super) fn handler(handler: &Handler) -> TokenStream {
    let (item, krate) = (&handler.item, handler.krate());
    let arguments = arguments(handler);
    let registration = registration(handler);
    // A handler is async whether it awaits or not.
    quote! {
        #[allow(clippy::unused_async)]
        #item
        const _: () = {
            use #krate::__private as __forge;
            #arguments
            #registration
        };
    }
}

/// The function after an error, such that calls of it still compile.
pub(super) fn stub(handler: &Handler) -> TokenStream {
    let mut item = handler.item.clone();
    let sig = &mut item.sig;
    sig.asyncness.get_or_insert_with(Default::default);
    if matches!(sig.inputs.first(), Some(FnArg::Receiver(_))) {
        sig.inputs = sig.inputs.iter().skip(1).cloned().collect();
        *item.block = syn::parse_quote!({ ::core::unreachable!() });
    }
    quote!(#[allow(clippy::unused_async, dead_code, unused_variables)] #item)
}

/// The hidden struct of the arguments.
fn arguments(handler: &Handler) -> TokenStream {
    let ident = format_ident!("__Args");
    let count = handler.args.len();
    let definitions = handler.args.iter().map(definition);
    let named: Vec<(&Ident, &Arg)> =
        handler.args.iter().filter_map(|arg| Some((arg.ident.as_ref()?, arg))).collect();
    let fields = named.iter().map(|(ident, arg)| {
        let (rules, ty) = (&arg.validate, &arg.ty);
        quote!(#(#rules)* #ident: #ty,)
    });
    let slots = named.iter().map(|(ident, arg)| Slot {
        ident,
        span: spans::of(&arg.ty),
        take: Take::Required,
        optional: false,
    });
    let record = Record {
        ident: &ident,
        name: handler.name(),
        role: quote!(Args),
        shape: quote!(fields: &__FIELDS, relations: &[],),
        picked: (0..count).collect(),
        slots: slots.collect(),
        relations: Vec::new(),
    };
    let record = record.read_only();
    let ruled = handler.args.iter().any(|arg| !arg.validate.is_empty());
    let (derive, validate) = if ruled { (derived_rules(), quote!()) } else { (quote!(), no_rules(&ident)) };
    quote! {
        #derive
        struct #ident { #(#fields)* }
        static __FIELDS: [__forge::FieldDef; #count] = [#(#definitions),*];
        #record
        #validate
    }
}

fn derived_rules() -> TokenStream {
    quote! {
        #[allow(unused_imports)]
        use __forge::validator::Validate as _;
        #[derive(__forge::validator::Validate)]
        #[validate(crate = "__forge::validator")]
    }
}

fn no_rules(ident: &Ident) -> TokenStream {
    quote! {
        impl __forge::validator::Validate for #ident {
            fn validate(&self) -> ::core::result::Result<(), __forge::validator::ValidationErrors> {
                ::core::result::Result::Ok(())
            }
        }
    }
}

fn definition(arg: &Arg) -> TokenStream {
    let name = arg.ident.as_ref().map_or_else(String::new, names::plain);
    let (ty, docs, (_, optional)) = (&arg.ty, &arg.docs, ty::required(&arg.ty));
    // The first use of the type asks for all that an argument needs, so that its error comes first and says so.
    let schema = quote_spanned!(spans::of(ty)=> __forge::argument_schema::<#ty>);
    let optional = optional.then(|| quote!(optional: true,));
    let docs = (!docs.is_empty()).then(|| quote!(docs: #docs,));
    let rules = bounds(&arg.validate);
    let plain = quote!(__forge::FieldDef::new(#name, #name, #name, #schema));
    if optional.is_none() && docs.is_none() && rules.is_empty() {
        plain
    } else {
        quote!(__forge::FieldDef { #optional #docs #rules ..#plain })
    }
}

fn registration(handler: &Handler) -> TokenStream {
    let (ident, name, docs) = (&handler.item.sig.ident, handler.name(), &handler.docs);
    let (internal, transaction) = (handler.options.internal.is_set(), handler.options.transaction.is_set());
    let guard = match (handler.options.roles.get(), handler.options.auth.is_set()) {
        (Some(roles), _) => quote!(Roles(&[#(#roles),*])),
        (None, true) => quote!(SignedIn),
        (None, false) => quote!(Open),
    };
    let (kind, open) = match handler.kind {
        Kind::Query => (quote!(Query), quote!(query)),
        Kind::Mutation => (quote!(Mutation), quote!(mutation)),
    };
    let cron = match handler.options.cron.get() {
        Some(expression) => quote!(::core::option::Option::Some(#expression)),
        None => quote!(::core::option::Option::None),
    };
    let deadline = handler.options.deadline.get().map(|millis| quote!(.deadline(#millis)));
    let concurrency = handler.options.concurrency.get().map(|calls| quote!(.concurrency(#calls)));
    let args = handler.args.iter().filter_map(|arg| arg.ident.as_ref());
    let answer = handler.output().map(ToTokens::to_token_stream).unwrap_or_default();
    let span = spans::of(&answer);
    let returns = quote_spanned!(span=> __forge::answer_schema::<#answer>);
    let encode = quote_spanned!(span=> __forge::encode_answer::<#answer>);
    quote! {
        __forge::inventory::submit! {
            __forge::HandlerDef {
                name: #name,
                kind: __forge::HandlerKind::#kind,
                internal: #internal,
                guard: __forge::Guard::#guard,
                transaction: #transaction,
                limits: __forge::HandlerLimits::NONE #deadline #concurrency,
                cron: #cron,
                docs: #docs,
                args: <__Args as __forge::Record>::shape,
                returns: #returns,
                call: |__invocation| ::std::boxed::Box::pin(async move {
                    #[allow(unused_variables)]
                    let (__ctx, __args) = __invocation.#open::<__Args>()?;
                    #encode(#ident(&__ctx, #(__args.#args),*).await)
                }),
            }
        }
    }
}
