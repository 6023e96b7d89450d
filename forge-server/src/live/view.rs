//! What a handler saw of its caller, as part of the key under which results are shared.

use std::collections::BTreeMap;
use std::sync::Arc;

use forge_core::Caller;
use forge_core::context::Seen;

/// The facts named by `seen`, with this caller's values: equal for callers who get equal results. None where the handler
/// looks at nothing, so that everybody shares.
pub(crate) fn view(caller: &Caller, seen: &Seen) -> Option<Arc<str>> {
    if seen.headers.is_empty() {
        return None;
    }
    let facts: BTreeMap<&str, Option<&String>> =
        seen.headers.iter().map(|name| (name.as_str(), caller.headers.get(name))).collect();
    // A map of strings always has a JSON form; were it ever not so, its debug form separates callers as well.
    Some(serde_json::to_string(&facts).unwrap_or_else(|_| format!("{facts:?}")).into())
}

/// Whether `wide` holds everything in `narrow`.
pub(crate) fn covers(wide: &Seen, narrow: &Seen) -> bool {
    narrow.headers.is_subset(&wide.headers)
}

/// Adds everything in `more` to `seen`.
pub(crate) fn extend(seen: &mut Seen, more: &Seen) {
    seen.headers.extend(more.headers.iter().cloned());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(pairs: &[(&str, &str)]) -> Caller {
        let headers = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Caller { headers: Arc::new(headers), ..Caller::default() }
    }

    #[test]
    fn only_what_was_seen_tells_callers_apart() {
        let mut seen = Seen::default();
        let (a, b) = (caller(&[("lang", "de"), ("key", "1")]), caller(&[("lang", "de"), ("key", "2")]));
        assert_eq!(view(&a, &seen), None);
        seen.headers.insert("lang".into());
        assert_eq!(view(&a, &seen), view(&b, &seen));
        seen.headers.insert("key".into());
        assert_ne!(view(&a, &seen), view(&b, &seen));
    }

    #[test]
    fn an_absent_header_is_not_an_empty_one() {
        let mut seen = Seen::default();
        seen.headers.insert("lang".into());
        assert_ne!(view(&caller(&[]), &seen), view(&caller(&[("lang", "")]), &seen));
        assert_ne!(view(&caller(&[]), &seen), view(&caller(&[("lang", "null")]), &seen));
    }
}
