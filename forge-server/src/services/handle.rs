//! Services as the program itself calls them.

use std::fmt;
use std::sync::Arc;

use bson::RawDocumentBuf;
use forge_core::ir::Stage;
use forge_core::{Caller, Db, Error, MutationCtx};
use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;

use super::context::{HookContext, Method, Params, Provider};
use super::error::{ServiceError, ServiceResult};
use super::methods::Run;
use super::order::Order;
use super::realtime::Channels;
use super::registry::{Bound, Services};

/// A service that the program itself calls.
///
/// ```ignore
/// let people = services.service("people", &tx)?;
/// people.create(json!({ "name": "Ann" }), Params::default()).await?;
/// ```
pub struct Handle {
    services: Services,
    bound: Arc<Bound>,
    db: Db,
    /// On whose behalf, where the parameters of a call do not say.
    caller: Option<Caller>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&self.bound.path).finish()
    }
}

impl Handle {
    pub(super) fn new(services: Services, bound: Arc<Bound>, db: Db) -> Self {
        Self { services, bound, db, caller: None }
    }

    /// The documents that match the query of `params`.
    ///
    /// # Errors
    /// What the service answers.
    pub async fn find(&self, params: Params) -> ServiceResult<Value> {
        self.call(Method::Find, None, None, params).await
    }

    /// The document with this id.
    ///
    /// # Errors
    /// What the service answers.
    pub async fn get(&self, id: impl Into<Value>, params: Params) -> ServiceResult<Value> {
        self.call(Method::Get, Some(id.into()), None, params).await
    }

    /// A new document, or a list of them.
    ///
    /// # Errors
    /// What the service answers.
    pub async fn create(&self, data: Value, params: Params) -> ServiceResult<Value> {
        self.call(Method::Create, None, Some(data), params).await
    }

    /// A whole new state of the document with this id.
    ///
    /// # Errors
    /// What the service answers.
    pub async fn update(&self, id: impl Into<Value>, data: Value, params: Params) -> ServiceResult<Value> {
        self.call(Method::Update, Some(id.into()), Some(data), params).await
    }

    /// Changes of the document with this id, or of all that match the query of `params`.
    ///
    /// # Errors
    /// What the service answers.
    pub async fn patch(&self, id: Option<Value>, data: Value, params: Params) -> ServiceResult<Value> {
        self.call(Method::Patch, id, Some(data), params).await
    }

    /// The end of the document with this id, or of all that match the query of `params`.
    ///
    /// # Errors
    /// What the service answers.
    pub async fn remove(&self, id: Option<Value>, params: Params) -> ServiceResult<Value> {
        self.call(Method::Remove, id, None, params).await
    }

    /// Tells of an event of the service's own, or of one that it makes itself: see
    /// [`Service::events`](super::Service::events). Inside of a transaction it is sent after the commit.
    ///
    /// # Errors
    /// `BadRequest` where the service does not list the event.
    pub fn emit(&self, event: &str, data: Value) -> ServiceResult<()> {
        if !self.bound.events.contains(event) {
            let path = &self.bound.path;
            return Err(ServiceError::bad_request(format!(
                "the service {path} has no event {event:?}: name it in its events"
            )));
        }
        self.services.tell(&self.bound, &self.db, event, data);
        Ok(())
    }

    /// Any method, by its name.
    ///
    /// # Errors
    /// What the service answers.
    pub async fn call(
        &self,
        method: Method,
        id: Option<Value>,
        data: Option<Value>,
        params: Params,
    ) -> ServiceResult<Value> {
        let mut params = Params { provider: Provider::Internal, ..params };
        if let Some(caller) = self.caller.as_ref().filter(|_| params.caller.auth.is_none()) {
            params.caller = caller.clone();
        }
        let (path, db, services) = (self.bound.path.clone(), self.db.clone(), self.services.clone());
        let mut call = HookContext::new(path, method, params, db, services);
        (call.id, call.data) = (id, data);
        let done = self.services.call(&self.bound, call).await?;
        Ok(done.result.unwrap_or(Value::Null))
    }

    /// What a query finds, as it is stored, one document after the other: private fields too, without hooks.
    ///
    /// # Errors
    /// `BadRequest` for a query that clients could not send either; what the database answers.
    pub async fn find_raw(&self, params: Params) -> ServiceResult<RawDocuments> {
        let run = self.run(&params);
        let (query, limit) = run.window()?;
        let rows = self.db.stream(run.select(&query, limit), BATCH).await?;
        let documents = rows.map_ok(|rows| stream::iter(rows.documents.into_iter().map(Ok::<_, Error>)));
        Ok(documents.try_flatten().map_err(ServiceError::from).boxed())
    }

    /// As [`find_raw`](Handle::find_raw), sent through the stages of `params.pipeline`.
    ///
    /// # Errors
    /// As [`find_raw`](Handle::find_raw).
    pub async fn aggregate_raw(&self, params: Params) -> ServiceResult<RawDocuments> {
        let run = self.run(&params);
        let (query, limit) = run.window()?;
        let documents = run.aggregated(&query, limit).await?;
        Ok(stream::iter(documents.into_iter().map(Ok)).boxed())
    }

    /// The stages that a query is, without those of `params.pipeline`: conditions, order, window, fields.
    ///
    /// # Errors
    /// `BadRequest` for a query that clients could not send either.
    pub fn make_feathers_pipeline(&self, params: &Params) -> ServiceResult<Vec<Stage>> {
        let run = self.run(params);
        let (query, limit) = run.window()?;
        Ok(run.stages(&query, limit))
    }

    fn run<'a>(&'a self, params: &'a Params) -> Run<'a> {
        Run { options: &self.bound.options, db: &self.db, params, order: &Order::Unknown, resolved: &[] }
    }
}

/// Documents as they are stored.
pub type RawDocuments = BoxStream<'static, ServiceResult<RawDocumentBuf>>;

/// Documents that are read at a time.
const BATCH: u32 = 256;

/// Services for handlers: `ctx.services()` of a `#[mutation]`.
///
/// What they write belongs to the handler's transaction, where it has one, and is done on its caller's behalf.
///
/// ```ignore
/// #[mutation(transaction)]
/// async fn enlist(ctx: &MutationCtx, name: String) -> Result<()> {
///     ctx.services().service("people")?.create(json!({ "name": name }), Params::default()).await?;
///     Ok(())
/// }
/// ```
pub trait ServicesCtx {
    /// The services of the program.
    fn services(&self) -> CallServices<'_>;
}

/// The services of the program, for one call of a handler.
pub struct CallServices<'a>(&'a MutationCtx);

impl fmt::Debug for CallServices<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CallServices").field(&self.0.extension::<Services>()).finish()
    }
}

impl ServicesCtx for MutationCtx {
    fn services(&self) -> CallServices<'_> {
        CallServices(self)
    }
}

impl CallServices<'_> {
    /// The service at `path`.
    ///
    /// # Errors
    /// `NotFound` where there is none.
    pub fn service(&self, path: &str) -> ServiceResult<Handle> {
        let services = self.0.extension::<Services>().cloned().unwrap_or_default();
        let handle = services.service(path, &self.0.db)?;
        Ok(Handle { caller: Some(self.0.caller().clone()), ..handle })
    }

    /// The channels that connections are in.
    pub fn channels(&self) -> Channels {
        self.0.extension::<Services>().map(|services| services.channels().clone()).unwrap_or_default()
    }
}
