use forge::prelude::*;

#[mutation(5)]
fn cancel<T>(ctx: MutationCtx, (a, b): (i32, i32), name: &str) {}

fn main() {}
