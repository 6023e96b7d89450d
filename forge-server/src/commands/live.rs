//! `doctor --live`: what the live queries of a running server cost.

use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use forge_core::{Error, Result};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Duration, timeout};

use crate::console;
use crate::http::LIVE_REPORT;
use crate::live::machine::{LiveCost, LiveReport};
use crate::operators::VARIABLE;
use crate::settings::Settings;

/// The longest that a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// From so many commits on that were tested in vain, a live query is worth a warning …
const TESTED: u64 = 1_000;
/// … where not even one of so many mattered.
const OF: u64 = 20;
/// The exit code with warnings.
const WARNINGS: i32 = 3;

/// Prints the most expensive and the least selective live queries of the server on `FORGE_HOST` and `FORGE_PORT`.
///
/// # Errors
/// `unavailable` where no server answers, `unauthorized` where the token is another, `bad_request` without one.
pub(super) async fn live(settings: &Settings, json: bool) -> Result<i32> {
    let answer = timeout(PATIENCE, fetch(settings)).await;
    let body = answer.unwrap_or_else(|_| Err(Error::timeout("the server takes too long to answer")))?;
    let report: LiveReport = serde_json::from_slice(&body)?;
    console::out(&if json { serde_json::to_string_pretty(&report)? } else { text(&report) });
    Ok(if report.unselective.iter().any(in_vain) { WARNINGS } else { 0 })
}

async fn fetch(settings: &Settings) -> Result<Vec<u8>> {
    let Some(token) = &settings.operator else {
        return Err(Error::bad_request(format!(
            "set {VARIABLE} to the token that the server was started with"
        )));
    };
    // A server that listens on every address listens on this one.
    let host = if settings.host == "0.0.0.0" { "127.0.0.1" } else { &settings.host };
    let address = format!("{host}:{}", settings.port);
    let broken = |error: &dyn std::fmt::Display| {
        Error::unavailable(format!("no server answers on {address} (FORGE_HOST, FORGE_PORT): {error}"))
    };
    let stream = TcpStream::connect((host, settings.port)).await.map_err(|error| broken(&error))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
    let request = Request::get(LIVE_REPORT)
        .header(header::HOST, &address)
        .header(header::AUTHORIZATION, token.header())
        .body(Body::empty())
        .map_err(|error| broken(&error))?;
    let asking = async {
        let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
        let status = response.status();
        let body =
            to_bytes(Body::new(response.into_body()), MOST_BYTES).await.map_err(|error| broken(&error))?;
        match status.as_u16() {
            200 => Ok(body.to_vec()),
            401 => Err(Error::unauthorized(format!("the server was started with another {VARIABLE}"))),
            404 => Err(Error::not_found(format!("the server was started without {VARIABLE}"))),
            status => Err(Error::unavailable(format!("the server answered with the status {status}"))),
        }
    };
    // The connection moves only while it is polled; it does not end before the answer.
    tokio::pin!(connection);
    tokio::select! {
        biased;
        answer = asking => answer,
        ended = &mut connection => match ended {
            Err(error) => Err(broken(&error)),
            Ok(()) => Err(broken(&"the connection ended")),
        },
    }
}

/// Whether nearly all that it is tested for is in vain.
fn in_vain(cost: &LiveCost) -> bool {
    cost.broad && cost.tested >= TESTED && cost.affected.saturating_mul(OF) < cost.tested
}

fn text(report: &LiveReport) -> String {
    let mut lines = vec![format!("{} distinct live queries", report.live_queries), String::new()];
    lines.push("Most expensive, by the time that their runs took:".to_owned());
    for cost in &report.expensive {
        let mean = cost.millis as f64 / cost.runs.max(1) as f64;
        lines.push(format!(
            "  {:>9} ms  {:>7} runs  {mean:>8.1} ms each  {}",
            cost.millis,
            cost.runs,
            name(cost)
        ));
    }
    lines.push(String::new());
    lines.push("Least selective, by the commits that were held against them in vain:".to_owned());
    for cost in &report.unselective {
        let vain = cost.tested - cost.affected;
        lines.push(format!("  {vain:>9} of {:>9} commits  {}", cost.tested, name(cost)));
        let reads: Vec<_> = cost.reads.iter().map(String::as_str).collect();
        lines.push(format!("            reads {}", reads.join("; ")));
        if in_vain(cost) {
            lines.push(
                "            → every change of the collection is held against it: compare a path with a value, or with a range"
                    .to_owned(),
            );
        }
    }
    lines.join("\n")
}

fn name(cost: &LiveCost) -> String {
    format!("{}{} ({}, {} subscribers)", cost.query, cost.args, cost.database, cost.subscribers)
}
