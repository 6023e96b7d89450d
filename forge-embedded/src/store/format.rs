//! The identity of a store, and the format of one in a file.

use bson::{Bson, Document, doc};
use forge_core::{Env, Error, Result};
use redb::ReadableDatabase;

use super::{CHANGES, COUNTS, DOCS, Database, INDEX, META, storage};
use crate::catalog;

impl Database {
    /// The random name of the store. A file without tables gets them, and its name; one with tables is checked.
    ///
    /// # Errors
    /// `unavailable` where the file is no store, or has another format.
    pub(crate) fn identity(&self, env: &Env) -> Result<String> {
        let Self::File(file) = self else { return Ok(env.uuid().to_string()) };
        match existing(file)? {
            Some(identity) => Ok(identity),
            None => create(file, env),
        }
    }
}

fn create(file: &redb::Database, env: &Env) -> Result<String> {
    let identity = env.uuid().to_string();
    let txn = file.begin_write().map_err(storage)?;
    {
        txn.open_table(DOCS).map_err(storage)?;
        txn.open_table(INDEX).map_err(storage)?;
        txn.open_table(COUNTS).map_err(storage)?;
        txn.open_table(CHANGES).map_err(storage)?;
        let mut meta = txn.open_table(META).map_err(storage)?;
        let row = doc! { "version": catalog::FORMAT, "store": &identity };
        meta.insert("format", crate::keys::to_raw(&row)?.as_bytes()).map_err(storage)?;
    }
    txn.commit().map_err(storage)?;
    Ok(identity)
}

fn existing(file: &redb::Database) -> Result<Option<String>> {
    let snapshot = file.begin_read().map_err(storage)?;
    let mut names = snapshot.list_tables().map_err(storage)?.peekable();
    if names.peek().is_none() {
        return Ok(None);
    }
    let foreign = |what: String| Error::unavailable(format!("the file is no Forge store: {what}"));
    let meta = snapshot.open_table(META).map_err(|error| foreign(error.to_string()))?;
    let row =
        meta.get("format").map_err(storage)?.ok_or_else(|| foreign("it has no format record".to_owned()))?;
    let row = Document::from_reader(row.value())?;
    match row.get("version") {
        Some(Bson::Int32(version)) if *version == catalog::FORMAT => {}
        other => {
            return Err(Error::unavailable(format!(
                "the store has format {}, this program reads format {}; use the program that wrote it",
                other.map_or_else(|| "none".to_owned(), Bson::to_string),
                catalog::FORMAT
            )));
        }
    }
    Ok(Some(row.get_str("store").map_err(catalog::damaged)?.to_owned()))
}
