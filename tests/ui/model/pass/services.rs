//! Services that models declare.

use forge::prelude::*;

#[derive(Model)]
#[model(service)]
struct Plain {
    #[model(id)]
    id: Id<Plain>,
}

#[derive(Model)]
#[model(
    timestamps,
    service(
        path = "users/:user/notes",
        paginate(default = 10, max = 50),
        multi = [create, "patch"],
        methods = [find, get, create, patch],
        operators = [regex, "$options"],
        disabled_operators = [rename, "$unset"],
        filters = [nor, "$near"],
        id = "slug",
        events = [typing, "seen by"],
        estimated_count,
    )
)]
struct Note {
    #[model(id)]
    id: Id<Note>,
    slug: String,
}

fn main() {
    let mut paths: Vec<_> = forge::service::declared_services().map(|def| def.path).collect();
    paths.sort();
    assert_eq!(paths, [None, Some("users/:user/notes")]);
}
