//! How a program declares a service.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use forge_core::Model;
use forge_core::ir::Filter;
use forge_core::json_form::JsonForm;
use forge_core::service::{ServiceDef, declared_services};
use futures_util::future::BoxFuture;
use serde_json::Value;

use super::condition::OwnFilter;
use super::context::{HookContext, Method};
use super::error::ServiceResult;
use super::fields::QueryFields;
use super::hooks::{Hook, Hooks};
use super::options::{Multi, Paginate};
use super::realtime::{Audience, Channels, Event, Publishers};

/// The update operators that patches do without, where a service does not say.
const DISABLED: [&str; 1] = ["$rename"];

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
    pub(super) path: String,
    pub(super) form: Option<JsonForm>,
    pub(super) collection: String,
    pub(super) unique: Vec<String>,
    pub(super) id: Option<String>,
    pub(super) objectify: bool,
    pub(super) fields: Option<QueryFields>,
    pub(super) operators: BTreeSet<String>,
    pub(super) disabled: BTreeSet<String>,
    pub(super) filters: BTreeMap<String, Option<OwnFilter>>,
    pub(super) paginate: Paginate,
    pub(super) multi: Multi,
    pub(super) methods: BTreeSet<Method>,
    pub(super) custom: BTreeMap<Arc<str>, Hook>,
    pub(super) estimate: bool,
    pub(super) general_duplicates: bool,
    pub(super) hooks: Hooks,
    pub(super) events: BTreeSet<Arc<str>>,
    pub(super) publishers: Publishers,
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

impl<M: Model> Service<M> {
    /// The service that `#[model(service(…))]` describes, to add hooks, methods and publishers to. Where `M` has no such
    /// attribute it is that of [`new`](Service::new).
    pub fn declared() -> Self {
        let own = declared_services().find(|def| std::ptr::eq((def.form)().model().0, M::def()));
        own.map_or_else(Self::new, |def| Self { draft: Draft::declared(def), _model: PhantomData })
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
        Self { draft: Draft::new(collection, form), _model: PhantomData }
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
        let custom = self.draft.custom.keys().map(|name| Method::named(name));
        self.draft.methods = methods.into_iter().chain(custom).collect();
        self
    }

    /// A method of the service's own: clients call it by `POST` with the header `X-Service-Method`. One that is called as
    /// one of the six takes its place.
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
        self.draft.methods.insert(Method::named(&name));
        self.draft.custom.insert(name, hook);
        self
    }

    /// One of the six, done in another way.
    pub(super) fn replaced(
        mut self,
        method: Method,
        run: impl Fn(HookContext) -> BoxFuture<'static, ServiceResult<HookContext>> + Send + Sync + 'static,
    ) -> Self {
        self.draft.custom.insert(method.name().into(), Arc::new(run));
        self.draft.methods.insert(method);
        self
    }

    /// Operators that queries may use on every field, beside `$in $nin $lt $lte $gt $gte $ne`: of `$regex`, `$options`,
    /// `$exists`, `$all`, `$size`, `$elemMatch`, `$not`, `$nor`, `$type`, `$mod`, `$bitsAllSet`, `$bitsAllClear`,
    /// `$bitsAnySet`, `$bitsAnyClear`, `$near`, `$nearSphere`, `$geoWithin`, `$geoIntersects`.
    #[must_use]
    pub fn operators<S: Into<String>>(mut self, operators: impl IntoIterator<Item = S>) -> Self {
        self.draft.operators.extend(operators.into_iter().map(Into::into));
        self
    }

    /// Update operators that patches do without, in place of `$rename`: they are passed over, as by Feathers. None of them
    /// are with an empty list.
    #[must_use]
    pub fn disabled_operators<S: Into<String>>(mut self, operators: impl IntoIterator<Item = S>) -> Self {
        self.draft.disabled = operators.into_iter().map(Into::into).collect();
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
    fn new(collection: &str, form: Option<JsonForm>) -> Self {
        Self {
            path: collection.to_owned(),
            form,
            collection: collection.to_owned(),
            unique: Vec::new(),
            id: None,
            objectify: true,
            fields: None,
            operators: BTreeSet::new(),
            disabled: DISABLED.map(str::to_owned).into(),
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
        }
    }

    /// What a model's attribute describes.
    pub(super) fn declared(def: &ServiceDef) -> Self {
        let form = (def.form)();
        let mut draft = Self::new(form.model().collection, Some(form));
        if let Some(path) = def.path {
            draft.path = path.to_owned();
        }
        draft.paginate = Paginate { default: def.page, max: def.max_page };
        let [create, patch, remove] = ["create", "patch", "remove"].map(|name| def.multi.contains(&name));
        draft.multi = Multi { create, patch, remove };
        if let Some(methods) = def.methods {
            draft.methods = methods.iter().map(|name| Method::named(name)).collect();
        }
        draft.operators.extend(def.operators.iter().map(|name| (*name).to_owned()));
        if let Some(disabled) = def.disabled_operators {
            draft.disabled = disabled.iter().map(|name| (*name).to_owned()).collect();
        }
        draft.filters.extend(def.filters.iter().map(|name| ((*name).to_owned(), None)));
        draft.id = def.id.map(str::to_owned);
        draft.events.extend(def.events.iter().map(|name| Arc::from(*name)));
        draft.estimate = def.estimated_count;
        draft
    }
}
