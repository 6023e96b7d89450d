use std::sync::Arc;

use forge_core::Catalog;
use forge_server::Backend;

/// The entry point of a program: [`App::new`] makes a [`forge_server::App`] that knows this crate's engines.
///
/// ```no_run
/// #[tokio::main]
/// async fn main() -> forge::Result<()> {
///     forge::App::new().run().await
/// }
/// ```
#[derive(Debug, Clone, Copy)]
pub enum App {}

impl App {
    /// A program of the models and handlers that are linked in, set up by environment variables.
    #[allow(
        clippy::new_ret_no_self,
        reason = "the name that programs begin with; the server crate knows no engine"
    )]
    pub fn new() -> forge_server::App {
        let connect =
            |url: String, catalog: Arc<Catalog>, env| -> forge_core::__private::BoxFuture<'static, _> {
                Box::pin(async move { crate::connect(&url, catalog, &env).await })
            };
        forge_server::App::new(Backend { connect, env: crate::system_env })
    }
}
