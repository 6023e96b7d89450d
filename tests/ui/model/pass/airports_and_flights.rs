use forge::prelude::*;

/// An airport, keyed by its IATA code.
#[derive(Debug, Clone, Model)]
#[model(collection = "airports", timestamps, client(iata, name, city, state, location))]
#[model(index(state, city))]
pub struct Airport {
    #[model(id)]
    #[validate(length(equal = 3))]
    pub iata: String,
    #[model(text(weight = 10))]
    pub name: String,
    pub city: Option<String>,
    pub state: Option<String>,
    #[model(index = "2dsphere")]
    pub location: GeoPoint,
    #[model(has_many(key = origin_id))]
    pub departures: HasMany<Flight>,
}

#[derive(Debug, Clone, Model)]
#[model(collection = "flights", timestamps, soft_delete, sync)]
#[model(index(origin_id, date = -1))]
pub struct Flight {
    #[model(id)]
    pub id: Id<Flight>,
    pub date: DateTime,
    #[validate(range(min = -60, max = 5000))]
    pub delay: i32,
    pub distance: i32,
    pub origin_id: String,
    pub destination_id: String,
    #[model(belongs_to(key = origin_id, on_delete = cascade))]
    pub origin: BelongsTo<Airport>,
    #[model(belongs_to(key = destination_id, on_delete = restrict))]
    pub destination: BelongsTo<Airport>,
}

/// Delayed flights out of a state, worst first.
#[query]
async fn delayed(ctx: &QueryCtx, state: String, #[validate(range(min = 0))] minutes: i32) -> Result<Vec<Flight>> {
    ctx.db
        .find::<Flight>()
        .filter(|f| f.delay.gt(minutes) & f.origin.is(|a| a.state.eq(state)))
        .sort(|f| (f.delay.desc(), f.created_at.asc()))
        .include(|f| f.origin)
        .limit(50)
        .await
}

#[mutation(transaction)]
async fn cancel(ctx: &MutationCtx, id: Id<Flight>) -> Result<Flight> {
    ctx.db.delete::<Flight>(id).await
}

fn main() {
    let catalog = forge::Catalog::collect().unwrap();
    let flight = catalog.model("Flight").unwrap();
    assert_eq!(flight.collection, "flights");
    assert!(flight.timestamps && flight.soft_delete && flight.sync);
    assert_eq!(catalog.model("Airport").unwrap().relations[0].foreign, "origin_id");
    let names: Vec<_> = forge::Registry::collect().unwrap().iter().map(|handler| handler.name).collect();
    assert_eq!(names, ["cancel", "delayed"]);
    let patch = FlightPatch { delay: Some(5), ..FlightPatch::default() };
    assert_eq!(patch.delay, Some(5));
}
