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
#[model(view(source = Sale, pipeline = stages))]
struct Totals {
    #[model(id)]
    id: String,
}

async fn write(db: Db) {
    let _ = db.insert(Totals { id: String::new() }).await;
}

fn main() {}
