use forge::prelude::*;

#[derive(Embed)]
enum Leg {
    First,
}

#[derive(Embed)]
struct Pair(i32, i32);

fn main() {}
