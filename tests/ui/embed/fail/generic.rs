use forge::prelude::*;

#[derive(Embed)]
struct Leg<'a> {
    from: &'a str,
}

fn main() {}
