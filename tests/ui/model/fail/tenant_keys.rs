use forge::prelude::*;

#[derive(Model)]
struct Note {
    #[model(id)]
    id: Id<Note>,
    #[model(tenant_key, default = "acme")]
    org: String,
    #[model(tenant_key)]
    team: Option<String>,
}

#[derive(Model)]
struct Page {
    #[model(id)]
    id: Id<Page>,
    #[model(tenant_key)]
    org: Option<String>,
}

#[derive(Embed)]
struct Frame {
    #[model(tenant_key)]
    org: String,
}

fn main() {}
