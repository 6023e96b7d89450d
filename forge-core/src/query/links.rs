//! Writes of related documents along with an insert or an update: the keys, on plain data, inside a transaction.

use bson::{Bson, Document, RawDocument, RawDocumentBuf};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::wrong_outcome;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::ir::{self, Change, Filter, Operation, Outcome, Path, Predicate, Projection, Select};
use crate::model::{ModelDef, ModelRef, RelationDef, RelationKind, ThroughDef};

/// What becomes of the documents on the other side of a relation.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) relation: &'static RelationDef,
    /// Whether soft-deleted documents are on the other side too.
    pub(crate) with_deleted: bool,
    pub(crate) action: Action,
}

/// A new document, and what is written along with it.
#[derive(Debug, Clone)]
pub(crate) struct Child {
    pub(crate) document: RawDocumentBuf,
    pub(crate) links: Vec<Link>,
}

/// Checks a document by the rules of its model.
type Check = fn(&RawDocument, &str) -> Result<()>;

#[derive(Debug, Clone)]
pub(crate) enum Action {
    /// These are new, and belong here.
    Create {
        children: Vec<Child>,
        /// Checks one by the rules of its model, once its key is filled in.
        check: Check,
    },
    /// These belong here.
    Connect(Vec<Bson>),
    /// These do not belong here.
    Disconnect(Vec<Bson>),
    /// These and no others belong here.
    Set(Vec<Bson>),
    /// Those of these that belong here go.
    Delete(Vec<Bson>),
}

impl Link {
    fn target(&self) -> &'static ModelDef {
        (self.relation.target)()
    }

    /// Whether the document itself holds the keys.
    fn is_own(&self) -> bool {
        matches!(self.relation.kind, RelationKind::BelongsTo | RelationKind::ReferencesMany)
    }

    fn refused(&self, what: &str) -> Error {
        Error::bad_request(format!("the relation {} {what}", self.relation.name))
    }

    fn through(&self) -> Result<&'static ThroughDef> {
        let through = self.relation.through.as_ref();
        through.ok_or_else(|| Error::internal(format!("{} has no model between", self.relation.name)))
    }
}

/// Inserts one document.
pub(super) async fn insert(tx: &Db, def: &'static ModelDef, document: RawDocumentBuf) -> Result<()> {
    insert_all(tx, def, vec![document]).await
}

async fn insert_all(tx: &Db, def: &'static ModelDef, documents: Vec<RawDocumentBuf>) -> Result<()> {
    if documents.is_empty() {
        return Ok(());
    }
    let insert = ir::Insert { model: ModelRef(def), documents, skip_duplicates: false };
    match tx.handle.execute(Operation::Insert(insert)).await? {
        Outcome::Inserted { .. } => Ok(()),
        _ => Err(wrong_outcome("insert")),
    }
}

/// A new document with the keys that it holds itself, after what they refer to was written.
pub(super) async fn keyed(tx: &Db, links: &[Link], document: RawDocumentBuf) -> Result<RawDocumentBuf> {
    if !links.iter().any(Link::is_own) {
        return Ok(document);
    }
    let mut document = Document::try_from(&document)?;
    for change in key_changes(tx, links).await? {
        match change {
            Change::Set(path, value) => _ = document.insert(path, value),
            Change::Unset(path) => _ = document.remove(&*path),
            Change::AddToSet(path, values) => match document.get_array_mut(&*path) {
                Ok(list) => list.extend(values),
                Err(_) => _ = document.insert(path, values),
            },
            _ => {}
        }
    }
    Ok(RawDocumentBuf::try_from(&document)?)
}

/// The changes of the keys that a document holds itself, after what they refer to was written.
pub(super) async fn key_changes(tx: &Db, links: &[Link]) -> Result<Vec<Change>> {
    let mut changes = Vec::new();
    for link in links.iter().filter(|link| link.is_own()) {
        changes.push(match link.relation.kind {
            RelationKind::BelongsTo => own_key(tx, link).await?,
            _ => own_keys(tx, link).await?,
        });
    }
    Ok(changes)
}

/// The change of the key of a `belongs_to`.
async fn own_key(tx: &Db, link: &Link) -> Result<Change> {
    let path = Path::Borrowed(link.relation.local());
    let keys = match &link.action {
        Action::Create { children, check } => create(tx, link, children.clone(), *check).await?,
        Action::Set(ids) if ids.is_empty() => return Ok(Change::Unset(path)),
        Action::Set(ids) | Action::Connect(ids) => existing(tx, link, ids).await?,
        Action::Disconnect(_) | Action::Delete(_) => return Err(link.refused("has no list of documents")),
    };
    match <[Bson; 1]>::try_from(keys) {
        Ok([key]) => Ok(Change::Set(path, key)),
        Err(keys) => Err(link.refused(&format!("leads to one document, not to {}", keys.len()))),
    }
}

/// The change of the keys of a `references_many`.
async fn own_keys(tx: &Db, link: &Link) -> Result<Change> {
    let path = Path::Borrowed(link.relation.local());
    Ok(match &link.action {
        Action::Create { children, check } => {
            Change::AddToSet(path, create(tx, link, children.clone(), *check).await?)
        }
        Action::Connect(ids) => Change::AddToSet(path, existing(tx, link, ids).await?),
        Action::Set(ids) => Change::Set(path, existing(tx, link, ids).await?.into()),
        Action::Disconnect(ids) => Change::Pull(path, keys_of(tx, link, ids).await?),
        Action::Delete(_) => {
            return Err(link.refused("holds ids: delete the documents, and they leave the list"));
        }
    })
}

/// Inserts documents on the other side; answers with their keys.
async fn create(tx: &Db, link: &Link, children: Vec<Child>, check: Check) -> Result<Vec<Bson>> {
    let stored = insert_along(tx, link.target(), children, check).await?;
    stored.iter().map(|document| value(document, link.relation.foreign)).collect()
}

/// Inserts documents with what is linked to each; answers with them as stored.
fn insert_along<'f>(
    tx: &'f Db,
    def: &'static ModelDef,
    children: Vec<Child>,
    check: Check,
) -> BoxFuture<'f, Result<Vec<RawDocumentBuf>>> {
    async move {
        let (mut documents, mut links) = (Vec::with_capacity(children.len()), Vec::new());
        for child in children {
            let document = keyed(tx, &child.links, child.document).await?;
            check(&document, "insert")?;
            documents.push(document);
            links.push(child.links);
        }
        insert_all(tx, def, documents.clone()).await?;
        for (document, links) in documents.iter().zip(&links) {
            follow(tx, def, links, document).await?;
        }
        Ok(documents)
    }
    .boxed()
}

/// The keys of documents that must exist.
async fn existing(tx: &Db, link: &Link, ids: &[Bson]) -> Result<Vec<Bson>> {
    let keys = keys_of(tx, link, ids).await?;
    let wanted = distinct(ids);
    if keys.len() < wanted {
        return Err(missing(link, wanted - keys.len()));
    }
    Ok(keys)
}

/// The keys of those of the documents that there are.
async fn keys_of(tx: &Db, link: &Link, ids: &[Bson]) -> Result<Vec<Bson>> {
    let path = link.relation.foreign;
    let select = Select {
        filter: among(ids),
        projection: Projection::Only(vec![path.into()]),
        with_deleted: link.with_deleted,
        ..Select::new(ModelRef(link.target()))
    };
    match tx.handle.execute(Operation::Select(select)).await? {
        Outcome::Rows(rows) => rows.documents.iter().map(|document| value(document, path)).collect(),
        _ => Err(wrong_outcome("find")),
    }
}

/// Writes what holds the key of `document`.
pub(super) async fn follow(
    tx: &Db,
    def: &'static ModelDef,
    links: &[Link],
    document: &RawDocumentBuf,
) -> Result<()> {
    for link in links.iter().filter(|link| !link.is_own()) {
        let key = value(document, link.relation.local())?;
        if key == Bson::Null {
            return Err(link.refused(&format!(
                "joins by {}, which this {} does not have",
                link.relation.local(),
                def.name
            )));
        }
        match link.relation.kind {
            RelationKind::ManyToMany => between(tx, link, key).await?,
            _ => others(tx, link, key).await?,
        }
    }
    Ok(())
}

/// Writes documents that hold the key of this one. Only those that belong to it are ever taken from it.
async fn others(tx: &Db, link: &Link, key: Bson) -> Result<()> {
    let path = link.relation.foreign;
    let mine = || Filter::eq(path, key.clone());
    let one = link.relation.kind == RelationKind::HasOne;
    match &link.action {
        Action::Create { children, check } => {
            if one {
                clear(tx, link, mine()).await?;
            }
            let mut ours = children.clone();
            for child in &mut ours {
                let mut document = Document::try_from(&child.document)?;
                document.insert(path, key.clone());
                child.document = RawDocumentBuf::try_from(&document)?;
            }
            insert_along(tx, link.target(), ours, *check).await.map(|_| ())
        }
        Action::Connect(ids) => connect(tx, link, ids, &key).await,
        Action::Disconnect(ids) => clear(tx, link, among(ids).and(mine())).await,
        Action::Set(ids) => {
            let rest = Filter::Field("_id".into(), Predicate::NotIn(ids.clone()));
            clear(tx, link, if ids.is_empty() { mine() } else { mine().and(rest) }).await?;
            connect(tx, link, ids, &key).await
        }
        Action::Delete(ids) => delete(tx, link.target(), among(ids).and(mine())).await,
    }
}

async fn connect(tx: &Db, link: &Link, ids: &[Bson], key: &Bson) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let change = Change::Set(link.relation.foreign.into(), key.clone());
    let matched = update(tx, link, among(ids), change).await?;
    let wanted = distinct(ids) as u64;
    if matched < wanted { Err(missing(link, (wanted - matched) as usize)) } else { Ok(()) }
}

/// Takes the key of documents away, where they can be without.
async fn clear(tx: &Db, link: &Link, filter: Filter) -> Result<()> {
    let (target, path) = (link.target(), link.relation.foreign);
    if target.stored_field(path).is_some_and(|field| field.optional) {
        return update(tx, link, filter, Change::Unset(path.into())).await.map(|_| ());
    }
    let with_deleted = link.with_deleted;
    let count = ir::Count { limit: Some(1), with_deleted, ..ir::Count::new(ModelRef(target), filter) };
    match tx.handle.execute(Operation::Count(count)).await? {
        Outcome::Count(0) => Ok(()),
        Outcome::Count(_) => Err(link.refused(&format!(
            "cannot let go of a {}: its key {path} is required; delete it, or connect it elsewhere",
            target.name
        ))),
        _ => Err(wrong_outcome("count")),
    }
}

/// Writes the documents between this one and those on the other side.
async fn between(tx: &Db, link: &Link, key: Bson) -> Result<()> {
    let through = link.through()?;
    let mine = || Filter::eq(through.local, key.clone());
    let to = |keys: Vec<Bson>| mine().and(Filter::Field(through.foreign.into(), Predicate::In(keys)));
    match &link.action {
        Action::Create { children, check } => {
            let keys = create(tx, link, children.clone(), *check).await?;
            join(tx, link, &key, keys).await
        }
        Action::Connect(ids) => {
            let keys = existing(tx, link, ids).await?;
            join(tx, link, &key, keys).await
        }
        Action::Disconnect(ids) => {
            let keys = keys_of(tx, link, ids).await?;
            delete(tx, (through.model)(), to(keys)).await
        }
        Action::Set(ids) => {
            let keys = existing(tx, link, ids).await?;
            let rest = Filter::Field(through.foreign.into(), Predicate::NotIn(keys.clone()));
            delete(tx, (through.model)(), mine().and(rest)).await?;
            join(tx, link, &key, keys).await
        }
        Action::Delete(ids) => {
            let wanted = keys_of(tx, link, ids).await?;
            let joined = joined(tx, through, to(wanted)).await?;
            delete(tx, (through.model)(), to(joined.clone())).await?;
            let filter = Filter::Field(link.relation.foreign.into(), Predicate::In(joined));
            delete(tx, link.target(), filter).await
        }
    }
}

/// Links this document with those of the others that it is not linked with yet.
async fn join(tx: &Db, link: &Link, key: &Bson, keys: Vec<Bson>) -> Result<()> {
    let through = link.through()?;
    let model = (through.model)();
    only_keys(link, through, model)?;
    let mine = Filter::eq(through.local, key.clone());
    let there = Filter::Field(through.foreign.into(), Predicate::In(keys.clone()));
    let known = joined(tx, through, mine.and(there)).await?;
    let now = tx.env().now();
    let new = keys.into_iter().filter(|key| !known.contains(key)).map(|other| {
        let mut document = Document::new();
        document.insert("_id", generated_id(tx, model));
        document.insert(through.local, key.clone());
        document.insert(through.foreign, other);
        crate::traits::stamp(model, &mut document, now);
        Ok(RawDocumentBuf::try_from(&document)?)
    });
    insert_all(tx, model, new.collect::<Result<_>>()?).await
}

/// Refuses a model between that has more to say than which documents are linked.
fn only_keys(link: &Link, through: &ThroughDef, model: &ModelDef) -> Result<()> {
    use crate::model::Default;
    let needed = |field: &&crate::model::FieldDef| {
        let kept = matches!(field.default, Default::Generated | Default::Timestamp | Default::Version);
        !field.optional && !kept && ![through.local, through.foreign].contains(&field.stored)
    };
    match model.fields.iter().find(needed) {
        None => Ok(()),
        Some(field) => Err(link.refused(&format!(
            "links by {}, which needs a value for {}: insert the {} yourself",
            model.name, field.name, model.name
        ))),
    }
}

/// An id as inserts of the model generate it: a UUID where its schema says so, else an ObjectId.
fn generated_id(tx: &Db, model: &ModelDef) -> Bson {
    let schema = (model.id_field().schema)(&mut schemars::SchemaGenerator::default());
    match schema.get("format").and_then(serde_json::Value::as_str) {
        Some("uuid") => tx.env().uuid().into(),
        _ => tx.env().object_id().into(),
    }
}

/// The keys of the other side in documents between.
async fn joined(tx: &Db, through: &ThroughDef, filter: Filter) -> Result<Vec<Bson>> {
    let select = Select {
        filter,
        projection: Projection::Only(vec![through.foreign.into()]),
        ..Select::new(ModelRef((through.model)()))
    };
    match tx.handle.execute(Operation::Select(select)).await? {
        Outcome::Rows(rows) => {
            rows.documents.iter().map(|document| value(document, through.foreign)).collect()
        }
        _ => Err(wrong_outcome("find")),
    }
}

/// Changes documents on the other side.
async fn update(tx: &Db, link: &Link, filter: Filter, change: Change) -> Result<u64> {
    let update = ir::Update {
        changes: vec![change],
        many: true,
        with_deleted: link.with_deleted,
        ..ir::Update::new(ModelRef(link.target()), filter)
    };
    match tx.handle.execute(Operation::Update(update)).await? {
        Outcome::Written { matched, .. } => Ok(matched),
        _ => Err(wrong_outcome("update")),
    }
}

async fn delete(tx: &Db, def: &'static ModelDef, filter: Filter) -> Result<()> {
    let delete = ir::Delete {
        many: true,
        mark: Some(tx.env().object_id()),
        ..ir::Delete::new(ModelRef(def), filter, tx.env().now().into())
    };
    match tx.handle.execute(Operation::Delete(delete)).await? {
        Outcome::Written { .. } => Ok(()),
        _ => Err(wrong_outcome("delete")),
    }
}

fn among(ids: &[Bson]) -> Filter {
    Filter::Field("_id".into(), Predicate::In(ids.to_vec()))
}

fn distinct(ids: &[Bson]) -> usize {
    ids.iter().enumerate().filter(|(at, id)| !ids[..*at].contains(id)).count()
}

fn missing(link: &Link, count: usize) -> Error {
    let target = link.target().name;
    Error::not_found(match count {
        1 => format!("a {target} to connect through {} does not exist", link.relation.name),
        _ => format!("{count} {target} documents to connect through {} do not exist", link.relation.name),
    })
}

/// The value at a path of a document; null where there is none.
fn value(document: &RawDocument, path: &str) -> Result<Bson> {
    Ok(document.get(path)?.map(Bson::try_from).transpose()?.unwrap_or(Bson::Null))
}
