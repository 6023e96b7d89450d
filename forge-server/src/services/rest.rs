//! Services over HTTP: verbs, statuses and bodies as Feathers has them.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, Method as Verb, StatusCode, header};
use axum::response::{IntoResponse, Response};
use forge_core::Error;
use futures_util::FutureExt as _;
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::context::{HookContext, Method, Params, Provider};
use super::error::{ServiceError, ServiceResult};
use super::methods::{object_or_list, unsupported};
use super::order::Order;
use super::qs;
use super::registry::{Bound, Services, Target};
use crate::calls::Calls;
use crate::carried::Carried;
use crate::http::request;
use crate::json;

const SERVICE_METHOD: &str = "x-service-method";

/// Answers a request for what `target` names.
pub(super) async fn answer(calls: Calls, services: Services, target: Target, request: Request) -> Response {
    match run(&calls, services, target, request).await {
        Ok(response) => response,
        Err(error) => {
            error.log();
            refused(&error)
        }
    }
}

/// A failure as an answer.
pub(super) fn refused(error: &ServiceError) -> Response {
    let status = StatusCode::from_u16(error.kind().status());
    body(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), error.to_json().to_string().into_bytes())
}

async fn run(calls: &Calls, services: Services, target: Target, request: Request) -> ServiceResult<Response> {
    let (parts, payload) = request.into_parts();
    let Target { service, route, id } = target;
    let method = method(&parts.method, &parts.headers, id.is_some(), &service)?;
    let caller = calls.caller(request::texts(&parts.headers)).await?;
    let (data, order) = match method.is_read() || method == Method::Remove {
        true => (None, Order::Unknown),
        false => {
            let (data, order) =
                data(&parts.headers, payload, calls, service.options.documents.keep_order()).await?;
            (Some(data), order)
        }
    };
    let query = qs::parse(parts.uri.query().unwrap_or(""))?;
    let db = calls.database_of(&caller).on_behalf_of(&caller);
    // The id in the path of a creation has no meaning.
    let id = id.filter(|_| matches!(method, Method::Get | Method::Update | Method::Patch | Method::Remove));
    let params = Params { query, route, provider: Provider::Rest, caller, ..Params::default() };
    let mut call = HookContext::new(service.path.clone(), method.clone(), params, db, services.clone());
    (call.id, call.data, call.order) = (id.map(Value::String), data, order);
    call.as_text = true;
    let done = bounded(calls, services, service, call).await?;
    let text = match (done.text, done.dispatch.or(done.result)) {
        (Some(text), _) => Some(text),
        (None, None | Some(Value::Null)) => None,
        (None, Some(shown)) => Some(serde_json::to_vec(&shown).map_err(Error::from)?),
    };
    let usual = match (&method, &text) {
        (_, None) => StatusCode::NO_CONTENT,
        (Method::Create, Some(_)) => StatusCode::CREATED,
        _ => StatusCode::OK,
    };
    let status = done.http.status_or(usual)?;
    let mut answer = text.map_or_else(|| status.into_response(), |text| body(status, text));
    done.http.write(&mut answer)?;
    Ok(answer)
}

/// Runs a call in bounded time, and answers a panic. What writes goes on when its client goes away, so that nothing stops
/// half-way.
pub(super) async fn bounded(
    calls: &Calls,
    services: Services,
    service: Arc<Bound>,
    call: Box<HookContext>,
) -> ServiceResult<Box<HookContext>> {
    let limits = calls.limits.clone();
    let too_slow = |_| ServiceError::from(Error::timeout("the call took too long; a change may yet happen"));
    let panicked = |service: &Bound| {
        ServiceError::from(Error::internal(format!("the service {} panicked", service.path)))
    };
    if call.method.is_read() {
        let work = pin!(services.call(&service, call));
        let done = timeout(limits.deadline, AssertUnwindSafe(work).catch_unwind()).await.map_err(too_slow)?;
        return done.map_err(|_| panicked(&service))?;
    }
    let busy = calls.busy();
    if calls.is_draining() {
        return Err(Error::unavailable("the server is stopping").into());
    }
    let longest = limits.mutation_deadline;
    let work = Carried::new(async move {
        let _busy = busy;
        // Pinned before it is wrapped: what is wrapped is moved, and this is large.
        let work = pin!(services.call(&service, call));
        match timeout(longest, AssertUnwindSafe(work).catch_unwind()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(panicked(&service)),
            Err(_) => Err(Error::internal("a call was cut off; it may or may not have happened").into()),
        }
    });
    timeout(limits.deadline, work).await.map_err(too_slow)?
}

/// The method that a request is for.
fn method(verb: &Verb, headers: &HeaderMap, has_id: bool, service: &Bound) -> ServiceResult<Method> {
    let method = match (verb, has_id) {
        (&Verb::GET | &Verb::HEAD, false) => Method::Find,
        (&Verb::GET | &Verb::HEAD, true) => Method::Get,
        (&Verb::POST, _) => match headers.get(SERVICE_METHOD) {
            None => Method::Create,
            Some(name) => {
                let name = name.to_str().unwrap_or("");
                match Method::named(name) {
                    custom @ Method::Custom(_) => custom,
                    _ => return Err(unsupported(name)),
                }
            }
        },
        (&Verb::PUT, _) => Method::Update,
        (&Verb::PATCH, _) => Method::Patch,
        (&Verb::DELETE, _) => Method::Remove,
        (verb, _) => return Err(ServiceError::not_allowed(format!("Method {verb} not allowed"))),
    };
    if service.methods.contains(&method) { Ok(method) } else { Err(unsupported(method.name())) }
}

/// The data in the body: JSON, or a form. The order of its fields is read where somebody keeps it.
async fn data(
    headers: &HeaderMap,
    payload: Body,
    calls: &Calls,
    ordered: bool,
) -> ServiceResult<(Value, Order)> {
    let bytes = request::body(headers, payload, &calls.limits).await?;
    if bytes.is_empty() {
        return Ok((Map::new().into(), Order::Unknown));
    }
    if request::is_json(headers) {
        let value = object_or_list(json::parse(&bytes, "the body", calls.limits.depth)?)?;
        return Ok((value, if ordered { Order::of(&bytes) } else { Order::Unknown }));
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("");
    if kind.split(';').next().unwrap_or("").trim() != "application/x-www-form-urlencoded" {
        return Err(ServiceError::bad_request(
            "the body must be JSON: send it with `Content-Type: application/json`",
        ));
    }
    let text = std::str::from_utf8(&bytes);
    let text = text.map_err(|_| ServiceError::bad_request("the body is not UTF-8"))?;
    Ok((qs::parse(text)?.into(), Order::Unknown))
}

fn body(status: StatusCode, text: Vec<u8>) -> Response {
    (status, [(header::CONTENT_TYPE, crate::http::answer::JSON)], text).into_response()
}
