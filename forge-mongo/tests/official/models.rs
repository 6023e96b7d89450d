//! Airports, flights and tickets, as a derive would describe them.

use std::sync::Arc;

use forge_core::Catalog;
use forge_core::model::{
    Access, Default as Value, FieldDef, IndexDef, IndexKey, ModelDef, OnDelete, RelationDef, RelationKind,
};

const fn field(stored: &'static str, optional: bool) -> FieldDef {
    FieldDef {
        name: stored,
        stored,
        client: stored,
        access: Access::Public,
        default: Value::None,
        optional,
        embed: None,
        schema: |generator| generator.subschema_for::<String>(),
        docs: "",
        rules: &[],
    }
}

const fn relation(
    name: &'static str,
    kind: RelationKind,
    target: fn() -> &'static ModelDef,
    local_key: &'static [(&'static str, IndexKey)],
    foreign: &'static str,
    on_delete: OnDelete,
) -> RelationDef {
    RelationDef {
        name,
        client: name,
        kind,
        target,
        local_key,
        foreign,
        on_delete,
        access: Access::Public,
        through: None,
    }
}

const fn model(
    name: &'static str,
    collection: &'static str,
    fields: &'static [FieldDef],
    relations: &'static [RelationDef],
    indexes: &'static [IndexDef],
) -> ModelDef {
    ModelDef { relations, indexes, ..ModelDef::new(name, collection, fields, 0) }
}

const ID: &[(&str, IndexKey)] = &[("_id", IndexKey::Ascending)];
const ORIGIN: &[(&str, IndexKey)] = &[("origin_id", IndexKey::Ascending)];
const DESTINATION: &[(&str, IndexKey)] = &[("destination_id", IndexKey::Ascending)];
const FLIGHT_KEY: &[(&str, IndexKey)] = &[("flight_id", IndexKey::Ascending)];

/// Departures are deleted with their airport; arrivals keep it.
pub(crate) static AIRPORT: ModelDef = model(
    "Airport",
    "airports",
    &[field("_id", false), field("code", true), field("name", true), field("at", true)],
    &[relation("departures", RelationKind::HasMany, || &FLIGHT, ID, "origin_id", OnDelete::NoAction)],
    &[
        IndexDef { unique: true, sparse: true, ..IndexDef::new(&[("code", IndexKey::Ascending)]) },
        IndexDef::new(&[("at", IndexKey::Sphere)]),
        IndexDef::new(&[("name", IndexKey::Text(3))]),
    ],
);

/// Soft-deleted.
pub(crate) static FLIGHT: ModelDef = ModelDef {
    soft_delete: true,
    ..model(
        "Flight",
        "flights",
        &[
            field("_id", false),
            field("origin_id", false),
            field("destination_id", false),
            field("delay", false),
            // An index expires documents by it.
            FieldDef {
                schema: |generator| generator.subschema_for::<forge_core::DateTime>(),
                ..field("gone", true)
            },
        ],
        &[
            relation("origin", RelationKind::BelongsTo, || &AIRPORT, ORIGIN, "_id", OnDelete::Cascade),
            relation(
                "destination",
                RelationKind::BelongsTo,
                || &AIRPORT,
                DESTINATION,
                "_id",
                OnDelete::Restrict,
            ),
        ],
        &[IndexDef { ttl_seconds: Some(9_000_000), ..IndexDef::new(&[("gone", IndexKey::Ascending)]) }],
    )
};

/// Goes with its flight.
pub(crate) static TICKET: ModelDef = model(
    "Ticket",
    "tickets",
    &[field("_id", false), field("flight_id", false)],
    &[relation("flight", RelationKind::BelongsTo, || &FLIGHT, FLIGHT_KEY, "_id", OnDelete::Cascade)],
    &[],
);

pub(crate) fn catalog() -> Arc<Catalog> {
    Arc::new(Catalog::new([&AIRPORT, &FLIGHT, &TICKET]).unwrap())
}
