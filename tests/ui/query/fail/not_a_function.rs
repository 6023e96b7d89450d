use forge::prelude::*;

#[query]
struct Delayed {
    minutes: i32,
}

fn main() {}
