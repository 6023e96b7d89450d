//! Validators of collections: `$jsonSchema`, and conditions beside it.

use std::sync::Arc;

use bson::{Document, RawDocument, doc};
use forge_core::matcher::DocumentSchema;
use forge_core::{Error, Result};

use crate::filter;
use crate::matching::Matching;

/// What the documents of a collection must fulfil.
#[derive(Debug, Clone)]
pub(crate) struct Validator {
    /// Everything that it was made of, as `listCollections` answers it.
    pub(crate) options: Document,
    schema: Option<Arc<DocumentSchema>>,
    condition: Matching,
    strict: bool,
    refuse: bool,
}

impl Validator {
    /// Reads `validator`, `validationLevel` and `validationAction`; none where there is nothing to check.
    ///
    /// # Errors
    /// `unsupported` naming a keyword that this engine does not check, `bad_request` for what means nothing.
    pub(crate) fn from_options(options: &Document) -> Result<Option<Self>> {
        let Some(validator) = options.get("validator") else { return Ok(None) };
        let validator =
            validator.as_document().ok_or_else(|| Error::bad_request("a validator is a document"))?;
        let word = |key: &str, default: &str, known: &[&str]| {
            let word = options.get_str(key).unwrap_or(default).to_owned();
            let wrong = || Error::bad_request(format!("{key} is {}, not {word:?}", known.join(" or ")));
            known.contains(&word.as_str()).then_some(word.clone()).ok_or_else(wrong)
        };
        let level = word("validationLevel", "strict", &["strict", "moderate", "off"])?;
        let action = word("validationAction", "error", &["error", "warn"])?;
        if validator.is_empty() || level == "off" {
            return Ok(None);
        }
        let mut condition = validator.clone();
        let schema = match condition.remove("$jsonSchema") {
            None => None,
            Some(schema) => Some(Arc::new(DocumentSchema::new(filter::schema(&schema)?)?)),
        };
        let condition = Matching::new(&filter::parse(&condition)?)?;
        let (strict, refuse) = (level == "strict", action == "error");
        let options =
            doc! { "validator": validator.clone(), "validationLevel": level, "validationAction": action };
        Ok(Some(Self { options, schema, condition, strict, refuse }))
    }

    /// Checks a document that is to be stored in place of `before`.
    ///
    /// # Errors
    /// `bad_request` naming the path that breaks the schema, where the validator refuses.
    pub(crate) fn admit(
        &self,
        collection: &str,
        before: Option<&RawDocument>,
        after: &RawDocument,
    ) -> Result<()> {
        let Some(problem) = self.problem(after)? else { return Ok(()) };
        // A document that is wrong already may stay so.
        if !self.strict
            && before.is_some_and(|before| self.problem(before).is_ok_and(|problem| problem.is_some()))
        {
            return Ok(());
        }
        if !self.refuse {
            tracing::warn!(collection, problem, "a document breaks the schema of its collection");
            return Ok(());
        }
        Err(Error::bad_request(format!("the document breaks the schema of {collection}: {problem}")))
    }

    fn problem(&self, document: &RawDocument) -> Result<Option<String>> {
        if !self.condition.matches(document) {
            return Ok(Some("it does not match the validator".to_owned()));
        }
        Ok(self.schema.as_ref().and_then(|schema| schema.problem(document)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keywords_are_named() {
        let options =
            doc! { "validator": { "$jsonSchema": { "properties": { "a": { "format": "date" } } } } };
        let error = Validator::from_options(&options).unwrap_err();
        assert!(error.to_string().contains("`format`"), "{error}");
        assert_eq!(error.server_code(), Some(9));
    }

    #[test]
    fn a_schema_deeper_in_the_condition_is_checked_too() {
        let validator = doc! { "$or": [{ "free": true }, { "$jsonSchema": { "required": ["name"] } }] };
        let validator = Validator::from_options(&doc! { "validator": validator }).unwrap().unwrap();
        assert!(validator.admit("c", None, &bson::rawdoc! { "name": 1 }).is_ok());
        assert!(validator.admit("c", None, &bson::rawdoc! { "free": true }).is_ok());
        assert!(validator.admit("c", None, &bson::rawdoc! {}).is_err());
    }
}
