use forge::prelude::*;

#[mutation(transactoin, internal, internal)]
async fn cancel(ctx: &MutationCtx) -> Result<i32> {
    Ok(5)
}

fn main() {}
