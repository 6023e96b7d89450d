use forge::prelude::*;

struct Secret;

#[query]
async fn delayed(_ctx: &QueryCtx) -> Result<Secret> {
    Ok(Secret)
}

fn main() {}
