use forge::prelude::*;

#[mutation(deadline = 5)]
async fn soon(_ctx: &MutationCtx) -> Result<()> {
    Ok(())
}

#[mutation(deadline = "5 parsecs")]
async fn far(_ctx: &MutationCtx) -> Result<()> {
    Ok(())
}

#[mutation(concurrency = 0)]
async fn never(_ctx: &MutationCtx) -> Result<()> {
    Ok(())
}

fn main() {}
