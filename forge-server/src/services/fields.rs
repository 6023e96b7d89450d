//! What queries of a service may ask about: its fields, their kinds, and the operators of each.

use std::collections::BTreeMap;

use forge_core::json_form::JsonForm;
use forge_core::model::{Access, CREATED_AT, FieldDef, UPDATED_AT};
use schemars::SchemaGenerator;

use super::kind::Kind;

/// How deep sub-documents are described: one may contain itself.
const MAX_DEPTH: usize = 6;

/// What a query may say about one field.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    /// The path in documents.
    pub(super) stored: String,
    /// What its values are.
    pub(super) kind: Kind,
    /// Operators that are allowed here beside those of every field.
    pub(super) operators: Vec<String>,
}

/// What may be asked about the sub-documents of a list.
#[derive(Debug)]
pub(super) enum Inside {
    /// Anything: they hold any values.
    Anything,
    /// These fields.
    Fields(QueryFields),
    /// Nothing: there are none, or nothing is known of them.
    Nothing,
}

/// The fields that queries may name, by the names that clients use. Others are refused.
///
/// ```
/// use forge_server::services::{Kind, QueryFields};
///
/// let fields = QueryFields::new()
///     .field("name", Kind::String)
///     .operators("name", ["$regex", "$options"])
///     .field("age", Kind::Number);
/// ```
#[derive(Debug, Clone, Default)]
pub struct QueryFields {
    rules: BTreeMap<String, Rule>,
    /// What sub-documents are whose fields stand at no rules of their own.
    whole: Option<Kind>,
    /// Whether fields that are not listed may be sorted by.
    pub(super) any_sort: bool,
    /// Fields that got operators before they were named.
    pub(super) unnamed: Vec<String>,
}

impl QueryFields {
    /// No fields yet.
    pub fn new() -> Self {
        Self { any_sort: true, ..Self::default() }
    }

    /// A field, or the dotted path of one inside a sub-document.
    #[must_use]
    pub fn field(mut self, path: impl Into<String>, kind: Kind) -> Self {
        let path = path.into();
        self.rules.insert(path.clone(), Rule { stored: path, kind, operators: Vec::new() });
        self
    }

    /// Allows operators on a field that was named before, beside those of every field. A program whose services allow them
    /// on others does not start.
    #[must_use]
    pub fn operators<S: Into<String>>(mut self, path: &str, operators: impl IntoIterator<Item = S>) -> Self {
        match self.rules.get_mut(path) {
            Some(rule) => rule.operators.extend(operators.into_iter().map(Into::into)),
            None => self.unnamed.push(path.to_owned()),
        }
        self
    }

    /// The fields of a model that clients read.
    pub(super) fn of_model(form: &JsonForm) -> Self {
        let model = form.model();
        let mut fields = Self::default();
        let mut generator = SchemaGenerator::default();
        fields.add_all(model.fields, ("", ""), &mut generator, 0);
        if model.timestamps {
            for name in [CREATED_AT, UPDATED_AT] {
                let rule = || Rule { stored: name.to_owned(), kind: Kind::Date, operators: Vec::new() };
                if model.stored_field(name).is_none() {
                    fields.rules.insert(name.to_owned(), rule());
                }
            }
        }
        fields
    }

    fn add_all(
        &mut self,
        list: &'static [FieldDef],
        (client, stored): (&str, &str),
        generator: &mut SchemaGenerator,
        depth: usize,
    ) {
        let below = |prefix: &str, name: &str| match prefix {
            "" => name.to_owned(),
            prefix => format!("{prefix}.{name}"),
        };
        for field in list.iter().filter(|field| field.access != Access::Private) {
            let (path, place) = (below(client, field.client), below(stored, field.stored));
            let kind = match field.embed {
                Some(_) => Kind::Nested,
                None => {
                    let schema = (field.schema)(generator).to_value();
                    Kind::of_schema(&schema, generator.definitions())
                }
            };
            if let Some(embed) = field.embed.filter(|_| depth < MAX_DEPTH) {
                self.add_all(embed().fields, (&path, &place), generator, depth + 1);
            }
            self.rules.insert(path, Rule { stored: place, kind, operators: Vec::new() });
        }
    }

    /// The rule of a path, and of one below a field whose kind knows it.
    pub(super) fn find(&self, path: &str) -> Option<Rule> {
        if let Some(rule) = self.rules.get(path) {
            return Some(rule.clone());
        }
        let mut end = path.len();
        while let Some(dot) = path[..end].rfind('.') {
            if let Some(rule) = self.rules.get(&path[..dot]) {
                let stored = format!("{}{}", rule.stored, &path[dot..]);
                let kind = rule.kind.below(&path[dot + 1..])?;
                return Some(Rule { stored, kind, operators: rule.operators.clone() });
            }
            end = dot;
        }
        let kind = self.whole.as_ref()?.below(path)?;
        Some(Rule { stored: path.to_owned(), kind, operators: Vec::new() })
    }

    /// What may be asked about the sub-documents that a rule stands for.
    pub(super) fn inside(&self, rule: &Rule) -> Inside {
        match rule.kind.element() {
            Kind::Any => Inside::Anything,
            Kind::Nested => self.nested(&rule.stored).map_or(Inside::Nothing, Inside::Fields),
            whole @ (Kind::Parts(_) | Kind::List(_) | Kind::Element(_)) => {
                Inside::Fields(Self { whole: Some(whole.clone()), ..Self::default() })
            }
            _ => Inside::Nothing,
        }
    }

    /// The fields below a stored path that have rules of their own.
    fn nested(&self, stored: &str) -> Option<Self> {
        let (client, _) =
            self.rules.iter().find(|(_, rule)| rule.stored == stored && rule.kind == Kind::Nested)?;
        let below = |path: &str, of: &str| {
            let rest = path.strip_prefix(of)?.strip_prefix('.')?;
            Some(rest.to_owned())
        };
        let inner = self.rules.iter().filter_map(|(name, rule)| {
            let stored = below(&rule.stored, stored)?;
            Some((below(name, client)?, Rule { stored, ..rule.clone() }))
        });
        Some(Self { rules: inner.collect(), ..Self::default() })
    }

    /// The operators that single fields take.
    pub(super) fn own_operators(&self) -> impl Iterator<Item = &str> {
        self.rules.values().flat_map(|rule| &rule.operators).map(String::as_str)
    }

    /// The fields and their kinds, in the order of their names.
    pub(super) fn kinds(&self) -> impl Iterator<Item = (&str, &Kind)> {
        self.rules.iter().map(|(name, rule)| (name.as_str(), &rule.kind))
    }

    /// The names, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.rules.keys().map(String::as_str)
    }
}
