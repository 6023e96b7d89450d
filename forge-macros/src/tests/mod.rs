//! What the macros write, as snapshots, and how much of it. `INSTA_UPDATE=always` writes the snapshots anew.

use proc_macro2::TokenStream;
use quote::quote;

use crate::handler::{Kind, attribute};

/// The most lines that a model of ten fields may cost, those of nested derives not counted.
const LINES_PER_MODEL: usize = 800;

fn pretty(tokens: TokenStream) -> String {
    let file: syn::File = syn::parse2(tokens).expect("an expansion is Rust");
    prettyplease::unparse(&file)
}

fn flight() -> TokenStream {
    quote! {
        /// A flight.
        #[model(timestamps, soft_delete, index(origin_id, date = -1))]
        pub struct Flight {
            #[model(id)]
            pub id: Id<Flight>,
            /// In minutes.
            #[validate(range(min = -60))]
            pub delay: i32,
            #[model(default = "open")]
            pub status: String,
            pub gate: Option<String>,
            #[model(private)]
            pub secret: String,
            pub origin_id: String,
            #[model(belongs_to(key = origin_id, on_delete = cascade))]
            pub origin: BelongsTo<Airport>,
            #[model(has_many(key = flight_id))]
            pub seats: HasMany<Seat>,
            pub date: DateTime,
            pub created_at: DateTime,
        }
    }
}

#[test]
fn model() {
    insta::assert_snapshot!(pretty(crate::model::derive(flight())));
}

#[test]
fn small_model() {
    let input = quote! {
        struct City {
            #[model(id)]
            name: String,
        }
    };
    insta::assert_snapshot!(pretty(crate::model::derive(input)));
}

#[test]
fn model_after_an_error() {
    let input = quote! {
        #[model(timestamp)]
        struct Flight {
            #[model(id)]
            id: Id<Flight>,
            delay: i32,
            #[model(embed_many)]
            legs: Vec<Leg>,
            #[model(has_many(key = flight_id))]
            seats: HasMany<Seat>,
        }
    };
    insta::assert_snapshot!(pretty(crate::model::derive(input)));
}

#[test]
fn embed() {
    let input = quote! {
        #[model(crate = "my::forge")]
        #[serde(rename_all = "camelCase")]
        pub(crate) struct Leg {
            #[validate(length(equal = 3))]
            from_code: String,
            #[model(embed)]
            plane: Option<Plane>,
        }
    };
    insta::assert_snapshot!(pretty(crate::embed::derive(input)));
}

#[test]
fn projection() {
    let input = quote! {
        #[projection(model = Airport)]
        #[serde(rename_all = "camelCase")]
        pub struct AirportCard {
            pub iata: String,
            /// Where it is.
            #[projection(path = address.city)]
            pub city_name: Option<String>,
            #[projection(count = departures)]
            pub flights: u64,
        }
    };
    insta::assert_snapshot!(pretty(crate::projection::derive(input)));
}

#[test]
fn relations_to_many() {
    let input = quote! {
        struct Student {
            #[model(id)]
            id: i64,
            tag_ids: Vec<i64>,
            #[model(references_many(key = tag_ids, on_delete = set_null))]
            tags: HasMany<Tag>,
            #[model(many_to_many(through = Enrolment, key = student_id, other = course_id))]
            courses: HasMany<Course>,
        }
    };
    let written = pretty(crate::model::derive(input));
    let relations = written.split("static __RELATIONS").nth(1).and_then(|rest| rest.split(";\n").next());
    insta::assert_snapshot!(relations.unwrap_or_default());
}

#[test]
fn query() {
    let function = quote! {
        /// Delayed flights.
        pub async fn delayed(
            ctx: &QueryCtx,
            state: Option<String>,
            #[validate(range(min = 0))] minutes: i32,
        ) -> Result<Vec<Flight>> {
            todo(ctx, state, minutes).await
        }
    };
    insta::assert_snapshot!(pretty(attribute(Kind::Query, quote!(internal), &function)));
}

#[test]
fn mutation() {
    let function = quote! {
        async fn clear(ctx: &MutationCtx) -> Result<u64> {
            ctx.db.clear().await
        }
    };
    insta::assert_snapshot!(pretty(attribute(Kind::Mutation, quote!(transaction), &function)));
}

#[test]
fn handler_after_an_error() {
    let function = quote! {
        fn delayed(ctx: &QueryCtx) -> Result<u64> {
            Ok(5)
        }
    };
    insta::assert_snapshot!(pretty(attribute(Kind::Query, quote!(), &function)));
}

/// The expansions of `validator` and of `Debug` and `Clone`, which come on top, are measured where they are compiled.
#[test]
fn ten_fields_stay_within_the_budget() {
    let lines = pretty(crate::model::derive(flight())).lines().count();
    assert!(lines <= LINES_PER_MODEL, "{lines} lines");
}

#[test]
fn every_error_of_a_struct_is_reported_at_once() {
    let input = quote! {
        #[model(colection = "x", client(nope))]
        struct Flight {
            #[serde(flatten)]
            delay: &'static str,
            next: BelongsTo<Flight>,
        }
    };
    let written = crate::model::derive(input).to_string();
    assert_eq!(written.matches("compile_error").count(), 6, "{written}");
}
