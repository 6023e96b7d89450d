use forge::prelude::*;

#[derive(Model)]
#[model(index([], unique), index([kind, unique]), index([kind = -1] unique), index([kind, place], plce = "x"))]
struct Event {
    #[model(id)]
    id: Id<Event>,
    kind: String,
    place: String,
}

fn main() {}
