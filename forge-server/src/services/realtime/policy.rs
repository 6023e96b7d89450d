//! Who may hear of a document: callers whose policy lets them read it.

use bson::RawDocument;
use forge_core::matcher::Matcher;
use forge_core::model::ModelDef;
use forge_core::policy::PolicyScope;
use forge_core::{Error, Result};

use super::super::registry::Bound;
use super::channels::{Audience, Connection};
use super::publish::guarded;

/// What an event is about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Subject<'a> {
    /// What the program says: no policy is asked.
    Told,
    /// A document that a call wrote; none where what the call answers is not known to be one.
    Written(Option<&'a RawDocument>),
}

impl Subject<'_> {
    /// Those of an audience who may hear of it.
    pub(super) fn narrow(self, service: &Bound, audience: Audience) -> Audience {
        let Self::Written(document) = self else { return audience };
        let model = service.options.documents.model().0;
        if model.policy.is_none() {
            return audience;
        }
        let mut failed = None;
        let audience = audience.seeing(|connection| {
            let sees = || sees(connection, model, document);
            let sees = guarded("a policy", sees).unwrap_or(Ok(false));
            sees.unwrap_or_else(|error| {
                failed = Some(error);
                false
            })
        });
        if let Some(error) = failed {
            tracing::error!(service = %service.path, %error, "an event was kept from connections");
        }
        audience
    }
}

/// Whether the caller behind a connection may read a document of a model with a policy.
///
/// # Errors
/// `unsupported` where that cannot be told.
fn sees(connection: &Connection, model: &ModelDef, document: Option<&RawDocument>) -> Result<bool> {
    // A policy that refuses a caller hides everything.
    let Ok(readable) = PolicyScope::of(&connection.caller()).readable(model) else { return Ok(false) };
    let Some(filter) = readable else { return Ok(true) };
    let unknown = |why: &str| {
        Error::unsupported(format!(
            "{why}: answer with Audience::without_policies in the publisher, which then says alone who hears of {}",
            model.name
        ))
    };
    let document = document.ok_or_else(|| unknown("the result of the call is no document that it wrote"))?;
    if filter.has_relations() {
        return Err(unknown("events are told to those whom a policy lets read without asking relations"));
    }
    Ok(Matcher::new(&filter)?.matches(document))
}
