//! The commands of operators: `push`, `doctor`, `pull`.

mod doctor;
mod live;
mod pull;
mod push;

use clap::Subcommand;
use forge_core::{Result, Runtime};

use crate::settings::Settings;

/// Commands that need a database, and serve nothing.
#[derive(Debug, Subcommand)]
pub(crate) enum Admin {
    /// Bring indexes, validators and views to what the models declare
    Push(push::Args),
    /// Check settings, models, handlers and the database
    Doctor(doctor::Args),
    /// Write models that describe what is in the database
    Pull(pull::Args),
}

impl Admin {
    /// Runs the command where it asks a running server in place of the database; none where it does not.
    pub(crate) async fn ask_server(&self, settings: &Settings) -> Option<Result<i32>> {
        match self {
            Self::Doctor(args) if args.live => Some(live::live(settings, args.json).await),
            _ => None,
        }
    }

    /// Runs the command; answers with the exit code.
    ///
    /// # Errors
    /// What keeps it from its work.
    pub(crate) async fn run(self, runtime: &Runtime, settings: &Settings) -> Result<i32> {
        match self {
            Self::Push(args) => push::push(runtime, args).await.map(|()| 0),
            Self::Doctor(args) => doctor::doctor(runtime, settings, args).await,
            Self::Pull(args) => pull::pull(runtime, args).await.map(|()| 0),
        }
    }
}
