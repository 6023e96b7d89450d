//! The page at `/`, inside the binary.

use forge::server::axum::Router;
use forge::server::axum::http::header::CONTENT_TYPE;
use forge::server::axum::response::IntoResponse;
use forge::server::axum::routing::get;

const FILES: [(&str, &str, &str); 4] = [
    ("/", "text/html; charset=utf-8", include_str!("page/index.html")),
    ("/app.js", "text/javascript; charset=utf-8", include_str!("page/app.js")),
    ("/live.js", "text/javascript; charset=utf-8", include_str!("page/live.js")),
    ("/style.css", "text/css; charset=utf-8", include_str!("page/style.css")),
];

/// Its routes.
pub fn routes() -> Router {
    FILES.into_iter().fold(Router::new(), |router, (path, kind, text)| {
        router.route(path, get(move || async move { ([(CONTENT_TYPE, kind)], text).into_response() }))
    })
}
