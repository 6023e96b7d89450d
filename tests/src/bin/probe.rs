//! The application of the tests as a program, for tests that need a process: bad starts, crashes.

use std::time::Duration;

use forge::server::Limits;
use forge::server::databases::RequestHeaders;
use forge_tests as _;

#[tokio::main]
async fn main() -> forge::Result<()> {
    let mut limits = Limits::default();
    // Tests do not wait for half a minute until the job of a killed process is taken over.
    limits.job_lease = Duration::from_secs(1);
    let databases =
        async |headers: RequestHeaders| Ok(headers.get("x-tenant").map(|tenant| format!("tenant_{tenant}")));
    forge::App::new().limits(limits).databases(databases).run().await
}
