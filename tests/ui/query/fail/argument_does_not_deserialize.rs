use forge::prelude::*;

struct Secret;

#[query]
async fn delayed(_ctx: &QueryCtx, minutes: i32, _secret: Secret) -> Result<i32> {
    Ok(minutes)
}

fn main() {}
