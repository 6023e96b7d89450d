use forge::prelude::*;

#[query]
async fn delayed(_ctx: &QueryCtx) -> i32 {
    5
}

fn main() {}
