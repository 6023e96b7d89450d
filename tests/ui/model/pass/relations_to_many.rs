use forge::prelude::*;

#[derive(Debug, Clone, Model)]
struct Note {
    #[model(id)]
    id: Id<Note>,
    tag_ids: Vec<String>,
    maybe_ids: Option<Vec<Id<Note>>>,
    #[model(references_many(key = tag_ids, on_delete = restrict))]
    tags: HasMany<Tag>,
    #[model(references_many(key = maybe_ids, on_delete = set_null))]
    others: HasMany<Note>,
    #[model(many_to_many(through = Link, key = from, other = to))]
    linked: HasMany<Note>,
}

#[derive(Debug, Clone, Model)]
struct Tag {
    #[model(id)]
    name: String,
}

#[derive(Debug, Clone, Model)]
struct Link {
    #[model(id)]
    id: Id<Link>,
    from: Id<Note>,
    to: Option<Id<Note>>,
}

fn main() {
    forge::Catalog::collect().unwrap();
}
