use forge::prelude::*;

#[derive(Debug, Clone, Model)]
struct Sale {
    #[model(id)]
    id: Id<Sale>,
}

fn stages() -> &'static str {
    "[]"
}

#[derive(Debug, Clone, Model)]
#[model(view(source = Sale, pipeline = stages), timestamps, soft_delete, json_schema, index(total))]
struct Totals {
    #[model(id)]
    id: String,
    #[model(index, default)]
    total: i64,
}

fn main() {}
