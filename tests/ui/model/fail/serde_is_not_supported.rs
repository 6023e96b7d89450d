use forge::prelude::*;

#[derive(Model)]
#[serde(tag = "kind", deny_unknown_fields)]
struct Flight {
    #[model(id)]
    id: Id<Flight>,
    #[serde(flatten)]
    a: String,
    #[serde(with = "module", alias = "c")]
    b: String,
    #[serde(skip)]
    d: String,
    #[serde(rename(serialize = "f"))]
    e: String,
    #[serde(serialize_with = "write", skip_serializing_if = "Option::is_none")]
    g: Option<String>,
}

fn main() {}
