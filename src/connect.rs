use std::sync::Arc;

use forge_core::adapter::Adapter;
use forge_core::{Catalog, Env, Error, Result};
use forge_mongo::{Driver, MongoAdapter, ScanLogging};

/// Opens the database behind `url`.
///
/// | URL | what |
/// |---|---|
/// | `memory:` | the embedded engine in memory |
/// | `embedded:PATH` | the embedded engine in the folder `PATH` |
/// | `mongodb://…`, `mongodb+srv://…` | MongoDB, by its connection string |
///
/// # Errors
/// [`ErrorCode::BadRequest`](crate::ErrorCode::BadRequest) for a URL of another form;
/// [`ErrorCode::Unavailable`](crate::ErrorCode::Unavailable) where the database cannot be reached or opened.
pub async fn connect(url: &str, catalog: Arc<Catalog>, env: &Env) -> Result<Arc<dyn Adapter>> {
    Ok(Arc::new(MongoAdapter::new(open(url, env).await?, catalog).log_scans(scan_logging())))
}

/// What `FORGE_SCAN_LOG` says: `off`, `process` (the default of debug builds) or `database`.
fn scan_logging() -> ScanLogging {
    let default = if cfg!(debug_assertions) { ScanLogging::Process } else { ScanLogging::Off };
    match std::env::var("FORGE_SCAN_LOG").as_deref() {
        Ok("off") => ScanLogging::Off,
        Ok("process") => ScanLogging::Process,
        Ok("database") => ScanLogging::Database,
        _ => default,
    }
}

#[cfg_attr(
    not(feature = "embedded"),
    allow(unused_variables, reason = "the official driver brings its own clock")
)]
async fn open(url: &str, env: &Env) -> Result<Arc<dyn Driver>> {
    match url.split_once(':') {
        #[cfg(feature = "embedded")]
        Some(("memory", _)) => Ok(Arc::new(forge_embedded::EmbeddedDriver::memory(env.clone())?)),
        #[cfg(feature = "embedded")]
        Some(("embedded", path)) => {
            // The separator at the end says that the path is a folder, also where it does not exist yet.
            let folder = std::path::Path::new(path).join("");
            Ok(Arc::new(forge_embedded::EmbeddedDriver::open(&folder, env.clone())?))
        }
        #[cfg(feature = "mongodb")]
        Some(("mongodb" | "mongodb+srv", _)) => {
            Ok(Arc::new(forge_mongo::OfficialDriver::connect(url).await?))
        }
        _ => Err(Error::bad_request(
            "a database URL begins with memory:, embedded:, mongodb:// or mongodb+srv:// (and the matching feature of \
             the crate is on)",
        )),
    }
}
