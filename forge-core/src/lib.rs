//! The core of Forge: models, typed fields, query IR, filter matching, handlers.
//!
//! It does no IO and knows no database: time, ids and randomness come from [`mod@env`], documents from an
//! [`Adapter`](adapter::Adapter). `forge-core/tests/expanded.rs` shows, by hand, what the macros write on top of it.

pub mod adapter;
mod admin;
pub mod auth;
pub mod catalog;
mod clusters;
pub mod codec;
pub mod context;
mod databases;
pub mod db;
pub mod env;
pub mod error;
mod explain;
pub mod feed;
pub mod fields;
pub mod handler;
mod headers;
pub mod ir;
pub mod json_form;
pub mod matcher;
pub mod model;
pub mod observe;
pub mod order;
pub mod plan;
pub mod policy;
pub mod query;
mod reads;
pub mod record;
pub mod relation;
pub mod runtime;
pub mod schedule;
pub mod schema;
pub mod service;
pub mod tenant;
pub mod traits;
pub mod transaction;
pub mod types;
pub mod validate;
pub mod value;
pub mod watch;
mod writes;

pub use auth::Auth;
pub use catalog::Catalog;
pub use clusters::{CLUSTER_VARIABLE, cluster_of_variable};
pub use context::{Caller, MutationCtx, QueryCtx};
pub use db::{Db, ReadOnly, ReadWrite};
pub use env::Env;
pub use error::{Error, ErrorCode, Result};
pub use handler::Registry;
pub use headers::RequestHeaders;
pub use policy::{Policy, PolicyCtx, Write};
pub use relation::{BelongsTo, HasMany, HasOne};
pub use runtime::Runtime;
pub use traits::{Embed, Model};
pub use types::{
    Bytes, Date, DateTime, Decimal, GeoCollection, GeoLine, GeoMultiLine, GeoMultiPoint, GeoMultiPolygon,
    GeoPoint, GeoPolygon, GeoShape, Id, Int64, Time, Uuid,
};

/// What expansions of the macros use. Not part of the public interface.
#[doc(hidden)]
pub mod __private {
    pub use inventory;
    pub use schemars;
    pub use serde;
    pub use validator;

    pub use crate::auth::Guard;
    pub use crate::catalog::Registered;
    pub use crate::env::Env;
    pub use crate::error::Result;
    pub use crate::fields::{EmbedMany, EmbedOne, Field, ToMany, ToOne};
    pub use crate::handler::{
        HandlerDef, HandlerKind, HandlerLimits, Invocation, Json, answer_schema, argument_schema,
        encode_answer,
    };
    pub use crate::model::{
        Access, Default as DefaultDef, EmbedDef, FieldDef, IndexDef, IndexKey, ModelDef, OnDelete, Refresh,
        RelationDef, RelationKind, Rule, SearchDef, SearchKind, ShardKeyDef, Similarity, ThroughDef,
        ValidatorDef, VectorDef, ViewDef,
    };
    pub use crate::policy::PolicyDef;
    pub use crate::query::{Asked, Projection, ReadAs, Row, count_of};
    pub use crate::record::{
        Reader, Record, Role, Shape, Writer, deserialize, projected_field, projection_shape, schema_of,
        serialize, serialize_shape, shape_schema,
    };
    pub use crate::relation::{BelongsTo, HasMany, HasOne, Related};
    pub use crate::schema::stages_of;
    pub use crate::service::ServiceDef;
    pub use crate::traits::{
        Changes, Embed, Exactness, Inexact, Kept, Model, NewRecord, NoWrites, PatchRecord, id_path, key_path,
        list_path,
    };
    pub use crate::types::{DateTime, Id, Uuid};
    pub use crate::validate::has_rules;
    pub use crate::value::IntoValue;
    /// What derives call where a type is not what it has to be: the compiler says so elsewhere, once.
    pub mod fallbacks {
        pub use crate::relation::Unrelated as _;
        pub use crate::traits::Inexact as _;
        pub use crate::validate::Unruled as _;
        pub use validator::Validate as _;
    }
    // Short, so that the functions which models derive stay on one line.
    pub use crate::record::Done;
    pub use core::result::Result as Out;
    pub use futures_util::future::BoxFuture;
    pub use schemars::{Schema, SchemaGenerator};
    pub use serde::Deserializer as De;
    pub use serde::Serializer as Ser;
    pub use serde::ser::SerializeMap as Map;
}
