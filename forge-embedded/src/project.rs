//! Projections of raw documents.

use bson::{Bson, Document, RawArray, RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf};
use forge_core::{Error, Result};

use crate::keys;

/// Which fields of a document are wanted.
#[derive(Debug, Clone)]
pub(crate) enum Projection {
    /// All of them.
    Whole,
    /// Only these, and perhaps `_id`.
    Include { tree: Tree, id: bool },
    /// All but these.
    Exclude(Tree),
}

/// Paths by their components; a leaf has no children.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tree(Vec<(String, Tree)>);

impl Tree {
    fn insert(&mut self, path: &str) -> Result<()> {
        let (head, rest) = path.split_once('.').map_or((path, None), |(head, rest)| (head, Some(rest)));
        let collision =
            || Error::bad_request(format!("the projection names a path and a part of it: `{path}`"));
        match (self.0.iter_mut().find(|(name, _)| name == head), rest) {
            (Some((_, child)), Some(rest)) if !child.0.is_empty() => child.insert(rest),
            (Some(_), _) => Err(collision()),
            (None, rest) => {
                let mut child = Tree::default();
                if let Some(rest) = rest {
                    child.insert(rest)?;
                }
                self.0.push((head.to_owned(), child));
                Ok(())
            }
        }
    }

    fn get(&self, name: &str) -> Option<&Tree> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, child)| child)
    }
}

/// What a projection says about one path.
pub(crate) fn switch(value: &Bson) -> Option<bool> {
    match value {
        Bson::Boolean(on) => Some(*on),
        value => keys::with_raw(value, forge_core::order::as_f64).map(|number| number != 0.0),
    }
}

impl Projection {
    /// Reads `{path: 1}` or `{path: 0}`.
    ///
    /// # Errors
    /// `unsupported` for computed fields and array operators; `bad_request` where 1 and 0 are mixed.
    pub(crate) fn parse(projection: &Document) -> Result<Self> {
        let (mut tree, mut including, mut id) = (Tree::default(), None, None);
        for (path, value) in projection {
            let Some(on) = switch(value) else {
                return Err(Error::unsupported(format!(
                    "the embedded engine has no projection of `{path}` by {value}; it takes 1 or 0"
                )));
            };
            if path.is_empty() || path.split('.').any(|part| part.is_empty() || part.starts_with('$')) {
                return Err(Error::bad_request(format!("{path:?} is no path of a projection")));
            }
            if path == "_id" {
                id = Some(on);
                continue;
            }
            if including.is_some_and(|including| including != on) {
                return Err(Error::bad_request(format!(
                    "the projection includes and excludes fields: `{path}`"
                )));
            }
            including = Some(on);
            tree.insert(path)?;
        }
        Ok(match (including, id) {
            (Some(true), id) => Self::Include { tree, id: id != Some(false) },
            (None, Some(true)) => Self::Include { tree, id: true },
            (Some(false), id) => {
                if id == Some(false) {
                    tree.insert("_id")?;
                }
                Self::Exclude(tree)
            }
            (None, Some(false)) => {
                tree.insert("_id")?;
                Self::Exclude(tree)
            }
            (None, None) => Self::Whole,
        })
    }

    /// As [`Projection::parse`], of the paths beside computed ones: what is not named is left out.
    ///
    /// # Errors
    /// As [`Projection::parse`]; `bad_request` where fields other than `_id` are left out by name.
    pub(crate) fn beside_computed(switches: &Document) -> Result<Self> {
        match Self::parse(switches)? {
            Self::Include { tree, id } => Ok(Self::Include { tree, id }),
            // `_id: 0` alone leaves out `_id`, and nothing else is kept.
            _ if switches.keys().all(|path| path == "_id") => {
                Ok(Self::Include { tree: Tree::default(), id: !switches.contains_key("_id") })
            }
            _ => Err(Error::bad_request("a projection cannot leave out fields beside computed ones")),
        }
    }

    /// The wanted part of `document`.
    pub(crate) fn apply(&self, document: &RawDocument) -> Result<RawDocumentBuf> {
        match self {
            Self::Whole => Ok(document.to_owned()),
            Self::Include { tree, id } => include(document, tree, *id),
            Self::Exclude(tree) => exclude(document, tree),
        }
    }
}

fn include(document: &RawDocument, tree: &Tree, id: bool) -> Result<RawDocumentBuf> {
    let mut out = RawDocumentBuf::new();
    for field in document.iter() {
        let (name, value) = field?;
        match tree.get(name.as_str()) {
            None if id && name.as_str() == "_id" => out.append(name, value),
            None => {}
            Some(child) if child.0.is_empty() => out.append(name, value),
            Some(child) => match value {
                RawBsonRef::Document(inner) => out.append(name, include(inner, child, false)?),
                RawBsonRef::Array(inner) => out.append(name, include_elements(inner, child)?),
                _ => {}
            },
        }
    }
    Ok(out)
}

/// Elements that are no documents have no fields to include.
fn include_elements(array: &RawArray, tree: &Tree) -> Result<RawArrayBuf> {
    let mut out = RawArrayBuf::new();
    for element in array {
        match element? {
            RawBsonRef::Document(inner) => out.push(include(inner, tree, false)?),
            RawBsonRef::Array(inner) => out.push(include_elements(inner, tree)?),
            _ => {}
        }
    }
    Ok(out)
}

fn exclude(document: &RawDocument, tree: &Tree) -> Result<RawDocumentBuf> {
    let mut out = RawDocumentBuf::new();
    for field in document.iter() {
        let (name, value) = field?;
        match (tree.get(name.as_str()), value) {
            (None, value) => out.append(name, value),
            (Some(child), _) if child.0.is_empty() => {}
            (Some(child), RawBsonRef::Document(inner)) => out.append(name, exclude(inner, child)?),
            (Some(child), RawBsonRef::Array(inner)) => out.append(name, exclude_elements(inner, child)?),
            (Some(_), value) => out.append(name, value),
        }
    }
    Ok(out)
}

fn exclude_elements(array: &RawArray, tree: &Tree) -> Result<RawArrayBuf> {
    let mut out = RawArrayBuf::new();
    for element in array {
        match element? {
            RawBsonRef::Document(inner) => out.push(exclude(inner, tree)?),
            RawBsonRef::Array(inner) => out.push(exclude_elements(inner, tree)?),
            value => out.push(value),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{doc, rawdoc};
    use forge_core::ErrorCode;

    #[test]
    fn fields_are_kept_or_left_out_at_any_depth() {
        let document = rawdoc! { "_id": 1, "a": { "b": 1, "c": 2 }, "d": [{ "b": 3, "c": 4 }, 5], "e": 6 };
        let cases = [
            (doc! {}, document.clone()),
            (doc! { "e": 1 }, rawdoc! { "_id": 1, "e": 6 }),
            (doc! { "e": true, "_id": 0 }, rawdoc! { "e": 6 }),
            (doc! { "_id": 1 }, rawdoc! { "_id": 1 }),
            (doc! { "_id": 0 }, rawdoc! { "a": { "b": 1, "c": 2 }, "d": [{ "b": 3, "c": 4 }, 5], "e": 6 }),
            (doc! { "a.b": 1, "d.b": 1 }, rawdoc! { "_id": 1, "a": { "b": 1 }, "d": [{ "b": 3 }] }),
            (doc! { "a.b": 0, "d": 0 }, rawdoc! { "_id": 1, "a": { "c": 2 }, "e": 6 }),
            (doc! { "d.b": 0, "a": 0, "e": 0 }, rawdoc! { "_id": 1, "d": [{ "c": 4 }, 5] }),
            (doc! { "e.x": 1 }, rawdoc! { "_id": 1 }),
        ];
        for (projection, expected) in cases {
            assert_eq!(
                Projection::parse(&projection).unwrap().apply(&document).unwrap(),
                expected,
                "{projection}"
            );
        }
    }

    #[test]
    fn contradictions_are_refused_and_operators_named() {
        for projection in
            [doc! { "a": 1, "b": 0 }, doc! { "a": 1, "a.b": 1 }, doc! { "a.b": 1, "a": 1 }, doc! { "": 1 }]
        {
            assert_eq!(
                Projection::parse(&projection).unwrap_err().code(),
                ErrorCode::BadRequest,
                "{projection}"
            );
        }
        let error = Projection::parse(&doc! { "a": { "$slice": 1 } }).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Unsupported);
        assert!(error.message().contains("$slice"));
    }
}
