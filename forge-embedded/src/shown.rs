//! What a find shows of its documents: plain paths, parts of lists, computed fields.

use bson::{Bson, Document, RawDocument, RawDocumentBuf, doc};
use forge_core::{Error, Result};

use crate::aggregate::Fields;
use crate::filter;
use crate::index::integer;
use crate::keys;
use crate::matching::Matching;
use crate::project::{Projection, switch};

/// The server's codes.
const BAD_VALUE: i32 = 2;
const PATH_COLLISION: i32 = 31250;
const MISPLACED_POSITION: i32 = 31394;
const POSITION_IN_EXCLUSION: i32 = 31395;
const SECOND_POSITION: i32 = 31276;
const NO_POSITION: i32 = 51246;
const NESTED_ELEMENT: i32 = 31275;

/// A projection of a find.
#[derive(Debug)]
pub(crate) struct Shown {
    plain: Projection,
    parts: Vec<(String, Part)>,
    /// Expressions by their paths.
    pub(crate) computed: Document,
}

/// What is shown of a list.
#[derive(Debug)]
enum Part {
    /// The element by which the filter found the document.
    Met,
    /// The first element that matches. Lists without one are left out.
    First(Matching),
    Slice(Slice),
}

/// So many elements, from a place on; negative places are counted from the end.
#[derive(Debug, Clone, Copy)]
struct Slice {
    from: i64,
    most: Option<i64>,
}

/// The parts of a projection, before they are put together.
#[derive(Default)]
struct Gathered {
    plain: Document,
    parts: Vec<(String, Part)>,
    computed: Document,
}

impl Shown {
    /// Reads the projection of a find.
    ///
    /// # Errors
    /// `bad_request`, with the server's code, for what means nothing or does not go together; `unsupported` names an
    /// operator that the engine lacks.
    pub(crate) fn parse(form: &Document) -> Result<Self> {
        if is_plain(form) {
            return Ok(Self {
                plain: Projection::parse(form)?,
                parts: Vec::new(),
                computed: Document::new(),
            });
        }
        let mut gathered = Gathered::default();
        for (path, value) in form {
            gathered.add(path, value)?;
        }
        gathered.finish()
    }

    /// What is shown of `document`: `matching` is the filter that found it, where positions are asked for, and `fields`
    /// are the computed ones.
    pub(crate) fn apply(
        &self,
        document: &RawDocument,
        matching: Option<&Matching>,
        fields: &Fields<'_, '_>,
    ) -> Result<RawDocumentBuf> {
        let plain = self.plain.apply(document)?;
        if self.parts.is_empty() && self.computed.is_empty() {
            return Ok(plain);
        }
        let mut shown = Document::try_from(plain)?;
        for (path, part) in &self.parts {
            let position = || {
                let position = matching.and_then(|matching| matching.position(document, path));
                position.ok_or_else(|| no_position(path))
            };
            part.apply(&mut shown, path, &position)?;
        }
        fields.add(document, &mut shown)?;
        keys::to_raw(&shown)
    }

    /// Whether it shows the elements by which the filter found the documents.
    pub(crate) fn follows_match(&self) -> bool {
        self.parts.iter().any(|(_, part)| matches!(part, Part::Met))
    }
}

/// Whether a projection only says of paths whether they are shown.
pub(crate) fn is_plain(form: &Document) -> bool {
    form.iter().all(|(path, value)| !path.contains('$') && switch(value).is_some())
}

impl Gathered {
    fn add(&mut self, path: &str, value: &Bson) -> Result<()> {
        let operator = value.as_document().filter(|form| form.len() == 1).and_then(|form| form.iter().next());
        match (path.strip_suffix(".$"), operator) {
            (Some(list), _) => {
                let text = |what: &str| Error::bad_request(format!("the projection of `{path}`: {what}"));
                if switch(value) != Some(true) {
                    return Err(text("`$` takes 1").with_server_code(POSITION_IN_EXCLUSION));
                }
                if self.parts.iter().any(|(_, part)| matches!(part, Part::Met)) {
                    return Err(text("there is one `$` in a projection").with_server_code(SECOND_POSITION));
                }
                self.part(list, Part::Met)
            }
            (None, _) if path.split('.').any(|component| component == "$") => {
                let text = format!("the projection of `{path}`: `$` stands at the end of a path");
                Err(Error::bad_request(text).with_server_code(MISPLACED_POSITION))
            }
            (None, Some((name, condition))) if name == "$elemMatch" => {
                let wrong = |what: &str| {
                    Error::bad_request(format!("`$elemMatch` in the projection of `{path}` {what}"))
                };
                if path.contains('.') {
                    return Err(
                        wrong("is for lists at the top of documents").with_server_code(NESTED_ELEMENT)
                    );
                }
                let condition = condition.as_document();
                let condition =
                    condition.ok_or_else(|| wrong("takes a filter document").with_server_code(BAD_VALUE))?;
                let wrapped = doc! { LIST: { "$elemMatch": condition.clone() } };
                self.part(path, Part::First(Matching::new(&filter::parse(&wrapped)?)?))
            }
            (None, Some((name, operand))) if name == "$slice" && Slice::parse(operand).is_some() => {
                // What is no such number is an expression.
                Slice::parse(operand).map_or(Ok(()), |slice| self.part(path, Part::Slice(slice)))
            }
            (None, _) => {
                let target = if switch(value).is_some() { &mut self.plain } else { &mut self.computed };
                target.insert(path, value.clone());
                Ok(())
            }
        }
    }

    fn part(&mut self, path: &str, part: Part) -> Result<()> {
        if self.parts.iter().any(|(own, _)| own == path) {
            let text = format!("the projection names `{path}` twice");
            return Err(Error::bad_request(text).with_server_code(PATH_COLLISION));
        }
        self.parts.push((path.to_owned(), part));
        Ok(())
    }

    fn finish(mut self) -> Result<Shown> {
        let says = |wanted: bool| {
            let mut fields = self.plain.iter().filter(|(path, _)| *path != "_id");
            fields.any(|(_, value)| switch(value) == Some(wanted))
        };
        let (including, excluding) = (says(true), says(false));
        let has = |test: fn(&Part) -> bool| self.parts.iter().any(|(_, part)| test(part));
        let position = has(|part| matches!(part, Part::Met));
        if excluding && position {
            let text = "a projection with `$` cannot leave out fields";
            return Err(Error::bad_request(text).with_server_code(POSITION_IN_EXCLUSION));
        }
        let only_some = including
            || position
            || !self.computed.is_empty()
            || !excluding && has(|part| matches!(part, Part::First(_)));
        if only_some {
            for (path, _) in &self.parts {
                self.plain.insert(path.clone(), 1);
            }
        }
        let plain = match self.computed.is_empty() {
            true => Projection::parse(&self.plain)?,
            false => Projection::beside_computed(&self.plain)?,
        };
        Ok(Shown { plain, parts: self.parts, computed: self.computed })
    }
}

/// The name under which a list is matched by itself.
const LIST: &str = "list";

fn no_position(list: &str) -> Error {
    let text = format!(
        "the projection of `{list}.$`: no condition of the filter was met by an element of a list, so that `$` stands for none"
    );
    Error::bad_request(text).with_server_code(NO_POSITION)
}

impl Slice {
    /// A number of elements, from the end where it is negative; or a place and a number.
    fn parse(operand: &Bson) -> Option<Self> {
        match operand {
            Bson::Array(pair) => match pair.as_slice() {
                [from, most] => {
                    let most = integer(most).filter(|most| *most > 0)?;
                    Some(Self { from: integer(from)?, most: Some(most) })
                }
                _ => None,
            },
            number => match integer(number)? {
                from if from < 0 => Some(Self { from, most: None }),
                most => Some(Self { from: 0, most: Some(most) }),
            },
        }
    }

    fn apply(self, list: &mut Vec<Bson>) {
        let length = i64::try_from(list.len()).unwrap_or(i64::MAX);
        let start =
            if self.from < 0 { length.saturating_add(self.from).max(0) } else { self.from.min(length) };
        let end = self.most.map_or(length, |most| start.saturating_add(most).min(length));
        let place = |at: i64| usize::try_from(at).unwrap_or(usize::MAX).min(list.len());
        let (start, end) = (place(start), place(end));
        list.truncate(end);
        list.drain(..start);
    }
}

impl Part {
    fn apply(&self, document: &mut Document, path: &str, position: &dyn Fn() -> Result<usize>) -> Result<()> {
        let (head, rest) = path.split_once('.').map_or((path, None), |(head, rest)| (head, Some(rest)));
        match (document.get_mut(head), rest) {
            (Some(Bson::Document(inner)), Some(rest)) => self.apply(inner, rest, position),
            (Some(Bson::Array(list)), Some(rest)) => {
                if matches!(self, Part::Met) {
                    keep(list, position()?);
                    return Ok(());
                }
                let mut inner = list.iter_mut().filter_map(Bson::as_document_mut);
                inner.try_for_each(|inner| self.apply(inner, rest, position))
            }
            (Some(Bson::Array(list)), None) => match self {
                Part::Met => {
                    keep(list, position()?);
                    Ok(())
                }
                Part::Slice(slice) => {
                    slice.apply(list);
                    Ok(())
                }
                Part::First(matching) => {
                    match matching.position(&keys::to_raw(&doc! { LIST: list.clone() })?, LIST) {
                        Some(position) => keep(list, position),
                        None => _ = document.remove(head),
                    }
                    Ok(())
                }
            },
            (Some(_), None) if matches!(self, Part::First(_)) => {
                document.remove(head);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Leaves one element of a list.
fn keep(list: &mut Vec<Bson>, position: usize) {
    let element = list.drain(..).nth(position);
    list.extend(element);
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::bson;

    fn slice(operand: &Bson) -> Vec<i32> {
        let mut list: Vec<Bson> = (1..=5).map(Bson::Int32).collect();
        Slice::parse(operand).unwrap().apply(&mut list);
        list.iter().filter_map(Bson::as_i32).collect()
    }

    #[test]
    fn slices_are_counted_from_both_ends() {
        assert_eq!(slice(&bson!(2)), [1, 2]);
        assert_eq!(slice(&bson!(-2)), [4, 5]);
        assert_eq!(slice(&bson!(9)), [1, 2, 3, 4, 5]);
        assert_eq!(slice(&bson!(-9)), [1, 2, 3, 4, 5]);
        assert_eq!(slice(&bson!(0)), [0; 0]);
        assert_eq!(slice(&bson!([1, 2])), [2, 3]);
        assert_eq!(slice(&bson!([-3, 2])), [3, 4]);
        assert_eq!(slice(&bson!([-9, 1])), [1]);
        assert_eq!(slice(&bson!([9, 1])), [0; 0]);
        assert!(Slice::parse(&bson!([1, 0])).is_none());
    }

    #[test]
    fn what_does_not_go_together_is_refused_by_the_codes_of_servers() {
        for (form, code) in [
            (doc! { "a.$": 0 }, POSITION_IN_EXCLUSION),
            (doc! { "a.$": 1, "b": 0 }, POSITION_IN_EXCLUSION),
            (doc! { "a.$": 1, "b.$": 1 }, SECOND_POSITION),
            (doc! { "a.$.b": 1 }, MISPLACED_POSITION),
            (doc! { "a.b": { "$elemMatch": { "c": 1 } } }, NESTED_ELEMENT),
            (doc! { "a": { "$elemMatch": 1 } }, BAD_VALUE),
            (doc! { "a.$": 1, "a": { "$slice": 1 } }, PATH_COLLISION),
        ] {
            let error = Shown::parse(&form).unwrap_err();
            assert_eq!(error.server_code(), Some(code), "{form}: {error}");
        }
    }
}
