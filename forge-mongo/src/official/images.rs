//! The state of a document right after an update, from the state before it and the description of the update: what the
//! server looks up may be newer.

use bson::{Bson, Document, RawDocument, RawDocumentBuf};

/// `before` with the update applied; none where the description does not fit it, as with dots in names of fields.
pub(super) fn after(before: &RawDocument, description: &RawDocument) -> Option<RawDocumentBuf> {
    let mut document = Document::try_from(before).ok()?;
    if let Ok(truncated) = description.get_array("truncatedArrays") {
        for array in truncated {
            let array = array.ok()?.as_document()?;
            let size = array.get("newSize").ok()??;
            let size = size.as_i32().map(i64::from).or(size.as_i64())?;
            match at(&mut document, array.get_str("field").ok()?)? {
                Place::Value(Bson::Array(elements)) => elements.truncate(usize::try_from(size).ok()?),
                _ => return None,
            }
        }
    }
    if let Ok(updated) = description.get_document("updatedFields") {
        for field in updated {
            let (path, value) = field.ok()?;
            let value = Bson::try_from(value).ok()?;
            match at(&mut document, path.as_str())? {
                Place::Value(slot) => *slot = value,
                Place::New(parent, name) => _ = parent.insert(name, value),
                Place::End(elements) => elements.push(value),
            }
        }
    }
    if let Ok(removed) = description.get_array("removedFields") {
        for path in removed {
            remove(&mut document, path.ok()?.as_str()?)?;
        }
    }
    RawDocumentBuf::try_from(&document).ok()
}

/// Where a path leads.
enum Place<'d> {
    Value(&'d mut Bson),
    /// To a field that is not there yet.
    New(&'d mut Document, String),
    /// Behind the last element.
    End(&'d mut Vec<Bson>),
}

fn at<'d>(document: &'d mut Document, path: &str) -> Option<Place<'d>> {
    let Some((first, rest)) = path.split_once('.') else {
        return Some(if document.contains_key(path) {
            Place::Value(document.get_mut(path)?)
        } else {
            Place::New(document, path.to_owned())
        });
    };
    inside(document.get_mut(first)?, rest)
}

fn inside<'d>(value: &'d mut Bson, path: &str) -> Option<Place<'d>> {
    match value {
        Bson::Document(document) => at(document, path),
        Bson::Array(elements) => {
            let (position, rest) = path.split_once('.').map_or((path, None), |(at, rest)| (at, Some(rest)));
            let position: usize = position.parse().ok()?;
            match rest {
                None if position == elements.len() => Some(Place::End(elements)),
                None => elements.get_mut(position).map(Place::Value),
                Some(rest) => inside(elements.get_mut(position)?, rest),
            }
        }
        _ => None,
    }
}

fn remove(document: &mut Document, path: &str) -> Option<()> {
    match path.rsplit_once('.') {
        None => document.remove(path).map(|_| ()),
        Some((parent, name)) => match at(document, parent)? {
            Place::Value(Bson::Document(parent)) => parent.remove(name).map(|_| ()),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::rawdoc;

    #[test]
    fn an_update_is_applied_as_it_is_described() {
        let before = rawdoc! { "_id": 1, "a": { "b": 1, "c": 2 }, "l": [1, 2, 3], "m": [{ "x": 1 }], "z": 1 };
        let description = rawdoc! {
            "updatedFields": { "a.b": 9, "new": true, "m.0.x": 5, "l.2": 7 },
            "removedFields": ["z", "a.c"],
            "truncatedArrays": [{ "field": "l", "newSize": 2 }],
        };
        let expected = rawdoc! { "_id": 1, "a": { "b": 9 }, "l": [1, 2, 7], "m": [{ "x": 5 }], "new": true };
        assert_eq!(after(&before, &description).unwrap(), expected);
    }

    #[test]
    fn what_does_not_fit_is_left_to_the_server() {
        let before = rawdoc! { "_id": 1, "a": 1 };
        for description in [
            rawdoc! { "updatedFields": { "x.y": 1 } },
            rawdoc! { "updatedFields": { "a.b": 1 } },
            rawdoc! { "removedFields": ["gone"] },
            rawdoc! { "truncatedArrays": [{ "field": "a", "newSize": 0 }] },
        ] {
            assert_eq!(after(&before, &description), None, "{description:?}");
        }
    }
}
