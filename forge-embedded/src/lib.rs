//! The embedded engine of Forge: MongoDB's commands, run in this process, in a file ([redb]) or in memory ([imbl]'s
//! maps, whose snapshots share what did not change).
//!
//! [`EmbeddedDriver`] implements [`forge_mongo::Driver`], so that everything above it is the same as on a server: the
//! compiled commands, relations, transactions, live queries. What the engine lacks is an
//! [`Unsupported`](forge_core::ErrorCode::Unsupported) error that names the operator; nothing is ignored.
//!
//! # What it runs
//!
//! | | |
//! |---|---|
//! | commands | find, aggregate, count, distinct, insert (ordered or not), update, delete, findAndModify |
//! | filters | equality, `$eq` `$ne` `$gt` `$gte` `$lt` `$lte` `$in` `$nin` `$exists` `$type` `$mod` `$bitsAllSet` and its like `$regex` + `$options` `$size` `$all` `$elemMatch` (on documents and on values) `$not` `$and` `$or` `$nor` `$expr` `$jsonSchema` `$sampleRate` `$near` / `$nearSphere` (GeoJSON points in metres, pairs on a plane or in radians; `$maxDistance`, `$minDistance`) `$geoWithin` + `$centerSphere` / `$center` / `$box` / `$polygon` / `$geometry` `$geoIntersects` (every GeoJSON geometry, stored and asked for) `$text` (at the top, and in `$or` beside alternatives with indexes) |
//! | projections | paths by 1 or 0, `$` (the element that the filter met), `$elemMatch`, `$slice`, expressions |
//! | updates | `$set` `$unset` `$inc` `$mul` `$min` `$max` `$rename` `$currentDate` `$setOnInsert` `$bit` `$push` (`$each` `$position` `$slice` `$sort`) `$addToSet` `$pull` `$pullAll` `$pop`; paths with positions, `$`, `$[]` and `$[name]`; replacements; pipelines |
//! | stages | `$match` `$sort` `$skip` `$limit` `$project` `$addFields` / `$set` `$unset` `$group` `$count` `$sortByCount` `$bucket` `$bucketAuto` (every `granularity`) `$unwind` `$lookup` `$graphLookup` `$unionWith` `$replaceRoot` / `$replaceWith` `$redact` `$sample` `$geoNear` `$facet` `$fill` `$densify` `$setWindowFields` `$vectorSearch` (exact) `$rankFusion` `$listSearchIndexes` `$indexStats`; `$out` and `$merge` at the end |
//! | accumulators | all of MongoDB 8.0 but `$accumulator` |
//! | expressions | all of MongoDB 8.0 but `$function`, `$toHashedIndexKey`, and those of encrypted fields |
//! | indexes | ascending, descending, compound, text (with weights, stems and stop words of 15 languages), vector, `2dsphere` (every GeoJSON geometry), `2d`, hashed (as ascending), wildcard with a projection, also among fields; unique, sparse, partial, TTL, hidden, with a collation |
//! | collections | validators (`$jsonSchema` with every keyword of MongoDB but those of encryption, and conditions; strict or moderate, error or warn), views, results of pipelines |
//! | collations | of every language and strength, in every reading command and in indexes; not in updates |
//! | missing | `$search`, `$where`, functions of doubles on Decimal128 |
//!
//! Values compare as [`forge_core::order`] says: numbers by value whatever their type, every type in its bracket.
//! Patterns are linear-time.
//!
//! # How reads find documents
//!
//! An index serves the equalities on its first fields, then one range, then the order asked for, with `_id` as its last
//! field, in either direction: a sort and a limit that an index covers stop early, and what they skip is not read. `_id` and `$in` are look-ups. Conditions left over are
//! checked on the documents. An `$or` reads the indexes of its branches where each has one, else the whole collection. A
//! pattern that begins with `^` and plain text is a range. `explain` names the index and counts the documents.
//! A `2dsphere` or `2d` index holds cells; `$near` with a `$maxDistance`, `$geoNear` with a `maxDistance` and `$geoWithin` read
//! the cells around their figure. A plane goes on beyond the cells (±180, ±90): what is there is looked at one by one.
//! An index with a collation serves reads with the same one; of a wildcard index it is one path, behind its fields before.
//!
//! # What is promised
//!
//! - **Durability**: in a file, a write is answered after it is on disk (one `fsync`); it survives the end of the
//!   process and of the machine at any moment. Writes that wait for each other share a flush. In memory nothing is kept.
//! - **Isolation**: reads see the last commit, whole, and never wait. There is one writer at a time; an open transaction
//!   is that writer, reads its own writes, and is aborted when its handle is dropped. A write that waits longer than five
//!   seconds for another one's disk, for a transaction, or for a change of indexes or collections fails with `timeout` and
//!   the name of what it waited for (on tokio with its timer; elsewhere it waits on).
//! - **Atomicity**: a command that fails changes nothing, also inside a transaction, which can go on. Inserts report
//!   failures document by document, as on a server.
//! - **Feed**: each commit of a database has a version, one higher than the last, and every change with the document
//!   before and after. The newest 10,000 commits or 64 MiB are kept, in the store; a resume token from before them, or
//!   from another store, is [`history_lost`](forge_core::adapter::history_lost).
//! - **One process**: a second one that opens the file is told so. A file that is damaged, or no store, is refused by
//!   name; it is never changed into one.
//!
//! # Limits
//!
//! 16 MiB a document; filters and expressions 100 levels deep; 10,000 entries of one document in one index; 512 writes a
//! flush. Transactions, and results, are held in memory. Expired documents go when something is written, at most once
//! a minute, or by [`EmbeddedDriver::purge_expired`], which a `forge::App` calls every minute.
//!
//! # Features
//!
//! | feature | |
//! |---|---|
//! | `file` (default) | stores in files, and deadlines for waiting writes. Without it the crate builds for wasm32-unknown-unknown |
//!
//! [imbl]: https://docs.rs/imbl
//! [redb]: https://docs.rs/redb

mod admin;
mod aggregate;
mod bounds;
mod catalog;
mod clock;
mod collated;
mod collation;
mod driver;
mod engine;
mod explain;
mod feed;
#[cfg(feature = "file")]
mod file;
mod filter;
mod gaps;
mod geo;
mod index;
mod index_key;
mod keys;
mod matching;
mod plan;
mod project;
mod query;
mod queue;
mod read;
mod scan;
mod search;
mod shown;
mod store;
mod stream;
mod target;
mod text;
mod tx;
mod update;
mod validate;
mod vector;
mod watch;
mod wildcard;
mod write;

pub use driver::EmbeddedDriver;
