//! Compiled filters that can be shared.

use std::cell::RefCell;
use std::sync::Arc;

use bson::{Bson, RawDocument};
use forge_core::ir::Filter;
use forge_core::matcher::{Computed, Matcher};
use forge_core::{Env, Result};

use crate::aggregate;
use crate::collation::{Collator, Strings};

/// A compiled filter; none matches everything without looking.
#[derive(Debug, Clone)]
pub(crate) struct Matching {
    matcher: Option<Arc<Matcher>>,
    computed: Vec<Computed>,
}

impl Matching {
    /// Compiles `filter`.
    pub(crate) fn new(filter: &Filter) -> Result<Self> {
        Self::within(filter, &[], None, None)
    }

    /// Compiles `filter`, whose expressions see `variables` and the randomness of `env`, with strings that compare as
    /// `strings` says.
    pub(crate) fn within(
        filter: &Filter,
        variables: &[(String, Bson)],
        env: Option<&Env>,
        strings: Strings<'_>,
    ) -> Result<Self> {
        if *filter == Filter::All {
            return Ok(Self { matcher: None, computed: Vec::new() });
        }
        let computed = RefCell::new(Vec::new());
        let evaluator = |expression: &Bson| {
            let condition = aggregate::condition(expression, variables, env, strings)?;
            computed.borrow_mut().push(condition.clone());
            Ok(condition)
        };
        let matcher = Matcher::with(filter, &evaluator, strings.map(Collator::folding))?;
        Ok(Self { matcher: Some(Arc::new(matcher)), computed: computed.into_inner() })
    }

    /// Whether `document` satisfies the filter.
    pub(crate) fn matches(&self, document: &RawDocument) -> bool {
        self.matcher.as_ref().is_none_or(|matcher| matcher.matches(document))
    }

    /// The position of the element of the list at `list` by which `document` satisfies the filter; see
    /// [`Matcher::position`].
    pub(crate) fn position(&self, document: &RawDocument, list: &str) -> Option<usize> {
        self.matcher.as_ref()?.position(document, list)
    }

    /// The first failure of an expression of the filter: its documents did not match.
    pub(crate) fn outcome(&self) -> Result<()> {
        self.computed.iter().find_map(Computed::failure).map_or(Ok(()), Err)
    }
}
