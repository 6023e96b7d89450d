//! Handles of collections, kept: making one anew for each command costs more than looking it up.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{PoisonError, RwLock};

use bson::RawDocumentBuf;
use mongodb::{Client, Collection};

/// More handles than this are not kept: a program with a database for each tenant has any number of them.
const MOST: usize = 1_000;

type Documents = Collection<RawDocumentBuf>;

/// The handles of one client, by database and name.
#[derive(Default)]
pub(super) struct Collections(RwLock<Kept>);

#[derive(Default)]
struct Kept {
    databases: ByName<ByName<Documents>>,
    handles: usize,
}

type ByName<T> = HashMap<String, T, BuildHasherDefault<Fnv>>;

/// FNV-1a, by Fowler, Noll and Vo. Names are few, short, and looked up for every command: the standard hasher is slower, for a
/// protection that a map of bounded size does not need.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Collections {
    /// The collection `name` of `database`.
    pub(super) fn get(&self, client: &Client, database: &str, name: &str) -> Documents {
        let kept = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(collection) = kept.databases.get(database).and_then(|known| known.get(name)) {
            return collection.clone();
        }
        drop(kept);
        let collection: Documents = client.database(database).collection(name);
        self.0.write().unwrap_or_else(PoisonError::into_inner).keep(database, name, &collection);
        collection
    }
}

impl Kept {
    fn keep(&mut self, database: &str, name: &str, collection: &Documents) {
        if self.handles >= MOST {
            *self = Self::default();
        }
        self.databases.entry(database.to_owned()).or_default().insert(name.to_owned(), collection.clone());
        self.handles += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_handle_leads_to_its_own_collection_and_few_are_kept() {
        let client = Client::with_uri_str("mongodb://127.0.0.1:1").await.unwrap();
        let collections = Collections::default();
        for n in 0..MOST + 10 {
            let database = format!("d{n}");
            for _ in 0..2 {
                let collection = collections.get(&client, &database, "c");
                assert_eq!(collection.namespace().to_string(), format!("{database}.c"));
            }
        }
        assert_eq!(collections.0.read().unwrap().handles, 10);
    }
}
