use forge::prelude::*;

#[derive(Model)]
#[model(view(pipeline = "stages", materialised))]
struct Totals {
    #[model(id)]
    id: String,
}

#[derive(Model)]
#[model(view(source = Totals, pipeline = stages, materialized = daily))]
struct Others {
    #[model(id)]
    id: String,
}

fn main() {}
