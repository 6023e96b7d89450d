//! `$jsonSchema`: what documents have to look like, by MongoDB's keywords.

mod check;
mod parse;
mod rules;
#[cfg(test)]
mod tests;

use bson::{Document, RawBsonRef, RawDocument};

use crate::error::Result;
use check::At;
use rules::Rule;

/// A `$jsonSchema`, compiled once: validators of collections ask it what is wrong with a document, filters whether
/// anything is.
///
/// It has the keywords of MongoDB, with their meaning: `bsonType` and `type` (by name, one or several), `enum`,
/// `required`, `properties`, `patternProperties`, `additionalProperties`, `minProperties`, `maxProperties`,
/// `dependencies`, `items` (one schema, or one for each place), `additionalItems`, `minItems`, `maxItems`,
/// `uniqueItems`, `minLength`, `maxLength`, `pattern`, `minimum`, `maximum`, `exclusiveMinimum`, `exclusiveMaximum`,
/// `multipleOf`, `allOf`, `anyOf`, `oneOf`, `not`; `title` and `description` say nothing. A keyword about one kind of
/// value (`maxLength`) lets values of other kinds pass. Values of `enum` equal whatever the order of their fields.
///
/// ```
/// use bson::{doc, rawdoc};
/// use forge_core::matcher::DocumentSchema;
///
/// let schema = DocumentSchema::new(&doc! { "required": ["name"], "properties": { "name": { "minLength": 2 } } })?;
/// assert!(schema.accepts(&rawdoc! { "name": "Ada" }));
/// assert_eq!(schema.problem(&rawdoc! {}).as_deref(), Some("`name` is missing"));
/// # Ok::<(), forge_core::Error>(())
/// ```
#[derive(Debug)]
pub struct DocumentSchema(Vec<Rule>);

impl DocumentSchema {
    /// Reads a schema.
    ///
    /// # Errors
    /// With the server's code: `unsupported` for a keyword (9) or a type (2, 9) that there is not, `bad_request` for what
    /// means nothing with its operand (2, 9 and 14). `unsupported` for a pattern that needs backtracking.
    pub fn new(schema: &Document) -> Result<Self> {
        parse::schema(schema, 0).map(Self)
    }

    /// What of `document` breaks the schema, with its path; none where nothing does.
    pub fn problem(&self, document: &RawDocument) -> Option<String> {
        check::broken(&self.0, RawBsonRef::Document(document), &At::telling())
    }

    /// Whether `document` fulfils the schema.
    pub fn accepts(&self, document: &RawDocument) -> bool {
        check::broken(&self.0, RawBsonRef::Document(document), &At::silent()).is_none()
    }
}
