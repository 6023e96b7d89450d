use forge::prelude::*;

#[query]
async fn delayed(ctx: &QueryCtx) {}

#[query]
async fn late(ctx: &QueryCtx) -> (i32, i32) {
    (5, 5)
}

fn main() {}
