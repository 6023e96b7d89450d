//! Checks services against each other and the models of the program.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use forge_core::json_form::JsonForm;
use forge_core::model::{FieldDef, IndexDef, IndexKey, ModelDef, ModelRef};
use forge_core::record::schema_of;
use forge_core::service::declared_services;
use forge_core::types::Any;
use forge_core::{Catalog, Error, Result};

use super::changes;
use super::condition::{Grammar, PARAMETERS};
use super::documents::{Documents, Key};
use super::fields::QueryFields;
use super::hooks::Hooks;
use super::kind::Kind;
use super::operators::{EVERYWHERE, ON_REQUEST};
use super::options::Options;
use super::realtime::Realtime;
use super::registry::{Bound, Services, Tokens, precedence};
use super::rows::Views;
use super::service::Draft;

impl Draft {
    /// The collection, and the unique paths that it asks for, where it has no model.
    fn raw(&self) -> Option<(&str, &[String])> {
        self.form.is_none().then_some((self.collection.as_str(), self.unique.as_slice()))
    }

    fn bind(
        self,
        raw: &BTreeMap<String, &'static ModelDef>,
        views: &Arc<Views>,
        outer: &Hooks,
    ) -> Result<Bound> {
        let documents = match self.form {
            Some(form) => Documents::Typed(form),
            None => {
                let model = raw.get(&self.collection).copied();
                let model = model.ok_or_else(|| Error::internal("a collection without a model"))?;
                Documents::Raw(ModelRef(model))
            }
        };
        let of_fields = self.fields.iter().flat_map(QueryFields::own_operators);
        for name in self.operators.iter().map(String::as_str).chain(of_fields) {
            if !ON_REQUEST.contains(&name) && !EVERYWHERE.contains(&name) {
                return Err(Error::bad_request(format!(
                    "the service {} cannot allow {name:?}: operators are {}",
                    self.path,
                    ON_REQUEST.join(", ")
                )));
            }
        }
        if let Some(field) = self.fields.as_ref().and_then(|fields| fields.unnamed.first()) {
            return Err(Error::bad_request(format!(
                "the service {} allows operators on {field:?}, which is not among its fields: name the field first",
                self.path
            )));
        }
        if let Some(name) =
            self.filters.keys().find(|name| !name.starts_with('$') || PARAMETERS.contains(&name.as_str()))
        {
            return Err(Error::bad_request(format!(
                "the service {} cannot have the filter {name:?}: filters begin with `$`, and {} are those of every query",
                self.path,
                PARAMETERS.join(", ")
            )));
        }
        if let Some(name) = self.disabled.iter().find(|name| !changes::OPERATORS.contains(&name.as_str())) {
            return Err(Error::bad_request(format!(
                "the service {} cannot disable {name:?}: operators of patches are {}",
                self.path,
                changes::OPERATORS.join(", ")
            )));
        }
        let fields = self.form.as_ref().map(QueryFields::of_model).or(self.fields);
        let key = key(&self.path, self.id.as_deref(), self.form.as_ref(), fields.as_ref(), self.objectify)?;
        let grammar =
            Grammar { fields, operators: self.operators, filters: self.filters, objectify: self.objectify };
        let options = Options {
            documents,
            views: views.clone(),
            grammar,
            disabled: self.disabled,
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
    /// Whether those that models declare are among them.
    pub(crate) of_models: bool,
    /// What runs outside of the hooks of every service.
    pub(crate) hooks: Hooks,
    /// Where they answer.
    pub(crate) at: String,
    /// Connections and events.
    pub(crate) realtime: Realtime,
}

impl Declared {
    /// Whether there are no services.
    pub(crate) fn is_empty(&self) -> bool {
        self.drafts.is_empty() && !self.of_models
    }
}

/// The services of a program, and the models that stand for collections without one.
///
/// # Errors
/// `bad_request` where two services have one path, or one that names an operator that does not exist.
pub(crate) fn bind(
    declared: Declared,
    catalog: &Catalog,
    tokens: Tokens,
) -> Result<(Services, Vec<&'static ModelDef>)> {
    let Declared { mut drafts, of_models, hooks: outer, at: prefix, realtime } = declared;
    if of_models {
        // What the program says by itself about a path counts.
        let known: BTreeSet<_> = drafts.iter().map(|draft| draft.path.clone()).collect();
        let declared = declared_services().map(Draft::declared);
        drafts.extend(declared.filter(|draft| !known.contains(&draft.path)));
    }
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
    let own = drafts.iter().filter_map(|draft| draft.form.as_ref()).map(|form| form.model().0);
    let views = Views::new(catalog.models().iter().copied().chain(own));
    drafts.sort_by_cached_key(|draft| precedence(&draft.path));
    let bound =
        drafts.into_iter().map(|draft| draft.bind(&raw, &views, &outer)).collect::<Result<Vec<_>>>()?;
    Ok((Services::new(&prefix, bound, realtime, tokens), raw.into_values().collect()))
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
