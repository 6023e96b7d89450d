//! Rows that pipelines make, as clients see them: fields of models by what models show, the rest as it is.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use bson::raw::RawBsonRef;
use bson::{Bson, Document, RawDocument};
use forge_core::model::{Access, EmbedDef, FieldDef, ModelDef};
use forge_core::types::{Bytes, Date, Decimal, Int64, Time, Uuid};
use forge_core::value::from_raw;
use schemars::SchemaGenerator;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::documents::Documents;
use super::error::ServiceResult;
use super::kind::{Form, Kind};

/// How deep sub-documents are described: one may contain itself.
const MAX_DEPTH: usize = 6;

/// What models show of their documents. Each is described when a pipeline first needs it.
#[derive(Debug, Default)]
pub(super) struct Views(BTreeMap<&'static str, (&'static ModelDef, OnceLock<Fields>)>);

/// What is shown of the fields of documents, by their stored names.
#[derive(Debug, Default)]
struct Fields(BTreeMap<&'static str, (&'static str, View)>);

#[derive(Debug)]
enum View {
    /// It never leaves the server.
    Hidden,
    /// A value.
    Of(Kind),
    /// Sub-documents with fields of their own.
    Inside(Fields),
}

impl Views {
    pub(super) fn new(models: impl IntoIterator<Item = &'static ModelDef>) -> Arc<Self> {
        let models = models.into_iter();
        Arc::new(Self(models.map(|model| (model.collection, (model, OnceLock::new()))).collect()))
    }

    fn of(&self, collection: &str) -> Option<&Fields> {
        let (model, fields) = self.0.get(collection)?;
        Some(fields.get_or_init(|| Fields::of(model.fields, &mut SchemaGenerator::default(), 0)))
    }
}

impl Fields {
    fn of(list: &'static [FieldDef], generator: &mut SchemaGenerator, depth: usize) -> Self {
        let mut fields = BTreeMap::new();
        for field in list {
            let view = match field.embed.filter(|_| depth < MAX_DEPTH) {
                _ if field.access == Access::Private => View::Hidden,
                Some(embed) => {
                    let embed: &EmbedDef = embed();
                    View::Inside(Self::of(embed.fields, generator, depth + 1))
                }
                None => {
                    let schema = (field.schema)(generator).to_value();
                    View::Of(Kind::of_schema(&schema, generator.definitions()))
                }
            };
            fields.insert(field.stored, (field.client, view));
        }
        Self(fields)
    }

    /// These and those inside of them.
    fn with_inner<'a>(&'a self, all: &mut Vec<&'a Self>) {
        all.push(self);
        for (_, view) in self.0.values() {
            if let View::Inside(fields) = view {
                fields.with_inner(all);
            }
        }
    }
}

/// How the rows of one pipeline are shown.
pub(super) struct Rows<'a> {
    documents: &'a Documents,
    own: Option<&'a Fields>,
    /// What rows may be documents of.
    of: Vec<&'a Fields>,
    /// The documents that stand at a path because the pipeline joined them.
    joined: BTreeMap<String, &'a Fields>,
    /// What documents elsewhere may be, or parts of.
    all: Vec<&'a Fields>,
}

impl<'a> Rows<'a> {
    /// Rows of these stages over these documents.
    pub(super) fn new(documents: &'a Documents, views: &'a Views, stages: &[Document]) -> Self {
        let own = match documents {
            Documents::Typed(form) => views.of(form.model().collection),
            Documents::Raw(_) => None,
        };
        let mut joins = Joins { views, joined: BTreeMap::new(), united: Vec::new(), moved: false };
        joins.read(stages, "");
        let Joins { joined, mut united, moved, .. } = joins;
        let mut all = Vec::new();
        for fields in own.iter().chain(&united).chain(joined.values()) {
            fields.with_inner(&mut all);
        }
        if moved {
            // A joined document may have become the row, or a part of one.
            united.clone_from(&all);
        }
        Self { documents, own, of: own.into_iter().chain(united).collect(), joined, all }
    }

    /// What a client sees of a row.
    pub(super) fn show(&self, row: &RawDocument) -> ServiceResult<Value> {
        // A row that is still a whole document is shown as one.
        let whole = match self.documents {
            Documents::Typed(form) if self.of.len() == 1 => form.show(row).ok(),
            _ => None,
        };
        let mut out = Map::new();
        for element in row {
            let (name, value) = element.map_err(forge_core::Error::from)?;
            let name = name.as_str();
            let own = self.own.and_then(|own| own.0.get(name));
            let client = own.map_or(name, |(client, _)| client);
            let typed = whole.as_ref().filter(|_| own.is_some() && !self.joined.contains_key(name));
            let shown = match typed {
                Some(whole) => whole.get(client).cloned(),
                None => self.field(name, value, name, &self.of)?,
            };
            out.extend(shown.map(|shown| (client.to_owned(), shown)));
        }
        Ok(out.into())
    }

    /// The field `name` at the path `at`, of a document that may be one of these.
    fn field(
        &self,
        name: &str,
        value: RawBsonRef<'_>,
        at: &str,
        of: &[&Fields],
    ) -> ServiceResult<Option<Value>> {
        if let Some(joined) = self.joined.get(at) {
            return self.documents_of(value, at, &[joined]).map(Some);
        }
        let views: Vec<_> = of.iter().filter_map(|fields| fields.0.get(name)).map(|(_, view)| view).collect();
        if views.iter().any(|view| matches!(view, View::Hidden)) {
            return Ok(None);
        }
        let mut shown: Option<Value> = None;
        for view in views {
            let one = match view {
                View::Hidden => return Ok(None),
                View::Of(kind) => self.value(value, at, kind)?,
                View::Inside(fields) => self.documents_of(value, at, &[fields])?,
            };
            shown = Some(match shown {
                Some(other) => common(other, one),
                None => one,
            });
        }
        shown.map_or_else(|| self.documents_of(value, at, &self.all), Ok).map(Some)
    }

    /// A value, whose documents may be those of any of these.
    fn documents_of(&self, value: RawBsonRef<'_>, at: &str, of: &[&Fields]) -> ServiceResult<Value> {
        match value {
            RawBsonRef::Document(document) => {
                let mut out = Map::new();
                for element in document {
                    let (name, value) = element.map_err(forge_core::Error::from)?;
                    let name = name.as_str();
                    let shown = self.field(name, value, &format!("{at}.{name}"), of)?;
                    out.extend(shown.map(|shown| (name.to_owned(), shown)));
                }
                Ok(out.into())
            }
            RawBsonRef::Array(list) => {
                let items = list
                    .into_iter()
                    .map(|item| self.documents_of(item.map_err(forge_core::Error::from)?, at, of));
                items.collect::<ServiceResult<Vec<_>>>().map(Value::Array)
            }
            scalar => plain(scalar),
        }
    }

    /// A value of a kind. What stages have made something else of is shown as what it is.
    fn value(&self, value: RawBsonRef<'_>, at: &str, kind: &Kind) -> ServiceResult<Value> {
        match (value, kind) {
            (RawBsonRef::Document(document), Kind::Parts(parts)) => {
                let mut out = Map::new();
                for element in document {
                    let (name, value) = element.map_err(forge_core::Error::from)?;
                    let name = name.as_str();
                    if let Some(kind) = parts.fields.get(name).or(parts.rest.as_ref()) {
                        out.insert(name.to_owned(), self.value(value, &format!("{at}.{name}"), kind)?);
                    }
                }
                Ok(out.into())
            }
            (value, Kind::Any | Kind::Geo(_)) => plain(value),
            (RawBsonRef::Array(list), kind) => {
                let kind = kind.element();
                let items =
                    list.into_iter().map(|item| self.value(item.map_err(forge_core::Error::from)?, at, kind));
                items.collect::<ServiceResult<Vec<_>>>().map(Value::Array)
            }
            (RawBsonRef::Document(_), Kind::List(of) | Kind::Element(of)) => self.value(value, at, of),
            (RawBsonRef::Document(_), _) => self.documents_of(value, at, &self.all),
            (scalar, Kind::Text(form)) => form.show(scalar).map_or_else(|| plain(scalar), Ok),
            (scalar, Kind::List(of) | Kind::Element(of)) => self.value(scalar, at, of),
            (scalar, _) => plain(scalar),
        }
    }
}

/// What stages take from other collections.
struct Joins<'a> {
    views: &'a Views,
    joined: BTreeMap<String, &'a Fields>,
    united: Vec<&'a Fields>,
    moved: bool,
}

impl Joins<'_> {
    /// Reads stages whose rows stand below the path `at`.
    fn read(&mut self, stages: &[Document], at: &str) {
        for (name, stage) in stages.iter().flatten() {
            match (name.as_str(), stage) {
                ("$lookup" | "$graphLookup", Bson::Document(stage)) => {
                    let place = format!("{at}{}", stage.get_str("as").unwrap_or(""));
                    self.inner(stage, &format!("{place}."));
                    if let Some(fields) =
                        stage.get("from").and_then(collection).and_then(|from| self.views.of(from))
                    {
                        self.joined.insert(place, fields);
                    }
                }
                ("$unionWith", Bson::String(name)) => self.united.extend(self.views.of(name)),
                ("$unionWith", Bson::Document(stage)) => {
                    self.united
                        .extend(stage.get("coll").and_then(collection).and_then(|coll| self.views.of(coll)));
                    self.inner(stage, at);
                }
                ("$facet", Bson::Document(facets)) => {
                    for (name, stages) in facets {
                        self.nested(stages, &format!("{at}{name}."));
                    }
                }
                ("$replaceRoot" | "$replaceWith", _) => self.moved = true,
                _ => {}
            }
        }
    }

    fn inner(&mut self, stage: &Document, at: &str) {
        if let Some(stages) = stage.get("pipeline") {
            self.nested(stages, at);
        }
    }

    fn nested(&mut self, stages: &Bson, at: &str) {
        let stages = stages.as_array().into_iter().flatten();
        self.read(&stages.filter_map(Bson::as_document).cloned().collect::<Vec<_>>(), at);
    }
}

/// The name of a collection, which stages may give with its database.
fn collection(from: &Bson) -> Option<&str> {
    from.as_str().or_else(|| from.as_document()?.get_str("coll").ok())
}

/// What both show.
fn common(one: Value, other: Value) -> Value {
    match (one, other) {
        (Value::Object(one), Value::Object(mut other)) => {
            let both = one.into_iter().filter_map(|(name, value)| {
                let other = other.remove(&name)?;
                Some((name, common(value, other)))
            });
            both.collect::<Map<_, _>>().into()
        }
        (Value::Array(one), Value::Array(other)) => {
            one.into_iter().zip(other).map(|(one, other)| common(one, other)).collect()
        }
        (one, _) => one,
    }
}

impl Form {
    /// A stored value as the type shows it.
    fn show(self, value: RawBsonRef<'_>) -> Option<Value> {
        match self {
            Form::Calendar => show_as::<Date>(value),
            Form::Clock => show_as::<Time>(value),
            Form::Uuid => show_as::<Uuid>(value),
            Form::Decimal => show_as::<Decimal>(value),
            Form::Long => show_as::<Int64>(value),
            Form::Base64 => show_as::<Bytes>(value),
        }
    }
}

fn show_as<T: DeserializeOwned + Serialize>(value: RawBsonRef<'_>) -> Option<Value> {
    serde_json::to_value(from_raw::<T>(value).ok()?).ok()
}

/// A stored value as clients read it, whatever it is.
pub(super) fn plain(value: RawBsonRef<'_>) -> ServiceResult<Value> {
    Ok(match value {
        RawBsonRef::Document(document) => plain_document(document)?.into(),
        RawBsonRef::Array(list) => {
            let items = list.into_iter().map(|item| plain(item.map_err(forge_core::Error::from)?));
            Value::Array(items.collect::<ServiceResult<_>>()?)
        }
        scalar => plain_scalar(Bson::try_from(scalar).map_err(forge_core::Error::from)?),
    })
}

/// A document as clients read it, with every field.
pub(super) fn plain_document(document: &RawDocument) -> ServiceResult<Map<String, Value>> {
    let fields = document.into_iter().map(|element| {
        let (name, value) = element.map_err(forge_core::Error::from)?;
        Ok((name.as_str().to_owned(), plain(value)?))
    });
    fields.collect()
}

/// Ids and dates as text.
fn plain_scalar(value: Bson) -> Value {
    match value {
        Bson::ObjectId(id) => id.to_hex().into(),
        Bson::DateTime(at) => json!(forge_core::DateTime::from(at)),
        Bson::Int32(n) => n.into(),
        Bson::Int64(n) => n.into(),
        Bson::Double(n) => n.into(),
        Bson::String(text) => text.into(),
        Bson::Boolean(value) => value.into(),
        Bson::Decimal128(number) => number.to_string().into(),
        Bson::Null | Bson::Undefined => Value::Null,
        other => serde_json::to_value(forge_core::types::Any(other)).unwrap_or(Value::Null),
    }
}
