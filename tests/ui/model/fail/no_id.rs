use forge::prelude::*;

#[derive(Model)]
struct Flight {
    delay: i32,
}

fn main() {}
