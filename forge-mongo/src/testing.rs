//! Models and a driver for this crate's own tests.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bson::{Bson, Document, RawDocumentBuf, doc};
use forge_core::adapter::{Capabilities, Commit, ExplainStep, ResumeToken, Transaction};
use forge_core::model::{
    Access, Default as Value, FieldDef, IndexDef, IndexKey, ModelDef, OnDelete, RelationDef, RelationKind,
};
use forge_core::{Catalog, Error, Result};
use futures_core::stream::BoxStream;

use crate::MongoAdapter;
use crate::artifact::{Command, MongoArtifact, Reply};
use crate::driver::Driver;

const fn field(name: &'static str, stored: &'static str, optional: bool) -> FieldDef {
    FieldDef {
        name,
        stored,
        client: name,
        access: Access::Public,
        default: Value::None,
        optional,
        embed: None,
        schema: |generator| generator.subschema_for::<String>(),
        docs: "",
        rules: &[],
    }
}

const fn relation(
    name: &'static str,
    kind: RelationKind,
    target: fn() -> &'static ModelDef,
    local_key: &'static [(&'static str, IndexKey)],
    foreign: &'static str,
    on_delete: OnDelete,
) -> RelationDef {
    RelationDef {
        name,
        client: name,
        kind,
        target,
        local_key,
        foreign,
        on_delete,
        access: Access::Public,
        through: None,
    }
}

const fn model(
    name: &'static str,
    collection: &'static str,
    fields: &'static [FieldDef],
    relations: &'static [RelationDef],
    indexes: &'static [IndexDef],
) -> ModelDef {
    ModelDef { relations, indexes, ..ModelDef::new(name, collection, fields, 0) }
}

const ID: &[(&str, IndexKey)] = &[("_id", IndexKey::Ascending)];

/// Departures are deleted with their airport, arrivals keep it from being deleted.
pub(crate) static AIRPORT: ModelDef = model(
    "Airport",
    "airports",
    &[
        field("iata", "_id", false),
        // An index expires documents by it.
        FieldDef {
            schema: |generator| generator.subschema_for::<forge_core::DateTime>(),
            ..field("state", "state", true)
        },
        field("name", "name", true),
    ],
    &[
        relation("departures", RelationKind::HasMany, || &FLIGHT, ID, "origin_id", OnDelete::NoAction),
        relation("tower", RelationKind::HasOne, || &FLIGHT, ID, "origin_id", OnDelete::NoAction),
    ],
    &[
        IndexDef { unique: true, ..IndexDef::new(&[("name", IndexKey::Ascending)]) },
        IndexDef::new(&[("name", IndexKey::Text(10))]),
        IndexDef::new(&[("state", IndexKey::Text(2))]),
        IndexDef { ttl_seconds: Some(60), ..IndexDef::new(&[("state", IndexKey::Descending)]) },
    ],
);

/// Has timestamps and soft delete.
pub(crate) static FLIGHT: ModelDef = ModelDef {
    timestamps: true,
    soft_delete: true,
    ..model(
        "Flight",
        "flights",
        &[
            field("id", "_id", false),
            field("origin_id", "origin_id", false),
            field("destination_id", "destination_id", false),
        ],
        &[
            relation(
                "origin",
                RelationKind::BelongsTo,
                || &AIRPORT,
                &[("origin_id", IndexKey::Ascending)],
                "_id",
                OnDelete::Cascade,
            ),
            relation(
                "destination",
                RelationKind::BelongsTo,
                || &AIRPORT,
                &[("destination_id", IndexKey::Ascending)],
                "_id",
                OnDelete::Restrict,
            ),
            relation("tickets", RelationKind::HasMany, || &TICKET, ID, "flight_id", OnDelete::NoAction),
        ],
        &[],
    )
};

/// Goes with its flight; forgets its rebooking.
pub(crate) static TICKET: ModelDef = model(
    "Ticket",
    "tickets",
    &[
        field("id", "_id", false),
        field("flight_id", "flight_id", false),
        field("rebooked_id", "rebooked_id", true),
    ],
    &[
        relation(
            "flight",
            RelationKind::BelongsTo,
            || &FLIGHT,
            &[("flight_id", IndexKey::Ascending)],
            "_id",
            OnDelete::Cascade,
        ),
        relation(
            "rebooked",
            RelationKind::BelongsTo,
            || &FLIGHT,
            &[("rebooked_id", IndexKey::Ascending)],
            "_id",
            OnDelete::SetNull,
        ),
    ],
    &[],
);

pub(crate) fn catalog() -> Arc<Catalog> {
    Arc::new(Catalog::new([&AIRPORT, &FLIGHT, &TICKET]).unwrap())
}

/// A driver that keeps documents in memory, knows equality, `$in`, `$nin` and `$ne` at the top of conditions, and
/// writes down every command. It does not run changes.
pub(crate) struct Fake {
    pub(crate) documents: BTreeMap<&'static str, Vec<Document>>,
    pub(crate) indexes: Mutex<BTreeMap<String, Vec<Document>>>,
    pub(crate) capabilities: Capabilities,
    /// How many writes fail with a write conflict before they work.
    pub(crate) conflicts: AtomicU32,
    /// Indexes that cannot be made, by name, with the code of the refusal; once each.
    pub(crate) refused: Mutex<BTreeMap<String, i32>>,
    /// Every administrative command, with its database.
    pub(crate) admin: Mutex<Vec<(String, Document)>>,
    /// What they answer, by name.
    pub(crate) replies: Mutex<BTreeMap<&'static str, Document>>,
    /// What inserts answer.
    pub(crate) insert_failures: Mutex<Vec<(usize, crate::artifact::WriteFailure)>>,
    /// Every command, with whether it ran in a transaction.
    log: Arc<Mutex<Vec<(MongoArtifact, bool)>>>,
    /// Transactions begun and committed.
    pub(crate) begun: AtomicU32,
    pub(crate) committed: Arc<AtomicU32>,
}

impl Fake {
    pub(crate) fn new(documents: impl IntoIterator<Item = (&'static str, Vec<Document>)>) -> Self {
        let mut capabilities = Capabilities::default();
        (capabilities.transactions, capabilities.text) = (true, true);
        Self {
            documents: documents.into_iter().collect(),
            indexes: Mutex::default(),
            capabilities,
            conflicts: AtomicU32::new(0),
            refused: Mutex::default(),
            admin: Mutex::default(),
            replies: Mutex::default(),
            insert_failures: Mutex::default(),
            log: Arc::default(),
            begun: AtomicU32::new(0),
            committed: Arc::default(),
        }
    }

    pub(crate) fn adapter(self) -> (MongoAdapter, Arc<Fake>) {
        let fake = Arc::new(self);
        (MongoAdapter::new(fake.clone(), catalog()), fake)
    }

    /// Takes the commands so far.
    pub(crate) fn take_log(&self) -> Vec<(MongoArtifact, bool)> {
        std::mem::take(&mut self.log.lock().unwrap())
    }

    /// Takes the commands so far, as `name collection`.
    pub(crate) fn take_names(&self) -> Vec<String> {
        self.take_log().iter().map(|(a, _)| format!("{} {}", a.command.name(), a.collection)).collect()
    }

    fn matching(&self, collection: &str, filter: &Document) -> Vec<&Document> {
        let all = self.documents.get(collection).into_iter().flatten();
        all.filter(|document| filter.iter().all(|(path, wanted)| holds(document, path, wanted))).collect()
    }

    fn reply(&self, artifact: &MongoArtifact) -> Reply {
        let found = |filter: &Document| self.matching(&artifact.collection, filter);
        let raw = |document: &&Document| RawDocumentBuf::try_from(*document).unwrap();
        match &artifact.command {
            Command::Find { filter, limit, .. } => {
                let most = limit.map_or(usize::MAX, |limit| limit as usize);
                Reply::Documents(found(filter).iter().take(most).map(raw).collect())
            }
            Command::Aggregate { pipeline } => {
                let filter = pipeline[0].get_document("$match").cloned().unwrap_or_default();
                let group = pipeline.iter().find_map(|stage| stage.get_document("$group").ok());
                let key = group.and_then(|group| group.get_document("_id").ok()?.get_document("k0").ok());
                let key =
                    key.map(|key| key.get_array("$ifNull").unwrap()[0].as_str().unwrap()[1..].to_owned());
                let shape = |document: &&Document| match &key {
                    Some(key) => raw(&&doc! { "k0": document.get(key).cloned() }),
                    None => raw(document),
                };
                Reply::Documents(found(&filter).iter().map(shape).collect())
            }
            Command::Count { filter, .. } => Reply::Count(found(filter).len() as u64),
            Command::Distinct { key, filter } => {
                Reply::Values(found(filter).iter().filter_map(|d| d.get(key).cloned()).collect())
            }
            Command::Insert { .. } => {
                Reply::Inserted { failures: std::mem::take(&mut self.insert_failures.lock().unwrap()) }
            }
            Command::Update { filter, .. } | Command::Replace { filter, .. } => {
                let matched = found(filter).len() as u64;
                Reply::Updated { matched, modified: matched, upserted: None }
            }
            Command::Delete { filter, .. } => Reply::Deleted(found(filter).len() as u64),
            Command::FindOneAndUpdate { filter, .. } | Command::FindOneAndDelete { filter } => {
                Reply::Document(found(filter).first().map(raw))
            }
        }
    }
}

fn holds(document: &Document, path: &str, wanted: &Bson) -> bool {
    let value = document.get(path).unwrap_or(&Bson::Null);
    let Bson::Document(operators) = wanted else { return value == wanted };
    operators.iter().all(|(operator, operand)| match (operator.as_str(), operand) {
        ("$in", Bson::Array(list)) => list.contains(value),
        ("$nin", Bson::Array(list)) => !list.contains(value),
        ("$ne", other) => value != other,
        other => panic!("the fake driver does not know {other:?}"),
    })
}

struct FakeTransaction(Arc<AtomicU32>, AtomicBool);

#[async_trait]
impl Transaction for FakeTransaction {
    fn as_any(&self) -> &dyn Any {
        self
    }
    async fn commit(&self) -> Result<Option<u64>> {
        assert!(!self.1.swap(true, Ordering::Relaxed), "the transaction was over");
        Ok(Some(u64::from(self.0.fetch_add(1, Ordering::Relaxed)) + 1))
    }
    async fn abort(&self) -> Result<()> {
        assert!(!self.1.swap(true, Ordering::Relaxed), "the transaction was over");
        Ok(())
    }
}

#[async_trait]
impl Driver for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }
    fn default_database(&self) -> &str {
        "test"
    }
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }
    async fn run(
        &self,
        _: &str,
        artifact: Box<MongoArtifact>,
        session: Option<&dyn Transaction>,
    ) -> Result<(Reply, Option<u64>)> {
        self.log.lock().unwrap().push(((*artifact).clone(), session.is_some()));
        let writes = matches!(
            artifact.command,
            Command::Delete { .. } | Command::Update { .. } | Command::Replace { .. }
        );
        if writes
            && self.conflicts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok()
        {
            return Err(Error::conflict("write conflict").with_retry(forge_core::error::Retry::Transaction));
        }
        Ok((self.reply(&artifact), None))
    }
    async fn explain(&self, _: &str, artifact: &MongoArtifact) -> Result<ExplainStep> {
        let collection = artifact.collection.clone();
        let command = serde_json::to_value(&artifact.command)?;
        let mut step = ExplainStep::new(collection, command);
        step.sorts_in_memory = true;
        Ok(step)
    }
    async fn begin(&self, _: &str) -> Result<Arc<dyn Transaction>> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        Ok(Arc::new(FakeTransaction(self.committed.clone(), AtomicBool::new(false))))
    }
    async fn watch(&self, _: &str, _: Option<ResumeToken>) -> Result<BoxStream<'static, Result<Commit>>> {
        Err(Error::unsupported("watch"))
    }
    async fn list_indexes(&self, _: &str, collection: &str) -> Result<Vec<Document>> {
        Ok(self.indexes.lock().unwrap().get(collection).cloned().unwrap_or_default())
    }
    async fn create_index(&self, _: &str, collection: &str, spec: &Document) -> Result<()> {
        // The code is for the definition; what was there before may come back.
        if let Some(code) = self.refused.lock().unwrap().remove(spec.get_str("name").unwrap()) {
            return Err(Error::conflict("refused").with_source(crate::Refusal::new(code)));
        }
        self.indexes.lock().unwrap().entry(collection.to_owned()).or_default().push(as_listed(spec));
        Ok(())
    }
    async fn drop_index(&self, _: &str, collection: &str, name: &str) -> Result<()> {
        let mut indexes = self.indexes.lock().unwrap();
        let list = indexes.get_mut(collection).unwrap();
        let before = list.len();
        list.retain(|index| index.get_str("name").unwrap() != name);
        assert_eq!(list.len() + 1, before, "no index {name}");
        Ok(())
    }
    async fn admin(&self, database: &str, command: &Document) -> Result<Document> {
        self.admin.lock().unwrap().push((database.to_owned(), command.clone()));
        let name = command.keys().next().unwrap().as_str();
        if let Some(change) = command.get_document("index").ok().filter(|_| name == "collMod") {
            let mut indexes = self.indexes.lock().unwrap();
            let list = indexes.get_mut(command.get_str("collMod").unwrap()).unwrap();
            let index = list.iter_mut().find(|index| index.get("name") == change.get("name")).unwrap();
            index.extend(change.clone());
        }
        Ok(self.replies.lock().unwrap().get(name).cloned().unwrap_or_default())
    }
    async fn ping(&self) -> Result<()> {
        Ok(())
    }
    async fn describe(&self) -> Result<Vec<(String, String)>> {
        Ok(Vec::new())
    }
    async fn drop_database(&self, _: &str) -> Result<()> {
        Ok(())
    }
    async fn close(&self) {}
}

/// An index as servers list it: versions and defaults added, numbers of other types.
fn as_listed(spec: &Document) -> Document {
    let mut index = spec.clone();
    index.extend(doc! { "v": 2, "background": true });
    if let Ok(seconds) = spec.get_i64("expireAfterSeconds") {
        index.insert("expireAfterSeconds", seconds as f64);
    }
    if spec.contains_key("weights") {
        index.insert("key", doc! { "_fts": "text", "_ftsx": 1 });
        index.extend(
            doc! { "default_language": "english", "language_override": "language", "textIndexVersion": 3 },
        );
    }
    index
}
