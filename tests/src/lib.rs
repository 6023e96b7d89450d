//! What the integration tests share: engines to run on, models, a small application, and plain HTTP and WebSocket clients.
//!
//! A case is written once, with [`conformance!`], and runs on every engine, each time in a database of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

pub mod app;
pub mod counting;
pub mod courses;
pub mod engine;
pub mod http;
pub mod models;
pub mod orders;
pub mod policies;
pub mod program;
pub mod proxy;
pub mod redis;

pub mod schema_models;
pub mod search;
pub mod secantus;
pub mod server;
pub mod socket;
pub mod tenants;

pub use counting::Counting;
pub use engine::{Engine, Fixture};
pub use forge::Result;

/// Makes a test of each case and engine: `case::memory`, `case::file`, `case::server`.
///
/// ```ignore
/// conformance! {
///     async fn nothing_is_found_in_an_empty_database(t) {
///         assert_eq!(t.db.find::<Person>().count().await?, 0);
///     }
/// }
/// ```
#[macro_export]
macro_rules! conformance {
    ($(async fn $name:ident($t:ident) $body:block)+) => {
        $(mod $name {
            #[allow(unused_imports, reason = "not every case needs all of them")]
            use super::*;

            async fn case($t: &$crate::Fixture) -> $crate::Result<()> {
                $body
                Ok(())
            }

            #[test]
            fn memory() {
                $crate::engine::run($crate::Engine::Memory, module_path!(), |t| Box::pin(case(t)));
            }

            #[test]
            fn file() {
                $crate::engine::run($crate::Engine::File, module_path!(), |t| Box::pin(case(t)));
            }

            #[test]
            fn server() {
                $crate::engine::run($crate::Engine::Server, module_path!(), |t| Box::pin(case(t)));
            }
        })+
    };
}
