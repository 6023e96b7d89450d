use forge::prelude::*;

#[derive(Debug, Clone, Model)]
struct Tag {
    #[model(id)]
    id: i64,
}

#[derive(Debug, Clone, Model)]
struct Note {
    #[model(id)]
    id: i64,
    tag_id: i64,
    #[model(references_many(key = tag_id))]
    tags: HasMany<Tag>,
}

fn main() {}
