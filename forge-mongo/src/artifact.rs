//! What compilation produces: one database command as plain data.
//!
//! # What compilation uses of MongoDB's language
//! A [`Driver`](crate::Driver) needs to run this much, and answers `unsupported` for what else it meets:
//!
//! - **Filters**: plain equality, `$eq $ne $gt $gte $lt $lte $in $nin $exists $regex + $options $size $all $elemMatch
//!   $not $nearSphere {$geometry, $maxDistance, $minDistance} $near + $maxDistance + $minDistance (pairs) $geoWithin
//!   {$centerSphere: [[lon, lat], radians] | $center | $box | $polygon | $geometry} $geoIntersects {$geometry}`;
//!   `$and $or $nor $jsonSchema` at the top. `$near` and `$nearSphere` only in [`Command::Find`], only at the top.
//! - **Updates**: `$set $unset $inc $mul $min $max $push {$each, $position?, $sort?, $slice?} $addToSet {$each} $pull
//!   $pullAll $pop $rename $currentDate: true $bit $setOnInsert`; `$[]` and `$[name]` in their paths; pipelines of `$set
//!   $unset $replaceWith`.
//! - **Groups**: `$match`, `$group {_id: {k0: {$ifNull: ["$path", null]}, …} | null, a0: {$sum: 1 | "$path"} | {$avg |
//!   $min | $max: "$path"}}`, `$project {_id: 0, k0: "$_id.k0", a0: 1}`, `$match`, `$sort`, `$skip`, `$limit`.
//! - **Limits per parent**: `$match`, `$setWindowFields {partitionBy: "$key", sortBy: {…}, output: {__forge_n:
//!   {$documentNumber: {}}}}`, `$match {__forge_n: {$gt?, $lte?}}`, `$sort {__forge_n: 1}`, then `$unset "__forge_n"` or
//!   `$project {path: 1, …}`.

use bson::{Bson, Document, RawDocumentBuf};
use forge_core::ir::ReadOptions;
use serde::{Deserialize, Serialize};

/// A command on one collection, ready for a [`Driver`](crate::Driver).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MongoArtifact {
    /// The collection.
    pub collection: String,
    /// The command.
    #[serde(flatten)]
    pub command: Command,
    /// How it is run. Writes take the collation only.
    #[serde(default, skip_serializing_if = "ReadOptions::is_default")]
    pub options: ReadOptions,
}

impl MongoArtifact {
    /// A command on `collection` without options.
    pub fn new(collection: impl Into<String>, command: Command) -> Self {
        Self { collection: collection.into(), command, options: ReadOptions::default() }
    }
}

/// A command, in MongoDB's own terms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "op", content = "args")]
#[non_exhaustive]
pub enum Command {
    /// Answered by [`Reply::Documents`].
    #[serde(rename_all = "camelCase")]
    Find {
        /// The condition.
        filter: Document,
        /// `1` for each wanted path, or `0` for each unwanted one; none: whole documents.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        projection: Option<Document>,
        /// `1` or `-1` a path.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sort: Option<Document>,
        /// Documents to pass over.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        skip: Option<u64>,
        /// At most how many; never 0, which MongoDB takes for "all".
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<u64>,
    },
    /// Answered by [`Reply::Documents`].
    Aggregate {
        /// The stages.
        pipeline: Vec<Document>,
    },
    /// Answered by [`Reply::Count`].
    Count {
        /// The condition.
        filter: Document,
        /// Count no further.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<u64>,
        /// Without a condition and a limit, what the database keeps of the collection will do.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        estimated: bool,
    },
    /// Answered by [`Reply::Values`].
    Distinct {
        /// The path.
        key: String,
        /// The condition.
        filter: Document,
    },
    /// Answered by [`Reply::Inserted`].
    Insert {
        /// The documents, each with its `_id` first.
        documents: Vec<RawDocumentBuf>,
        /// Stop at the first failure.
        ordered: bool,
    },
    /// Answered by [`Reply::Updated`].
    Update {
        /// The condition.
        filter: Document,
        /// What to do.
        update: Modification,
        /// Every document that matches, or the first.
        many: bool,
        /// Insert where none matches.
        upsert: bool,
    },
    /// Answered by [`Reply::Document`].
    #[serde(rename_all = "camelCase")]
    FindOneAndUpdate {
        /// The condition.
        filter: Document,
        /// What to do.
        update: Modification,
        /// Insert where none matches.
        upsert: bool,
        /// The state after the change, or before it.
        return_after: bool,
        /// Which one is meant, where several match: `1` or `-1` a path.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sort: Option<Document>,
    },
    /// Answered by [`Reply::Updated`].
    Replace {
        /// The condition.
        filter: Document,
        /// Everything but the `_id`.
        replacement: RawDocumentBuf,
    },
    /// Answered by [`Reply::Deleted`].
    Delete {
        /// The condition.
        filter: Document,
        /// Every document that matches, or the first.
        many: bool,
    },
    /// Answered by [`Reply::Document`].
    FindOneAndDelete {
        /// The condition.
        filter: Document,
    },
}

impl Command {
    /// The name of the server command, for spans and messages.
    pub fn name(&self) -> &'static str {
        match self {
            Command::Find { .. } => "find",
            Command::Aggregate { .. } => "aggregate",
            Command::Count { .. } => "count",
            Command::Distinct { .. } => "distinct",
            Command::Insert { .. } => "insert",
            Command::Update { .. } | Command::Replace { .. } => "update",
            Command::FindOneAndUpdate { .. } | Command::FindOneAndDelete { .. } => "findAndModify",
            Command::Delete { .. } => "delete",
        }
    }
}

/// What an update does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Modification {
    /// Update operators, with conditions for the `$[name]` in their paths.
    #[serde(rename_all = "camelCase")]
    Elements {
        /// The operators.
        operators: Document,
        /// One condition for each name.
        array_filters: Vec<Document>,
    },
    /// Update operators; never a replacement.
    Operators(Document),
    /// Stages of an aggregation: `$set`, `$unset`, `$project`, `$replaceWith` and their other names.
    Pipeline(Vec<Document>),
}

impl From<Document> for Modification {
    fn from(operators: Document) -> Self {
        Modification::Operators(operators)
    }
}

/// The answer to a [`MongoArtifact`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Reply {
    /// All documents of the result.
    Documents(Vec<RawDocumentBuf>),
    /// How many.
    Count(u64),
    /// Distinct values.
    Values(Vec<Bson>),
    /// Which documents of an insert failed, and why. Everything else went in.
    Inserted {
        /// Position in the command → failure, in order.
        failures: Vec<(usize, WriteFailure)>,
    },
    /// What an update did.
    Updated {
        /// How many documents matched.
        matched: u64,
        /// How many of them changed.
        modified: u64,
        /// The id of the inserted document.
        upserted: Option<Bson>,
    },
    /// How many documents went.
    Deleted(u64),
    /// The document, where there was one.
    Document(Option<RawDocumentBuf>),
}

/// Why one document of an insert did not go in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteFailure {
    /// MongoDB's error code: 11000 is a duplicate key.
    pub code: i32,
    /// The server's message.
    pub message: String,
    /// The stored paths of the unique index that was hit, where the server says.
    pub key_paths: Vec<String>,
}

/// MongoDB's code of a duplicate key.
pub const DUPLICATE_KEY: i32 = 11000;
