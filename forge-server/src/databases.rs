//! Which database a request is about: for programs with a database for each customer.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use forge_core::{Error, Result};
use futures_util::FutureExt as _;
use tokio::time::timeout;

/// The longest name of a database, in bytes, and what servers do not take in it.
const MAX_NAME: usize = 63;
const UNFIT: [char; 13] = ['/', '\\', '.', ' ', '"', '$', '*', '<', '>', ':', '|', '?', '\0'];
/// The databases that servers keep for themselves.
const RESERVED: [&str; 3] = ["admin", "config", "local"];

pub use forge_core::RequestHeaders;

/// Finds the database that a request is about. Set by [`App::databases`](crate::App::databases); every async closure over
/// [`RequestHeaders`] is one.
///
/// ```ignore
/// forge::App::new().databases(async |headers: RequestHeaders| {
///     Ok(headers.get("x-tenant").map(|tenant| format!("tenant_{tenant}")))
/// })
/// ```
#[async_trait]
pub trait DatabaseResolver: Send + Sync + 'static {
    /// The name of the database; none for the default one.
    ///
    /// # Errors
    /// What the caller is answered: `forbidden` or `not_found` for a tenant that there is not.
    async fn resolve(&self, headers: RequestHeaders) -> Result<Option<String>>;
}

#[async_trait]
impl<F, R> DatabaseResolver for F
where
    F: Fn(RequestHeaders) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Option<String>>> + Send,
{
    async fn resolve(&self, headers: RequestHeaders) -> Result<Option<String>> {
        self(headers).await
    }
}

/// The resolver of the program, if it has one. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Databases(pub(crate) Option<Arc<dyn DatabaseResolver>>);

impl Databases {
    /// Whether there is a resolver.
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// The database behind these headers; none for the default one.
    ///
    /// # Errors
    /// `bad_request` for a name that no database has; `timeout`; what the resolver answers.
    pub(crate) async fn of(&self, headers: &RequestHeaders, deadline: Duration) -> Result<Option<Arc<str>>> {
        let Some(resolver) = &self.0 else { return Ok(None) };
        let resolved = AssertUnwindSafe(resolver.resolve(headers.clone())).catch_unwind();
        let name = match timeout(deadline, resolved).await {
            Ok(Ok(name)) => name?,
            Ok(Err(_)) => return Err(Error::internal("the resolver of databases panicked")),
            Err(_) => return Err(Error::timeout("finding the database of the request took too long")),
        };
        name.map(checked).transpose()
    }
}

fn checked(name: String) -> Result<Arc<str>> {
    let fits = !name.is_empty() && name.len() <= MAX_NAME && !name.contains(UNFIT);
    if fits && !RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
        return Ok(name.into());
    }
    Err(Error::bad_request("the request names no database that there can be"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_servers_refuse_or_keep_are_none() {
        assert_eq!(&*checked("tenant_a-1".to_owned()).unwrap(), "tenant_a-1");
        for wrong in ["", "a.b", "a/b", "a b", "$a", "admin", "Config", "local", "a\0", &"x".repeat(64)] {
            let error = checked(wrong.to_owned()).unwrap_err();
            assert_eq!(error.code(), forge_core::ErrorCode::BadRequest, "{wrong:?}");
        }
    }
}
