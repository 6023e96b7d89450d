//! Services: find, get, create, update, patch and remove over any model, by REST, as Feathers' clients expect them.
//!
//! [`Service`] declares one; [`App::service`](crate::App::service) adds it to a program. Inside, a request goes
//! `rest` → `registry` (which service, its hooks) → `methods`, which reads the query by `query` and `condition`, turns
//! data into documents by `documents`, and runs plain operations on the database. Patches of models by operators are
//! worked out by `apply` and stored by `computed`. Errors are `error`'s, and `faults` says which field they are about.
//! Sockets call services and hear of their events by `realtime`.

mod answer;
mod apply;
mod arithmetic;
mod authentication;
mod bind;
mod changes;
mod computed;
mod condition;
mod context;
mod documents;
mod error;
mod extensions;
mod faults;
mod fields;
mod geo;
mod handle;
mod hooks;
mod http;
mod kind;
mod methods;
mod openapi;
mod operators;
mod options;
mod order;
mod patch;
mod patch_schema;
mod paths;
mod pipeline;
mod place;
mod qs;
mod query;
mod realtime;
mod registry;
mod resolver;
mod rest;
mod rows;
mod schema;
mod selection;
mod service;

use axum::extract::Request;
use axum::response::Response;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

#[cfg(feature = "socketio")]
pub(crate) use authentication::Login;
pub use authentication::authentication;
pub(crate) use bind::{Declared, bind};
pub use context::{HookContext, Method, MongoParams, Params, Provider};
pub use error::{ErrorKind, ServiceError, ServiceResult};
pub use extensions::Extensions;
pub use fields::QueryFields;
pub use handle::{CallServices, Handle, RawDocuments, ServicesCtx};
pub use hooks::{Hooks, Next};
pub use http::Http;
pub use kind::Kind;
pub(crate) use openapi::error_schema;
pub use options::{Multi, Paginate};
pub use place::Geo;
pub use realtime::{Audience, Channel, Channels, Connection, Event};
pub(crate) use realtime::{Joined, Message, Sink, SocketCall};
pub use registry::Services;
pub(crate) use registry::{Target, Tokens};
pub use resolver::{Resolver, resolve_object_id, resolve_query_object_id};
pub use service::{Raw, Service};

use crate::calls::Calls;

impl Services {
    /// Answers a request for what `target` names.
    pub(crate) fn answer(
        &self,
        calls: &Calls,
        target: Target,
        request: Request,
    ) -> BoxFuture<'static, Response> {
        rest::answer(calls.clone(), self.clone(), target, request).boxed()
    }

    /// The answer to a request for nothing, where services are: as Feathers words it.
    pub(crate) fn missing(&self, path: &str) -> Option<Response> {
        let below = path.strip_prefix(&self.base())?;
        if self.is_empty() || !(below.is_empty() || below.starts_with('/')) {
            return None;
        }
        let shown: String = path.chars().take(64).collect();
        let error = ServiceError::new(ErrorKind::NotFound, format!("Path {shown} not found"));
        Some(rest::refused(&error))
    }

    /// What the path of a URL names, where that is a service.
    pub(crate) fn target(&self, path: &str) -> Option<Target> {
        if self.is_empty() { None } else { self.resolve(path) }
    }
}
