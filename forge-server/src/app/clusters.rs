//! Other clusters, by name.

use std::collections::BTreeMap;

use forge_core::{Db, Error, Result, cluster_of_variable};

use super::{App, Platform};
use crate::settings::{self, Database, Settings};

/// Another cluster.
#[derive(Debug, Clone)]
pub(crate) struct NamedCluster {
    name: String,
    database: Database,
}

impl NamedCluster {
    /// The one that a program names.
    pub(crate) fn new(name: &str, url: &str) -> Self {
        let variable = format!("the URL given to App::cluster for {name:?}").into();
        Self { name: name.to_owned(), database: Database { url: url.trim().to_owned(), variable } }
    }

    /// Those that `variables` name, in the order of their names.
    pub(crate) fn of_environment(variables: impl Iterator<Item = (String, String)>) -> Vec<Self> {
        let named = variables.filter_map(|(variable, url)| {
            let name = cluster_of_variable(&variable)?;
            Some(Self { name, database: Database { url: url.trim().to_owned(), variable: variable.into() } })
        });
        let mut clusters: Vec<Self> = named.collect();
        clusters.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        clusters
    }

    fn check(&self) -> Result<()> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if self.name.is_empty() || !self.name.chars().all(allowed) {
            let name = &self.name;
            return Err(Error::bad_request(format!(
                "{name:?} cannot name a cluster: a name is made of letters, digits, _ and -"
            )));
        }
        settings::check_url(&self.database)
    }
}

impl<P: Platform> App<P> {
    /// The databases of the other clusters, by name.
    pub(super) async fn connect_clusters(
        &self,
        db: &Db,
        settings: &Settings,
    ) -> Result<BTreeMap<String, Db>> {
        let mut databases: BTreeMap<String, Db> = BTreeMap::new();
        let mut pools: BTreeMap<&str, Db> = BTreeMap::new();
        for cluster in self.clusters.iter().chain(&settings.clusters) {
            let NamedCluster { name, database } = cluster;
            if databases.contains_key(name) {
                continue;
            }
            cluster.check()?;
            let connected = match pools.get(&*database.url) {
                Some(known) => known.clone(),
                None => {
                    connect::<P>(db, database).await.map_err(|error| error.context(&database.variable))?
                }
            };
            tracing::info!(cluster = name, database = connected.name(), "connected");
            connected.log_slower_than(settings.slow);
            pools.insert(&database.url, connected.clone());
            databases.insert(name.clone(), connected);
        }
        Ok(databases)
    }
}

async fn connect<P: Platform>(db: &Db, database: &Database) -> Result<Db> {
    let (catalog, env) = (db.catalog(), db.env());
    let adapter = P::connect(database.url.clone(), catalog.clone(), env.clone()).await?;
    adapter.ping().await?;
    Ok(Db::new(adapter, catalog.clone(), env.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_name_clusters() {
        let variables = [
            ("FORGE_DATABASE_URL_OLD", " memory:a "),
            ("FORGE_DATABASE_URL_", "x"),
            ("FORGE_DATABASE_URL", "y"),
        ];
        let found =
            NamedCluster::of_environment(variables.into_iter().map(|(a, b)| (a.to_owned(), b.to_owned())));
        let [NamedCluster { name, database }] = &found[..] else { panic!("{found:?}") };
        assert_eq!((name.as_str(), database.url.as_str()), ("old", "memory:a"));
        assert_eq!(database.variable, "FORGE_DATABASE_URL_OLD");
    }

    #[test]
    fn names_and_urls_that_cannot_be_are_refused() {
        let refused = |name: &str, url: &str| NamedCluster::new(name, url).check().unwrap_err();
        assert!(refused("a/b", "memory:").message().contains("letters, digits"));
        assert!(refused("", "memory:").message().contains("cannot name"));
        assert!(refused("old", "http://x").message().contains("App::cluster for \"old\" is no database URL"));
        assert!(NamedCluster::new("old-2_b", "memory:").check().is_ok());
    }
}
