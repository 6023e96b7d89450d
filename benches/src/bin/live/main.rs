//! Live queries and mutations under load: the server in a process of its own, the load generator in this one.

mod app;
mod bare;
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
    match arguments.next().as_deref() {
        Some(SERVE) => {
            return tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve::run());
        }
        Some(bare::BARE) => return bare::run(arguments.next().unwrap_or_default().parse()?),
        _ => {}
    }
    let options = Options::parse();
    let mut report = Report::new(&options, "Live: server and load generator on the same processors (memory)");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, scenarios::all(&options, &mut report))?;
    report.finish();
    Ok(())
}
