//! What the six methods do.

use std::borrow::Cow;
use std::sync::Arc;

use bson::{Bson, RawDocument, RawDocumentBuf};
use forge_core::error::Error;
use forge_core::ir::{
    Count, Delete, Filter, Insert, Operation, Outcome, Predicate, Projection, ReadOptions, Replace, Select,
};
use forge_core::matcher::escape_pattern;
use forge_core::model::Access;
use forge_core::{Db, ErrorCode};
use futures_util::FutureExt as _;
use futures_util::future::try_join;
use serde_json::{Map, Value, json};

use super::answer::{Answer, Found, Item, show};
use super::condition::{Grammar, refused_pattern};
use super::context::{HookContext, Method, Params};
use super::documents::Documents;
use super::error::{ErrorKind, ServiceError, ServiceResult};
use super::geo::without_order;
use super::options::{Multi, Options};
use super::order::Order;
use super::query::Query;
use super::selection::Selection;

/// One call of a service's own methods.
pub(super) struct Run<'a> {
    pub(super) options: &'a Options,
    pub(super) db: &'a Db,
    pub(super) params: &'a Params,
    pub(super) order: &'a Order,
    /// The fields that resolvers make of what it answers.
    pub(super) resolved: &'a [Arc<str>],
}

impl Options {
    /// Runs one of the six methods.
    pub(super) async fn run(&self, call: &mut HookContext) -> ServiceResult<Answer> {
        let (id, data) = (call.id.take(), call.data.take());
        let (db, params) = (&call.db, &call.params);
        let run = Run { options: self, db, params, order: &call.order, resolved: &call.resolved };
        // What is called less often is in boxes of its own: the others would carry its room about.
        let answer = match (&call.method, &id) {
            (Method::Find, _) => run.find().await,
            (Method::Get, Some(id)) => run.get(id).await,
            (Method::Create, _) => run.create(data.clone()).await,
            (Method::Update, Some(id)) => run.update(id, data.clone()).boxed().await,
            (Method::Update, None) => Err(not_replaced()),
            (Method::Patch, Some(id)) => run.patch(id, data.clone()).await,
            (Method::Patch, None) => run.patch_many(data.clone()).boxed().await,
            (Method::Remove, Some(id)) => run.remove(id).boxed().await,
            (Method::Remove, None) => run.remove_many().boxed().await,
            (Method::Get, None) => Err(ServiceError::bad_request("id for 'get' can not be undefined")),
            (Method::Custom(name), _) => Err(unsupported(name)),
        };
        (call.id, call.data) = (id, data);
        answer.map_err(|error| self.as_feathers(about_pattern(error, &call.params.query)))
    }

    /// The failure as Feathers reports it, where the service asks for that.
    fn as_feathers(&self, error: ServiceError) -> ServiceError {
        if self.general_duplicates && error.is_duplicate() {
            return error.with_kind(ErrorKind::GeneralError);
        }
        error
    }
}

/// The failure with the field whose pattern the database refused, where that is why.
fn about_pattern(error: ServiceError, query: &Map<String, Value>) -> ServiceError {
    let refused = matches!(
        error.kind(),
        ErrorKind::BadRequest | ErrorKind::NotImplemented | ErrorKind::PayloadTooLarge
    );
    match refused.then(|| refused_pattern(query)).flatten() {
        Some(field) => error.of_field(&field),
        None => error,
    }
}

impl Run<'_> {
    async fn find(&self) -> ServiceResult<Answer> {
        let paginate = self.params.paginate.unwrap_or(self.options.paginate);
        let (query, limit) = self.window()?;
        if !paginate.pages() {
            return Ok(Found::List(self.list(&query, limit).await?).showing(query.select));
        }
        let skip = query.skip.unwrap_or(0);
        let (total, data) = if limit == Some(0) {
            (self.total(&query).await?, Vec::new())
        } else if self.db.in_transaction() {
            // A session runs one command at a time.
            (self.total(&query).await?, self.list(&query, limit).await?)
        } else {
            try_join(self.total(&query), self.list(&query, limit)).await?
        };
        Ok(Found::Page { total, limit, skip, data }.showing(query.select))
    }

    async fn list(&self, query: &Query, limit: Option<u64>) -> ServiceResult<Vec<Item>> {
        if limit == Some(0) {
            return Ok(Vec::new());
        }
        if self.params.pipeline.is_some() {
            return Ok(items(self.piped(query, limit).boxed().await?));
        }
        Ok(items(self.rows(query, limit).await?))
    }

    async fn total(&self, query: &Query) -> ServiceResult<u64> {
        if self.params.pipeline.is_some() {
            return self.piped_total(query).boxed().await;
        }
        let filter = without_order(query.filter.clone());
        let mut count = Count::new(self.options.documents.model(), filter);
        count.estimated = self.options.estimate;
        count.options = self.read_options();
        match self.db.execute(Operation::Count(count)).await? {
            Outcome::Count(total) => Ok(total),
            _ => Err(unexpected("count")),
        }
    }

    async fn get(&self, id: &Value) -> ServiceResult<Answer> {
        let query = self.about(id)?;
        if self.params.pipeline.is_some() {
            return self.reread(id, query).boxed().await;
        }
        let row = self.rows(&query, Some(1)).await?.into_iter().next();
        one(row.ok_or_else(|| ServiceError::no_record(id))?, query)
    }

    async fn create(&self, data: Option<Value>) -> ServiceResult<Answer> {
        let many = matches!(data, Some(Value::Array(_)));
        if many && !self.multi().create {
            return Err(ServiceError::not_allowed("Can not create multiple entries"));
        }
        let query = self.shown_of_new()?;
        let sent = match data {
            Some(Value::Array(sent)) => sent,
            one => vec![one.unwrap_or_else(|| json!({}))],
        };
        let new = |(index, item)| {
            let made =
                object(item, "create").and_then(|data| self.new_document(data, self.order.item(index)));
            made.map_err(|failure| match many {
                true if failure.errors().is_none() => failure.of_field(&index.to_string()),
                true => failure.of_item(index),
                false => failure,
            })
        };
        let documents = sent.into_iter().enumerate().map(new).collect::<ServiceResult<Vec<_>>>()?;
        if !documents.is_empty() {
            self.insert(documents.clone()).await?;
        }
        if many {
            return Ok(Found::List(items(documents)).showing(query.select));
        }
        one(documents.into_iter().next().ok_or_else(|| unexpected("create"))?, query)
    }

    /// What to show of new documents. The conditions of the query do not count, but where the fields are known they are
    /// checked as everywhere.
    fn shown_of_new(&self) -> ServiceResult<Query> {
        let query = &self.params.query;
        if self.options.grammar.fields.is_some() {
            return self.read(query, false);
        }
        let select = query.get("$select").cloned();
        self.read(&Map::from_iter(select.map(|select| ("$select".to_owned(), select))), false)
    }

    /// A new document, the tenant's where it has one.
    pub(super) fn new_document(
        &self,
        data: Map<String, Value>,
        order: &Order,
    ) -> ServiceResult<RawDocumentBuf> {
        let documents = &self.options.documents;
        let mut document = documents.new_document(data, order, &self.options.key, self.db.env())?;
        self.db.tenant_scope().claim(documents.model().0, &mut document)?;
        Ok(document)
    }

    pub(super) async fn insert(&self, documents: Vec<RawDocumentBuf>) -> ServiceResult<()> {
        let insert = Insert { model: self.options.documents.model(), documents, skip_duplicates: false };
        match self.db.execute(Operation::Insert(insert)).await? {
            Outcome::Inserted { .. } => Ok(()),
            _ => Err(unexpected("insert")),
        }
    }

    async fn update(&self, id: &Value, data: Option<Value>) -> ServiceResult<Answer> {
        if matches!(data, Some(Value::Array(_))) {
            return Err(not_replaced());
        }
        let data = object(data.unwrap_or_else(|| json!({})), "update")?;
        let query = self.about(id)?;
        let whole = Query { select: None, ..query.clone() };
        let Some(before) = self.rows(&whole, Some(1)).await?.into_iter().next() else {
            return self.missing(id, data, query).await;
        };
        let key = (&self.options.key, id);
        let document = self.options.documents.new_state(data, self.order, key, &before, self.db.env())?;
        let model = self.options.documents.model();
        let filter = self.unchanged(&before)?;
        let replace = Replace { model, filter, document, with_deleted: false };
        match self.written(Operation::Replace(replace)).await? {
            Some(document) => one(document, query),
            None => Err(Error::conflict("the document was changed by somebody else; try again").into()),
        }
    }

    /// The condition that a document is still the one that was read, as far as a new state takes from it.
    fn unchanged(&self, before: &RawDocument) -> ServiceResult<Filter> {
        let at = |path: &str| -> ServiceResult<Bson> {
            let value = before.get(path).map_err(Error::from)?;
            let value = value.map(Bson::try_from).transpose().map_err(Error::from)?;
            Ok(value.unwrap_or(Bson::Null))
        };
        let mut filter = Filter::eq("_id", at("_id")?);
        if let Documents::Typed(form) = &self.options.documents {
            let fields = form.model().fields.iter();
            let own = fields.filter(|field| field.access != Access::Public && field.stored != "_id");
            for field in own.filter(|field| form.model().version != Some(field.stored)) {
                filter.narrow(Filter::eq(field.stored, at(field.stored)?));
            }
        }
        Ok(filter)
    }

    async fn remove(&self, id: &Value) -> ServiceResult<Answer> {
        let query = self.about(id)?;
        let mut filter = query.filter.clone();
        let piped = match self.params.pipeline.is_some() {
            true => Some(self.reread(id, query.clone()).await?),
            false => None,
        };
        if self.params.mongodb.collation.is_some() {
            filter = by_ids(self.ids(&query, Some(1)).await?);
        }
        match self.written(Operation::Delete(self.end(filter, false))).await? {
            Some(document) => match piped {
                Some(piped) => Ok(piped.about(vec![document])),
                None => one(document, query),
            },
            None => Err(ServiceError::no_record(id)),
        }
    }

    async fn remove_many(&self) -> ServiceResult<Answer> {
        if !self.multi().remove {
            return Err(ServiceError::not_allowed("Can not remove multiple entries"));
        }
        let query = self.read(&self.params.query, false)?;
        let whole = Query { select: None, ..query.clone() };
        let rows = self.rows(&whole, None).await?;
        // Before anything goes: what cannot be shown is not removed.
        let shown = rows.iter().map(|row| show(self.options, row, query.select.as_deref()));
        let shown = shown.collect::<ServiceResult<Vec<_>>>()?;
        let ids = rows.iter().map(|row| id_of(row)).collect::<ServiceResult<Vec<_>>>()?;
        if !ids.is_empty() {
            self.written(Operation::Delete(self.end(by_ids(ids), true))).await?;
        }
        Ok(Found::List(items(shown)).showing(query.select).about(rows))
    }

    /// What the stages of the call make of a document.
    pub(super) async fn reread(&self, id: &Value, query: Query) -> ServiceResult<Answer> {
        let found = self.piped(&query, Some(1)).await?;
        one(found.into_iter().next().ok_or_else(|| ServiceError::no_record(id))?, query)
    }

    pub(super) fn multi(&self) -> Multi {
        self.params.multi.unwrap_or(self.options.multi)
    }

    /// The query for the document with this id that also matches the query of the call.
    pub(super) fn about(&self, id: &Value) -> ServiceResult<Query> {
        let query = self.read(&self.params.query, false)?;
        let id = self.options.key.value(id)?;
        let filter = self.named(&self.options.key.stored, id).and(without_order(query.filter));
        Ok(Query { filter, limit: None, skip: None, sort: Vec::new(), ..query })
    }

    /// The condition that a document is the one with this id at `key`. A collation is about what queries compare: an id names the
    /// same document with it as without it, and patterns know none.
    pub(super) fn named(&self, key: &str, id: Bson) -> Filter {
        let exact = match &id {
            Bson::String(id) if self.params.mongodb.collation.is_some() => {
                let (pattern, options) = (format!("^{}$", escape_pattern(id)), String::new());
                Filter::Field(key.to_owned().into(), Predicate::Regex { pattern, options })
            }
            _ => Filter::All,
        };
        Filter::eq(key.to_owned(), id).and(exact)
    }

    fn end(&self, filter: Filter, many: bool) -> Delete {
        let env = self.db.env();
        Delete {
            many,
            returning: !many,
            mark: Some(env.object_id()),
            ..Delete::new(self.options.documents.model(), filter, env.now().into())
        }
    }

    pub(super) fn read_options(&self) -> ReadOptions {
        let mongodb = &self.params.mongodb;
        ReadOptions {
            collation: mongodb.collation.clone(),
            hint: mongodb.hint.clone(),
            max_time: mongodb.max_time,
            read_concern: mongodb.read_concern,
            allow_disk_use: mongodb.allow_disk_use,
            comment: mongodb.comment.clone(),
            batch_size: mongodb.batch_size,
        }
    }

    /// What queries of the call may say.
    pub(super) fn grammar(&self) -> Cow<'_, Grammar> {
        let grammar = &self.options.grammar;
        match self.params.operators.clone() {
            Some(operators) => Cow::Owned(Grammar { operators, ..grammar.clone() }),
            None => Cow::Borrowed(grammar),
        }
    }

    /// Reads a query. Where it selects a field that a resolver makes, documents are read and shown as a whole: the
    /// resolver takes of them what it needs, and they are narrowed after it.
    pub(super) fn read(&self, query: &Map<String, Value>, paginated: bool) -> ServiceResult<Query> {
        let grammar = self.grammar();
        let Some(stored) = Selection::of(query).and_then(|selected| selected.without(self.resolved)) else {
            return grammar.query(query, paginated);
        };
        let mut query = query.clone();
        query.insert("$select".to_owned(), stored.into());
        Ok(Query { select: None, ..grammar.query(&query, paginated)? })
    }

    /// The query of the call, and how many documents of it to read.
    pub(super) fn window(&self) -> ServiceResult<(Query, Option<u64>)> {
        let paginate = self.params.paginate.unwrap_or(self.options.paginate);
        let query = self.read(&self.params.query, paginate.pages())?;
        let limit = paginate.limit(query.limit);
        Ok((query, limit))
    }

    /// A query as an operation.
    pub(super) fn select(&self, query: &Query, limit: Option<u64>) -> Select {
        // A model is read as a whole: what clients may see of it is decided there.
        let projection = match self.options.documents {
            Documents::Typed(_) => Projection::All,
            Documents::Raw(_) => query.projection(&self.options.key.stored),
        };
        self.select_parts(query, limit, projection)
    }

    fn select_parts(&self, query: &Query, limit: Option<u64>, projection: Projection) -> Select {
        Select {
            filter: query.filter.clone(),
            sort: query.sort.clone(),
            skip: query.skip,
            limit,
            projection,
            options: self.read_options(),
            ..Select::new(self.options.documents.model())
        }
    }

    pub(super) fn rows(
        &self,
        query: &Query,
        limit: Option<u64>,
    ) -> impl Future<Output = ServiceResult<Vec<RawDocumentBuf>>> + Send {
        self.selected(self.select(query, limit))
    }

    pub(super) async fn ids(&self, query: &Query, limit: Option<u64>) -> ServiceResult<Vec<Bson>> {
        let rows =
            self.selected(self.select_parts(query, limit, Projection::Only(vec!["_id".into()]))).await?;
        rows.iter().map(|row| id_of(row)).collect()
    }

    // The operation is handed on before the future begins: it would be carried about in it.
    fn selected(&self, select: Select) -> impl Future<Output = ServiceResult<Vec<RawDocumentBuf>>> + Send {
        let outcome = self.db.execute(Operation::Select(select));
        async move {
            match outcome.await? {
                Outcome::Rows(rows) => Ok(rows.documents),
                _ => Err(unexpected("find")),
            }
        }
    }

    pub(super) fn written(
        &self,
        operation: Operation,
    ) -> impl Future<Output = ServiceResult<Option<RawDocumentBuf>>> + Send {
        let outcome = self.db.execute(operation);
        async move {
            match outcome.await? {
                Outcome::Written { document, .. } => Ok(document),
                _ => Err(unexpected("write")),
            }
        }
    }
}

pub(super) fn items<T: Into<Item>>(rows: Vec<T>) -> Vec<Item> {
    rows.into_iter().map(Into::into).collect()
}

pub(super) fn one(row: impl Into<Item>, query: Query) -> ServiceResult<Answer> {
    Ok(Found::One(row.into()).showing(query.select))
}

pub(super) fn by_ids(ids: Vec<Bson>) -> Filter {
    Filter::Field("_id".into(), Predicate::In(ids))
}

pub(super) fn id_of(document: &RawDocument) -> ServiceResult<Bson> {
    let id = document.get("_id").map_err(Error::from)?;
    let id = id.ok_or_else(|| ServiceError::from(Error::internal("a document without an id")))?;
    Ok(Bson::try_from(id).map_err(Error::from)?)
}

pub(super) fn object(data: Value, method: &str) -> ServiceResult<Map<String, Value>> {
    match data {
        Value::Object(data) => Ok(data),
        _ => Err(ServiceError::bad_request(format!("the data of {method} must be a JSON object"))),
    }
}

/// The data of a call: an object or a list of them.
pub(super) fn object_or_list(data: Value) -> ServiceResult<Value> {
    match data {
        Value::Object(_) | Value::Array(_) => Ok(data),
        _ => Err(ServiceError::bad_request("the data must be a JSON object or a list of them")),
    }
}

fn not_replaced() -> ServiceError {
    ServiceError::bad_request("You can not replace multiple instances. Did you mean 'patch'?")
}

pub(super) fn unsupported(method: &str) -> ServiceError {
    let shown: String = method.chars().take(64).collect();
    ServiceError::not_allowed(format!("Method `{shown}` is not supported by this endpoint."))
}

fn unexpected(what: &str) -> ServiceError {
    Error::new(ErrorCode::Internal, format!("the adapter answered {what} with something else")).into()
}
