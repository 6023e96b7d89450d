use forge::prelude::*;

struct Board;

impl Board {
    #[query]
    async fn delayed(&self, ctx: &QueryCtx) -> Result<i32> {
        Ok(5)
    }
}

fn main() {}
