use forge::prelude::*;

#[derive(Model)]
#[validate(schema(function = "check"))]
struct User {
    #[model(id)]
    id: Id<User>,
    #[validate(required)]
    name: Option<String>,
    #[validate(must_match(other = "name"))]
    again: String,
}

fn main() {}
