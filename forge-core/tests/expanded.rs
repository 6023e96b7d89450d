//! What the macros write, by hand: two related models, an embed and two handlers. Kept so that the contract between
//! `forge-macros` and the core is readable, and compiles.

#![allow(missing_docs)]
// The form is that of longer structs.
#![allow(clippy::single_match)]

use forge_core::{BelongsTo, DateTime, HasMany, Id, MutationCtx, QueryCtx, Result};

// #[derive(Debug, Clone, Model)]
// #[model(collection = "airports", index(state, city))]
#[derive(Debug, Clone)]
pub struct Airport {
    // #[model(id)] #[validate(length(equal = 3))]
    pub iata: String,
    // #[model(text(weight = 10))]
    pub name: String,
    pub city: Option<String>,
    // #[model(private)]
    pub state: Option<String>,
    // #[model(embed)]
    pub tower: Tower,
    // #[model(has_many(key = origin_id))]
    pub departures: HasMany<Flight>,
}

// #[derive(Debug, Clone, Embed)]
#[derive(Debug, Clone)]
pub struct Tower {
    pub height: i32,
}

// #[derive(Debug, Clone, Model)]
// #[model(collection = "flights", timestamps, soft_delete)]
#[derive(Debug, Clone)]
pub struct Flight {
    // #[model(id)]
    pub id: Id<Flight>,
    // #[validate(range(min = -60))]
    pub delay: i32,
    // #[model(default = "open".to_owned())]
    pub status: String,
    pub origin_id: String,
    // #[model(belongs_to(key = origin_id, on_delete = cascade))]
    pub origin: BelongsTo<Airport>,
    pub created_at: DateTime,
}

// #[query]
/// Delayed flights.
async fn delayed(ctx: &QueryCtx, minutes: i32) -> Result<Vec<Flight>> {
    ctx.db
        .find::<Flight>()
        .filter(|f| f.delay.gt(minutes) & f.origin.is(|a| a.state.eq("OR") & a.tower.height.gt(10)))
        .sort(|f| (f.delay.desc(), f.created_at.asc()))
        .include(|f| f.origin)
        .limit(50)
        .await
}

// #[mutation(transaction)]
async fn cancel(ctx: &MutationCtx, id: Id<Flight>) -> Result<Flight> {
    ctx.db.delete::<Flight>(id).await
}

// ---- derive(Embed) for Tower -------------------------------------------------------------------------------------

/// Typed fields of [`Tower`] inside documents of `M`.
pub struct TowerFields<M: 'static> {
    pub height: forge_core::__private::Field<M, i32>,
}

const _: () = {
    use forge_core::__private as forge;

    static FIELDS: [forge::FieldDef; 1] = [forge::FieldDef {
        name: "height",
        stored: "height",
        client: "height",
        access: forge::Access::Public,
        default: forge::DefaultDef::None,
        optional: false,
        embed: None,
        schema: forge::schema_of::<i32>,
        docs: "",
        rules: &[],
    }];
    static SHAPE: forge::Shape =
        forge::Shape { name: "Tower", role: forge::Role::Embed, fields: &FIELDS, pick: &[0], relations: &[] };
    static DEF: forge::EmbedDef = forge::EmbedDef { name: "Tower", fields: &FIELDS };

    impl forge::Record for Tower {
        fn shape() -> &'static forge::Shape {
            &SHAPE
        }
        fn read<'de, A: forge::serde::de::MapAccess<'de>>(
            reader: &mut forge::Reader<'de, A>,
        ) -> ::core::result::Result<Self, A::Error> {
            let mut v0 = None;
            while let Some(position) = reader.next()? {
                match position {
                    0 => reader.fill(&mut v0, 0)?,
                    _ => {}
                }
            }
            Ok(Self { height: reader.take(v0, 0)? })
        }
        fn write<S: forge::serde::ser::SerializeMap>(
            &self,
            writer: &mut forge::Writer<S>,
        ) -> ::core::result::Result<(), S::Error> {
            writer.put(0, &self.height)
        }
    }
    impl forge::Embed for Tower {
        type Fields<M: 'static> = TowerFields<M>;
        fn def() -> &'static forge::EmbedDef {
            &DEF
        }
        fn fields_below<M: 'static>(prefix: &'static str) -> TowerFields<M> {
            TowerFields { height: forge::Field::below(prefix, "height") }
        }
    }
    impl<'de> forge::serde::Deserialize<'de> for Tower {
        fn deserialize<D: forge::serde::Deserializer<'de>>(d: D) -> ::core::result::Result<Self, D::Error> {
            forge::deserialize(d)
        }
    }
    impl forge::serde::Serialize for Tower {
        fn serialize<S: forge::serde::Serializer>(&self, s: S) -> ::core::result::Result<S::Ok, S::Error> {
            forge::serialize(self, s)
        }
    }
    impl forge::schemars::JsonSchema for Tower {
        fn schema_name() -> ::std::borrow::Cow<'static, str> {
            "Tower".into()
        }
        fn json_schema(generator: &mut forge::schemars::SchemaGenerator) -> forge::schemars::Schema {
            forge::shape_schema(&SHAPE, generator)
        }
    }
    impl forge::validator::Validate for Tower {
        fn validate(&self) -> ::core::result::Result<(), forge::validator::ValidationErrors> {
            Ok(())
        }
    }
};

// ---- derive(Model) for Airport -----------------------------------------------------------------------------------

/// Typed fields of [`Airport`].
pub struct AirportFields {
    pub iata: forge_core::__private::Field<Airport, String>,
    pub name: forge_core::__private::Field<Airport, String>,
    pub city: forge_core::__private::Field<Airport, Option<String>>,
    pub state: forge_core::__private::Field<Airport, Option<String>>,
    pub tower: forge_core::__private::EmbedOne<Airport, Tower>,
    pub departures: forge_core::__private::ToMany<Airport, Flight>,
}

/// What an insert of an [`Airport`] takes.
// With rules, validator's derive stands here; its crate path is overridden.
#[derive(Debug, Clone, forge_core::__private::validator::Validate)]
#[validate(crate = "forge_core::__private::validator")]
pub struct NewAirport {
    #[validate(length(equal = 3))]
    pub iata: String,
    pub name: String,
    pub city: Option<String>,
    /// Private: clients cannot send it, so it is optional here.
    pub state: Option<String>,
    pub tower: Tower,
}

/// A partial change of an [`Airport`].
#[derive(Debug, Clone, Default)]
pub struct AirportPatch {
    pub name: Option<String>,
    pub city: Option<Option<String>>,
    pub state: Option<Option<String>>,
    pub tower: Option<Tower>,
}

const _: () = {
    use forge_core::__private as forge;

    static FIELDS: [forge::FieldDef; 5] = [
        forge::FieldDef {
            name: "iata",
            stored: "_id",
            client: "iata",
            access: forge::Access::Public,
            default: forge::DefaultDef::None,
            optional: false,
            embed: None,
            schema: forge::schema_of::<String>,
            docs: "",
            rules: &[],
        },
        forge::FieldDef {
            name: "name",
            stored: "name",
            client: "name",
            access: forge::Access::Public,
            default: forge::DefaultDef::None,
            optional: false,
            embed: None,
            schema: forge::schema_of::<String>,
            docs: "",
            rules: &[],
        },
        forge::FieldDef {
            name: "city",
            stored: "city",
            client: "city",
            access: forge::Access::Public,
            default: forge::DefaultDef::None,
            optional: true,
            embed: None,
            schema: forge::schema_of::<Option<String>>,
            docs: "",
            rules: &[],
        },
        forge::FieldDef {
            name: "state",
            stored: "state",
            client: "state",
            access: forge::Access::Private,
            default: forge::DefaultDef::None,
            optional: true,
            embed: None,
            schema: forge::schema_of::<Option<String>>,
            docs: "",
            rules: &[],
        },
        forge::FieldDef {
            name: "tower",
            stored: "tower",
            client: "tower",
            access: forge::Access::Public,
            default: forge::DefaultDef::None,
            optional: false,
            embed: Some(<Tower as forge::Embed>::def),
            schema: forge::schema_of::<Tower>,
            docs: "",
            rules: &[],
        },
    ];
    static RELATIONS: [forge::RelationDef; 1] = [forge::RelationDef {
        name: "departures",
        client: "departures",
        kind: forge::RelationKind::HasMany,
        target: <Flight as forge::Model>::def,
        local_key: &[("_id", forge::IndexKey::Ascending)],
        // A key that the other model does not have is a compile error at the user's own span.
        foreign: <Flight as forge::Model>::FIELDS.origin_id.path(),
        through: None,
        on_delete: forge::OnDelete::NoAction,
        access: forge::Access::Public,
    }];
    static DEF: forge::ModelDef = forge::ModelDef {
        relations: &RELATIONS,
        indexes: &[
            forge::IndexDef::new(&[
                ("state", forge::IndexKey::Ascending),
                ("city", forge::IndexKey::Ascending),
            ]),
            forge::IndexDef::new(&[("name", forge::IndexKey::Text(10))]),
        ],
        ..forge::ModelDef::new("Airport", "airports", &FIELDS, 0)
    };
    static SHAPE: forge::Shape = forge::Shape {
        name: "Airport",
        role: forge::Role::Model,
        fields: &FIELDS,
        pick: &[0, 1, 2, 3, 4],
        relations: &RELATIONS,
    };
    // The id first: it is the first element of stored documents.
    static NEW_SHAPE: forge::Shape = forge::Shape {
        name: "NewAirport",
        role: forge::Role::New,
        fields: &FIELDS,
        pick: &[0, 1, 2, 3, 4],
        relations: &[],
    };
    static PATCH_SHAPE: forge::Shape = forge::Shape {
        name: "AirportPatch",
        role: forge::Role::Patch,
        fields: &FIELDS,
        pick: &[1, 2, 3, 4],
        relations: &[],
    };

    forge::inventory::submit! { forge::Registered(&DEF) }

    impl forge::Model for Airport {
        type Id = String;
        type Fields = AirportFields;
        type New = NewAirport;
        type Patch = AirportPatch;
        const FIELDS: &'static AirportFields = &AirportFields {
            iata: forge::Field::new("_id"),
            name: forge::Field::new("name"),
            city: forge::Field::new("city"),
            state: forge::Field::new("state"),
            tower: forge::EmbedOne::new("tower"),
            departures: forge::ToMany::new(0),
        };
        fn def() -> &'static forge::ModelDef {
            &DEF
        }
        fn attach(&mut self, relation: usize, related: &forge::Related<'_>) -> forge::Result<()> {
            match relation {
                0 => self.departures.fill(related)?,
                _ => {}
            }
            Ok(())
        }
    }
    impl forge::Record for Airport {
        fn shape() -> &'static forge::Shape {
            &SHAPE
        }
        fn read<'de, A: forge::serde::de::MapAccess<'de>>(
            reader: &mut forge::Reader<'de, A>,
        ) -> ::core::result::Result<Self, A::Error> {
            let (mut v0, mut v1, mut v2, mut v3, mut v4) = (None, None, None, None, None);
            while let Some(position) = reader.next()? {
                match position {
                    0 => reader.fill(&mut v0, 0)?,
                    1 => reader.fill(&mut v1, 1)?,
                    2 => reader.fill(&mut v2, 2)?,
                    3 => reader.fill(&mut v3, 3)?,
                    4 => reader.fill(&mut v4, 4)?,
                    _ => reader.pass()?,
                }
            }
            Ok(Self {
                iata: reader.take(v0, 0)?,
                name: reader.take(v1, 1)?,
                city: reader.take(v2, 2)?,
                state: reader.take(v3, 3)?,
                tower: reader.take(v4, 4)?,
                departures: forge::HasMany::unloaded(),
            })
        }
        fn write<S: forge::serde::ser::SerializeMap>(
            &self,
            writer: &mut forge::Writer<S>,
        ) -> ::core::result::Result<(), S::Error> {
            writer.put(0, &self.iata)?;
            writer.put(1, &self.name)?;
            writer.put_optional(2, &self.city)?;
            writer.put_optional(3, &self.state)?;
            writer.put(4, &self.tower)?;
            writer.put_relation(5, &self.departures)
        }
    }
    impl<'de> forge::serde::Deserialize<'de> for Airport {
        fn deserialize<D: forge::serde::Deserializer<'de>>(d: D) -> ::core::result::Result<Self, D::Error> {
            forge::deserialize(d)
        }
    }
    impl forge::serde::Serialize for Airport {
        fn serialize<S: forge::serde::Serializer>(&self, s: S) -> ::core::result::Result<S::Ok, S::Error> {
            forge::serialize(self, s)
        }
    }
    impl forge::schemars::JsonSchema for Airport {
        fn schema_name() -> ::std::borrow::Cow<'static, str> {
            "Airport".into()
        }
        fn json_schema(generator: &mut forge::schemars::SchemaGenerator) -> forge::schemars::Schema {
            forge::shape_schema(&SHAPE, generator)
        }
    }

    impl forge::NewRecord for NewAirport {
        type Model = Airport;
        fn fill(&mut self, _env: &forge::Env) {}
        fn missing(&self, _report: &mut dyn FnMut(&'static str)) {
            // For each required field that is private or read-only: if self.x.is_none() { report("x") }
        }
    }
    impl forge::Record for NewAirport {
        fn shape() -> &'static forge::Shape {
            &NEW_SHAPE
        }
        fn read<'de, A: forge::serde::de::MapAccess<'de>>(
            reader: &mut forge::Reader<'de, A>,
        ) -> ::core::result::Result<Self, A::Error> {
            let (mut v0, mut v1, mut v2, mut v3, mut v4) = (None, None, None, None, None);
            while let Some(position) = reader.next()? {
                match position {
                    0 => reader.fill(&mut v0, 0)?,
                    1 => reader.fill(&mut v1, 1)?,
                    2 => reader.fill(&mut v2, 2)?,
                    3 => reader.fill(&mut v3, 3)?,
                    4 => reader.fill(&mut v4, 4)?,
                    _ => reader.pass()?,
                }
            }
            Ok(Self {
                iata: reader.take(v0, 0)?,
                name: reader.take(v1, 1)?,
                city: reader.take(v2, 2)?,
                state: reader.take(v3, 3)?,
                tower: reader.take(v4, 4)?,
            })
        }
        fn write<S: forge::serde::ser::SerializeMap>(
            &self,
            writer: &mut forge::Writer<S>,
        ) -> ::core::result::Result<(), S::Error> {
            writer.put(0, &self.iata)?;
            writer.put(1, &self.name)?;
            writer.put_optional(2, &self.city)?;
            writer.put_optional(3, &self.state)?;
            writer.put(4, &self.tower)
        }
    }
    impl<'de> forge::serde::Deserialize<'de> for NewAirport {
        fn deserialize<D: forge::serde::Deserializer<'de>>(d: D) -> ::core::result::Result<Self, D::Error> {
            forge::deserialize(d)
        }
    }

    impl forge::PatchRecord for AirportPatch {
        type Model = Airport;
        fn changes(&self, changes: &mut forge::Changes) -> forge::Result<()> {
            changes.set("name", &self.name)?;
            changes.set_or_unset("city", &self.city)?;
            changes.set_or_unset("state", &self.state)?;
            changes.set("tower", &self.tower)
        }
    }
    impl forge::Record for AirportPatch {
        fn shape() -> &'static forge::Shape {
            &PATCH_SHAPE
        }
        fn read<'de, A: forge::serde::de::MapAccess<'de>>(
            reader: &mut forge::Reader<'de, A>,
        ) -> ::core::result::Result<Self, A::Error> {
            let (mut v0, mut v1, mut v2, mut v3) = (None, None, None, None);
            while let Some(position) = reader.next()? {
                match position {
                    0 => reader.fill(&mut v0, 0)?,
                    1 => reader.fill(&mut v1, 1)?,
                    2 => reader.fill(&mut v2, 2)?,
                    3 => reader.fill(&mut v3, 3)?,
                    _ => reader.pass()?,
                }
            }
            Ok(Self { name: v0, city: v1, state: v2, tower: v3 })
        }
        fn write<S: forge::serde::ser::SerializeMap>(
            &self,
            writer: &mut forge::Writer<S>,
        ) -> ::core::result::Result<(), S::Error> {
            writer.put_optional(0, &self.name)?;
            writer.put_optional(1, &self.city)?;
            writer.put_optional(2, &self.state)?;
            writer.put_optional(3, &self.tower)
        }
    }
    impl<'de> forge::serde::Deserialize<'de> for AirportPatch {
        fn deserialize<D: forge::serde::Deserializer<'de>>(d: D) -> ::core::result::Result<Self, D::Error> {
            forge::deserialize(d)
        }
    }
    // Without rules, a trivial impl stands in for validator's derive.
    impl forge::validator::Validate for AirportPatch {
        fn validate(&self) -> ::core::result::Result<(), forge::validator::ValidationErrors> {
            Ok(())
        }
    }
};

// ---- derive(Model) for Flight ------------------------------------------------------------------------------------

/// Typed fields of [`Flight`].
pub struct FlightFields {
    pub id: forge_core::__private::Field<Flight, Id<Flight>>,
    pub delay: forge_core::__private::Field<Flight, i32>,
    pub status: forge_core::__private::Field<Flight, String>,
    pub origin_id: forge_core::__private::Field<Flight, String>,
    pub origin: forge_core::__private::ToOne<Flight, Airport>,
    pub created_at: forge_core::__private::Field<Flight, DateTime>,
    pub updated_at: forge_core::__private::Field<Flight, DateTime>,
    pub deleted_at: forge_core::__private::Field<Flight, Option<DateTime>>,
}

/// What an insert of a [`Flight`] takes.
#[derive(Debug, Clone, forge_core::__private::validator::Validate)]
#[validate(crate = "forge_core::__private::validator")]
pub struct NewFlight {
    /// Generated where not given.
    pub id: Option<Id<Flight>>,
    #[validate(range(min = -60))]
    pub delay: i32,
    /// Has a default.
    pub status: Option<String>,
    pub origin_id: String,
}

/// A partial change of a [`Flight`].
#[derive(Debug, Clone, Default, forge_core::__private::validator::Validate)]
#[validate(crate = "forge_core::__private::validator")]
pub struct FlightPatch {
    #[validate(range(min = -60))]
    pub delay: Option<i32>,
    pub status: Option<String>,
    pub origin_id: Option<String>,
}

const _: () = {
    use forge_core::__private as forge;

    static FIELDS: [forge::FieldDef; 5] = [
        forge::FieldDef {
            name: "id",
            stored: "_id",
            client: "id",
            access: forge::Access::Public,
            default: forge::DefaultDef::Generated,
            optional: false,
            embed: None,
            schema: forge::schema_of::<Id<Flight>>,
            docs: "",
            rules: &[],
        },
        forge::FieldDef {
            name: "delay",
            stored: "delay",
            client: "delay",
            access: forge::Access::Public,
            default: forge::DefaultDef::None,
            optional: false,
            embed: None,
            schema: forge::schema_of::<i32>,
            docs: "",
            rules: &[],
        },
        forge::FieldDef {
            name: "status",
            stored: "status",
            client: "status",
            access: forge::Access::Public,
            default: forge::DefaultDef::Value,
            optional: false,
            embed: None,
            schema: forge::schema_of::<String>,
            docs: "",
            rules: &[],
        },
        forge::FieldDef {
            name: "origin_id",
            stored: "origin_id",
            client: "origin_id",
            access: forge::Access::Public,
            default: forge::DefaultDef::None,
            optional: false,
            embed: None,
            schema: forge::schema_of::<String>,
            docs: "",
            rules: &[],
        },
        forge::FieldDef {
            name: "created_at",
            stored: "createdAt",
            client: "createdAt",
            access: forge::Access::ReadOnly,
            default: forge::DefaultDef::Timestamp,
            optional: false,
            embed: None,
            schema: forge::schema_of::<DateTime>,
            docs: "",
            rules: &[],
        },
    ];
    static RELATIONS: [forge::RelationDef; 1] = [forge::RelationDef {
        name: "origin",
        client: "origin",
        kind: forge::RelationKind::BelongsTo,
        target: <Airport as forge::Model>::def,
        local_key: &[("origin_id", forge::IndexKey::Ascending)],
        foreign: "_id",
        through: None,
        on_delete: forge::OnDelete::Cascade,
        access: forge::Access::Public,
    }];
    static DEF: forge::ModelDef = forge::ModelDef {
        relations: &RELATIONS,
        timestamps: true,
        soft_delete: true,
        ..forge::ModelDef::new("Flight", "flights", &FIELDS, 0)
    };
    static SHAPE: forge::Shape = forge::Shape {
        name: "Flight",
        role: forge::Role::Model,
        fields: &FIELDS,
        pick: &[0, 1, 2, 3, 4],
        relations: &RELATIONS,
    };
    static NEW_SHAPE: forge::Shape = forge::Shape {
        name: "NewFlight",
        role: forge::Role::New,
        fields: &FIELDS,
        pick: &[0, 1, 2, 3],
        relations: &[],
    };
    static PATCH_SHAPE: forge::Shape = forge::Shape {
        name: "FlightPatch",
        role: forge::Role::Patch,
        fields: &FIELDS,
        pick: &[1, 2, 3],
        relations: &[],
    };

    forge::inventory::submit! { forge::Registered(&DEF) }

    impl forge::Model for Flight {
        type Id = Id<Flight>;
        type Fields = FlightFields;
        type New = NewFlight;
        type Patch = FlightPatch;
        const FIELDS: &'static FlightFields = &FlightFields {
            id: forge::Field::new("_id"),
            delay: forge::Field::new("delay"),
            status: forge::Field::new("status"),
            origin_id: forge::Field::new("origin_id"),
            origin: forge::ToOne::new(0),
            created_at: forge::Field::new("createdAt"),
            updated_at: forge::Field::new("updatedAt"),
            deleted_at: forge::Field::new("deletedAt"),
        };
        fn def() -> &'static forge::ModelDef {
            &DEF
        }
        fn attach(&mut self, relation: usize, related: &forge::Related<'_>) -> forge::Result<()> {
            match relation {
                0 => self.origin.fill(related)?,
                _ => {}
            }
            Ok(())
        }
    }
    impl forge::Record for Flight {
        fn shape() -> &'static forge::Shape {
            &SHAPE
        }
        fn read<'de, A: forge::serde::de::MapAccess<'de>>(
            reader: &mut forge::Reader<'de, A>,
        ) -> ::core::result::Result<Self, A::Error> {
            let (mut v0, mut v1, mut v2, mut v3, mut v4) = (None, None, None, None, None);
            while let Some(position) = reader.next()? {
                match position {
                    0 => reader.fill(&mut v0, 0)?,
                    1 => reader.fill(&mut v1, 1)?,
                    2 => reader.fill(&mut v2, 2)?,
                    3 => reader.fill(&mut v3, 3)?,
                    4 => reader.fill(&mut v4, 4)?,
                    _ => reader.pass()?,
                }
            }
            Ok(Self {
                id: reader.take(v0, 0)?,
                delay: reader.take(v1, 1)?,
                status: reader.take(v2, 2)?,
                origin_id: reader.take(v3, 3)?,
                created_at: reader.take(v4, 4)?,
                origin: forge::BelongsTo::unloaded(),
            })
        }
        fn write<S: forge::serde::ser::SerializeMap>(
            &self,
            writer: &mut forge::Writer<S>,
        ) -> ::core::result::Result<(), S::Error> {
            writer.put(0, &self.id)?;
            writer.put(1, &self.delay)?;
            writer.put(2, &self.status)?;
            writer.put(3, &self.origin_id)?;
            writer.put(4, &self.created_at)?;
            writer.put_relation(5, &self.origin)
        }
    }
    impl<'de> forge::serde::Deserialize<'de> for Flight {
        fn deserialize<D: forge::serde::Deserializer<'de>>(d: D) -> ::core::result::Result<Self, D::Error> {
            forge::deserialize(d)
        }
    }
    impl forge::serde::Serialize for Flight {
        fn serialize<S: forge::serde::Serializer>(&self, s: S) -> ::core::result::Result<S::Ok, S::Error> {
            forge::serialize(self, s)
        }
    }
    impl forge::schemars::JsonSchema for Flight {
        fn schema_name() -> ::std::borrow::Cow<'static, str> {
            "Flight".into()
        }
        fn json_schema(generator: &mut forge::schemars::SchemaGenerator) -> forge::schemars::Schema {
            forge::shape_schema(&SHAPE, generator)
        }
    }
    impl forge::NewRecord for NewFlight {
        type Model = Flight;
        fn fill(&mut self, env: &forge::Env) {
            self.id.get_or_insert_with(|| env.object_id().into());
            self.status.get_or_insert_with(|| "open".to_owned());
        }
        fn missing(&self, _report: &mut dyn FnMut(&'static str)) {}
    }
    impl forge::Record for NewFlight {
        fn shape() -> &'static forge::Shape {
            &NEW_SHAPE
        }
        fn read<'de, A: forge::serde::de::MapAccess<'de>>(
            reader: &mut forge::Reader<'de, A>,
        ) -> ::core::result::Result<Self, A::Error> {
            let (mut v0, mut v1, mut v2, mut v3) = (None, None, None, None);
            while let Some(position) = reader.next()? {
                match position {
                    0 => reader.fill(&mut v0, 0)?,
                    1 => reader.fill(&mut v1, 1)?,
                    2 => reader.fill(&mut v2, 2)?,
                    3 => reader.fill(&mut v3, 3)?,
                    _ => reader.pass()?,
                }
            }
            Ok(Self { id: v0, delay: reader.take(v1, 1)?, status: v2, origin_id: reader.take(v3, 3)? })
        }
        fn write<S: forge::serde::ser::SerializeMap>(
            &self,
            writer: &mut forge::Writer<S>,
        ) -> ::core::result::Result<(), S::Error> {
            writer.put_optional(0, &self.id)?;
            writer.put(1, &self.delay)?;
            writer.put_optional(2, &self.status)?;
            writer.put(3, &self.origin_id)
        }
    }
    impl<'de> forge::serde::Deserialize<'de> for NewFlight {
        fn deserialize<D: forge::serde::Deserializer<'de>>(d: D) -> ::core::result::Result<Self, D::Error> {
            forge::deserialize(d)
        }
    }
    impl forge::PatchRecord for FlightPatch {
        type Model = Flight;
        fn changes(&self, changes: &mut forge::Changes) -> forge::Result<()> {
            changes.set("delay", &self.delay)?;
            changes.set("status", &self.status)?;
            changes.set("origin_id", &self.origin_id)
        }
    }
    impl forge::Record for FlightPatch {
        fn shape() -> &'static forge::Shape {
            &PATCH_SHAPE
        }
        fn read<'de, A: forge::serde::de::MapAccess<'de>>(
            reader: &mut forge::Reader<'de, A>,
        ) -> ::core::result::Result<Self, A::Error> {
            let (mut v0, mut v1, mut v2) = (None, None, None);
            while let Some(position) = reader.next()? {
                match position {
                    0 => reader.fill(&mut v0, 0)?,
                    1 => reader.fill(&mut v1, 1)?,
                    2 => reader.fill(&mut v2, 2)?,
                    _ => reader.pass()?,
                }
            }
            Ok(Self { delay: v0, status: v1, origin_id: v2 })
        }
        fn write<S: forge::serde::ser::SerializeMap>(
            &self,
            writer: &mut forge::Writer<S>,
        ) -> ::core::result::Result<(), S::Error> {
            writer.put_optional(0, &self.delay)?;
            writer.put_optional(1, &self.status)?;
            writer.put_optional(2, &self.origin_id)
        }
    }
    impl<'de> forge::serde::Deserialize<'de> for FlightPatch {
        fn deserialize<D: forge::serde::Deserializer<'de>>(d: D) -> ::core::result::Result<Self, D::Error> {
            forge::deserialize(d)
        }
    }
};

// ---- #[query] for delayed ----------------------------------------------------------------------------------------

const _: () = {
    use forge_core::__private as forge;

    struct Args {
        minutes: i32,
    }
    static FIELDS: [forge::FieldDef; 1] = [forge::FieldDef {
        name: "minutes",
        stored: "minutes",
        client: "minutes",
        access: forge::Access::Public,
        default: forge::DefaultDef::None,
        optional: false,
        embed: None,
        schema: forge::schema_of::<i32>,
        docs: "",
        rules: &[],
    }];
    static SHAPE: forge::Shape = forge::Shape {
        name: "delayed",
        role: forge::Role::Args,
        fields: &FIELDS,
        pick: &[0],
        relations: &[],
    };

    impl forge::Record for Args {
        fn shape() -> &'static forge::Shape {
            &SHAPE
        }
        fn read<'de, A: forge::serde::de::MapAccess<'de>>(
            reader: &mut forge::Reader<'de, A>,
        ) -> ::core::result::Result<Self, A::Error> {
            let mut v0 = None;
            while let Some(position) = reader.next()? {
                match position {
                    0 => reader.fill(&mut v0, 0)?,
                    _ => reader.pass()?,
                }
            }
            Ok(Self { minutes: reader.take(v0, 0)? })
        }
        fn write<S: forge::serde::ser::SerializeMap>(
            &self,
            _writer: &mut forge::Writer<S>,
        ) -> ::core::result::Result<(), S::Error> {
            Ok(())
        }
    }
    impl<'de> forge::serde::Deserialize<'de> for Args {
        fn deserialize<D: forge::serde::Deserializer<'de>>(d: D) -> ::core::result::Result<Self, D::Error> {
            forge::deserialize(d)
        }
    }
    impl forge::validator::Validate for Args {
        fn validate(&self) -> ::core::result::Result<(), forge::validator::ValidationErrors> {
            Ok(())
        }
    }

    fn call(invocation: forge::Invocation) -> forge::BoxFuture<'static, forge::Result<forge::Json>> {
        ::std::boxed::Box::pin(async move {
            let (ctx, args) = invocation.query::<Args>()?;
            forge::encode_answer(delayed(&ctx, args.minutes).await)
        })
    }
    forge::inventory::submit! {
        forge::HandlerDef {
            name: "delayed",
            kind: forge::HandlerKind::Query,
            internal: false,
            guard: forge::Guard::Open,
            transaction: false,
            limits: forge::HandlerLimits::NONE,
            cron: None,
            docs: "Delayed flights.",
            args: || &SHAPE,
            returns: forge::answer_schema::<Result<Vec<Flight>>>,
            call,
        }
    }
};

// A mutation differs in `HandlerKind::Mutation`, `invocation.mutation()` and `transaction`.
#[allow(dead_code, reason = "its expansion would only repeat the one above")]
fn mutations_are_handlers_too(ctx: &MutationCtx, id: Id<Flight>) -> impl Future<Output = Result<Flight>> {
    cancel(ctx, id)
}

// ---- What holds of the expansions --------------------------------------------------------------------------------

#[test]
fn the_catalog_accepts_related_models() {
    let catalog = forge_core::Catalog::collect().unwrap();
    assert_eq!(catalog.models().iter().map(|m| m.name).collect::<Vec<_>>(), ["Airport", "Flight"]);
    assert_eq!(catalog.referrers(catalog.model("Airport").unwrap())[0].relation.name, "origin");
}

#[test]
fn clients_do_not_see_private_fields_and_storage_does() {
    let airport = Airport {
        iata: "PDX".into(),
        name: "Portland".into(),
        city: None,
        state: Some("canary".into()),
        tower: Tower { height: 5 },
        departures: HasMany::unloaded(),
    };
    let json = serde_json::to_string(&airport).unwrap();
    assert_eq!(json, r#"{"iata":"PDX","name":"Portland","city":null,"tower":{"height":5}}"#);
    let stored = bson::serialize_to_raw_document_buf(&airport).unwrap();
    assert_eq!(stored.get_str("_id").unwrap(), "PDX");
    assert_eq!(stored.get_str("state").unwrap(), "canary");
    assert!(stored.get("city").unwrap().is_none(), "absent values are not stored");
    let back: Airport = bson::deserialize_from_slice(stored.as_bytes()).unwrap();
    assert_eq!(back.state.as_deref(), Some("canary"));
}

#[test]
fn inserts_from_clients_refuse_private_and_unknown_fields() {
    let private = r#"{"iata":"PDX","name":"x","state":"OR","tower":{"height":1}}"#;
    let error = serde_json::from_str::<NewAirport>(private).unwrap_err().to_string();
    assert!(
        error.starts_with("unknown field `state`; NewAirport takes `iata`, `name`, `city`, `tower`"),
        "{error}"
    );
    let nested = r#"{"iata":"PDX","name":"x","tower":{"height":1,"x":2}}"#;
    let error = serde_json::from_str::<NewAirport>(nested).unwrap_err().to_string();
    assert!(error.starts_with("at `tower`: unknown field `x`"), "{error}");
}

#[test]
fn a_patch_tells_null_from_absent() {
    let patch: AirportPatch = serde_json::from_str(r#"{"city":null}"#).unwrap();
    assert_eq!(patch.city, Some(None));
    assert_eq!(patch.name, None);
    let error = serde_json::from_str::<AirportPatch>(r#"{"name":null}"#).unwrap_err().to_string();
    assert!(error.starts_with("at `name`: invalid type: null"), "{error}");
}
