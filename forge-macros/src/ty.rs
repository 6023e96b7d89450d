//! What a type says by its spelling. Macros see names only: an alias of `Option` is not an `Option` here.

use proc_macro2::{Group, Ident, TokenStream, TokenTree};
use syn::{GenericArgument, PathArguments, Type};

/// `ty` without the invisible groups and parentheses that surround it.
pub(crate) fn bare(mut ty: &Type) -> &Type {
    loop {
        ty = match ty {
            Type::Group(group) => &group.elem,
            Type::Paren(paren) => &paren.elem,
            other => return other,
        }
    }
}

/// The last name of a path: `Vec` of `std::vec::Vec<T>`.
pub(crate) fn name(ty: &Type) -> Option<String> {
    last_segment(ty).map(|segment| segment.ident.to_string())
}

/// The `T` of a `Name<T>`.
pub(crate) fn argument<'a>(ty: &'a Type, wrapper: &str) -> Option<&'a Type> {
    let segment = last_segment(ty).filter(|segment| segment.ident == wrapper)?;
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else { return None };
    match arguments.args.first() {
        Some(GenericArgument::Type(inner)) if arguments.args.len() == 1 => Some(inner),
        _ => None,
    }
}

fn last_segment(ty: &Type) -> Option<&syn::PathSegment> {
    match bare(ty) {
        Type::Path(path) => path.path.segments.last(),
        _ => None,
    }
}

/// `ty` without `Option`, and whether there was one.
pub(crate) fn required(ty: &Type) -> (&Type, bool) {
    match argument(ty, "Option") {
        Some(inner) => (inner, true),
        None => (ty, false),
    }
}

/// Whether the last name of `ty` is one of `names`.
pub(crate) fn is_any(ty: &Type, names: &[&str]) -> bool {
    name(ty).is_some_and(|name| names.contains(&name.as_str()))
}

/// The integers of Rust.
pub(crate) const INTEGERS: [&str; 10] =
    ["i8", "i16", "i32", "i64", "isize", "u8", "u16", "u32", "u64", "usize"];

/// `tokens` with `this` in place of `Self`, so that they mean the same in another struct.
pub(crate) fn without_self(tokens: TokenStream, this: &Ident) -> TokenStream {
    let replace = |token| match token {
        TokenTree::Ident(ident) if ident == "Self" => {
            let mut this = this.clone();
            this.set_span(ident.span());
            TokenTree::Ident(this)
        }
        TokenTree::Group(group) => {
            let mut replaced = Group::new(group.delimiter(), without_self(group.stream(), this));
            replaced.set_span(group.span());
            TokenTree::Group(replaced)
        }
        other => other,
    };
    tokens.into_iter().map(replace).collect()
}

/// Where a reference, a pointer or an `impl Trait` stands inside `ty`.
pub(crate) fn borrowed(ty: &Type) -> Option<&Type> {
    match bare(ty) {
        reference @ (Type::Reference(_) | Type::Ptr(_)) => Some(reference),
        Type::Slice(slice) => borrowed(&slice.elem),
        Type::Array(array) => borrowed(&array.elem),
        Type::Tuple(tuple) => tuple.elems.iter().find_map(borrowed),
        Type::Path(path) => path.path.segments.iter().find_map(|segment| match &segment.arguments {
            PathArguments::AngleBracketed(arguments) => {
                arguments.args.iter().find_map(|argument| match argument {
                    GenericArgument::Type(inner) => borrowed(inner),
                    _ => None,
                })
            }
            _ => None,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::*;

    #[test]
    fn spellings_are_seen_through_paths() {
        let ty: Type = parse_quote!(std::option::Option<forge::types::DateTime>);
        let (inner, optional) = required(&ty);
        assert!(optional);
        assert!(is_any(inner, &["DateTime"]));
    }

    #[test]
    fn borrows_are_found_inside() {
        assert!(borrowed(&parse_quote!(Option<Vec<&'static str>>)).is_some());
        assert!(borrowed(&parse_quote!(Option<Vec<String>>)).is_none());
    }
}
