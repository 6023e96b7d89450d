use std::sync::Arc;

use forge_core::adapter::Adapter;
use forge_core::{Catalog, Env, Result};
use futures_util::future::BoxFuture;

/// This machine: its clock and randomness, and the engines that the crate's features bring.
#[derive(Debug)]
pub enum Machine {}

impl forge_server::Platform for Machine {
    fn connect(url: String, catalog: Arc<Catalog>, env: Env) -> BoxFuture<'static, Result<Arc<dyn Adapter>>> {
        Box::pin(async move { crate::connect(&url, catalog, &env).await })
    }

    fn env() -> Env {
        crate::system_env()
    }
}

/// A program: the models and handlers that are linked in, on the database that the environment names.
///
/// See [`forge_server::App`] for its methods.
pub type App = forge_server::App<Machine>;
