use forge::prelude::*;

#[query]
async fn delayed(ctx: &QueryCtx) -> i32 {
    5
}

fn main() {}
