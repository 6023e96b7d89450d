use forge::prelude::*;

#[derive(Model)]
#[model(index(body = "text"))]
struct Post {
    #[model(id)]
    id: Id<Post>,
    #[model(text)]
    title: String,
    body: String,
}

fn main() {}
