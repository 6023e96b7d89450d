use forge::prelude::*;

#[mutation]
async fn cancel(ctx: &QueryCtx) -> Result<i32> {
    Ok(5)
}

fn main() {}
