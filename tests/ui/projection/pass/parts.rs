use forge::prelude::*;

#[derive(Debug, Clone, Model)]
struct Airport {
    #[model(id)]
    iata: String,
    r#type: String,
    state: Option<String>,
    #[model(embed)]
    tower: Option<Tower>,
    #[model(embed_many)]
    gates: Vec<Tower>,
    #[model(has_many(key = origin_id))]
    departures: HasMany<Flight>,
}

#[derive(Debug, Clone, Embed)]
struct Tower {
    height: i32,
}

#[derive(Debug, Clone, Model)]
struct Flight {
    #[model(id)]
    id: Id<Flight>,
    origin_id: String,
    #[model(belongs_to(key = origin_id))]
    origin: BelongsTo<Airport>,
}

#[derive(Debug, Projection)]
#[projection(model = Airport)]
#[serde(rename_all = "camelCase")]
struct Card {
    iata: String,
    r#type: String,
    state: Option<String>,
    #[projection(path = tower.height)]
    tower_height: Option<i32>,
    tower: Option<Tower>,
    gates: Vec<Tower>,
    departures: Vec<FlightCard>,
    #[projection(count = departures)]
    flights: u64,
    #[serde(rename = "whole")]
    #[projection(path = departures)]
    flights_whole: Vec<Flight>,
}

#[derive(Debug, Projection)]
#[projection(model = Flight)]
struct FlightCard {
    id: Id<Flight>,
    origin: Option<Name>,
}

#[derive(Debug, Projection)]
#[projection(model = Airport)]
struct Name {
    iata: String,
}

#[query]
async fn cards(ctx: &QueryCtx) -> Result<Vec<Card>> {
    ctx.db.find::<Airport>().project::<Card>().await
}

#[derive(Debug, Projection)]
#[projection(model = Airport)]
struct Nothing {}

fn main() {}
