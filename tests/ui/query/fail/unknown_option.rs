use forge::prelude::*;

#[query(intrenal, transaction)]
async fn delayed(ctx: &QueryCtx) -> Result<i32> {
    Ok(5)
}

#[query(internal = true)]
async fn late(ctx: &QueryCtx) -> Result<i32> {
    Ok(5)
}

fn main() {}
