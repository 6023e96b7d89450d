//! Which element of a list it was that met a condition: what `$` stands for in an update or a projection.

use bson::{RawArray, RawBsonRef, RawDocument};

use super::Matcher;
use super::eval::{Node, Subject, Test};
use crate::order::{self, Found};

impl Matcher {
    /// The position of the first element of the list at `list` that met the condition on it. Of several conditions the
    /// last one counts. Where none was on that list, the position in another list that met one; none where none did.
    ///
    /// Negations, sizes and comparisons with a whole list are met by no element. Of lists in lists the outer one counts.
    ///
    /// ```
    /// use bson::rawdoc;
    /// use forge_core::ir::Filter;
    /// use forge_core::matcher::Matcher;
    ///
    /// let matcher = Matcher::new(&Filter::eq("items.sku", "b"))?;
    /// let order = rawdoc! { "items": [{ "sku": "a" }, { "sku": "b" }] };
    /// assert_eq!(matcher.position(&order, "items"), Some(1));
    /// # Ok::<(), forge_core::Error>(())
    /// ```
    pub fn position(&self, document: &RawDocument, list: &str) -> Option<usize> {
        let mut found = Positions { list, own: None, other: None };
        let holds = self.on_id.iter().chain(&self.others).all(|node| node.locate(document, &mut found));
        found.own.or(found.other).filter(|_| holds)
    }
}

/// The positions of elements by which conditions held.
#[derive(Clone, Copy)]
struct Positions<'l> {
    list: &'l str,
    own: Option<usize>,
    other: Option<usize>,
}

impl Node {
    /// As [`Node::holds`], noting by which elements.
    fn locate(&self, document: &RawDocument, found: &mut Positions<'_>) -> bool {
        match self {
            Node::And(nodes) => nodes.iter().all(|node| node.locate(document, found)),
            Node::Or(nodes) => nodes.iter().any(|node| {
                let before = *found;
                let holds = node.locate(document, found);
                if !holds {
                    *found = before;
                }
                holds
            }),
            Node::Field(path, test) => {
                if let Some((end, position)) = test.in_document(document, path, 0) {
                    let list = if path[..end] == *found.list { &mut found.own } else { &mut found.other };
                    *list = Some(position);
                    return true;
                }
                self.holds(Subject::Document(document))
            }
            Node::Always(_) | Node::Not(_) | Node::Compare(..) | Node::Computed(_) | Node::Fits(_) => {
                self.holds(Subject::Document(document))
            }
        }
    }
}

impl Test {
    /// Where the first list on the way along `path[start..]` ends in the path, and which of its elements meets the test.
    fn in_document(&self, document: &RawDocument, path: &str, start: usize) -> Option<(usize, usize)> {
        let (head, rest) = order::split(&path[start..]);
        let end = start + head.len();
        match (order::field(document, head)?, rest) {
            (RawBsonRef::Document(inner), Some(_)) => self.in_document(inner, path, end + 1),
            (RawBsonRef::Array(array), Some(_)) => self.in_array(array, path, end),
            (RawBsonRef::Array(array), None) => {
                let position = array.into_iter().flatten().position(|element| self.is_met_by(element))?;
                Some((end, position))
            }
            _ => None,
        }
    }

    /// As [`Test::in_document`], in a list whose path ends at `end`, before its last component.
    fn in_array(&self, array: &RawArray, path: &str, end: usize) -> Option<(usize, usize)> {
        let rest = &path[end + 1..];
        let mut elements = array.into_iter().flatten();
        let within = |element| matches!(element, RawBsonRef::Document(inner) if self.holds_at(inner, rest));
        if let Some(position) = elements.position(within) {
            return Some((end, position));
        }
        // A number picks its element by itself; what follows may go through a list of its own.
        let (head, more) = order::split(rest);
        let picked = array.get(order::array_index(head)?).ok()??;
        let end = end + 1 + head.len();
        match (picked, more) {
            (RawBsonRef::Document(inner), Some(_)) => self.in_document(inner, path, end + 1),
            (RawBsonRef::Array(inner), Some(_)) => self.in_array(inner, path, end),
            _ => None,
        }
    }

    /// Whether an element meets the test by itself.
    fn is_met_by(&self, element: RawBsonRef<'_>) -> bool {
        match self {
            Test::Exists | Test::Size(_) => false,
            Test::Element { node, documents_only } => {
                let subject = Subject::Element(element);
                (!documents_only || subject.document().is_some()) && node.holds(subject)
            }
            _ => self.accepts(Found::Indexed(element)),
        }
    }
}
