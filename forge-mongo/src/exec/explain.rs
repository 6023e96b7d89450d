//! How reads are run: each command is explained just before it runs, since later ones depend on its answer.

use std::sync::{Mutex, PoisonError};

use forge_core::adapter::{Exec, ExplainStep, Explanation};
use forge_core::ir::Operation;
use forge_core::{Error, Result};

use super::run::Run;

/// The commands of a read, with the indexes they use.
pub(super) async fn explain(run: Run<'_>, operation: Operation) -> Result<Explanation> {
    if !operation.is_read() {
        return Err(Error::bad_request(format!("only reads are explained, not {}", operation.name())));
    }
    let (steps, choices) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    // Nobody depends on what an explanation reads.
    let exec = Exec { reads: None, ..run.exec.clone() };
    Run { steps: Some(&steps), choices: Some(&choices), exec: &exec, ..run }.operation(operation).await?;
    let mut explanation = Explanation::default();
    explanation.steps = steps.into_inner().unwrap_or_else(PoisonError::into_inner);
    explanation.choices = choices.into_inner().unwrap_or_else(PoisonError::into_inner);
    explanation.warnings = explanation.steps.iter().flat_map(warnings).collect();
    Ok(explanation)
}

fn warnings(step: &ExplainStep) -> Vec<String> {
    let mut warnings = Vec::new();
    if step.index.is_none() {
        warnings.push(format!(
            "{} is read from end to end: no index fits the condition; declare one over the fields it compares",
            step.collection
        ));
    }
    if step.sorts_in_memory {
        warnings.push(format!(
            "{} is sorted in memory: no index has the order; declare one that ends with the sort keys",
            step.collection
        ));
    }
    warnings
}
