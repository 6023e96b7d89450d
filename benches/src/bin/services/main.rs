//! REST services under load, and Feathers beside them: servers in processes of their own, the load generator in this one.

mod peer;
mod scenarios;
mod serve;

use clap::Parser as _;
use forge_benches::process::{Failure, SERVE};
use forge_benches::{Options, Report};

/// As `docs/configuration.md` advises.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().is_some_and(|argument| argument == SERVE) {
        let database = arguments.next().unwrap_or_else(|| "memory:".to_owned());
        return tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?
            .block_on(serve::run(&database));
    }
    let options = Options::parse();
    let mut report =
        Report::new(&options, "Services: server CPU a request; load generator on the same processors");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, scenarios::all(&options, &mut report))?;
    report.finish();
    Ok(())
}
