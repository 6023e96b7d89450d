//! Whether the declared search index of a model keeps what a search looks into: servers find nothing in fields that it
//! does not keep, and do not say so.

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
        SearchOperator::Text { paths, .. } | SearchOperator::Phrase { paths, .. } => {
            paths.iter().try_for_each(|path| one(path, Use::Words))
        }
        SearchOperator::Autocomplete { path, .. } => one(path, Use::Beginnings),
        SearchOperator::Equals { path, value } => {
            one(path, if matches!(value, bson::Bson::String(_)) { Use::WholeText } else { Use::Value })
        }
        SearchOperator::Exists { path } => one(path, Use::Anything),
        SearchOperator::Compound(all) => {
            let mut parts = all.must.iter().chain(&all.must_not).chain(&all.should).chain(&all.filter);
            parts.try_for_each(|part| check(model, index, part))
        }
        SearchOperator::Boost { operator, .. } => check(model, index, operator),
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
    Anything,
}

impl Use {
    fn meaning(self) -> &'static str {
        match self {
            Use::Words => "by its words",
            Use::Beginnings => "by the beginnings of its words",
            Use::WholeText => "as a whole",
            Use::Value | Use::Anything => "at all",
        }
    }

    fn attribute(self) -> &'static str {
        match self {
            Use::Words => "search(string)",
            Use::Beginnings => "search(autocomplete)",
            Use::WholeText => "search(token)",
            Use::Value | Use::Anything => "search",
        }
    }

    fn is_served_by(self, kind: SearchKind) -> bool {
        match self {
            Use::Words => kind == SearchKind::Words,
            Use::Beginnings => kind == SearchKind::Autocomplete,
            Use::WholeText => kind == SearchKind::Token,
            Use::Value => kind.finds_values(),
            Use::Anything => true,
        }
    }
}

fn keeps(index: &SearchDef, path: &str, use_: Use) -> bool {
    // What is found by itself is kept by its type: texts by their words alone.
    let by_type = !matches!(use_, Use::Beginnings | Use::WholeText);
    let embedded = |outer: &str| path.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'));
    index.fields.iter().any(|(own, kind)| match kind {
        SearchKind::Documents => embedded(own) && by_type || *own == path && use_ == Use::Anything,
        kind => *own == path && use_.is_served_by(*kind),
    }) || index.dynamic && by_type
}
