//! The application of the tests as a program, for tests that need a process: bad starts, crashes.

use forge_tests as _;

#[tokio::main]
async fn main() -> forge::Result<()> {
    forge::App::new().run().await
}
