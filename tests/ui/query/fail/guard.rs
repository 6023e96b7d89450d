use forge::prelude::*;

#[query(auth, roles("admin"))]
async fn both(ctx: &QueryCtx) -> Result<i32> {
    Ok(5)
}

#[query(roles)]
async fn no_roles(ctx: &QueryCtx) -> Result<i32> {
    Ok(5)
}

#[query(roles(admin))]
async fn names(ctx: &QueryCtx) -> Result<i32> {
    Ok(5)
}

#[query(auth = "bearer")]
async fn value(ctx: &QueryCtx) -> Result<i32> {
    Ok(5)
}

fn main() {}
