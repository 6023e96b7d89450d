//! What the macros write keeps to the lints of strict programs.
#![deny(warnings, missing_docs, unreachable_pub, unused, unused_qualifications, rust_2018_idioms, future_incompatible)]

use forge::prelude::*;

/// A leg.
#[derive(Debug, Clone, Embed)]
struct Leg {
    /// Where to.
    #[validate(length(min = 1))]
    to: String,
    miles: Option<i32>,
}

#[derive(Debug, Clone, Embed)]
struct Empty {}

/// A flight.
#[derive(Debug, Clone, Model)]
#[model(timestamps, soft_delete)]
pub(crate) struct Flight {
    #[model(id)]
    id: Id<Flight>,
    #[model(embed_many)]
    legs: Vec<Leg>,
    #[model(embed)]
    empty: Empty,
    #[model(default)]
    delay: i32,
    #[model(default = 5)]
    count: Option<i32>,
    #[model(private)]
    secret: String,
    next_id: Option<Id<Self>>,
    #[model(belongs_to(key = next_id))]
    next: BelongsTo<Self>,
}

#[derive(Debug, Clone, Model)]
struct Small {
    #[model(id)]
    id: String,
}

#[query]
async fn nothing(_: &QueryCtx) -> Result<()> {
    Ok(())
}

#[mutation]
async fn something(_: &MutationCtx, #[validate(range(min = 0))] count: i32, leg: Leg) -> Result<i32> {
    Ok(count + leg.miles.unwrap_or(0))
}

fn main() {
    let _ = Small { id: String::new() };
}
