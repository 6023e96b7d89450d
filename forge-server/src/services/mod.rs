//! Services: find, get, create, update, patch and remove over any model, by REST, as Feathers' clients expect them.
//!
//! [`Service`] declares one; [`App::service`](crate::App::service) adds it to a program. Inside, a request goes
//! `rest` → `registry` (which service, its hooks) → `methods`, which reads the query by `query` and `condition`, turns
//! data into documents by `documents`, and runs plain operations on the database. Errors are `error`'s. Sockets call
//! services and hear of their events by `realtime`.

mod bind;
mod changes;
mod condition;
mod context;
mod documents;
mod error;
mod fields;
mod handle;
mod hooks;
mod kind;
mod methods;
mod openapi;
mod options;
mod order;
mod pipeline;
mod qs;
mod query;
mod realtime;
mod registry;
mod resolver;
mod rest;
mod service;

use axum::extract::Request;
use axum::response::Response;

pub(crate) use bind::{Declared, bind};
pub use context::{HookContext, Method, MongoParams, Params, Provider};
pub use error::{ErrorKind, ServiceError, ServiceResult};
pub use fields::QueryFields;
pub use handle::{CallServices, Handle, RawDocuments, ServicesCtx};
pub use hooks::{Hooks, Next};
pub use kind::Kind;
pub(crate) use openapi::error_schema;
pub use options::{Multi, Paginate};
pub use realtime::{Audience, Channel, Channels, Connection, Event};
pub(crate) use realtime::{Joined, Message, Sink, SocketCall};
pub use registry::Services;
pub use resolver::{Resolver, resolve_object_id, resolve_query_object_id};
pub use service::{Raw, Service};

use crate::calls::Calls;

impl Services {
    /// Answers a request, where its path names a service.
    ///
    /// # Errors
    /// The request itself, where it names none.
    pub(crate) async fn handle(&self, calls: &Calls, request: Request) -> Result<Response, Request> {
        match self.resolve(request.uri().path()) {
            Some(target) => Ok(rest::answer(calls.clone(), self.clone(), target, request).await),
            None => Err(request),
        }
    }

    /// Whether a path names a service.
    pub(crate) fn names(&self, path: &str) -> bool {
        !self.is_empty() && self.resolve(path).is_some()
    }
}
