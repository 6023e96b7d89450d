//! One run of a live query.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use forge_core::context::Seen;
use forge_core::handler::HandlerKind;
use forge_core::{Caller, Error, ErrorCode, Runtime};
use futures_util::FutureExt as _;
use serde_json::value::RawValue;

use super::event::{Data, Failure, Outcome, Wanted};
use crate::calls::too_slow;
use crate::gates::Gates;

/// Runs the query of a live query once.
pub(super) async fn run_query(runtime: &Runtime, wanted: &Wanted, caller: Caller, gates: &Gates) -> Outcome {
    let args = match RawValue::from_string(wanted.args.to_string()) {
        Ok(args) => args,
        Err(error) => return failed(error.into()),
    };
    let deadline = match runtime.registry().public(HandlerKind::Query, &wanted.query) {
        Ok(handler) => gates.deadline(handler),
        Err(error) => return failed(error),
    };
    let query = AssertUnwindSafe(runtime.query(&wanted.query, args, caller)).catch_unwind();
    let answer = match tokio::time::timeout(deadline, query).await {
        Ok(Ok(Ok(answer))) => answer,
        Ok(Ok(Err(error))) => return failed(error),
        Ok(Err(_)) => return failed(Error::internal(format!("the query {} panicked", wanted.query))),
        Err(_) => return failed(too_slow("query", &wanted.query, deadline)),
    };
    let result = answer.data.map(|json| Data::new(json.0)).map_err(failure);
    Outcome { reads: answer.reads, seen: answer.seen, result }
}

fn failed(error: Error) -> Outcome {
    Outcome { reads: Vec::new(), seen: Seen::default(), result: Err(failure(error)) }
}

fn failure(error: Error) -> Failure {
    if error.code() == ErrorCode::Internal {
        tracing::error!(?error, "a live query failed");
    }
    // Without a record of what was read, only trying again can mend these.
    let transient = matches!(error.code(), ErrorCode::Unavailable | ErrorCode::Timeout | ErrorCode::Internal);
    Failure { error: Arc::new(error), transient }
}
