//! Patches of models by operators: the new values are computed, checked by the model, and stored where nobody has changed
//! the old ones meanwhile.

use bson::{Bson, RawDocument, RawDocumentBuf};
use forge_core::Error;
use forge_core::ir::{Filter, Operation, Returning, Update};
use forge_core::json_form::JsonForm;
use forge_core::model::{Access, FieldDef};
use schemars::SchemaGenerator;
use serde_json::{Map, Value};

use super::answer::Answer;
use super::apply::{About, apply, made};
use super::error::{ServiceError, ServiceResult};
use super::faults::misfit;
use super::kind::Kind;
use super::methods::{Run, one};
use super::query::Query;

/// How often a patch is computed anew because somebody else was faster.
const ATTEMPTS: usize = 8;
/// How deep sub-documents are looked into: one may contain itself.
const MAX_DEPTH: usize = 6;

impl Run<'_> {
    /// Patches the document that `query` finds, or makes it where the call says so.
    pub(super) async fn patch_by_operators(
        &self,
        form: &JsonForm,
        id: &Value,
        mut patch: Map<String, Value>,
        query: Query,
    ) -> ServiceResult<Answer> {
        self.leave_ids(&mut patch);
        let now = self.db.env().now().to_string();
        match self.computed(form, &patch, &query, &now).await? {
            Some(document) if self.params.pipeline.is_some() => {
                Ok(self.reread(id, query).await?.about(vec![document]))
            }
            Some(document) => one(document, query),
            None if self.params.mongodb.upsert => {
                self.missing(id, made(&patch, About { now: &now, kind: &|path| self.kind(path) })?, query)
                    .await
            }
            None => Err(ServiceError::no_record(id)),
        }
    }

    /// Patches the documents with these ids, one after the other.
    pub(super) async fn patch_each(
        &self,
        form: &JsonForm,
        mut patch: Map<String, Value>,
        ids: &[Bson],
    ) -> ServiceResult<()> {
        self.leave_ids(&mut patch);
        let now = self.db.env().now().to_string();
        // Before anything is changed: what one document refuses is not done to the others either.
        for before in self.with_ids(ids, &Query::by(Filter::All)).await? {
            self.update_of(form, &patch, &before, &now)?;
        }
        for id in ids {
            let query = Query::by(self.named("_id", id.clone()));
            self.computed(form, &patch, &query, &now).await?;
        }
        Ok(())
    }

    /// The id in a patch does not count.
    fn leave_ids(&self, patch: &mut Map<String, Value>) {
        let key = &self.options.key.client;
        patch.remove(key);
        for operator in ["$set", "$setOnInsert"] {
            if let Some(Value::Object(fields)) = patch.get_mut(operator) {
                fields.remove(key);
            }
        }
    }

    /// What is at a path of the model.
    fn kind(&self, path: &str) -> Option<Kind> {
        self.options.grammar.fields.as_ref()?.find(path).map(|rule| rule.kind)
    }

    async fn computed(
        &self,
        form: &JsonForm,
        patch: &Map<String, Value>,
        query: &Query,
        now: &str,
    ) -> ServiceResult<Option<RawDocumentBuf>> {
        let whole = Query { select: None, ..query.clone() };
        for _ in 0..ATTEMPTS {
            let Some(before) = self.rows(&whole, Some(1)).await?.into_iter().next() else { return Ok(None) };
            let update = self.update_of(form, patch, &before, now)?;
            if let Some(document) = self.written(Operation::Update(update)).await? {
                return Ok(Some(document));
            }
        }
        Err(Error::conflict("the document is changed by others all the time; try again").into())
    }

    fn update_of(
        &self,
        form: &JsonForm,
        patch: &Map<String, Value>,
        before: &RawDocument,
        now: &str,
    ) -> ServiceResult<Update> {
        let shown = match form.show(before)? {
            Value::Object(shown) => shown,
            _ => Map::new(),
        };
        let applied = apply(patch, shown, About { now, kind: &|path| self.kind(path) })?;
        let mut filter = Filter::eq("_id", value_at(before, "_id")?);
        for name in &applied.computed {
            // What clients may not send is refused by the patch itself.
            let field = form.model().fields.iter().find(|field| field.client == name);
            let Some(field) = field.filter(|field| field.access == Access::Public) else { continue };
            if !is_open(field, &mut SchemaGenerator::default(), 0) {
                let message = "must be sent as a whole: it may have parts that clients do not read";
                return Err(misfit(name, "type", message));
            }
            filter.narrow(Filter::eq(field.stored, value_at(before, field.stored)?));
        }
        let changes = form.changes(applied.fields.into())?;
        Ok(Update { changes, returning: Returning::After, ..self.change(filter) })
    }
}

fn value_at(document: &RawDocument, path: &str) -> ServiceResult<Bson> {
    let value = document.get(path).map_err(Error::from)?;
    let value = value.map(Bson::try_from).transpose().map_err(Error::from)?;
    Ok(value.unwrap_or(Bson::Null))
}

/// Whether clients see and send everything that a field holds.
fn is_open(field: &FieldDef, generator: &mut SchemaGenerator, depth: usize) -> bool {
    if field.access != Access::Public || depth > MAX_DEPTH {
        return false;
    }
    match field.embed {
        Some(embed) => embed().fields.iter().all(|field| is_open(field, generator, depth + 1)),
        None => {
            let schema = (field.schema)(generator).to_value();
            Kind::of_schema(&schema, generator.definitions()).is_open()
        }
    }
}
