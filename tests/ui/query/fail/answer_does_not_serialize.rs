use forge::prelude::*;

struct Secret;

#[query]
async fn delayed(ctx: &QueryCtx) -> Result<Secret> {
    Ok(Secret)
}

fn main() {}
