//! The application of the tests as a program, for tests that need a process: bad starts, crashes.

use std::time::Duration;

use forge::server::Limits;
use forge_tests as _;

#[tokio::main]
async fn main() -> forge::Result<()> {
    let mut limits = Limits::default();
    // Tests do not wait for half a minute until the job of a killed process is taken over.
    limits.job_lease = Duration::from_secs(1);
    forge::App::new().limits(limits).run().await
}
