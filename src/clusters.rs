use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use forge_core::adapter::Adapter;
use forge_core::{Catalog, Db, Env, Error, Result, cluster_of_variable};
use futures_util::lock::Mutex;

/// Databases of several clusters, each by a name. Names with the same URL share one connection pool.
///
/// ```
/// # async fn example() -> forge::Result<()> {
/// use std::sync::Arc;
/// use forge::{Catalog, Clusters};
///
/// let clusters = Clusters::new(Arc::new(Catalog::collect()?), forge::system_env());
/// clusters.connect("orders", "memory:orders").await?;
/// clusters.connect("archive", "memory:archive").await?;
/// let orders = clusters.get("orders")?;
/// # Ok(())
/// # }
/// ```
pub struct Clusters {
    catalog: Arc<Catalog>,
    env: Env,
    /// Held while connecting, so that nobody connects to the same URL twice.
    pools: Mutex<BTreeMap<String, Arc<dyn Adapter>>>,
    databases: RwLock<BTreeMap<String, Db>>,
}

impl fmt::Debug for Clusters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // URLs hold passwords.
        f.debug_struct("Clusters").field("names", &self.names()).finish_non_exhaustive()
    }
}

impl Clusters {
    /// No clusters yet.
    pub fn new(catalog: Arc<Catalog>, env: Env) -> Self {
        Self { catalog, env, pools: Mutex::default(), databases: RwLock::default() }
    }

    /// The clusters that the environment names: `FORGE_DATABASE_URL_ARCHIVE` is the URL of `archive`.
    ///
    /// # Errors
    /// As [`connect`](Clusters::connect), naming the variable.
    pub async fn from_environment(catalog: Arc<Catalog>, env: Env) -> Result<Self> {
        let clusters = Self::new(catalog, env);
        for (variable, url) in std::env::vars_os() {
            let variable = variable.to_string_lossy();
            let Some(name) = cluster_of_variable(&variable) else { continue };
            let connected = clusters.connect(&name, &url.to_string_lossy()).await;
            connected.map_err(|error| error.context(&*variable))?;
        }
        Ok(clusters)
    }

    /// Connects to the cluster behind `url` and gives its database the name. A second call with the same name and URL
    /// gives the same database.
    ///
    /// # Errors
    /// As [`connect`](crate::connect()); [`ErrorCode::Conflict`](crate::ErrorCode::Conflict) where the name is taken by
    /// another URL.
    pub async fn connect(&self, name: &str, url: &str) -> Result<Db> {
        let mut pools = self.pools.lock().await;
        let adapter = match pools.get(url) {
            Some(adapter) => adapter.clone(),
            None => crate::connect(url, self.catalog.clone(), &self.env).await?,
        };
        let mut databases = self.databases.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = databases.get(name) {
            if Arc::ptr_eq(known.adapter(), &adapter) {
                return Ok(known.clone());
            }
            return Err(Error::conflict(format!(
                "another cluster is named {name:?}: give this one another name"
            )));
        }
        let db = Db::new(adapter.clone(), self.catalog.clone(), self.env.clone());
        databases.insert(name.to_owned(), db.clone());
        pools.insert(url.to_owned(), adapter);
        Ok(db)
    }

    /// The default database of the cluster with this name.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`](crate::ErrorCode::NotFound) where none has it, with those that there are.
    pub fn get(&self, name: &str) -> Result<Db> {
        let databases = self.databases.read().unwrap_or_else(PoisonError::into_inner);
        databases.get(name).cloned().ok_or_else(|| {
            let known: Vec<&str> = databases.keys().map(String::as_str).collect();
            Error::not_found(format!("no cluster is named {name:?}; there are: {}", known.join(", ")))
        })
    }

    /// The names, in order.
    pub fn names(&self) -> Vec<String> {
        self.databases.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// Closes every connection.
    pub async fn close(&self) {
        for adapter in std::mem::take(&mut *self.pools.lock().await).into_values() {
            adapter.close().await;
        }
        self.databases.write().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
