use forge::prelude::*;

#[query]
async fn delayed(ctx: &QueryCtx, #[serde(default)] minutes: i32) -> Result<i32> {
    Ok(minutes)
}

fn main() {}
