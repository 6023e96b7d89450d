//! The HTTP interface, as an axum router.

pub(crate) mod answer;
mod front;
mod index;
mod layers;
mod manifest;
mod openapi;
pub(crate) mod request;
mod schemas;

use std::ops::Deref;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use forge_core::auth::SeenAuth;
use forge_core::{Error, ErrorCode};
use tokio::time::{Duration, timeout};

use crate::calls::Calls;
use crate::live::hub::Hub;
use crate::operators::Operators;
use crate::origin::Origins;
use crate::services::Services;
use crate::{jobs, json, ws};
use answer::ApiError;
pub(crate) use front::Front;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Where operators read what live queries cost.
pub(crate) const LIVE_REPORT: &str = "/doctor/live";
/// Where operators read how jobs stand.
const JOB_REPORT: &str = "/doctor/jobs";
const QUERY: &str = "/api/query/{name}";
const MUTATION: &str = "/api/mutation/{name}";
/// What the paths of Forge's own routes begin with, beside `/` itself. They come before services.
const OWN_PATHS: [&str; 8] =
    ["/api/", "/doctor/", "/healthz", "/metrics", "/openapi.json", "/readyz", "/socket.io/", "/ws"];
const VERSION: HeaderName = HeaderName::from_static("x-forge-version");
/// The longest that `/readyz` waits for the database.
const PING: Duration = Duration::from_secs(2);

/// What the routes share. Cheap to clone: every request takes it from layer to layer.
#[derive(Clone)]
pub(crate) struct Routes(Arc<Shared>);

impl Deref for Routes {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

pub(crate) struct Shared {
    calls: Calls,
    origins: Origins,
    manifest: Tagged,
    openapi: Tagged,
    services: Services,
    operators: Operators,
}

/// A text and its ETag.
#[derive(Clone)]
struct Tagged {
    text: Arc<str>,
    tag: Arc<str>,
}

impl Tagged {
    fn new(text: Arc<str>) -> Self {
        let tag = format!("\"{}\"", json::short_hash(text.as_bytes())).into();
        Self { text, tag }
    }

    /// 304 where the client has the text already.
    fn answer(&self, headers: &HeaderMap) -> Response {
        let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let mut known = known.flat_map(|list| list.split(',')).map(|tag| tag.trim().trim_start_matches("W/"));
        let mut response = match known.any(|tag| tag == "*" || tag == &*self.tag) {
            true => StatusCode::NOT_MODIFIED.into_response(),
            false => answer::json(self.text.as_bytes().to_vec()),
        };
        let headers = response.headers_mut();
        if let Ok(tag) = HeaderValue::from_str(&self.tag) {
            headers.insert(header::ETAG, tag);
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        response
    }
}

impl Routes {
    /// # Errors
    /// `internal` where the handlers cannot be described.
    pub(crate) fn new(
        calls: Calls,
        origins: Origins,
        services: Services,
        operators: Operators,
    ) -> Result<Self, Error> {
        let manifest = manifest::manifest(calls.runtime.registry(), calls.runtime.db().catalog());
        let (registry, catalog) = (calls.runtime.registry(), calls.runtime.db().catalog());
        let openapi = openapi::document(registry, catalog, &services, calls.auth.is_on())?;
        let (manifest, openapi) = (Tagged::new(manifest.into()), Tagged::new(openapi.into()));
        Ok(Self(Arc::new(Shared { calls, origins, manifest, openapi, services, operators })))
    }

    /// The routes. `own` are the program's; they come after Forge's own and before the default page. A fallback that
    /// they have is not used.
    pub(crate) fn router(self, own: Router, index: Option<&'static str>) -> Router {
        let guarded = self.sockets();
        let guarded = guarded
            .route(QUERY, post(query).get(get_query))
            .route(MUTATION, post(mutation))
            .route("/api/manifest", get(get_manifest))
            .route("/openapi.json", get(get_openapi))
            .route("/ws", get(upgrade))
            .method_not_allowed_fallback(wrong_method)
            .layer(from_fn_with_state(self.clone(), layers::origins));
        let open = Router::new()
            .route("/healthz", get(|| async { answer::json(r#"{"status":"ok"}"#) }))
            .route("/readyz", get(ready))
            .method_not_allowed_fallback(wrong_method);
        let open = match self.calls.metrics.is_on() {
            true => open.route("/metrics", get(get_metrics)),
            false => open,
        };
        let open = match self.operators.token.is_some() {
            true => open.route(LIVE_REPORT, get(get_live_report)).route(JOB_REPORT, get(get_job_report)),
            false => open,
        };
        let page = move |html: &'static str| get(move || async move { Html(html) });
        let mut router = guarded.merge(open);
        if let Some(html) = index {
            router = router.route("/", page(html));
        }
        let listing = index::page(self.calls.runtime.registry());
        let default = Router::new().route("/", get(move || async move { Html(listing) })).fallback(missing);
        let rest = own
            .fallback_service(default.with_state(self.clone()))
            .layer(from_fn_with_state(self.clone(), layers::services));
        router
            .fallback_service(rest)
            .layer(from_fn_with_state(self.clone(), layers::outermost))
            .with_state(self)
    }
}

impl Routes {
    #[cfg(not(feature = "socketio"))]
    fn sockets(&self) -> Router<Routes> {
        Router::new()
    }

    /// Socket.io, where there are services for it.
    #[cfg(feature = "socketio")]
    fn sockets(&self) -> Router<Routes> {
        match self.services.is_empty() {
            true => Router::new(),
            false => {
                let routes = crate::socketio::service(&self.calls, &self.services);
                Router::new().route_service(crate::socketio::PATH, routes)
            }
        }
    }
}

type Name = Result<Path<String>, PathRejection>;

fn handler_name(name: Name) -> Result<String, Error> {
    name.map(|Path(name)| name).map_err(|_| Error::not_found("there is no such handler"))
}

async fn query(
    State(server): State<Routes>,
    name: Name,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    call_query(&server, handler_name(name)?, &headers, body).await
}

async fn call_query(
    server: &Routes,
    name: String,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let caller = server.calls.caller(request::texts(headers)).await?;
    let args = request::arguments(headers, body, &server.calls.limits).await?;
    let answer = server.calls.query(&name, &args, caller).await?;
    Ok(answer::json(answer.json.as_bytes().to_vec()))
}

async fn get_query(
    State(server): State<Routes>,
    name: Name,
    parameters: Result<Query<Vec<(String, String)>>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let name = handler_name(name)?;
    let Query(parameters) = parameters.map_err(|_| Error::bad_request("the query string is malformed"))?;
    let args = request::query_arguments(&parameters, &server.calls.limits)?;
    let caller = server.calls.caller(request::texts(&headers)).await?;
    let answer = server.calls.query(&name, &args, caller).await?;
    let mut response = Tagged::new(answer.json).answer(&headers);
    let by_identity: &[&str] =
        if answer.seen.auth == SeenAuth::default() { &[] } else { &["authorization", "cookie"] };
    for name in answer.seen.headers.iter().map(String::as_str).chain(by_identity.iter().copied()) {
        if let Ok(name) = HeaderValue::from_str(name) {
            response.headers_mut().append(header::VARY, name);
        }
    }
    Ok(response)
}

async fn mutation(
    State(server): State<Routes>,
    name: Name,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    call_mutation(&server, handler_name(name)?, &headers, body).await
}

async fn call_mutation(
    server: &Routes,
    name: String,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let caller = server.calls.caller(request::texts(headers)).await?;
    let args = request::arguments(headers, body, &server.calls.limits).await?;
    // A key that is no text is passed on as one that is refused.
    let key = headers.get(IDEMPOTENCY_KEY).map(|key| key.to_str().unwrap_or(""));
    let answer = server.calls.mutation(&name, args, caller, key).await;
    if !answer.is_ok() {
        return Ok(answer::refused(&answer));
    }
    let mut response = answer::json(answer.body.as_bytes().to_vec());
    response.headers_mut().insert(VERSION, answer.version.into());
    Ok(response)
}

async fn get_manifest(State(server): State<Routes>, headers: HeaderMap) -> Response {
    server.manifest.answer(&headers)
}

async fn get_openapi(State(server): State<Routes>, headers: HeaderMap) -> Response {
    server.openapi.answer(&headers)
}

async fn upgrade(State(server): State<Routes>, mut request: Request) -> Result<Response, ApiError> {
    let handshake =
        ws::handshake::Handshake::of(&mut request, server.calls.limits.compress_from < usize::MAX)?;
    if server.calls.is_draining() {
        return Err(Error::unavailable("the server is stopping").into());
    }
    let calls = server.calls.clone();
    let caller = calls.caller(request::texts(request.headers())).await?;
    let services = server.services.clone();
    Ok(handshake.accept(move |connection| ws::serve(connection, calls, services, caller)))
}

async fn ready(State(server): State<Routes>) -> Result<Response, ApiError> {
    if server.calls.is_draining() {
        return Err(Error::unavailable("the server is stopping").into());
    }
    match timeout(PING, server.calls.runtime.db().adapter().ping()).await {
        Ok(Ok(())) if server.calls.hub.is_healthy() => Ok(answer::json(readiness(&server.calls.hub))),
        Ok(Ok(())) => Err(Error::unavailable(feed_is_down(&server.calls.hub)).into()),
        _ => Err(Error::unavailable("the database does not answer").into()),
    }
}

async fn get_metrics(State(server): State<Routes>) -> Result<Response, ApiError> {
    let now = server.calls.look().await;
    let text = server.calls.metrics.encode(&now)?.unwrap_or_default();
    Ok(([(header::CONTENT_TYPE, METRICS)], text).into_response())
}

async fn get_live_report(State(server): State<Routes>, headers: HeaderMap) -> Result<Response, ApiError> {
    only_operators(&server, &headers)?;
    let report = serde_json::to_vec(&server.calls.hub.report().await).map_err(Error::from)?;
    Ok(answer::json(report))
}

async fn get_job_report(State(server): State<Routes>, headers: HeaderMap) -> Result<Response, ApiError> {
    only_operators(&server, &headers)?;
    let report = timeout(server.calls.limits.deadline, jobs::report(&server.calls.runtime)).await;
    let report = report.map_err(|_| Error::timeout("counting the jobs took too long"))??;
    Ok(answer::json(serde_json::to_vec(&report).map_err(Error::from)?))
}

fn only_operators(server: &Routes, headers: &HeaderMap) -> Result<(), Error> {
    match server.operators.admits(headers) {
        true => Ok(()),
        false => Err(Error::unauthorized("this is for operators: send the operator's token")),
    }
}

/// Why live results stand still.
fn feed_is_down(hub: &Hub) -> String {
    match hub.feed_down() {
        Some(since) => {
            format!("the change feed of the database is down, for {:.1} s so far", since.as_secs_f64())
        }
        None => "the change feed of the database is not open yet".to_owned(),
    }
}

/// What `/readyz` tells of the feed.
fn readiness(hub: &Hub) -> String {
    let (feed, version) = (if hub.has_feed() { "open" } else { "none" }, hub.version(hub.database()));
    let lag = hub.feed_lag().as_secs_f64();
    format!(r#"{{"status":"ready","feed":"{feed}","version":{version},"lag":{lag:.3}}}"#)
}

async fn missing(State(server): State<Routes>, request: Request) -> Response {
    let path = request.uri().path();
    let own = OWN_PATHS.iter().any(|own| path.starts_with(own)) || path == "/";
    match server.services.missing(path).filter(|_| !own) {
        Some(answer) => layers::guarded(&server, request, |_| Box::pin(async { answer })).await,
        None => ApiError::from(Error::not_found("there is nothing at this path")).into_response(),
    }
}

async fn wrong_method() -> ApiError {
    let error = Error::new(ErrorCode::BadRequest, "this path does not answer this method");
    ApiError::with_status(error, StatusCode::METHOD_NOT_ALLOWED)
}

#[cfg(test)]
mod tests;
