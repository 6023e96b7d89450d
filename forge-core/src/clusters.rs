//! Databases of other clusters, which a program's handlers reach by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::db::Db;
use crate::error::{Error, Result};

/// The names of variables that hold the URL of another cluster begin with this.
pub const CLUSTER_VARIABLE: &str = "FORGE_DATABASE_URL_";

/// The name of the cluster whose URL a variable holds, if it does: `archive` for `FORGE_DATABASE_URL_ARCHIVE`.
pub fn cluster_of_variable(variable: &str) -> Option<String> {
    let name = variable.strip_prefix(CLUSTER_VARIABLE).filter(|name| !name.is_empty())?;
    Some(name.to_lowercase())
}

/// The databases of other clusters by name. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Clusters(Arc<BTreeMap<String, Db>>);

impl Clusters {
    pub(crate) fn new(databases: BTreeMap<String, Db>) -> Self {
        Self(Arc::new(databases))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Db> {
        self.0.values()
    }

    /// The name of a cluster as it was given to the program, and its default database.
    ///
    /// # Errors
    /// `not_found` where no cluster has the name, with those that there are.
    pub(crate) fn get(&self, name: &str) -> Result<(&str, &Db)> {
        self.0.get_key_value(name).map(|(name, db)| (name.as_str(), db)).ok_or_else(|| {
            let known: Vec<&str> = self.0.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            Error::not_found(format!(
                "no cluster is named {name:?}; there are: {known}. App::cluster and the variable {CLUSTER_VARIABLE}… name them"
            ))
        })
    }

    /// The database that a [`key`] stands for; none where that is a name alone.
    pub(crate) fn by_key(&self, key: &str) -> Option<Db> {
        let (cluster, database) = key.split_once(BORDER)?;
        Some(self.0.get(cluster)?.database(database))
    }
}

/// Between the name of a cluster and that of its database. No database has it in its name.
const BORDER: char = '/';

/// What a database of another cluster is called where databases are told apart by name.
pub(crate) fn key(cluster: &str, database: &str) -> String {
    format!("{cluster}{BORDER}{database}")
}
