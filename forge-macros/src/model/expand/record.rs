//! `impl Record` with the serde and schema traits on top of it: the same for models, embeds, inserts, patches, arguments.

use proc_macro2::{Literal, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::Ident;

/// A struct that is described by field definitions.
pub(crate) struct Record<'a> {
    pub(crate) ident: &'a Ident,
    /// The name in messages.
    pub(crate) name: String,
    /// The variant of `Role`.
    pub(crate) role: TokenStream,
    /// The `fields` and `relations` of its `Shape`.
    pub(crate) shape: TokenStream,
    /// The positions of its fields in the definitions.
    pub(crate) picked: Vec<usize>,
    pub(crate) slots: Vec<Slot<'a>>,
    pub(crate) relations: Vec<&'a Ident>,
}

/// A field of such a struct.
pub(crate) struct Slot<'a> {
    pub(crate) ident: &'a Ident,
    /// Where errors about its type are shown.
    pub(crate) span: Span,
    pub(crate) take: Take,
    /// Whether it is an `Option` that is not written when absent.
    pub(crate) optional: bool,
}

/// How an absent field is read.
pub(crate) enum Take {
    /// It is an error, except for an `Option`.
    Required,
    /// By this function.
    Or(TokenStream),
    /// It is none: the field is an `Option` of what is read.
    None,
}

impl Record<'_> {
    /// Every trait of the record.
    pub(crate) fn implementation(&self) -> TokenStream {
        let record = self.record(&self.write());
        let serde = [serialize(self.ident), deserialize(self.ident), json_schema(self.ident)];
        quote!(#record #(#serde)*)
    }

    /// The traits of a record that is only read.
    pub(crate) fn read_only(&self) -> TokenStream {
        let record = self.record(&quote!(::core::result::Result::Ok(())));
        let serde = deserialize(self.ident);
        quote!(#record #serde)
    }

    fn record(&self, write: &TokenStream) -> TokenStream {
        let ident = self.ident;
        let (shape, read) = (self.shape(), self.read());
        quote! {
            impl __forge::Record for #ident {
                #shape
                #read
                #[allow(unused_variables)]
                fn write<S: __forge::Map>(&self, to: &mut __forge::Writer<S>) -> __forge::Done<S> {
                    #write
                }
            }
        }
    }

    fn shape(&self) -> TokenStream {
        let (name, role, shape) = (&self.name, &self.role, &self.shape);
        let picked = self.picked.iter().map(|position| Literal::usize_unsuffixed(*position));
        quote! {
            fn shape() -> &'static __forge::Shape {
                static SHAPE: __forge::Shape = __forge::Shape {
                    name: #name,
                    role: __forge::Role::#role,
                    pick: &[#(#picked),*],
                    #shape
                };
                &SHAPE
            }
        }
    }

    fn read(&self) -> TokenStream {
        let local = |(i, slot): (usize, &Slot<'_>)| format_ident!("f{i}", span = slot.span);
        let locals: Vec<Ident> = self.slots.iter().enumerate().map(local).collect();
        let fill = self
            .slots
            .iter()
            .zip(&locals)
            .enumerate()
            .map(|(i, (slot, local))| quote_spanned!(slot.span=> #i => reader.fill(&mut #local, #i)?,));
        let take = self.slots.iter().zip(&locals).enumerate().map(|(i, (slot, local))| {
            let ident = slot.ident;
            match &slot.take {
                Take::Required => quote_spanned!(slot.span=> #ident: reader.take(#local, #i)?,),
                Take::Or(default) => quote!(#ident: reader.take_or(#local, #default),),
                Take::None => quote!(#ident: #local,),
            }
        });
        let relations =
            self.relations.iter().map(|ident| quote!(#ident: ::core::default::Default::default(),));
        let declare = locals.iter().map(|local| quote!(let mut #local = ::core::option::Option::None;));
        quote! {
            fn read<'de, A: __forge::serde::de::MapAccess<'de>>(
                reader: &mut __forge::Reader<'de, A>,
            ) -> ::core::result::Result<Self, A::Error> {
                #(#declare)*
                while let ::core::option::Option::Some(position) = reader.next()? {
                    match position {
                        #(#fill)*
                        _ => reader.pass()?,
                    }
                }
                ::core::result::Result::Ok(Self { #(#take)* #(#relations)* })
            }
        }
    }

    fn write(&self) -> TokenStream {
        let fields = self.slots.iter().enumerate().map(|(i, slot)| {
            let ident = slot.ident;
            match slot.optional {
                true => quote_spanned!(slot.span=> to.put_optional(#i, &self.#ident)?;),
                false => quote_spanned!(slot.span=> to.put(#i, &self.#ident)?;),
            }
        });
        let relations = self.relations.iter().enumerate().map(|(i, ident)| {
            let i = i + self.slots.len();
            quote!(self.#ident.put(#i, to)?;)
        });
        quote! {
            #(#fields)*
            #(#relations)*
            ::core::result::Result::Ok(())
        }
    }
}

fn serialize(ident: &Ident) -> TokenStream {
    quote! {
        impl __forge::serde::Serialize for #ident {
            fn serialize<S: __forge::Ser>(&self, to: S) -> __forge::Out<S::Ok, S::Error> {
                __forge::serialize(self, to)
            }
        }
    }
}

fn deserialize(ident: &Ident) -> TokenStream {
    quote! {
        impl<'de> __forge::serde::Deserialize<'de> for #ident {
            fn deserialize<D: __forge::De<'de>>(from: D) -> __forge::Out<Self, D::Error> {
                __forge::deserialize(from)
            }
        }
    }
}

fn json_schema(ident: &Ident) -> TokenStream {
    let name = crate::names::plain(ident);
    quote! {
        impl __forge::schemars::JsonSchema for #ident {
            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                ::std::borrow::Cow::Borrowed(#name)
            }
            fn json_schema(generator: &mut __forge::SchemaGenerator) -> __forge::Schema {
                __forge::shape_schema(<Self as __forge::Record>::shape(), generator)
            }
        }
    }
}
