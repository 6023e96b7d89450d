use forge::prelude::*;

#[derive(Embed)]
#[model(crat = "forge")]
#[serde(untagged)]
struct Leg {
    #[model(privat)]
    #[serde(getter = "x")]
    from: String,
}

fn main() {}
