//! The fields that a query selects, where resolvers make some of them.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::answer::pick;

/// The names in `$select`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Selection(Vec<String>);

impl Selection {
    /// What a query selects; none where it selects nothing, and where what it says is no list of names.
    pub(super) fn of(query: &Map<String, Value>) -> Option<Self> {
        match query.get("$select")? {
            Value::Array(names) => {
                names.iter().map(|name| name.as_str().map(str::to_owned)).collect::<Option<_>>().map(Self)
            }
            Value::String(name) => Some(Self(vec![name.clone()])),
            _ => None,
        }
    }

    /// Whether a field, a part of it, or what it is a part of is selected.
    pub(super) fn touches(&self, field: &str) -> bool {
        self.0.iter().any(|name| name == field || is_below(name, field) || is_below(field, name))
    }

    /// The names that are not among those that resolvers make, nor below them; none where resolvers make nothing of what is
    /// selected.
    pub(super) fn without(&self, resolved: &[Arc<str>]) -> Option<Vec<String>> {
        if !resolved.iter().any(|field| self.touches(field)) {
            return None;
        }
        let made = |name: &String| resolved.iter().any(|field| **field == **name || is_below(name, field));
        Some(self.0.iter().filter(|name| !made(name)).cloned().collect())
    }

    /// Leaves the selected fields in what a call answers, and the ids.
    pub(super) fn narrow(&self, answer: &mut Value, is_find: bool, key: &str) {
        match answer {
            Value::Array(items) => items.iter_mut().for_each(|item| self.narrow(item, false, key)),
            Value::Object(page) if is_find && page.contains_key("data") => {
                page.get_mut("data").into_iter().for_each(|data| self.narrow(data, false, key));
            }
            Value::Object(_) => *answer = pick(answer, self.0.iter().map(String::as_str), key),
            _ => {}
        }
    }
}

/// Whether a dotted path is inside of another.
fn is_below(path: &str, of: &str) -> bool {
    path.strip_prefix(of).is_some_and(|rest| rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn selecting(names: &Value) -> Option<Selection> {
        Selection::of(&Map::from_iter([("$select".to_owned(), names.clone())]))
    }

    #[test]
    fn what_resolvers_make_is_told_from_what_is_stored() {
        let selected = selecting(&json!(["total", "home.city", "name"])).unwrap();
        let resolved = |names: &[&str]| names.iter().map(|name| Arc::from(*name)).collect::<Vec<_>>();
        assert_eq!(selected.without(&resolved(&["other"])), None);
        assert_eq!(selected.without(&resolved(&["total", "home"])), Some(vec!["name".to_owned()]));
        assert_eq!(selected.without(&resolved(&["home.city.zip"])).unwrap().len(), 3);
        assert_eq!((selecting(&json!(7)), selecting(&json!([7]))), (None, None));
    }

    #[test]
    fn pages_lists_and_documents_are_narrowed() {
        let selected = selecting(&json!("total")).unwrap();
        let narrowed = |mut answer: Value, is_find| {
            selected.narrow(&mut answer, is_find, "slug");
            answer
        };
        let (whole, part) = (json!({ "slug": 1, "total": 2, "price": 3 }), json!({ "slug": 1, "total": 2 }));
        assert_eq!(narrowed(json!([whole]), true), json!([part]));
        assert_eq!(
            narrowed(json!({ "total": 1, "data": [whole] }), true),
            json!({ "total": 1, "data": [part] })
        );
        assert_eq!(narrowed(json!({ "total": 1, "data": [whole] }), false), json!({ "total": 1 }));
        assert_eq!(narrowed(json!("text"), false), json!("text"));
    }
}
