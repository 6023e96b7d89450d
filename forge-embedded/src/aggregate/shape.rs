//! Which fields a pipeline reads, so that wide documents are not decoded whole for the sake of a few fields.

use bson::{Bson, Document};

/// A projection with every path that `pipeline` can read, where its result holds nothing else of the documents.
pub(super) fn needed(pipeline: &[Document]) -> Option<Document> {
    let group = pipeline.first()?.get_document("$group").ok()?;
    let mut paths = Vec::new();
    for (_, value) in group {
        collect(value, &mut paths)?;
    }
    paths.sort();
    paths.dedup();
    let mut projection = Document::new();
    let mut last: Option<&str> = None;
    for path in &paths {
        // A path inside one that is already there adds nothing, and may not stand beside it.
        let inside =
            last.is_some_and(|last| path.strip_prefix(last).is_some_and(|rest| rest.starts_with('.')));
        if !inside {
            projection.insert(path.clone(), 1);
            last = Some(path);
        }
    }
    if !projection.contains_key("_id") {
        projection.insert("_id", if projection.is_empty() { 1 } else { 0 });
    }
    Some(projection)
}

/// None where the expression may read the whole document or has names of its own.
fn collect(value: &Bson, paths: &mut Vec<String>) -> Option<()> {
    match value {
        Bson::String(text) if text.starts_with("$$") => None,
        Bson::String(text) => {
            if let Some(path) = text.strip_prefix('$') {
                // Paths that only differ in a character below `.` would sort between a path and what is inside it.
                let plain =
                    path.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'));
                if !plain || path.is_empty() {
                    return None;
                }
                paths.push(path.to_owned());
            }
            Some(())
        }
        // `$topN` and its like name paths as keys.
        Bson::Document(document) if document.contains_key("sortBy") => None,
        Bson::Document(document) => document.values().try_for_each(|value| collect(value, paths)),
        Bson::Array(values) => values.iter().try_for_each(|value| collect(value, paths)),
        _ => Some(()),
    }
}
