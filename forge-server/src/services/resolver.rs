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
use super::selection::Selection;
use super::service::Service;

type Resolve = Arc<
    dyn Fn(Option<Value>, Value, Arc<HookContext>) -> BoxFuture<'static, ServiceResult<Option<Value>>>
        + Send
        + Sync,
>;

/// What fields of an object become: each by an async function of its value, the whole object, and the call.
///
/// A function that answers none takes the field away; one for a field that is not there may make it. Of what a call answers
/// it runs for the fields that the query selects (or for all, where it selects none), on the whole document.
///
/// A failure names the field in its `errors`.
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
pub struct Resolver {
    /// The methods that it is for; empty: all.
    methods: Vec<Method>,
    fields: Vec<(Arc<str>, Resolve)>,
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.fields.iter().map(|(name, _)| name)).finish()
    }
}

impl Resolver {
    /// Leaves every field as it is.
    pub fn new() -> Self {
        Self::default()
    }

    /// For these methods only. A service may have several resolvers, for other methods each.
    #[must_use]
    pub fn only(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.methods.extend(methods);
        self
    }

    /// Adds a field. Functions run in the order in which they were added, each on what the ones before it made.
    #[must_use]
    pub fn field<F, R>(mut self, name: &str, resolve: F) -> Self
    where
        F: Fn(Option<Value>, Value, Arc<HookContext>) -> R + Send + Sync + 'static,
        R: Future<Output = ServiceResult<Option<Value>>> + Send + 'static,
    {
        let resolve: Resolve = Arc::new(move |value, object, call| Box::pin(resolve(value, object, call)));
        self.fields.push((name.into(), resolve));
        self
    }

    /// The fields of an object, those that `wanted` names.
    async fn object(
        &self,
        mut object: Map<String, Value>,
        call: &Arc<HookContext>,
        wanted: &Wanted<'_>,
    ) -> ServiceResult<Value> {
        for (name, resolve) in self.fields.iter().filter(|(name, _)| wanted.holds(name)) {
            let value = object.get(&**name).cloned();
            let resolved = resolve(value, Value::Object(object.clone()), call.clone()).await;
            match resolved.map_err(|failure| failure.of_field(name))? {
                Some(value) => drop(object.insert(name.to_string(), value)),
                None => drop(object.remove(&**name)),
            }
        }
        Ok(object.into())
    }

    /// An object, or each of a list.
    async fn each(&self, value: Value, call: &Arc<HookContext>, wanted: &Wanted<'_>) -> ServiceResult<Value> {
        match value {
            Value::Object(object) => self.object(object, call, wanted).await,
            Value::Array(items) => {
                let mut resolved = Vec::with_capacity(items.len());
                for (index, item) in items.into_iter().enumerate() {
                    let item = Box::pin(self.each(item, call, wanted)).await;
                    resolved.push(item.map_err(|failure| failure.of_item(index))?);
                }
                Ok(resolved.into())
            }
            other => Ok(other),
        }
    }

    /// What a call answers: the documents in a page, or as [`each`](Resolver::each).
    async fn answer(&self, value: Value, call: &Arc<HookContext>) -> ServiceResult<Value> {
        let selected = Selection::of(&call.params.query);
        let wanted = Wanted { selected: selected.as_ref(), key: call.services.key(&call.path) };
        match value {
            Value::Object(mut page) if call.method == Method::Find && page.contains_key("data") => {
                let data = page.remove("data").unwrap_or_default();
                page.insert("data".to_owned(), self.each(data, call, &wanted).await?);
                Ok(page.into())
            }
            value => self.each(value, call, &wanted).await,
        }
    }
}

/// The fields of an answer that its client gets: those that are selected, and the ids.
struct Wanted<'a> {
    /// None: all.
    selected: Option<&'a Selection>,
    key: &'a str,
}

impl Wanted<'_> {
    const ALL: Self = Self { selected: None, key: "" };

    fn holds(&self, name: &str) -> bool {
        self.selected.is_none_or(|selected| selected.touches(name)) || name == self.key || name == "_id"
    }
}

impl HookContext {
    /// Says which fields a resolver will make of the result; whether no resolver stands outside of it.
    fn will_resolve(&mut self, resolver: &Resolver) -> bool {
        let outermost = self.resolved.is_empty();
        self.resolved.extend(resolver.fields.iter().map(|(name, _)| name.clone()));
        outermost
    }

    /// Leaves out what was read for the resolvers only.
    fn narrow(&mut self) {
        let Some(selected) = Selection::of(&self.params.query) else { return };
        if selected.without(&self.resolved).is_none() {
            return;
        }
        let key = self.services.key(&self.path).to_owned();
        let is_find = self.method == Method::Find;
        let shown = self.dispatch.as_mut().filter(|_| self.resolved_for_clients);
        for value in self.result.as_mut().into_iter().chain(shown) {
            selected.narrow(value, is_find, &key);
        }
    }
}

impl<M> Service<M> {
    /// Resolves what clients send, before `create`, `update` and `patch`: each document of a list.
    #[must_use]
    pub fn resolve_data(self, resolver: Resolver) -> Self {
        let writes = vec![Method::Create, Method::Update, Method::Patch];
        let methods = if resolver.methods.is_empty() { writes } else { resolver.methods.clone() };
        self.hooks(Hooks::new().before(methods, move |mut call| {
            let resolver = resolver.clone();
            async move {
                if let Some(data) = call.data.take() {
                    let about = Arc::new(call.clone());
                    call.data = Some(resolver.each(data, &about, &Wanted::ALL).await?);
                }
                Ok(call)
            }
        }))
    }

    /// Resolves the parameters of queries, before every method.
    #[must_use]
    pub fn resolve_query(self, resolver: Resolver) -> Self {
        self.hooks(Hooks::new().before(resolver.methods.clone(), move |mut call| {
            let resolver = resolver.clone();
            async move {
                let about = Arc::new(call.clone());
                let query = std::mem::take(&mut call.params.query);
                if let Value::Object(query) = resolver.object(query, &about, &Wanted::ALL).await? {
                    call.params.query = query;
                }
                Ok(call)
            }
        }))
    }

    /// Resolves results: what hooks that stand outside of this one, the program and its clients get. Queries may select the
    /// fields that it makes.
    #[must_use]
    pub fn resolve_result(self, resolver: Resolver) -> Self {
        self.hooks(Hooks::new().around(resolver.methods.clone(), move |mut call, next| {
            let resolver = resolver.clone();
            async move {
                let outermost = call.will_resolve(&resolver);
                let mut done = next.run(call).await?;
                if let Some(result) = done.result.take() {
                    let about = Arc::new(done.clone());
                    done.result = Some(resolver.answer(result, &about).await?);
                }
                if outermost {
                    done.narrow();
                }
                Ok(done)
            }
        }))
    }

    /// Resolves what leaves the program: answers to clients, and events. The result that the program sees stays. Queries
    /// may select the fields that it makes.
    #[must_use]
    pub fn resolve_external(self, resolver: Resolver) -> Self {
        self.hooks(Hooks::new().around(resolver.methods.clone(), move |mut call, next| {
            let resolver = resolver.clone();
            async move {
                let outermost = call.will_resolve(&resolver);
                let mut done = next.run(call).await?;
                if let Some(shown) = done.dispatch.take().or_else(|| done.result.clone()) {
                    let about = Arc::new(done.clone());
                    done.dispatch = Some(resolver.answer(shown, &about).await?);
                    done.resolved_for_clients = true;
                }
                if outermost {
                    done.narrow();
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
