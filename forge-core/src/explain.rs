//! Explanations as a person reads them.

use std::fmt;

use crate::adapter::{ExplainStep, Explanation};

/// How much of a command is shown.
const MOST_OF_A_COMMAND: usize = 160;

impl Explanation {
    /// Adds what comes after it in the same read.
    pub(crate) fn add(&mut self, next: Explanation) {
        self.steps.extend(next.steps);
        self.choices.extend(next.choices);
        let new = next.warnings.into_iter().filter(|warning| !self.warnings.contains(warning));
        let new: Vec<_> = new.collect();
        self.warnings.extend(new);
    }
}

/// A short tree: each command with its collection, what it is for, its index, what it looked at and found, and whether
/// it sorts in memory; then the warnings.
///
/// ```text
/// airports: find {"filter":{"state":"OR"}}
///   index state_1_city_1, examined 12, returned 12
///   flights: aggregate (include departures) […]
///     no index: reads all of flights, examined 9000, returned 240, sorts in memory
/// warning: flights is read from end to end: …
/// ```
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            step.fmt(f)?;
        }
        if self.steps.is_empty() {
            f.write_str("no command: nothing can be found\n")?;
        }
        for choice in &self.choices {
            writeln!(f, "chosen: {choice}")?;
        }
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        Ok(())
    }
}

impl fmt::Display for ExplainStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let indent = self.depth as usize * 2;
        let (name, arguments) = command(&self.command);
        write!(f, "{:indent$}{}: {name}", "", self.collection)?;
        if let Some(purpose) = &self.purpose {
            write!(f, " ({purpose})")?;
        }
        writeln!(f, " {arguments}")?;
        write!(f, "{:indent$}  ", "")?;
        match &self.index {
            Some(index) => write!(f, "index {index}")?,
            None => write!(f, "no index: reads all of {}", self.collection)?,
        }
        if let Some(examined) = self.documents_examined {
            write!(f, ", examined {examined}")?;
        }
        if let Some(returned) = self.documents_returned {
            write!(f, ", returned {returned}")?;
        }
        if self.sorts_in_memory {
            f.write_str(", sorts in memory")?;
        }
        f.write_str("\n")
    }
}

/// The name and the arguments of a command, these cut short.
fn command(command: &serde_json::Value) -> (&str, String) {
    let name = command.get("op").and_then(serde_json::Value::as_str).unwrap_or("command");
    let mut text = command.get("args").unwrap_or(command).to_string();
    if let Some((end, _)) = text.char_indices().nth(MOST_OF_A_COMMAND) {
        text.truncate(end);
        text.push('…');
    }
    (name, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explanation_is_a_tree_with_its_warnings_below() {
        let mut first =
            ExplainStep::new("airports", serde_json::json!({ "op": "find", "args": { "filter": {} } }));
        first.index = Some("state_1".into());
        (first.documents_examined, first.documents_returned) = (Some(3), Some(2));
        let mut second =
            ExplainStep::new("flights", serde_json::json!({ "op": "aggregate", "args": "x".repeat(500) }));
        (second.depth, second.sorts_in_memory) = (1, true);
        second.purpose = Some("include departures".into());
        let explanation = Explanation {
            steps: vec![first, second],
            warnings: vec!["slow".into()],
            ..Explanation::default()
        };
        let text = explanation.to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], r#"airports: find {"filter":{}}"#);
        assert_eq!(lines[1], "  index state_1, examined 3, returned 2");
        assert!(
            lines[2].starts_with("  flights: aggregate (include departures) \"xxx")
                && lines[2].ends_with('…')
        );
        assert_eq!(lines[3], "    no index: reads all of flights, sorts in memory");
        assert_eq!(lines[4], "warning: slow");
    }
}
