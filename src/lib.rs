//! Forge: a procedural-macro ORM and realtime handler framework for Rust, on MongoDB and an embedded engine.
//!
//! | feature | default | what it brings |
//! |---|---|---|
//! | `embedded` | yes | the embedded engine: `embedded:PATH` and `memory:` |
//! | `mongodb` | yes | the official MongoDB driver: `mongodb://…` and `mongodb+srv://…` |
//! | `jwt` | yes | callers known by JSON Web Tokens |
//! | `redis` | no | one process follows the database for all, by Redis or Valkey |
//! | `server` | yes | HTTP, WebSocket, live queries and [`App`] |
//! | `socketio` | no | services over socket.io, for `@feathersjs/socketio-client` |

#[cfg(any(feature = "embedded", feature = "mongodb"))]
mod clusters;
#[cfg(any(feature = "embedded", feature = "mongodb"))]
mod connect;
#[cfg(all(feature = "server", any(feature = "embedded", feature = "mongodb")))]
mod platform;
#[cfg(any(feature = "embedded", feature = "mongodb"))]
mod system;

pub use forge_core::traits::{NewRecord, PatchRecord};
pub use forge_core::{
    Auth, BelongsTo, Bytes, CLUSTER_VARIABLE, Caller, Catalog, Date, DateTime, Db, Decimal, Embed, Env,
    Error, ErrorCode, GeoCollection, GeoLine, GeoMultiLine, GeoMultiPoint, GeoMultiPolygon, GeoPoint,
    GeoPolygon, GeoShape, HasMany, HasOne, Id, Int64, Model, MutationCtx, QueryCtx, ReadOnly, ReadWrite,
    Registry, Result, Runtime, Time, Uuid,
};
pub use forge_core::{
    adapter, env, error, feed, ir, model, observe, query, service, transaction, types, watch,
};
pub use forge_macros::{Embed, Model, Projection, cron, mutation, query};

#[cfg(any(feature = "embedded", feature = "mongodb"))]
pub use clusters::Clusters;
#[cfg(any(feature = "embedded", feature = "mongodb"))]
pub use connect::connect;
/// The official driver below, for [`Db::raw`].
#[cfg(feature = "mongodb")]
pub use forge_mongo::mongodb;
#[cfg(any(feature = "embedded", feature = "mongodb"))]
pub use system::system_env;

#[cfg(feature = "server")]
pub use forge_server as server;
#[cfg(feature = "server")]
pub use forge_server::services;
#[cfg(all(feature = "server", any(feature = "embedded", feature = "mongodb")))]
pub use platform::{App, Machine};

/// What a program that uses Forge imports: `use forge::prelude::*;`.
pub mod prelude {
    pub use forge_core::query::{
        Ranked, Scored, Search, TextQuery, TimeUnit, all, any, count, none, score, text, whole,
    };
    pub use forge_core::traits::NewRecord as _;
    pub use forge_core::{
        BelongsTo, Bytes, Date, DateTime, Db, Decimal, GeoCollection, GeoLine, GeoMultiLine, GeoMultiPoint,
        GeoMultiPolygon, GeoPoint, GeoPolygon, GeoShape, HasMany, HasOne, Id, Int64, MutationCtx, Policy,
        PolicyCtx, QueryCtx, ReadOnly, Result, Time, Uuid, Write,
    };
    pub use forge_macros::{Embed, Model, Projection, cron, mutation, query};
    #[cfg(feature = "server")]
    pub use forge_server::services::ServicesCtx as _;
}

#[doc(hidden)]
pub use forge_core::__private;
