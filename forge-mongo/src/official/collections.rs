//! Handles of collections, kept: making one anew for each command costs more than looking it up.

use std::sync::{PoisonError, RwLock};

use bson::RawDocumentBuf;
use mongodb::{Client, Collection};

/// The most handles that are kept: a program with a database for each tenant has any number of them.
const MOST: usize = 1_024;

type Documents = Collection<RawDocumentBuf>;

/// The handles of one client, each at the place that its name and its database's lead to.
pub(super) struct Collections(RwLock<Vec<Option<Kept>>>);

struct Kept {
    database: Box<str>,
    collection: Documents,
}

impl Default for Collections {
    fn default() -> Self {
        Self(RwLock::new((0..MOST).map(|_| None).collect()))
    }
}

impl Collections {
    /// The collection `name` of `database`.
    pub(super) fn get(&self, client: &Client, database: &str, name: &str) -> Documents {
        let place = place(database, name);
        let places = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(Some(kept)) = places.get(place)
            && kept.collection.name() == name
            && &*kept.database == database
        {
            return kept.collection.clone();
        }
        drop(places);
        self.make(client, database, name, place)
    }

    #[cold]
    #[inline(never)]
    fn make(&self, client: &Client, database: &str, name: &str, place: usize) -> Documents {
        let collection: Documents = client.database(database).collection(name);
        let kept = Kept { database: database.into(), collection: collection.clone() };
        if let Some(place) = self.0.write().unwrap_or_else(PoisonError::into_inner).get_mut(place) {
            *place = Some(kept);
        }
        collection
    }
}

/// FNV-1a, by Fowler, Noll and Vo: short names are hashed for every command, and two at the same place only take turns.
fn place(database: &str, name: &str) -> usize {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    for part in [database, name] {
        // Where one ends and the other begins makes a difference.
        hash = (hash ^ part.len() as u64).wrapping_mul(0x0100_0000_01b3);
        for byte in part.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    // The high half is mixed best.
    (hash >> 32) as usize % MOST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_handle_leads_to_its_own_collection_also_where_two_share_a_place() {
        let client = Client::with_uri_str("mongodb://127.0.0.1:1").await.unwrap();
        let collections = Collections::default();
        let places: std::collections::HashSet<_> =
            (0..2 * MOST).map(|n| place(&format!("d{n}"), "c")).collect();
        assert!(places.len() > MOST / 2, "{} places are used", places.len());
        for n in 0..2 * MOST {
            let database = format!("d{n}");
            for _ in 0..2 {
                let collection = collections.get(&client, &database, "c");
                assert_eq!(collection.namespace().to_string(), format!("{database}.c"));
            }
        }
        assert_eq!(collections.0.read().unwrap().len(), MOST);
    }
}
