//! What a listener serves. The requests that there are most of, calls of handlers and of services, are answered without
//! a way through the router, whose layers are services on the heap that every request copies; all others by the router.
//! Both ways lead through the same functions.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;

use super::{MUTATION, OWN_PATHS, QUERY, Routes, call_mutation, call_query, layers};
use crate::services::Target;

/// The routes, as hyper calls them. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Front {
    routes: Routes,
    router: TowerToHyperService<Router>,
}

/// What is answered without the router.
enum Straight {
    Query(String),
    Mutation(String),
    Service(Target),
}

impl Front {
    /// The routes of `router`, which are made of `routes`.
    pub(crate) fn new(routes: Routes, router: Router) -> Self {
        Self { routes, router: TowerToHyperService::new(router) }
    }

    /// Answers a request as the router does.
    pub(super) fn answer(&self, request: Request) -> BoxFuture<'static, Response> {
        match Straight::of(&self.routes, &request) {
            Some(straight) => straight.answer(&self.routes, request),
            None => self.router.call(request).map(|Ok(response)| response).boxed(),
        }
    }
}

impl Service<hyper::Request<Incoming>> for Front {
    type Response = Response;
    type Error = Infallible;
    type Future =
        futures_util::future::Map<BoxFuture<'static, Response>, fn(Response) -> Result<Response, Infallible>>;

    fn call(&self, request: hyper::Request<Incoming>) -> Self::Future {
        self.answer(request.map(Body::new)).map(Ok)
    }
}

impl Straight {
    /// What the request is for; none where that is for the router to find out.
    fn of(routes: &Routes, request: &Request) -> Option<Self> {
        // What is left of an answer without its body is the router's to say.
        if request.method() == Method::HEAD {
            return None;
        }
        let path = request.uri().path();
        if request.method() == Method::POST {
            let name = |route| handler_name(path, route);
            match (name(MUTATION), name(QUERY)) {
                (Some(name), _) => return Some(Self::Mutation(name)),
                (_, Some(name)) => return Some(Self::Query(name)),
                _ => {}
            }
        }
        if OWN_PATHS.iter().any(|own| path.starts_with(own)) || path == "/" {
            return None;
        }
        routes.services.target(path).map(Self::Service)
    }

    /// The route, where it has one.
    fn route(&self) -> Option<&'static str> {
        match self {
            Straight::Query(_) => Some(QUERY),
            Straight::Mutation(_) => Some(MUTATION),
            Straight::Service(_) => None,
        }
    }

    fn answer(self, routes: &Routes, request: Request) -> BoxFuture<'static, Response> {
        let (server, route) = (routes.clone(), self.route());
        let answer = |request: Request| match self {
            Straight::Service(target) => server.services.answer(&server.calls, target, request),
            Straight::Mutation(name) => {
                let (parts, body) = request.into_parts();
                let answer = async move { call_mutation(&server, name, &parts.headers, body).await };
                answer.map(IntoResponse::into_response).boxed()
            }
            Straight::Query(name) => {
                let (parts, body) = request.into_parts();
                let answer = async move { call_query(&server, name, &parts.headers, body).await };
                answer.map(IntoResponse::into_response).boxed()
            }
        };
        let guarded = |request| layers::guarded(routes, request, answer);
        layers::surrounded(routes, route, request, guarded)
    }
}

/// The name of the handler in a path of `route`, which ends with it; none where it is written in escapes.
fn handler_name(path: &str, route: &str) -> Option<String> {
    let (before, _) = route.split_once('{')?;
    let name = path.strip_prefix(before)?;
    (!name.is_empty() && !name.contains(['/', '%'])).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::body::to_bytes;
    use axum::http::HeaderMap;
    use forge_core::Catalog;
    use tower::ServiceExt as _;

    use super::*;
    use crate::Limits;
    use crate::services::{Declared, Raw, Service, Tokens, bind};
    use crate::testing::{FakeAdapter, server_of};

    /// Method and path, headers, body.
    type Case = (&'static str, &'static [(&'static str, &'static str)], &'static str);

    const JSON: (&str, &str) = ("content-type", "application/json");

    fn request(line: &str, headers: &[(&str, &str)], body: &'static str) -> Request {
        let (method, path) = line.split_once(' ').unwrap();
        let request = Request::builder().method(method).uri(path).header("x-request-id", "r");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.body(Body::from(body)).unwrap()
    }

    /// Status, headers and body. The router writes the length of a body, which otherwise hyper does.
    async fn parts(response: Response) -> (u16, HeaderMap, String) {
        let (mut parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        let length = parts.headers.get("content-length").map(|length| length.to_str().unwrap());
        if length == Some(&*body.len().to_string()) {
            parts.headers.remove("content-length");
        }
        (parts.status.as_u16(), parts.headers, String::from_utf8(body.into()).unwrap())
    }

    #[tokio::test]
    async fn a_listener_answers_as_the_router_does() {
        let drafts = ["people", "healthz", "ws", "api/query/counter", "openapi.json", "by/:who/notes"];
        let drafts = drafts.map(|path| Service::<Raw>::raw("things").path(path).into()).into();
        let declared = Declared { drafts, ..Declared::default() };
        let (services, _) = bind(declared, &Catalog::collect().unwrap(), Tokens::default()).unwrap();
        let server = server_of(Arc::new(FakeAdapter::default()), services);
        let (front, router) = (server.front(), server.router());
        let cases: &[Case] = &[
            ("POST /api/query/counter", &[JSON], "{\"id\":1}"),
            ("POST /api/query/counter", &[], "{\"id\":1}"),
            ("POST /api/query/counter", &[JSON], "{"),
            ("POST /api/query/counter?x=1", &[JSON], "{\"id\":1}"),
            ("POST /api/query/count%65r", &[JSON], "{\"id\":1}"),
            ("POST /api/query/%ff", &[JSON], "{}"),
            ("POST /api/query/", &[JSON], "{}"),
            ("POST /api/query/counter/", &[JSON], "{}"),
            ("GET /api/query/counter?args=%7B%22id%22:1%7D", &[], ""),
            ("HEAD /api/query/counter?args=%7B%22id%22:1%7D", &[], ""),
            ("PUT /api/query/counter", &[JSON], "{}"),
            ("POST /api/query/panics", &[], ""),
            ("POST /api/query/nothing", &[], ""),
            ("POST /api/mutation/nothing", &[], ""),
            ("POST /api/mutation/add", &[JSON, ("idempotency-key", "")], "{\"id\":1,\"by\":2}"),
            ("POST /api/mutation/add", &[JSON, ("origin", "https://evil.example")], "{\"id\":1,\"by\":2}"),
            ("POST /api/mutation/add", &[JSON, ("authorization", "Bearer x")], "{\"id\":1,\"by\":2}"),
            ("GET /api/mutation/add", &[], ""),
            ("POST /api/query/counter", &[JSON, ("origin", "https://app.example")], "{\"id\":1}"),
            (
                "OPTIONS /people",
                &[("origin", "https://app.example"), ("access-control-request-method", "PUT")],
                "",
            ),
            ("OPTIONS /people", &[("origin", "https://evil.example")], ""),
            ("OPTIONS /people", &[], ""),
            ("POST /people", &[], "{}"),
            ("POST /people", &[("x-service-method", "fly")], "{}"),
            ("GET /people/a/b", &[], ""),
            ("GET /people?$limit=x&$or=1", &[], ""),
            ("GET /by/me/notes?$nothing=1", &[], ""),
            ("HEAD /people?$nothing=1", &[], ""),
            ("GET /healthz", &[], ""),
            ("GET /healthz/", &[], ""),
            ("GET /ws", &[], ""),
            ("POST /ws?$nothing=1", &[JSON], "{}"),
            ("GET /openapi.json", &[("if-none-match", "*")], ""),
            ("GET /api/manifest", &[], ""),
            ("GET /nothing", &[], ""),
            ("GET /", &[], ""),
        ];
        for (line, headers, body) in cases {
            let straight = parts(front.answer(request(line, headers, body)).await).await;
            let routed = parts(router.clone().oneshot(request(line, headers, body)).await.unwrap()).await;
            assert_eq!(straight, routed, "{line} {headers:?} {body}");
        }
    }

    #[tokio::test]
    async fn what_there_is_most_of_goes_without_the_router() {
        let routes =
            crate::testing::server(Arc::new(FakeAdapter::default()), Limits::default()).front().routes;
        let route =
            |line| Straight::of(&routes, &request(line, &[], "")).and_then(|straight| straight.route());
        assert_eq!(route("POST /api/query/counter"), Some(QUERY));
        assert_eq!(route("POST /api/mutation/add"), Some(MUTATION));
        for line in ["GET /api/mutation/add", "POST /api/mutation/a%64d", "POST /api/mutation/add/", "GET /"]
        {
            assert_eq!(route(line), None, "{line}");
        }
    }
}
