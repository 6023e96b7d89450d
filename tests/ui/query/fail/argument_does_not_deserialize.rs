use forge::prelude::*;

struct Secret;

#[query]
async fn delayed(ctx: &QueryCtx, minutes: i32, secret: Secret) -> Result<i32> {
    Ok(minutes)
}

fn main() {}
