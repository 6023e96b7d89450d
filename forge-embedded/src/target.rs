//! Where the result of a pipeline goes: its last stage, `$out` or `$merge`.

use bson::{Bson, Document};
use forge_core::{Error, Result};

/// What a pipeline writes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Target {
    /// The database, where it is not that of the pipeline.
    pub(crate) database: Option<String>,
    /// The collection.
    pub(crate) name: String,
    /// None: the result takes the place of what is there.
    pub(crate) merge: Option<Merge>,
}

/// How documents meet those that are there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Merge {
    /// The paths by which they meet.
    pub(crate) on: Vec<String>,
    pub(crate) matched: Matched,
    pub(crate) unmatched: Unmatched,
}

/// What becomes of a document that is there already.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Matched {
    /// The new one takes its place.
    Replace,
    /// It stays.
    Keep,
    /// It takes the fields of the new one.
    Merge,
    /// That is an error.
    Fail,
    /// These stages change it. They see variables of the new one.
    Update { stages: Vec<Document>, variables: Document },
}

/// What becomes of a new document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unmatched {
    Insert,
    Discard,
    /// That is an error.
    Fail,
}

/// Whether a pipeline writes what it makes.
pub(crate) fn writes(pipeline: &[Document]) -> bool {
    pipeline.last().is_some_and(|stage| stage.contains_key("$out") || stage.contains_key("$merge"))
}

impl Target {
    /// The stages before the last one, and what that one asks for; none where it writes nothing.
    ///
    /// # Errors
    /// `bad_request` says what a stage wants.
    pub(crate) fn split(pipeline: &[Document]) -> Result<Option<(&[Document], Self)>> {
        let Some((last, stages)) = pipeline.split_last().filter(|_| writes(pipeline)) else {
            return Ok(None);
        };
        let target = match last.iter().next() {
            Some((_, operand)) if last.len() != 1 => {
                return Err(Error::bad_request(format!(
                    "a stage has exactly one operator, not also {operand}"
                )));
            }
            Some((stage, operand)) if stage == "$out" => {
                let (database, name) = place(stage, operand)?;
                Self { database, name, merge: None }
            }
            Some((stage, Bson::Document(form))) => merge(stage, form)?,
            Some((stage, operand)) => {
                let (database, name) = place(stage, operand)?;
                Self { database, name, merge: Some(Merge::of(&Document::new())?) }
            }
            None => return Ok(None),
        };
        Ok(Some((stages, target)))
    }
}

fn merge(stage: &str, form: &Document) -> Result<Target> {
    known(stage, form, &["into", "on", "let", "whenMatched", "whenNotMatched"])?;
    let into = form.get("into").ok_or_else(|| Error::bad_request("`$merge` goes `into` a collection"))?;
    let (database, name) = place(stage, into)?;
    Ok(Target { database, name, merge: Some(Merge::of(form)?) })
}

/// A collection, or `{db, coll}`.
fn place(stage: &str, operand: &Bson) -> Result<(Option<String>, String)> {
    let wrong =
        || Error::bad_request(format!("`{stage}` names a collection, or {{db, coll}}, not {operand}"));
    match operand {
        Bson::String(name) if !name.is_empty() => Ok((None, name.clone())),
        Bson::Document(place) => {
            known(stage, place, &["db", "coll"])?;
            let database = place.get_str("db").ok().map(str::to_owned);
            let name = place.get_str("coll").ok().filter(|name| !name.is_empty()).ok_or_else(wrong)?;
            Ok((database, name.to_owned()))
        }
        _ => Err(wrong()),
    }
}

fn known(stage: &str, form: &Document, known: &[&str]) -> Result<()> {
    match form.keys().find(|option| !known.contains(&option.as_str())) {
        None => Ok(()),
        Some(option) => {
            Err(Error::unsupported(format!("the embedded engine has no option `{option}` of `{stage}`")))
        }
    }
}

impl Merge {
    fn of(form: &Document) -> Result<Self> {
        let matched = match form.get("whenMatched") {
            None => Matched::Merge,
            Some(Bson::String(word)) => match word.as_str() {
                "replace" => Matched::Replace,
                "keepExisting" => Matched::Keep,
                "merge" => Matched::Merge,
                "fail" => Matched::Fail,
                _ => return Err(wrong_matched(word)),
            },
            Some(Bson::Array(stages)) => {
                let stage = |stage: &Bson| stage.as_document().cloned().ok_or_else(|| wrong_matched(stage));
                let stages = stages.iter().map(stage).collect::<Result<_>>()?;
                Matched::Update { stages, variables: variables(form)? }
            }
            Some(other) => return Err(wrong_matched(other)),
        };
        if form.contains_key("let") && !matches!(matched, Matched::Update { .. }) {
            return Err(Error::bad_request("the `let` of `$merge` is for the stages of `whenMatched`"));
        }
        let unmatched = match form.get("whenNotMatched").map(Bson::as_str) {
            None | Some(Some("insert")) => Unmatched::Insert,
            Some(Some("discard")) => Unmatched::Discard,
            Some(Some("fail")) => Unmatched::Fail,
            Some(_) => {
                return Err(Error::bad_request("`whenNotMatched` of `$merge` is insert, discard or fail"));
            }
        };
        Ok(Self { on: paths(form)?, matched, unmatched })
    }
}

fn wrong_matched(given: &impl std::fmt::Display) -> Error {
    Error::bad_request(format!(
        "`whenMatched` of `$merge` is replace, keepExisting, merge, fail or a list of stages, not {given}"
    ))
}

/// The `let`, with `new`, which always is the new document.
fn variables(form: &Document) -> Result<Document> {
    let mut variables = match form.get("let") {
        None => Document::new(),
        Some(Bson::Document(variables)) => variables.clone(),
        Some(other) => {
            return Err(Error::bad_request(format!("the `let` of `$merge` is a document, not {other}")));
        }
    };
    if variables.get("new").is_some_and(|new| new.as_str() != Some("$$ROOT")) {
        return Err(Error::bad_request(
            "the variable `new` of `$merge` is the new document and nothing else",
        ));
    }
    variables.insert("new", "$$ROOT");
    Ok(variables)
}

fn paths(form: &Document) -> Result<Vec<String>> {
    let wrong = || Error::bad_request("`on` of `$merge` is a path or a list of different paths");
    let paths = match form.get("on") {
        None => vec!["_id".to_owned()],
        Some(Bson::String(path)) => vec![path.clone()],
        Some(Bson::Array(paths)) => {
            let path = |path: &Bson| path.as_str().map(str::to_owned).ok_or_else(wrong);
            paths.iter().map(path).collect::<Result<_>>()?
        }
        Some(_) => return Err(wrong()),
    };
    let twice = |(at, path): (usize, &String)| path.is_empty() || paths[..at].contains(path);
    if paths.is_empty() || paths.iter().enumerate().any(twice) { Err(wrong()) } else { Ok(paths) }
}
