//! What a server says about its plan, in whichever of its forms.

use bson::{Bson, Document};
use forge_core::Result;
use forge_core::adapter::ExplainStep;

use crate::artifact::MongoArtifact;

/// Reads the index, the work and the sorts out of an `explain` reply.
pub(super) fn step(artifact: &MongoArtifact, reply: &Document) -> Result<ExplainStep> {
    let mut seen = Seen::default();
    seen.document(reply, false);
    let mut step = ExplainStep::new(artifact.collection.clone(), serde_json::to_value(&artifact.command)?);
    // A scan anywhere in the plan is what matters, whatever else has an index.
    step.index = if seen.scan { None } else { seen.index };
    step.documents_examined = seen.examined;
    step.documents_returned = seen.returned;
    step.sorts_in_memory = seen.sort;
    Ok(step)
}

#[derive(Default)]
struct Seen {
    index: Option<String>,
    scan: bool,
    sort: bool,
    examined: Option<u64>,
    returned: Option<u64>,
}

impl Seen {
    /// Looks through a reply. Plans are below `winningPlan`, wherever the server's version puts that; other plans of the
    /// reply were not chosen.
    fn document(&mut self, document: &Document, in_plan: bool) {
        if in_plan && let Ok(stage) = document.get_str("stage") {
            self.stage(stage, document);
        }
        for (key, value) in document {
            match key.as_str() {
                "rejectedPlans" | "command" => {}
                "totalDocsExamined" if self.examined.is_none() => self.examined = count(value),
                "nReturned" if self.returned.is_none() => self.returned = count(value),
                "winningPlan" => self.value(value, true),
                _ => self.value(value, in_plan),
            }
        }
    }

    fn value(&mut self, value: &Bson, in_plan: bool) {
        match value {
            Bson::Document(document) => self.document(document, in_plan),
            Bson::Array(list) => list.iter().for_each(|value| self.value(value, in_plan)),
            _ => {}
        }
    }

    fn stage(&mut self, stage: &str, document: &Document) {
        match stage {
            "COLLSCAN" => self.scan = true,
            "SORT" => self.sort = true,
            // The collection is not there.
            "EOF" => self.found("(nothing to read)"),
            "IDHACK" | "EXPRESS_IXSCAN" | "CLUSTERED_IXSCAN" => {
                self.found(document.get_str("indexName").unwrap_or("_id_"));
            }
            _ => {
                if let Ok(name) = document.get_str("indexName") {
                    self.found(name);
                }
            }
        }
    }

    fn found(&mut self, name: &str) {
        self.index.get_or_insert_with(|| name.to_owned());
    }
}

fn count(value: &Bson) -> Option<u64> {
    match value {
        Bson::Int32(n) => u64::try_from(*n).ok(),
        Bson::Int64(n) => u64::try_from(*n).ok(),
        Bson::Double(n) => Some(*n as u64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::doc;

    fn seen(reply: &Document) -> (Option<String>, bool, bool) {
        let mut seen = Seen::default();
        seen.document(reply, false);
        (seen.index, seen.scan, seen.sort)
    }

    #[test]
    fn the_chosen_plan_counts_and_rejected_ones_do_not() {
        let reply = doc! { "queryPlanner": {
            "winningPlan": { "stage": "SORT", "inputStage": { "stage": "FETCH", "inputStage": { "stage": "IXSCAN", "indexName": "p_1" } } },
            "rejectedPlans": [{ "stage": "COLLSCAN" }],
        } };
        assert_eq!(seen(&reply), (Some("p_1".to_owned()), false, true));
    }

    #[test]
    fn plans_inside_of_pipelines_are_found() {
        let reply = doc! { "stages": [{ "$cursor": { "queryPlanner": { "winningPlan": { "queryPlan": { "stage": "COLLSCAN" } } } } }, { "$sort": {} }] };
        assert_eq!(seen(&reply), (None, true, false));
    }
}
