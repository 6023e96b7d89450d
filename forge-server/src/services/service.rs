//! How a program declares a service.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use forge_core::ir::Filter;
use forge_core::json_form::JsonForm;
use forge_core::model::{FieldDef, IndexDef, IndexKey, ModelDef, ModelRef};
use forge_core::record::schema_of;
use forge_core::types::Any;
use forge_core::{Catalog, Error, Model, Result};
use serde_json::Value;

use super::condition::{EVERYWHERE, Grammar, ON_REQUEST, OwnFilter};
use super::context::{HookContext, Method};
use super::documents::{Documents, Key};
use super::error::ServiceResult;
use super::fields::QueryFields;
use super::hooks::{Hook, Hooks};
use super::kind::Kind;
use super::options::{Multi, Options, Paginate};
use super::realtime::{Audience, Channels, Event, Publishers, Realtime};
use super::registry::Bound;

/// The documents of a collection without a model.
#[derive(Debug)]
pub enum Raw {}

/// A service over a model, or over a collection as it is: find, get, create, update, patch and remove, with Feathers'
/// query syntax.
///
/// Over a model, what clients send is checked as its `New…` and `…Patch`, and they see what its allowlist shows; text in
/// query strings becomes what the fields hold.
///
/// ```ignore
/// App::new().service(
///     Service::<Person>::new().path("people").paginate(Paginate::new(10).max(50)).multi(Multi::CREATE),
/// )
/// ```
pub struct Service<M = Raw> {
    draft: Draft,
    _model: PhantomData<fn() -> M>,
}

/// A service before it is checked against the rest of the program.
pub(crate) struct Draft {
    path: String,
    form: Option<JsonForm>,
    collection: String,
    unique: Vec<String>,
    id: Option<String>,
    objectify: bool,
    fields: Option<QueryFields>,
    operators: BTreeSet<String>,
    filters: BTreeMap<String, Option<OwnFilter>>,
    paginate: Paginate,
    multi: Multi,
    methods: BTreeSet<Method>,
    custom: BTreeMap<Arc<str>, Hook>,
    estimate: bool,
    general_duplicates: bool,
    hooks: Hooks,
    events: BTreeSet<Arc<str>>,
    publishers: Publishers,
}

impl<M> fmt::Debug for Service<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("path", &self.draft.path).finish_non_exhaustive()
    }
}

impl<M: Model> Service<M> {
    /// A service over `M`, at the name of its collection.
    pub fn new() -> Self {
        Self::over(M::def().collection, Some(JsonForm::of::<M>()))
    }
}

impl<M: Model> Default for Service<M> {
    fn default() -> Self {
        Self::new()
    }
}

impl Service<Raw> {
    /// A service over the collection of this name, whose documents are any JSON objects.
    pub fn raw(collection: &str) -> Self {
        Self::over(collection, None)
    }

    /// Another collection than the one of the path's name.
    #[must_use]
    pub fn collection(mut self, collection: impl Into<String>) -> Self {
        self.draft.collection = collection.into();
        self
    }

    /// What queries may ask about, and what text in them becomes. Without it any field may be named, and text stays text.
    #[must_use]
    pub fn query_fields(mut self, fields: QueryFields) -> Self {
        self.draft.fields = Some(fields);
        self
    }

    /// No two documents may have the same value at `path`; any number may have none.
    #[must_use]
    pub fn unique(mut self, path: impl Into<String>) -> Self {
        self.draft.unique.push(path.into());
        self
    }

    /// Leaves `_id`s of 24 hexadecimal digits as text.
    #[must_use]
    pub fn disable_objectify(mut self) -> Self {
        self.draft.objectify = false;
        self
    }
}

impl<M> Service<M> {
    fn over(collection: &str, form: Option<JsonForm>) -> Self {
        let draft = Draft {
            path: collection.to_owned(),
            form,
            collection: collection.to_owned(),
            unique: Vec::new(),
            id: None,
            objectify: true,
            fields: None,
            operators: BTreeSet::new(),
            filters: BTreeMap::new(),
            paginate: Paginate::default(),
            multi: Multi::NONE,
            methods: Method::DEFAULT.into_iter().collect(),
            custom: BTreeMap::new(),
            estimate: false,
            general_duplicates: false,
            hooks: Hooks::new(),
            events: BTreeSet::new(),
            publishers: Publishers::default(),
        };
        Self { draft, _model: PhantomData }
    }

    /// Where it answers, below the place of all services. Parts like `:name` are parameters of the route.
    #[must_use]
    pub fn path(mut self, path: &str) -> Self {
        self.draft.path = path.trim_matches('/').to_owned();
        self
    }

    /// The field that names a document in paths, in place of the id.
    #[must_use]
    pub fn id(mut self, field: impl Into<String>) -> Self {
        self.draft.id = Some(field.into());
        self
    }

    /// How many documents one answer holds.
    #[must_use]
    pub fn paginate(mut self, paginate: Paginate) -> Self {
        self.draft.paginate = paginate;
        self
    }

    /// Which methods take many documents at once.
    #[must_use]
    pub fn multi(mut self, multi: Multi) -> Self {
        self.draft.multi = multi;
        self
    }

    /// The methods that clients may call, in place of all six. Methods of the service's own are added by
    /// [`method`](Service::method).
    #[must_use]
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        let custom = self.draft.custom.keys().cloned().map(Method::Custom);
        self.draft.methods = methods.into_iter().chain(custom).collect();
        self
    }

    /// A method of the service's own: clients call it by `POST` with the header `X-Service-Method`.
    #[must_use]
    pub fn method<F, R>(mut self, name: &str, run: F) -> Self
    where
        F: Fn(HookContext) -> R + Send + Sync + 'static,
        R: Future<Output = ServiceResult<Value>> + Send + 'static,
    {
        let name: Arc<str> = name.into();
        let run = Arc::new(run);
        let hook: Hook = Arc::new(move |call: HookContext| {
            let run = run.clone();
            Box::pin(async move {
                let mut done = call.clone();
                done.result = Some(run(call).await?);
                Ok(done)
            })
        });
        self.draft.methods.insert(Method::Custom(name.clone()));
        self.draft.custom.insert(name, hook);
        self
    }

    /// Operators that queries may use on every field, beside `$in $nin $lt $lte $gt $gte $ne`: of `$regex`, `$options`,
    /// `$exists`, `$all`, `$size`, `$elemMatch`, `$not`.
    #[must_use]
    pub fn operators<S: Into<String>>(mut self, operators: impl IntoIterator<Item = S>) -> Self {
        self.draft.operators.extend(operators.into_iter().map(Into::into));
        self
    }

    /// Parameters that queries may have at the top: `$nor`, or others that a hook takes out of the query.
    #[must_use]
    pub fn filters<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.draft.filters.extend(names.into_iter().map(|name| (name.into(), None)));
        self
    }

    /// A parameter that queries may have at the top, and the condition that its value stands for.
    #[must_use]
    pub fn filter(
        mut self,
        name: impl Into<String>,
        condition: impl Fn(&Value) -> ServiceResult<Filter> + Send + Sync + 'static,
    ) -> Self {
        self.draft.filters.insert(name.into(), Some(Arc::new(condition)));
        self
    }

    /// Lets the total of all documents be what the database thinks it is. Totals of queries with conditions stay exact.
    #[must_use]
    pub fn use_estimated_document_count(mut self) -> Self {
        self.draft.estimate = true;
        self
    }

    /// Answers unique violations with 500 `GeneralError` in place of 409 `Conflict`, for clients that expect that.
    #[must_use]
    pub fn duplicates_as_general_errors(mut self) -> Self {
        self.draft.general_duplicates = true;
        self
    }

    /// Events of its own, which the program makes by [`Handle::emit`](super::Handle::emit). One of `created`, `updated`,
    /// `patched` and `removed` in the list is left to the program too: calls do not make it any more.
    #[must_use]
    pub fn events<S: AsRef<str>>(mut self, events: impl IntoIterator<Item = S>) -> Self {
        self.draft.events.extend(events.into_iter().map(|event| event.as_ref().into()));
        self
    }

    /// Who hears of its events, where the event has no publisher of its own. Without one, the program's decide
    /// (`App::publish`); without those, nobody does.
    #[must_use]
    pub fn publish<A: Into<Audience>>(
        mut self,
        publisher: impl Fn(&Event, &Channels) -> A + Send + Sync + 'static,
    ) -> Self {
        self.draft.publishers.add(None, publisher);
        self
    }

    /// Who hears of one of its events.
    #[must_use]
    pub fn publish_event<A: Into<Audience>>(
        mut self,
        event: &str,
        publisher: impl Fn(&Event, &Channels) -> A + Send + Sync + 'static,
    ) -> Self {
        self.draft.publishers.add(Some(event), publisher);
        self
    }

    /// What runs before, after and around its methods.
    #[must_use]
    pub fn hooks(mut self, hooks: Hooks) -> Self {
        self.draft.hooks = hooks.within(&self.draft.hooks);
        self
    }
}

impl<M> From<Service<M>> for Draft {
    fn from(service: Service<M>) -> Self {
        service.draft
    }
}

impl Draft {
    /// The collection, and the unique paths that it asks for, where it has no model.
    fn raw(&self) -> Option<(&str, &[String])> {
        self.form.is_none().then_some((self.collection.as_str(), self.unique.as_slice()))
    }

    fn bind(self, raw: &BTreeMap<String, &'static ModelDef>, outer: &Hooks) -> Result<Bound> {
        let documents = match self.form {
            Some(form) => Documents::Typed(form),
            None => {
                let model = raw.get(&self.collection).copied();
                let model = model.ok_or_else(|| Error::internal("a collection without a model"))?;
                Documents::Raw(ModelRef(model))
            }
        };
        for name in &self.operators {
            if !ON_REQUEST.contains(&name.as_str()) && !EVERYWHERE.contains(&name.as_str()) {
                return Err(Error::bad_request(format!(
                    "the service {} cannot allow {name:?}: operators are {}",
                    self.path,
                    ON_REQUEST.join(", ")
                )));
            }
        }
        let fields = self.form.as_ref().map(QueryFields::of_model).or(self.fields);
        let key = key(&self.path, self.id.as_deref(), self.form.as_ref(), fields.as_ref(), self.objectify)?;
        let grammar =
            Grammar { fields, operators: self.operators, filters: self.filters, objectify: self.objectify };
        let options = Options {
            documents,
            grammar,
            key,
            paginate: self.paginate,
            multi: self.multi,
            estimate: self.estimate,
            general_duplicates: self.general_duplicates,
        };
        let hooks = Arc::new(self.hooks.within(outer));
        let (methods, custom, events, publishers) = (self.methods, self.custom, self.events, self.publishers);
        Ok(Bound { path: self.path.into(), options, methods, custom, hooks, events, publishers })
    }
}

fn key(
    path: &str,
    id: Option<&str>,
    form: Option<&JsonForm>,
    fields: Option<&QueryFields>,
    objectify: bool,
) -> Result<Key> {
    let client = match (id, form) {
        (Some(id), _) => id.to_owned(),
        (None, Some(form)) => form.model().id_field().client.to_owned(),
        (None, None) => "_id".to_owned(),
    };
    let known = fields.and_then(|fields| fields.find(&client));
    if form.is_some() && known.is_none() {
        return Err(Error::bad_request(format!(
            "the service {path} has the id {client:?}, which clients cannot read"
        )));
    }
    let (stored, kind) = match known {
        Some(rule) => (rule.stored, rule.kind),
        None => (client.clone(), if client == "_id" && objectify { Kind::Key } else { Kind::Any }),
    };
    // A raw `_id` may be anything: what is no ObjectId is looked for as it is.
    let kind = if form.is_none() && stored == "_id" && objectify { Kind::Key } else { kind };
    Ok(Key { client, stored, kind, objectify })
}

/// What a program says about its services, before it is checked.
#[derive(Default)]
pub(crate) struct Declared {
    /// The services.
    pub(crate) drafts: Vec<Draft>,
    /// What runs outside of the hooks of every service.
    pub(crate) hooks: Hooks,
    /// Where they answer.
    pub(crate) at: String,
    /// Connections and events.
    pub(crate) realtime: Realtime,
}

/// The services of a program, and the models that stand for collections without one.
///
/// # Errors
/// `bad_request` where two services have one path, or one that names an operator that does not exist.
pub(crate) fn bind(
    declared: Declared,
    catalog: &Catalog,
) -> Result<(super::registry::Services, Vec<&'static ModelDef>)> {
    let Declared { drafts, hooks: outer, at: prefix, realtime } = declared;
    let mut paths = BTreeSet::new();
    let mut unique: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for draft in &drafts {
        if draft.path.is_empty() || !paths.insert(draft.path.clone()) {
            return Err(Error::bad_request(format!("two services have the path {:?}, or none", draft.path)));
        }
        let Some((collection, wanted)) = draft.raw() else { continue };
        if let Some(model) = catalog.by_collection(collection) {
            let name = model.name;
            return Err(Error::bad_request(format!(
                "the service {} is over the collection {collection:?} of {name}: use Service::<{name}>::new(), so that \
                 its rules hold",
                draft.path
            )));
        }
        unique.entry(collection.to_owned()).or_default().extend(wanted.iter().cloned());
    }
    let raw: BTreeMap<_, _> = unique
        .into_iter()
        .map(|(collection, paths)| (collection.clone(), raw_model(collection, paths)))
        .collect();
    let bound = drafts.into_iter().map(|draft| draft.bind(&raw, &outer)).collect::<Result<Vec<_>>>()?;
    Ok((super::registry::Services::new(&prefix, bound, realtime), raw.into_values().collect()))
}

/// A model of any documents. Made once for each collection, and kept for the life of the program.
fn raw_model(collection: String, unique: BTreeSet<String>) -> &'static ModelDef {
    let leak = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
    let name = leak(collection);
    let mut fields = vec![FieldDef::new("_id", "_id", "_id", schema_of::<Any>)];
    let mut indexes = Vec::new();
    for path in unique {
        let path = leak(path);
        fields.push(FieldDef { optional: true, ..FieldDef::new(path, path, path, schema_of::<Any>) });
        let keys: &'static [_] = Box::leak(Box::new([(path, IndexKey::Ascending)]));
        indexes.push(IndexDef { unique: true, sparse: true, ..IndexDef::new(keys) });
    }
    let model = ModelDef {
        indexes: Box::leak(indexes.into_boxed_slice()),
        ..ModelDef::new(name, name, Box::leak(fields.into_boxed_slice()), 0)
    };
    Box::leak(Box::new(model))
}
