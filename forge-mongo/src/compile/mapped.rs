//! Whether the declared search index of a model keeps what a search looks into: servers find nothing in fields that it
//! does not keep, and do not say so.

use bson::Bson;
use forge_core::ir::SearchOperator;
use forge_core::model::{ModelDef, SearchDef, SearchKind};
use forge_core::{Error, Result};

/// Refuses a search for what the index does not keep.
pub(super) fn check(model: &ModelDef, index: &SearchDef, operator: &SearchOperator) -> Result<()> {
    let one = |path: &str, use_: Use| match keeps(index, path, use_) {
        true => Ok(()),
        false => Err(Error::bad_request(format!(
            "the search index of {} does not keep `{path}` {}; mark the field with #[model({})]",
            model.name,
            use_.meaning(),
            use_.attribute()
        ))),
    };
    match operator {
        SearchOperator::Text { paths, .. }
        | SearchOperator::Phrase { paths, .. }
        | SearchOperator::Pattern { paths, .. } => paths.iter().try_for_each(|path| one(path, Use::Words)),
        SearchOperator::Autocomplete { path, .. } => one(path, Use::Beginnings),
        SearchOperator::Equals { path, value } => one(path, Use::of(value)),
        SearchOperator::In { path, values } => values.iter().try_for_each(|value| one(path, Use::of(value))),
        SearchOperator::Range { path, low, high } => {
            let mut ends = low.iter().chain(high);
            ends.try_for_each(|end| one(path, Use::of(&end.value)))
        }
        SearchOperator::Near { path, origin, .. } => one(path, Use::of(origin)),
        SearchOperator::WithinCircle { path, .. } | SearchOperator::Within { path, .. } => {
            one(path, Use::Place)
        }
        SearchOperator::Exists { path } => one(path, Use::Anything),
        SearchOperator::Compound(all) => {
            let mut parts = all.must.iter().chain(&all.must_not).chain(&all.should).chain(&all.filter);
            parts.try_for_each(|part| check(model, index, part))
        }
        SearchOperator::Boost { operator, .. } | SearchOperator::Constant { operator, .. } => {
            check(model, index, operator)
        }
        // Another part of the compiler does not know it either.
        _ => Ok(()),
    }
}

/// What a field is looked into for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Words,
    Beginnings,
    WholeText,
    Value,
    Place,
    Anything,
}

impl Use {
    fn of(value: &Bson) -> Self {
        match value {
            Bson::String(_) => Use::WholeText,
            // A point.
            Bson::Document(_) => Use::Place,
            _ => Use::Value,
        }
    }

    fn meaning(self) -> &'static str {
        match self {
            Use::Words => "by its words",
            Use::Beginnings => "by the beginnings of its words",
            Use::WholeText => "as a whole",
            Use::Place => "as a place",
            Use::Value | Use::Anything => "at all",
        }
    }

    fn attribute(self) -> &'static str {
        match self {
            Use::Words => "search(string)",
            Use::Beginnings => "search(autocomplete)",
            Use::WholeText => "search(token)",
            Use::Value | Use::Place | Use::Anything => "search",
        }
    }

    fn is_served_by(self, kind: SearchKind) -> bool {
        match self {
            Use::Words => kind == SearchKind::Words,
            Use::Beginnings => kind == SearchKind::Autocomplete,
            Use::WholeText => kind == SearchKind::Token,
            Use::Value => kind.finds_values(),
            Use::Place => kind == SearchKind::Geo,
            Use::Anything => true,
        }
    }
}

fn keeps(index: &SearchDef, path: &str, use_: Use) -> bool {
    // What is found by itself is kept by its type: texts by their words alone, and places not at all.
    let by_type = !matches!(use_, Use::Beginnings | Use::WholeText | Use::Place);
    let embedded = |outer: &str| path.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'));
    index.fields.iter().any(|(own, kind)| match kind {
        SearchKind::Documents => embedded(own) && by_type || *own == path && use_ == Use::Anything,
        kind => *own == path && use_.is_served_by(*kind),
    }) || index.dynamic && by_type
}
