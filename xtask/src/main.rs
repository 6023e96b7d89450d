//! Project tasks: `cargo xtask --help`.

// A command line tool speaks by printing.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod bench;
mod ci;
mod counts;
mod process;
mod report;
mod servers;
mod test;
mod wasm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use process::Result;

/// Builds, tests and measures Forge.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Runs every test, against a MongoDB-compatible server too: MONGODB_URI, mongod on PATH, or SecantusDB from PyPI
    Test {
        /// Arguments of `cargo test` in place of `--workspace`, as in `-- -p forge-tests conformance`
        #[arg(last = true)]
        cargo: Vec<String>,
    },
    /// Checks everything that continuous integration checks
    Ci {
        /// Only the steps whose name contains one of these words
        #[arg(long, value_delimiter = ',')]
        only: Vec<String>,
    },
    /// Keeps a MongoDB-compatible server in the background, for development
    Servers {
        #[command(subcommand)]
        action: Servers,
    },
    /// Builds what must run in a browser for wasm32-unknown-unknown
    Wasm,
    /// Subscribes and unsubscribes 200,000 times, and looks for what is left behind
    Soak,
    /// Runs a bench of the package forge-benches
    Bench {
        /// Its name: orm, embedded, live, services, ...
        name: String,
        /// One JSON object a line in place of a table
        #[arg(long)]
        json: bool,
        /// On mongo-java-server (Java 17 and Maven), which disturbs what is measured least
        #[arg(long)]
        fast: bool,
        /// Further arguments of the bench
        #[arg(last = true)]
        arguments: Vec<String>,
    },
}

#[derive(Subcommand)]
enum Servers {
    /// Starts the server and prints its URI
    Start {
        /// Where it listens on 127.0.0.1
        #[arg(long, default_value_t = 27017)]
        port: u16,
    },
    /// Ends the server that was started
    Stop,
    /// Tells whether it runs, and where
    Status,
}

fn main() -> ExitCode {
    match perform(Arguments::parse().task) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Performs a task; `false` when it ran and found something wrong, which it has told.
fn perform(task: Task) -> Result<bool> {
    match task {
        Task::Test { cargo } => test::command(&cargo),
        Task::Ci { only } => ci::command(&only),
        Task::Servers { action: Servers::Start { port } } => servers::background::start(port).map(|()| true),
        Task::Servers { action: Servers::Stop } => servers::background::stop().map(|()| true),
        Task::Servers { action: Servers::Status } => servers::background::status().map(|()| true),
        Task::Wasm => wasm::command(),
        Task::Soak => test::soak().map(|()| true),
        Task::Bench { name, json, fast, arguments } => {
            bench::command(&name, json, fast, &arguments).map(|()| true)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn what_follows_the_dashes_belongs_to_cargo_test() {
        let parsed = Arguments::try_parse_from(["xtask", "test", "--", "-p", "forge-core"]).unwrap();
        assert!(matches!(parsed.task, Task::Test { cargo } if cargo == ["-p", "forge-core"]));
    }
}
