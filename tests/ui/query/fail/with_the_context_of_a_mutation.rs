use forge::prelude::*;

#[query]
async fn delayed(ctx: &MutationCtx) -> Result<i32> {
    Ok(5)
}

fn main() {}
