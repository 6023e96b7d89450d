use forge::prelude::*;

#[query]
async fn delayed<T>(ctx: &QueryCtx) -> Result<i32> {
    Ok(5)
}

#[query]
async fn late(ctx: &QueryCtx) -> Result<i32>
where
    i32: Copy,
{
    Ok(5)
}

fn main() {}
