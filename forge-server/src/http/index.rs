//! The page at `/`, where the program has none of its own: what there is to call.

use std::fmt::Write as _;

use forge_core::handler::Registry;

/// The page.
pub(crate) fn page(registry: &Registry) -> String {
    let mut rows = String::new();
    for handler in registry.iter().filter(|handler| !handler.internal) {
        let docs = handler.docs.lines().next().unwrap_or("").trim();
        let _ = writeln!(
            rows,
            "<tr><td>{kind}</td><td><code>POST /api/{kind}/{name}</code></td><td>{docs}</td></tr>",
            kind = handler.kind.as_str(),
            name = escape(handler.name),
            docs = escape(docs),
        );
    }
    if rows.is_empty() {
        rows.push_str(
            "<tr><td colspan=\"3\">No handlers. Those of a library crate are linked only if the binary names it: \
             <code>use mylib as _;</code></td></tr>\n",
        );
    }
    format!("{HEAD}{rows}{TAIL}")
}

const HEAD: &str = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Forge</title>\n\
    <meta name=\"viewport\" content=\"width=device-width\">\n\
    <style>body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:3rem auto;padding:0 1rem}\
    table{border-collapse:collapse;width:100%}td{border-bottom:1px solid #8884;padding:.4rem .6rem;vertical-align:top}\
    :root{color-scheme:light dark}</style></head>\n<body><h1>Forge</h1>\n<table>\n";
const TAIL: &str = "</table>\n<p>With schemas: <a href=\"/api/manifest\">/api/manifest</a>, <a href=\"/openapi.json\">/openapi.json</a>. Live: <code>/ws</code>. \
    State: <a href=\"/healthz\">/healthz</a>, <a href=\"/readyz\">/readyz</a>.</p>\n</body></html>\n";

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
