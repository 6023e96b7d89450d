use forge::prelude::*;

#[query]
async fn delayed(ctx: &QueryCtx, (from, to): (i32, i32)) -> Result<i32> {
    Ok(from + to)
}

fn main() {}
