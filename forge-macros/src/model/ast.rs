//! A struct as its attributes describe it, before any of them is compared with another.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Fields, Ident, Type, Visibility};

use crate::attr::{self, model as model_attr, serde as serde_attr};
use crate::diag::Diag;
use crate::{names, ty};

/// Which derive reads the struct.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Derive {
    Model,
    Embed,
}

/// A struct with named fields.
#[derive(Debug)]
pub(crate) struct Struct {
    pub(crate) ident: Ident,
    pub(crate) vis: Visibility,
    pub(crate) docs: String,
    pub(crate) attrs: model_attr::Struct,
    pub(crate) serde: serde_attr::Container,
    pub(crate) fields: Vec<Field>,
}

/// One field.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) ident: Ident,
    /// The name without `r#`.
    pub(crate) name: String,
    pub(crate) ty: Type,
    pub(crate) docs: String,
    pub(crate) attrs: model_attr::Field,
    pub(crate) serde: serde_attr::Field,
    /// The `#[validate(…)]` attributes, as they are.
    pub(crate) validate: Vec<Attribute>,
}

impl Field {
    /// The relation attribute, if the field is a relation.
    pub(crate) fn relation(&self) -> Option<&model_attr::Relation> {
        self.attrs.relation.get()
    }
}

impl Struct {
    /// Parses `input`; reports everything that is malformed.
    pub(crate) fn parse(derive: Derive, input: &DeriveInput, diag: &Diag) -> Option<Self> {
        let fields = named_fields(derive, input, diag)?;
        let what = if derive == Derive::Model { "models" } else { "embeds" };
        if !input.generics.params.is_empty() {
            diag.hint(
                &input.generics,
                format_args!("{what} cannot be generic"),
                "what is stored has one shape: derive it on a struct without parameters",
            );
        }
        let fields: Vec<Field> = fields.map(|field| Field::parse(&input.ident, field, diag)).collect();
        let known: Vec<String> = fields.iter().map(|field| field.name.clone()).collect();
        let attrs = match derive {
            Derive::Model => model_attr::Struct::parse(&input.attrs, &known, diag),
            Derive::Embed => model_attr::Struct::parse_embed(&input.attrs, diag),
        };
        struct_validate(&input.attrs, diag);
        Some(Self {
            ident: input.ident.clone(),
            vis: input.vis.clone(),
            docs: attr::docs(&input.attrs),
            attrs,
            serde: serde_attr::Container::parse(&input.attrs, diag),
            fields,
        })
    }

    /// The path of the facade crate in the user's program.
    pub(crate) fn krate(&self) -> TokenStream {
        self.attrs.krate.get().map_or_else(|| quote!(::forge), ToTokens::to_token_stream)
    }
}

impl Field {
    fn parse(this: &Ident, field: &syn::Field, diag: &Diag) -> Self {
        let ident = field.ident.clone().unwrap_or_else(|| Ident::new("unnamed", Span::call_site()));
        // The type is written again in structs where `Self` is another; without `Self` it is the same type.
        let ty = syn::parse2(ty::without_self(field.ty.to_token_stream(), this))
            .unwrap_or_else(|_| field.ty.clone());
        Self {
            name: names::plain(&ident),
            ident,
            ty,
            docs: attr::docs(&field.attrs),
            attrs: model_attr::Field::parse(&field.attrs, diag),
            serde: serde_attr::Field::parse(&field.attrs, diag),
            validate: field.attrs.iter().filter(|attr| attr.path().is_ident("validate")).cloned().collect(),
        }
    }
}

fn named_fields<'a>(
    derive: Derive,
    input: &'a DeriveInput,
    diag: &Diag,
) -> Option<impl Iterator<Item = &'a syn::Field> + use<'a>> {
    let name = if derive == Derive::Model { "Model" } else { "Embed" };
    let (at, found) = match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => return Some(fields.named.iter()),
            Fields::Unnamed(fields) => (fields.span(), "a tuple struct"),
            Fields::Unit => (input.ident.span(), "a unit struct"),
        },
        Data::Enum(data) => (data.enum_token.span, "an enum"),
        Data::Union(data) => (data.union_token.span, "a union"),
    };
    diag.push(syn::Error::new(
        at,
        format!(
            "`{name}` cannot be derived on {found}\n  = help: derive it on a struct with named fields: `struct {} {{ … }}`",
            input.ident
        ),
    ));
    None
}

fn struct_validate(attrs: &[Attribute], diag: &Diag) {
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("validate")) {
        diag.hint(
            attr,
            "`#[validate(…)]` on the struct is not supported",
            "rules are checked on inserts and on partial changes alike: put them on the fields",
        );
    }
}
