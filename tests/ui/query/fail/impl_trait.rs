use forge::prelude::*;

#[query]
async fn delayed(ctx: &QueryCtx, name: impl ToString) -> Result<String> {
    Ok(name.to_string())
}

fn main() {}
