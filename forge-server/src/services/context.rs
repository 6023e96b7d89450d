//! One call of a service, as hooks and custom methods see it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bson::{Document, RawDocumentBuf};
use forge_core::ir::{Collation, ElementFilter, ReadConcern};
use forge_core::json_form::misfit;
use forge_core::{Caller, Db};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::authentication::Login;
use super::error::{ServiceError, ServiceResult};
use super::extensions::Extensions;
use super::http::Http;
use super::options::{Multi, Paginate};
use super::order::Order;
use super::realtime::Connection;
use super::registry::Services;

/// A method of a service.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Method {
    /// Documents that match a query.
    Find,
    /// One document by its id.
    Get,
    /// New documents.
    Create,
    /// A whole new state of one document.
    Update,
    /// Changes of one document, or of all that match a query.
    Patch,
    /// The end of one document, or of all that match a query.
    Remove,
    /// A method of the service's own.
    Custom(Arc<str>),
}

impl Method {
    /// The six methods of every service.
    pub const DEFAULT: [Method; 6] =
        [Method::Find, Method::Get, Method::Create, Method::Update, Method::Patch, Method::Remove];

    /// The name.
    pub fn name(&self) -> &str {
        match self {
            Method::Find => "find",
            Method::Get => "get",
            Method::Create => "create",
            Method::Update => "update",
            Method::Patch => "patch",
            Method::Remove => "remove",
            Method::Custom(name) => name,
        }
    }

    /// The method with this name.
    pub fn named(name: &str) -> Self {
        let known = Self::DEFAULT.into_iter().find(|method| method.name() == name);
        known.unwrap_or_else(|| Method::Custom(name.into()))
    }

    /// The event that it makes by itself.
    fn event(&self) -> Option<&'static str> {
        match self {
            Method::Create => Some("created"),
            Method::Update => Some("updated"),
            Method::Patch => Some("patched"),
            Method::Remove => Some("removed"),
            Method::Find | Method::Get | Method::Custom(_) => None,
        }
    }

    /// Whether it changes nothing.
    pub fn is_read(&self) -> bool {
        matches!(self, Method::Find | Method::Get)
    }
}

/// Where a call comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Provider {
    /// The program itself.
    #[default]
    Internal,
    /// HTTP.
    Rest,
    /// A socket.
    Socket,
}

/// How a call is run by the database. Clients cannot send these; hooks set them.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct MongoParams {
    /// How strings compare.
    pub collation: Option<Collation>,
    /// The name of the index to use for reads.
    pub hint: Option<String>,
    /// The longest that the server may work on one command of a read.
    pub max_time: Option<Duration>,
    /// Which state of a replica set is read.
    pub read_concern: Option<ReadConcern>,
    /// Let the server use its disk for sorts and groups that do not fit its memory.
    pub allow_disk_use: bool,
    /// A text for logs and profiles of the server, with reads.
    pub comment: Option<String>,
    /// How many documents the server sends at once, of what is read.
    pub batch_size: Option<u32>,
    /// Whether `patch` and `update` of an unknown id make the document.
    pub upsert: bool,
    /// The conditions of the `$[name]` in the paths of a patch.
    pub array_filters: Vec<ElementFilter>,
}

/// What comes with a call beside its id and its data.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Params {
    /// The query, as it came. Its values are text where it came in a URL.
    pub query: Map<String, Value>,
    /// The values of the `:name` parts of the service's path.
    pub route: BTreeMap<String, String>,
    /// Where the call comes from.
    pub provider: Provider,
    /// Who calls, and the headers of the request.
    pub caller: Caller,
    /// Pages of another size than the service's, for this call: `Paginate::default()` is none.
    pub paginate: Option<Paginate>,
    /// Other methods that take many documents than the service's, for this call.
    pub multi: Option<Multi>,
    /// Other operators than the service's that queries may use beside those of every field, for this call.
    pub operators: Option<BTreeSet<String>>,
    /// Other update operators than the service's that patches do without, for this call.
    pub disabled_operators: Option<BTreeSet<String>>,
    /// Aggregation stages that the documents go through. `{$feathers: {}}` stands for those of the query, which come first
    /// where it is missing.
    pub pipeline: Option<Vec<Document>>,
    /// How the database runs it.
    pub mongodb: MongoParams,
    /// The socket that calls, where it is one: to put it into channels.
    pub connection: Option<Connection>,
    /// What hooks hand on to other hooks, and to the method.
    pub extensions: Extensions,
}

impl Params {
    /// Nothing but this query, which is a JSON object.
    pub fn query(query: Value) -> Self {
        let query = match query {
            Value::Object(query) => query,
            _ => Map::new(),
        };
        Self { query, ..Self::default() }
    }

    /// The same, ordered by one more field, from small to large. The fields of a JSON object have no order of their own:
    /// where several fields order the documents, this says which of them comes first.
    ///
    /// ```
    /// use forge_server::services::Params;
    /// use serde_json::json;
    ///
    /// let params = Params::query(json!({ "carrier": "AA" })).ascending("origin").descending("delay");
    /// assert_eq!(params.query["$sort"], json!([{ "origin": 1 }, { "delay": -1 }]));
    /// ```
    #[must_use]
    pub fn ascending(self, field: impl Into<String>) -> Self {
        self.ordered(field.into(), 1)
    }

    /// The same, ordered by one more field, from large to small: see [`ascending`](Params::ascending).
    #[must_use]
    pub fn descending(self, field: impl Into<String>) -> Self {
        self.ordered(field.into(), -1)
    }

    fn ordered(mut self, field: String, direction: i32) -> Self {
        let mut keys = match self.query.remove("$sort") {
            Some(Value::Array(keys)) => keys,
            Some(Value::Object(keys)) => {
                keys.into_iter().map(|key| Value::Object(Map::from_iter([key]))).collect()
            }
            _ => Vec::new(),
        };
        keys.push(Value::Object(Map::from_iter([(field, direction.into())])));
        self.query.insert("$sort".to_owned(), keys.into());
        self
    }

    /// The same, with stages.
    #[must_use]
    pub fn pipeline(mut self, stages: impl IntoIterator<Item = Document>) -> Self {
        self.pipeline = Some(stages.into_iter().collect());
        self
    }

    /// The same, with pages of this size.
    #[must_use]
    pub fn paginate(mut self, paginate: Paginate) -> Self {
        self.paginate = Some(paginate);
        self
    }
}

/// One call: hooks get it, change it and give it back.
#[derive(Clone)]
pub struct HookContext {
    /// The path of the service.
    pub path: Arc<str>,
    /// What is called.
    pub method: Method,
    /// The id; none where many documents are meant.
    pub id: Option<Value>,
    /// What the client sent.
    pub data: Option<Value>,
    /// The query, the caller, and how it is run.
    pub params: Params,
    /// The answer. A `before` hook that sets it takes the place of the method.
    pub result: Option<Value>,
    /// What clients receive in place of the result, and what events carry.
    pub dispatch: Option<Value>,
    /// The failure, in `error` hooks. Taking it out and setting a result makes the call succeed.
    pub error: Option<ServiceError>,
    /// The status, the place and the headers of the answer over HTTP.
    pub http: Http,
    /// The event that a success makes; none where nobody is to hear of it. At first it is that of the method, and none for
    /// one that the service [leaves to the program](super::Service::events).
    pub event: Option<Cow<'static, str>>,
    /// The database that the call works on: of a tenant, or inside a transaction, where a hook says so.
    pub db: Db,
    /// The services of the program.
    pub services: Services,
    /// How the client ordered the fields of the data.
    pub(super) order: Order,
    /// Whether the result may be text, where nobody looks at it on its way to the client.
    pub(super) as_text: bool,
    /// The result as JSON text, in place of `result`.
    pub(super) text: Option<Vec<u8>>,
    /// The documents that it wrote, where a policy is asked who may hear of them.
    pub(super) written: Vec<RawDocumentBuf>,
    /// Who the caller has become.
    pub(super) login: Option<Login>,
    /// The fields that resolvers around the method make of results.
    pub(super) resolved: Vec<Arc<str>>,
    /// Whether one of them has made what clients receive.
    pub(super) resolved_for_clients: bool,
}

impl fmt::Debug for HookContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookContext")
            .field("path", &self.path)
            .field("method", &self.method)
            .field("id", &self.id)
            .field("data", &self.data)
            .field("result", &self.result)
            .finish_non_exhaustive()
    }
}

impl HookContext {
    /// A call that nothing has been done for yet, without an id and data.
    pub(super) fn new(
        path: Arc<str>,
        method: Method,
        params: Params,
        db: Db,
        services: Services,
    ) -> Box<Self> {
        let event = method.event().map(Cow::Borrowed);
        Box::new(Self {
            path,
            method,
            id: None,
            data: None,
            params,
            result: None,
            dispatch: None,
            error: None,
            http: Http::default(),
            event,
            db,
            services,
            order: Order::Unknown,
            as_text: false,
            text: None,
            written: Vec::new(),
            login: None,
            resolved: Vec::new(),
            resolved_for_clients: false,
        })
    }

    /// The data as a type of the program's.
    ///
    /// # Errors
    /// `BadRequest` where it is none.
    pub fn data_as<T: DeserializeOwned>(&self) -> ServiceResult<T> {
        let data = self.data.clone().unwrap_or(Value::Null);
        Ok(serde_json::from_value(data).map_err(|error| misfit(&error))?)
    }

    /// Sets the data.
    ///
    /// # Errors
    /// `GeneralError` where it has no JSON form.
    pub fn set_data(&mut self, data: &impl Serialize) -> ServiceResult<()> {
        self.data = Some(serde_json::to_value(data).map_err(forge_core::Error::from)?);
        Ok(())
    }

    /// The result as a type of the program's.
    ///
    /// # Errors
    /// `GeneralError` where it is none.
    pub fn result_as<T: DeserializeOwned>(&self) -> ServiceResult<T> {
        let result = self.result.clone().unwrap_or(Value::Null);
        Ok(serde_json::from_value(result).map_err(forge_core::Error::from)?)
    }

    /// Sets the result.
    ///
    /// # Errors
    /// `GeneralError` where it has no JSON form.
    pub fn set_result(&mut self, result: &impl Serialize) -> ServiceResult<()> {
        self.result = Some(serde_json::to_value(result).map_err(forge_core::Error::from)?);
        Ok(())
    }
}
