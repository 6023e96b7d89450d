use forge::prelude::*;

#[query]
async fn delayed(ctx: &QueryCtx, again: &QueryCtx) -> Result<i32> {
    Ok(5)
}

fn main() {}
