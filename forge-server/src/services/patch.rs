//! What `patch` does.

use std::collections::BTreeSet;

use bson::{Bson, RawDocumentBuf};
use forge_core::ir::{Change, Filter, Operation, Returning, Update};
use forge_core::json_form::JsonForm;
use futures_util::FutureExt as _;
use serde_json::{Map, Value, json};

use super::answer::{Answer, Found};
use super::apply::has_operators;
use super::documents::Documents;
use super::error::{ServiceError, ServiceResult};
use super::methods::{Run, by_ids, id_of, items, object, one};
use super::query::Query;

/// How a patch is done.
enum Patch<'a> {
    /// By a model that computes its new values.
    Computed(&'a JsonForm, Map<String, Value>),
    /// By the database, in one command.
    Plain(Option<Value>),
}

impl Run<'_> {
    pub(super) async fn patch(&self, id: &Value, data: Option<Value>) -> ServiceResult<Answer> {
        let data = match self.sent(data) {
            Patch::Computed(form, patch) => {
                let query = self.about(id)?;
                return self.patch_by_operators(form, id, patch, query).boxed().await;
            }
            Patch::Plain(data) => data,
        };
        let kept = data.clone().filter(|_| self.params.mongodb.upsert);
        let upsert = kept.as_ref().map(|data| self.on_insert(data)).transpose()?.flatten();
        let changes = self.changes(data)?;
        let query = self.about(id)?;
        let mut filter = query.filter.clone();
        if self.params.mongodb.collation.is_some() {
            // Writes compare as the database does by itself: the document is found first.
            let ids = self.ids(&query, Some(1)).boxed().await?;
            if !ids.is_empty() || upsert.is_none() {
                filter = by_ids(ids);
            }
        }
        let update = Update { changes, upsert, returning: Returning::After, ..self.change(filter) };
        match self.written(Operation::Update(update)).await? {
            Some(document) if self.params.pipeline.is_some() => {
                Ok(self.reread(id, query).boxed().await?.about(vec![document]))
            }
            Some(document) => one(document, query),
            None => {
                let data = object(kept.unwrap_or_else(|| json!({})), "patch")?;
                self.missing(id, data, query).boxed().await
            }
        }
    }

    /// What a change answers where there is no such document: with `upsert` it is made.
    pub(super) async fn missing(
        &self,
        id: &Value,
        mut data: Map<String, Value>,
        query: Query,
    ) -> ServiceResult<Answer> {
        if !self.params.mongodb.upsert {
            return Err(ServiceError::no_record(id));
        }
        data.insert(self.options.key.client.clone(), self.options.key.sent(id));
        let document = self.new_document(data, self.order)?;
        self.insert(vec![document.clone()]).await?;
        one(document, query)
    }

    pub(super) async fn patch_many(&self, data: Option<Value>) -> ServiceResult<Answer> {
        if !self.multi().patch {
            return Err(ServiceError::not_allowed("Can not patch multiple entries"));
        }
        let (by_operators, changes) = match self.sent(data) {
            Patch::Computed(form, patch) => (Some((form, patch)), Vec::new()),
            Patch::Plain(data) => (None, self.changes(data)?),
        };
        let query = self.read(&self.params.query, false)?;
        let ids = self.ids(&query, None).await?;
        if ids.is_empty() {
            return Ok(Found::List(Vec::new()).showing(None));
        }
        match by_operators {
            Some((form, patch)) => self.patch_each(form, patch, &ids).boxed().await?,
            None => {
                let update = Update { changes, many: true, ..self.change(by_ids(ids.clone())) };
                self.written(Operation::Update(update)).await?;
            }
        }
        let rows = self.with_ids(&ids, &query).await?;
        Ok(Found::List(items(rows)).showing(query.select))
    }

    /// The documents with these ids, in the order and with the fields of a query.
    pub(super) async fn with_ids(&self, ids: &[Bson], query: &Query) -> ServiceResult<Vec<RawDocumentBuf>> {
        let found = Query { filter: by_ids(ids.to_vec()), limit: None, skip: None, ..query.clone() };
        let mut rows = self.rows(&found, None).await?;
        if self.params.mongodb.collation.is_some() {
            // To a collation other ids may be equal to these.
            let ids: BTreeSet<_> = ids.iter().map(Bson::to_string).collect();
            rows.retain(|row| id_of(row).is_ok_and(|id| ids.contains(&id.to_string())));
        }
        Ok(rows)
    }

    /// What a client sent, without the operators that are disabled.
    fn sent(&self, mut data: Option<Value>) -> Patch<'_> {
        if let Some(Value::Object(patch)) = &mut data {
            let disabled = self.params.disabled_operators.as_ref().unwrap_or(&self.options.disabled);
            patch.retain(|name, _| !disabled.contains(name));
        }
        match (data, &self.options.documents) {
            (Some(Value::Object(patch)), Documents::Typed(form)) if has_operators(&patch) => {
                Patch::Computed(form, patch)
            }
            (data, _) => Patch::Plain(data),
        }
    }

    fn changes(&self, data: Option<Value>) -> ServiceResult<Vec<Change>> {
        let data = object(data.unwrap_or_else(|| json!({})), "patch")?;
        self.options.documents.changes(data, self.order, &self.options.key, &self.grammar())
    }

    /// What a patch makes of no document beside its changes; none where that is for a whole new document to say.
    fn on_insert(&self, data: &Value) -> ServiceResult<Option<RawDocumentBuf>> {
        let data = data.as_object().cloned().unwrap_or_default();
        self.options.documents.on_insert(&data, self.order, &self.options.key, self.db.env())
    }

    pub(super) fn change(&self, filter: Filter) -> Update {
        let elements = self.params.mongodb.array_filters.clone();
        Update { elements, ..Update::new(self.options.documents.model(), filter) }
    }
}
