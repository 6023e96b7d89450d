//! Calls of services by sockets.

use forge_core::Caller;
use serde_json::{Map, Value};

use super::super::authentication::Login;
use super::super::context::{HookContext, Method, Params, Provider};
use super::super::error::{ErrorKind, ServiceError, ServiceResult};
use super::super::methods::object_or_list;
use super::super::order::Order;
use super::super::registry::Services;
use super::super::rest::bounded;
use super::channels::Connection;
use crate::calls::Calls;

/// What a socket asks of a service. Values are typed: nothing is text that is not meant to be.
#[derive(Debug, Default)]
pub(crate) struct SocketCall {
    /// The path of the service.
    service: String,
    /// The method.
    method: String,
    /// The id; none where many documents are meant.
    id: Option<Value>,
    /// What is sent.
    data: Option<Value>,
    /// The query.
    query: Map<String, Value>,
    /// How the fields of the data, and those of the query, were written.
    orders: (Order, Order),
}

impl SocketCall {
    /// A method of a service, by their names.
    pub(crate) fn new(service: String, method: String) -> Self {
        Self { service, method, ..Self::default() }
    }

    /// The same call, about this id, with this data and this query.
    pub(crate) fn with(self, id: Option<Value>, data: Option<Value>, query: Map<String, Value>) -> Self {
        Self { id, data, query, ..self }
    }

    /// The same call, whose data and query stand in the fields `data` and `query` of a JSON text.
    pub(crate) fn written(mut self, text: &str) -> Self {
        let order = Order::of(text.as_bytes());
        self.orders = (order.field("data").clone(), order.field("query").clone());
        self
    }

    /// The same call, with the texts of its data and its query.
    #[cfg(feature = "socketio")]
    pub(crate) fn ordered(mut self, data: &str, query: &str) -> Self {
        self.orders = (Order::of(data.as_bytes()), Order::of(query.as_bytes()));
        self
    }
}

impl Services {
    /// Runs a call, and answers what its client sees, and who the caller has become.
    ///
    /// # Errors
    /// What the service answers; `NotFound` and `MethodNotAllowed` as Feathers words them.
    pub(crate) async fn call_by_socket(
        &self,
        calls: &Calls,
        caller: Caller,
        connection: Option<Connection>,
        call: SocketCall,
    ) -> ServiceResult<(Value, Option<Login>)> {
        let SocketCall { service: path, method, id, data, mut query, orders } = call;
        let shown = |text: &str| text.chars().take(64).collect::<String>();
        let (service, route) = self.named(&path).ok_or_else(|| {
            ServiceError::new(ErrorKind::NotFound, format!("Service '{}' not found", shown(&path)))
        })?;
        let method = Method::named(&method);
        if !service.methods.contains(&method) {
            let message = format!("Method '{}' not supported by this service", shown(method.name()));
            return Err(ServiceError::not_allowed(message));
        }
        let (order, of_query) = orders;
        of_query.list_sort(&mut query);
        let data = match &method {
            Method::Find | Method::Get | Method::Remove => None,
            Method::Create | Method::Update | Method::Patch => {
                Some(object_or_list(data.unwrap_or(Value::Null))?)
            }
            Method::Custom(_) => Some(data.unwrap_or_else(|| Map::new().into())),
        };
        let db = calls.database_of(&caller).on_behalf_of(&caller);
        let params =
            Params { query, route, provider: Provider::Socket, caller, connection, ..Params::default() };
        let mut context = HookContext::new(service.path.clone(), method, params, db, self.clone());
        (context.id, context.data, context.order) = (id.filter(|id| !id.is_null()), data, order);
        let done = bounded(calls, self.clone(), service, context).await?;
        Ok((done.dispatch.or(done.result).unwrap_or(Value::Null), done.login))
    }
}
