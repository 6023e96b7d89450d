use forge::prelude::*;

#[query]
async fn delayed(ctx: &QueryCtx, name: &str, tags: Vec<&str>) -> Result<String> {
    Ok(name.to_owned())
}

fn main() {}
