//! `#[derive(Projection)]`: parse, expand. What has to agree with the model is left to the compiler, at the place of the
//! field.

mod expand;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Fields, Ident, Path, Type};

use crate::attr::{self, projection as attrs, serde as serde_attr};
use crate::diag::Diag;
use crate::names;

/// A struct whose fields are read from a model's documents.
#[derive(Debug)]
struct Struct {
    ident: Ident,
    model: Option<Path>,
    krate: TokenStream,
    fields: Vec<Field>,
}

/// One field.
#[derive(Debug)]
struct Field {
    ident: Ident,
    ty: Type,
    docs: String,
    /// The name in JSON.
    client: String,
    from: From,
}

/// Where the value of a field comes from.
#[derive(Debug)]
enum From {
    /// These names lead to it in the model's typed fields.
    Path(Vec<Ident>),
    /// The number of documents of this relation.
    Count(Ident),
}

/// What `#[derive(Projection)]` writes for `input`.
pub(crate) fn derive(input: TokenStream) -> TokenStream {
    let input: DeriveInput = match syn::parse2(input) {
        Ok(input) => input,
        Err(error) => return error.into_compile_error(),
    };
    let diag = Diag::new();
    let parsed = Struct::parse(&input, &diag);
    match (diag.check(), parsed) {
        (Ok(()), Some(parsed)) => expand::projection(&parsed),
        (errors, parsed) => {
            let stubs = parsed.map(|parsed| expand::stubs(&parsed));
            let errors = errors.err();
            quote!(#errors #stubs)
        }
    }
}

impl Struct {
    fn parse(input: &DeriveInput, diag: &Diag) -> Option<Self> {
        let fields = match &input.data {
            Data::Struct(data) => match &data.fields {
                Fields::Named(fields) => &fields.named,
                other => return not_named(other.span(), &input.ident, diag),
            },
            Data::Enum(data) => return not_named(data.enum_token.span(), &input.ident, diag),
            Data::Union(data) => return not_named(data.union_token.span(), &input.ident, diag),
        };
        if !input.generics.params.is_empty() {
            diag.hint(
                &input.generics,
                "projections cannot be generic",
                "what is read has one shape: derive it on a struct without parameters",
            );
            return None;
        }
        let own = attrs::Struct::parse(&input.attrs, diag);
        if !own.model.is_set() {
            diag.hint(
                &input.ident,
                format_args!("`{}` does not say which model it is read from", input.ident),
                "write #[projection(model = …)] above it",
            );
        }
        let serde = serde_attr::Container::parse(&input.attrs, diag);
        let fields = fields.iter().filter_map(|field| Field::parse(field, &serde, diag)).collect();
        Some(Self {
            ident: input.ident.clone(),
            model: own.model.get().cloned(),
            krate: own.krate.get().map_or_else(|| quote!(::forge), ToTokens::to_token_stream),
            fields,
        })
    }
}

impl Field {
    fn parse(field: &syn::Field, container: &serde_attr::Container, diag: &Diag) -> Option<Self> {
        let ident = field.ident.clone()?;
        let name = names::plain(&ident);
        let serde = serde_attr::Field::parse(&field.attrs, diag);
        if let Some(key) = serde.default.key() {
            diag.hint(
                key,
                "`default` has no meaning in a projection",
                "make the field an `Option`, which is none where the document has no value",
            );
        }
        let client = match (serde.rename.get(), container.rename_all.get()) {
            (Some(given), _) => given.value(),
            (None, Some(rule)) => rule.apply(&name),
            (None, None) => name,
        };
        let own = attrs::Field::parse(&field.attrs, diag);
        let from = match (own.count.get(), own.path.get()) {
            (Some(relation), _) => From::Count(relation.clone()),
            (None, Some(path)) => From::Path(path.clone()),
            (None, None) => From::Path(vec![ident.clone()]),
        };
        Some(Self { ident, ty: field.ty.clone(), docs: attr::docs(&field.attrs), client, from })
    }
}

fn not_named(at: proc_macro2::Span, ident: &Ident, diag: &Diag) -> Option<Struct> {
    diag.push(syn::Error::new(
        at,
        format!(
            "`Projection` is derived on structs with named fields\n  = help: write `struct {ident} {{ … }}`, or select a tuple"
        ),
    ));
    None
}
