use forge::prelude::*;

#[query]
async unsafe extern "C" fn delayed(ctx: &QueryCtx) -> Result<i32> {
    Ok(5)
}

fn main() {}
