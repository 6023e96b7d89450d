//! Resolvers: functions of single fields of data, queries and results.

use std::fmt;
use std::sync::Arc;

use forge_core::types::Id;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};

use super::condition::OBJECT_ID;
use super::context::{HookContext, Method};
use super::error::{ServiceError, ServiceResult};
use super::hooks::Hooks;
use super::service::Service;

type Resolve = Arc<
    dyn Fn(Option<Value>, Value, Arc<HookContext>) -> BoxFuture<'static, ServiceResult<Option<Value>>>
        + Send
        + Sync,
>;

/// What fields of an object become: each by an async function of its value, the whole object, and the call.
///
/// A function that answers none takes the field away; one for a field that is not there may make it.
///
/// ```
/// use forge_server::services::{Resolver, resolve_object_id};
/// use serde_json::json;
///
/// let data = Resolver::new()
///     .field("userId", |value, _object, _call| async { resolve_object_id(value) })
///     .field("madeBy", |_value, _object, call| async move {
///         Ok(call.params.caller.auth.as_ref().map(|auth| json!(auth.subject)))
///     });
/// ```
#[derive(Clone, Default)]
pub struct Resolver(Vec<(String, Resolve)>);

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Resolver {
    /// Leaves every field as it is.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a field. Functions run in the order in which they were added, each on what the ones before it made.
    #[must_use]
    pub fn field<F, R>(mut self, name: &str, resolve: F) -> Self
    where
        F: Fn(Option<Value>, Value, Arc<HookContext>) -> R + Send + Sync + 'static,
        R: Future<Output = ServiceResult<Option<Value>>> + Send + 'static,
    {
        let resolve: Resolve = Arc::new(move |value, object, call| Box::pin(resolve(value, object, call)));
        self.0.push((name.to_owned(), resolve));
        self
    }

    async fn object(&self, mut object: Map<String, Value>, call: &Arc<HookContext>) -> ServiceResult<Value> {
        for (name, resolve) in &self.0 {
            let value = object.get(name).cloned();
            let resolved = resolve(value, Value::Object(object.clone()), call.clone()).await?;
            match resolved {
                Some(value) => drop(object.insert(name.clone(), value)),
                None => drop(object.remove(name)),
            }
        }
        Ok(object.into())
    }

    /// An object, or each of a list.
    async fn each(&self, value: Value, call: &Arc<HookContext>) -> ServiceResult<Value> {
        match value {
            Value::Object(object) => self.object(object, call).await,
            Value::Array(items) => {
                let mut resolved = Vec::with_capacity(items.len());
                for item in items {
                    resolved.push(Box::pin(self.each(item, call)).await?);
                }
                Ok(resolved.into())
            }
            other => Ok(other),
        }
    }

    /// What a call answers: the documents in a page, or as [`each`](Resolver::each).
    async fn answer(&self, value: Value, call: &Arc<HookContext>) -> ServiceResult<Value> {
        match value {
            Value::Object(mut page) if call.method == Method::Find && page.contains_key("data") => {
                let data = page.remove("data").unwrap_or_default();
                page.insert("data".to_owned(), self.each(data, call).await?);
                Ok(page.into())
            }
            value => self.each(value, call).await,
        }
    }
}

impl<M> Service<M> {
    /// Resolves what clients send, before `create`, `update` and `patch`: each document of a list.
    #[must_use]
    pub fn resolve_data(self, resolver: Resolver) -> Self {
        let writes = [Method::Create, Method::Update, Method::Patch];
        self.hooks(Hooks::new().before(writes, move |mut call| {
            let resolver = resolver.clone();
            async move {
                if let Some(data) = call.data.take() {
                    let about = Arc::new(call.clone());
                    call.data = Some(resolver.each(data, &about).await?);
                }
                Ok(call)
            }
        }))
    }

    /// Resolves the parameters of queries, before every method.
    #[must_use]
    pub fn resolve_query(self, resolver: Resolver) -> Self {
        self.hooks(Hooks::new().before([], move |mut call| {
            let resolver = resolver.clone();
            async move {
                let about = Arc::new(call.clone());
                let query = std::mem::take(&mut call.params.query);
                if let Value::Object(query) = resolver.object(query, &about).await? {
                    call.params.query = query;
                }
                Ok(call)
            }
        }))
    }

    /// Resolves results: what hooks that stand outside of this one, the program and its clients get.
    #[must_use]
    pub fn resolve_result(self, resolver: Resolver) -> Self {
        self.hooks(Hooks::new().around([], move |call, next| {
            let resolver = resolver.clone();
            async move {
                let mut done = next.run(call).await?;
                if let Some(result) = done.result.take() {
                    let about = Arc::new(done.clone());
                    done.result = Some(resolver.answer(result, &about).await?);
                }
                Ok(done)
            }
        }))
    }

    /// Resolves what leaves the program: answers to clients, and events. The result that the program sees stays.
    #[must_use]
    pub fn resolve_external(self, resolver: Resolver) -> Self {
        self.hooks(Hooks::new().around([], move |call, next| {
            let resolver = resolver.clone();
            async move {
                let mut done = next.run(call).await?;
                if let Some(shown) = done.dispatch.take().or_else(|| done.result.clone()) {
                    let about = Arc::new(done.clone());
                    done.dispatch = Some(resolver.answer(shown, &about).await?);
                }
                Ok(done)
            }
        }))
    }
}

/// Text as an ObjectId, in documents without a model. Models know their ids by themselves.
///
/// # Errors
/// `BadRequest` where it is not 24 hexadecimal digits.
pub fn resolve_object_id(value: Option<Value>) -> ServiceResult<Option<Value>> {
    match value {
        Some(Value::String(text)) if text.parse::<Id<()>>().is_ok() => Ok(Some(json!({ OBJECT_ID: text }))),
        Some(Value::Object(object)) if object.len() == 1 && object.contains_key(OBJECT_ID) => {
            Ok(Some(object.into()))
        }
        Some(Value::Null) | None => Ok(value),
        Some(_) => Err(ServiceError::bad_request("must be an ObjectId: 24 hexadecimal digits")),
    }
}

/// As [`resolve_object_id`], for conditions: in `$in` and `$nin`, `$ne`, `$gt`, `$gte`, `$lt` and `$lte` as well. Other
/// operators stay as they are.
///
/// # Errors
/// As [`resolve_object_id`].
pub fn resolve_query_object_id(value: Option<Value>) -> ServiceResult<Option<Value>> {
    let one = |value: Value| Ok(resolve_object_id(Some(value))?.unwrap_or_default());
    match value {
        Some(Value::Object(operators)) if !operators.contains_key(OBJECT_ID) => {
            let resolved = operators.into_iter().map(|(name, value)| {
                let value = match (name.as_str(), value) {
                    ("$in" | "$nin", Value::Array(items)) => {
                        items.into_iter().map(one).collect::<ServiceResult<Vec<_>>>()?.into()
                    }
                    ("$ne" | "$gt" | "$gte" | "$lt" | "$lte", value) => one(value)?,
                    (_, value) => value,
                };
                Ok((name, value))
            });
            resolved.collect::<ServiceResult<Map<_, _>>>().map(|operators| Some(operators.into()))
        }
        value => resolve_object_id(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "0123456789abcdef01234567";

    #[test]
    fn text_becomes_an_object_id_or_is_refused() {
        assert_eq!(resolve_object_id(Some(json!(HEX))).unwrap(), Some(json!({ "$oid": HEX })));
        assert_eq!(resolve_object_id(None).unwrap(), None);
        for wrong in [json!("x"), json!(7), json!([HEX])] {
            assert_eq!(resolve_object_id(Some(wrong)).unwrap_err().kind().status(), 400);
        }
    }

    #[test]
    fn every_operator_of_a_condition_is_kept() {
        let id = || json!({ "$oid": HEX });
        let condition = json!({ "$in": [HEX], "$ne": HEX, "$gt": HEX, "$exists": true });
        let resolved = resolve_query_object_id(Some(condition)).unwrap().unwrap();
        assert_eq!(resolved, json!({ "$in": [id()], "$ne": id(), "$gt": id(), "$exists": true }));
        assert_eq!(resolve_query_object_id(Some(json!(HEX))).unwrap(), Some(id()));
        assert!(resolve_query_object_id(Some(json!({ "$in": ["x"] }))).is_err());
    }
}
