use forge::prelude::*;

#[derive(Model)]
#[model(index(a = "hashed", unique), index(a = "hashed", b = "hashed"))]
#[model(index(a, sparse, partial = r#"{ "a": 1 }"#), index("$**", unique))]
#[model(index("$**" = "2d"), index(b, projection = r#"{ "a": 0 }"#))]
#[model(index(a = -1, language = "german"), index(b = text(0)))]
struct Thing {
    #[model(id)]
    id: Id<Thing>,
    a: String,
    b: String,
}

fn main() {}
