use forge::prelude::*;

#[query]
async fn delayed() -> Result<i32> {
    Ok(5)
}

#[query]
async fn late(minutes: i32) -> Result<i32> {
    Ok(minutes)
}

fn main() {}
