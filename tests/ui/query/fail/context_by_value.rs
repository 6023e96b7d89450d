use forge::prelude::*;

#[query]
async fn delayed(ctx: QueryCtx) -> Result<i32> {
    Ok(5)
}

#[query]
async fn late(ctx: &mut QueryCtx) -> Result<i32> {
    Ok(5)
}

fn main() {}
