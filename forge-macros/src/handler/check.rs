//! What makes a function a handler.

use quote::ToTokens;
use syn::{FnArg, Type};

use super::ast::{Arg, Handler};
use crate::diag::Diag;
use crate::{model, ty};

/// Reports everything that keeps the function from being a handler.
pub(crate) fn check(handler: &Handler, diag: &Diag) {
    signature(handler, diag);
    context(handler, diag);
    let is_method = handler.item.sig.receiver().is_some();
    for arg in &handler.args {
        argument(arg, is_method, diag);
    }
    output(handler, diag);
    cron(handler, diag);
}

fn cron(handler: &Handler, diag: &Diag) {
    if handler.options.cron.is_set()
        && let Some(arg) = handler.args.first()
    {
        diag.hint(
            &arg.ty,
            "a mutation with `cron` takes no arguments",
            "it runs by itself, and nobody is there to give them: read what it needs from the database",
        );
    }
}

/// The right form of the function.
fn form(handler: &Handler) -> String {
    let sig = &handler.item.sig;
    format!("async fn {}(ctx: &{}, …) -> Result<…>", sig.ident, handler.kind.context())
}

fn signature(handler: &Handler, diag: &Diag) {
    let sig = &handler.item.sig;
    let what = handler.kind.attribute();
    if sig.asyncness.is_none() {
        diag.hint(
            sig.fn_token,
            format_args!("a {what} is an async function"),
            format_args!("write `{}`", form(handler)),
        );
    }
    if !sig.generics.params.is_empty() {
        diag.hint(
            &sig.generics,
            format_args!("a {what} cannot be generic"),
            "it is called from outside by its name: write the types themselves",
        );
    } else if let Some(clause) = &sig.generics.where_clause {
        diag.hint(clause, format_args!("a {what} has no where clause"), "remove it");
    }
    if !matches!(sig.safety, syn::Safety::Default) {
        diag.hint(&sig.safety, format_args!("a {what} is a safe function"), "remove the qualifier");
    }
    if let Some(abi) = &sig.abi {
        diag.hint(abi, format_args!("a {what} is a Rust function"), "remove the ABI");
    }
    if let Some(variadic) = &sig.variadic {
        diag.hint(
            variadic,
            format_args!("a {what} has a fixed number of arguments"),
            "take a `Vec` in place of `...`",
        );
    }
}

fn context(handler: &Handler, diag: &Diag) {
    let (what, wanted) = (handler.kind.attribute(), handler.kind.context());
    let first = match handler.item.sig.inputs.first() {
        None => {
            return diag.hint(
                &handler.item.sig.ident,
                format_args!("a {what} takes its context first"),
                format_args!("write `{}`", form(handler)),
            );
        }
        Some(FnArg::Receiver(receiver)) => {
            return diag.hint(
                receiver,
                format_args!("a {what} is a free function, not a method"),
                format_args!("write `{}` outside of `impl`", form(handler)),
            );
        }
        Some(FnArg::Typed(first)) => first,
    };
    let named = |ty: &Type, name: &str| ty::is_any(ty, &[name]);
    let other = handler.kind.other();
    let (inner, shared) = match ty::bare(&first.ty) {
        Type::Reference(reference) => (&*reference.elem, reference.mutability.is_none()),
        inner => (inner, false),
    };
    if named(inner, wanted) && shared {
        return;
    }
    if named(inner, other.context()) {
        let hint = format!("write `&{wanted}`, or make it a #[{}]", other.attribute());
        return diag.hint(&first.ty, format_args!("a {what} does not have a `{}`", other.context()), hint);
    }
    if named(inner, wanted) {
        let hint = format!("write `{}: &{wanted}`", first.pat.to_token_stream());
        return diag.hint(&first.ty, "the context is taken by shared reference", hint);
    }
    diag.hint(
        first,
        format_args!("a {what} takes its context first"),
        format_args!("write `{}`", form(handler)),
    );
}

fn argument(arg: &Arg, is_method: bool, diag: &Diag) {
    if arg.ident.is_none() {
        let hint = "write `name: Type` and take it apart in the body";
        diag.hint(&arg.pat, "an argument is a name, by which callers give it", hint);
    }
    if matches!(ty::bare(&arg.ty), Type::ImplTrait(_)) {
        diag.hint(
            &arg.ty,
            "an argument has a type of its own, not `impl Trait`",
            "write the type that callers send",
        );
    } else if ty::is_any(required(&arg.ty), &["QueryCtx", "MutationCtx"]) {
        // After a receiver, it is in the place of the context.
        if !is_method {
            diag.hint(&arg.ty, "the context is the first parameter, and the only one", "remove this one");
        }
    } else if let Some(reference) = ty::borrowed(&arg.ty) {
        let hint = format!("write `{}`", model::owned_form(reference));
        diag.hint(reference, "an argument cannot borrow: it is decoded from what the caller sends", hint);
    }
}

/// The type behind a reference.
fn required(ty: &Type) -> &Type {
    match ty::bare(ty) {
        Type::Reference(reference) => &reference.elem,
        ty => ty,
    }
}

fn output(handler: &Handler, diag: &Diag) {
    let what = handler.kind.attribute();
    match handler.output() {
        None => diag.hint(
            &handler.item.sig.ident,
            format_args!("a {what} answers with a `Result`"),
            format_args!("write `{}`", form(handler)),
        ),
        Some(ty)
            if matches!(
                ty::bare(ty),
                Type::Reference(_) | Type::ImplTrait(_) | Type::Tuple(_) | Type::Never(_)
            ) =>
        {
            diag.hint(
                ty,
                format_args!("a {what} answers with a `Result`"),
                "write `-> Result<T>` with a `T: Serialize`",
            );
        }
        Some(_) => {}
    }
}
