use forge::prelude::*;

#[query]
fn delayed(ctx: &QueryCtx) -> Result<i32> {
    Ok(5)
}

fn main() {}
