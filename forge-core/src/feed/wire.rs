//! Commits as bytes, for processes that tell each other of them.

use std::sync::Arc;

use bson::raw::{RawBsonRef, RawDocument, cstr};
use bson::{Bson, RawArrayBuf, RawBson, RawDocumentBuf};

use crate::adapter::{ChangeEvent, ChangeKind, Commit, ResumeToken};
use crate::error::{Error, Result};

const KINDS: [(ChangeKind, &str); 5] = [
    (ChangeKind::Insert, "i"),
    (ChangeKind::Update, "u"),
    (ChangeKind::Replace, "r"),
    (ChangeKind::Delete, "d"),
    (ChangeKind::Drop, "x"),
];

/// A commit as a BSON document.
///
/// # Errors
/// `internal` where a value has no BSON form.
pub fn encode(commit: &Commit) -> Result<RawDocumentBuf> {
    let mut changes = RawArrayBuf::new();
    for change in &commit.changes {
        changes.push(encode_change(change)?);
    }
    let mut document = RawDocumentBuf::new();
    document.append(cstr!("v"), i64::try_from(commit.version).unwrap_or(i64::MAX));
    document.append(cstr!("t"), RawBson::try_from(commit.token.0.clone())?);
    document.append(cstr!("c"), changes);
    Ok(document)
}

fn encode_change(change: &ChangeEvent) -> Result<RawDocumentBuf> {
    let kind = KINDS.iter().find(|(kind, _)| *kind == change.kind).map_or("x", |(_, name)| name);
    let mut document = RawDocumentBuf::new();
    document.append(cstr!("k"), kind);
    document.append(cstr!("n"), &*change.collection);
    document.append(cstr!("i"), RawBson::try_from(change.id.clone())?);
    for (key, value) in
        [(cstr!("b"), &change.before), (cstr!("a"), &change.after), (cstr!("u"), &change.updated)]
    {
        if let Some(value) = value {
            document.append(key, value.clone());
        }
    }
    if let Some(touched) = &change.touched {
        let mut paths = RawArrayBuf::new();
        touched.iter().for_each(|path| paths.push(path.as_str()));
        document.append(cstr!("p"), paths);
    }
    Ok(document)
}

/// The commit that [`encode`] made these bytes of.
///
/// # Errors
/// `internal` where they are something else.
pub fn decode(bytes: &[u8]) -> Result<Commit> {
    let document = RawDocument::from_bytes(bytes)?;
    let version = document.get_i64("v").map_err(malformed)?;
    let token = document.get("t")?.ok_or_else(|| malformed("no token"))?;
    let mut changes = Vec::new();
    for change in document.get_array("c").map_err(malformed)? {
        changes.push(decode_change(change?)?);
    }
    let version = u64::try_from(version).map_err(malformed)?;
    Ok(Commit { version, token: ResumeToken(Bson::try_from(token)?), changes })
}

fn decode_change(change: RawBsonRef<'_>) -> Result<ChangeEvent> {
    let change = change.as_document().ok_or_else(|| malformed("a change is no document"))?;
    let name = change.get_str("k").map_err(malformed)?;
    let kind = KINDS.iter().find(|(_, known)| *known == name).map(|(kind, _)| *kind);
    let part = |key: &str| -> Result<Option<RawDocumentBuf>> {
        Ok(change.get(key)?.and_then(RawBsonRef::as_document).map(RawDocument::to_owned))
    };
    let touched = match change.get("p")?.and_then(RawBsonRef::as_array) {
        None => None,
        Some(paths) => {
            let paths = paths.into_iter().map(|path| Ok(path?.as_str().unwrap_or_default().to_owned()));
            Some(paths.collect::<Result<Vec<String>>>()?)
        }
    };
    Ok(ChangeEvent {
        collection: Arc::from(change.get_str("n").map_err(malformed)?),
        kind: kind.ok_or_else(|| malformed(name))?,
        id: change.get("i")?.map_or(Ok(Bson::Null), Bson::try_from)?,
        before: part("b")?,
        after: part("a")?,
        touched,
        updated: part("u")?,
    })
}

fn malformed(what: impl std::fmt::Display) -> Error {
    Error::internal(format!("a commit that another process told of cannot be read: {what}"))
}

#[cfg(test)]
mod tests {
    use bson::{doc, rawdoc};

    use super::*;

    #[test]
    fn a_commit_is_the_same_after_the_journey() {
        let change = |kind, before, after| ChangeEvent {
            collection: "flights".into(),
            kind,
            id: doc! { "a": 1 }.into(),
            before,
            after,
            touched: Some(vec!["delay".into(), "legs.0".into()]),
            updated: Some(rawdoc! { "delay": 5 }),
        };
        let drop = ChangeEvent { touched: None, updated: None, ..change(ChangeKind::Drop, None, None) };
        let commit = Commit {
            version: (1 << 53) - 1,
            token: ResumeToken(doc! { "_data": "82" }.into()),
            changes: vec![
                change(ChangeKind::Update, Some(rawdoc! { "delay": 1 }), Some(rawdoc! { "delay": 5 })),
                change(ChangeKind::Delete, None, None),
                drop,
            ],
        };
        let again = decode(encode(&commit).unwrap().as_bytes()).unwrap();
        assert_eq!(format!("{again:?}"), format!("{commit:?}"));
    }

    #[test]
    fn other_bytes_are_refused() {
        for bytes in [rawdoc! {}, rawdoc! { "v": 1_i64, "t": 1, "c": [{ "k": "?", "n": "a" }] }] {
            assert!(decode(bytes.as_bytes()).is_err());
        }
        assert!(decode(b"xyz").is_err());
    }
}
