use forge::prelude::*;

#[derive(Model)]
enum Status {
    Open,
}

#[derive(Model)]
struct Pair(String, String);

#[derive(Model)]
struct Nothing;

#[derive(Model)]
union Bits {
    a: u32,
    b: f32,
}

fn main() {}
