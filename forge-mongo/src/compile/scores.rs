//! The scores of the searches that pipelines begin with. Stages ask for a score as such; which of the database's it is
//! follows from the first stage.

use bson::{Bson, Document, doc};
use forge_core::ir::{SCORE, asks_for_score};
use forge_core::{Error, Result};

use super::is_nothing;

/// Stages whose documents have no score, whatever was found before.
const WITHOUT: [&str; 6] = ["$group", "$bucket", "$bucketAuto", "$sortByCount", "$count", "$facet"];

/// The score of words.
const TEXT: &str = "textScore";

/// The stages, with the score of their search in the place of every score that they ask for.
///
/// # Errors
/// `bad_request` where there is no score, naming why.
pub(super) fn placed(stages: Vec<Document>) -> Result<Vec<Document>> {
    stages.first().map_or(Score::Never, Score::of).through(stages)
}

fn looks_for_words(condition: &Bson) -> bool {
    match condition {
        Bson::Document(form) => form.iter().any(|(name, value)| match name.as_str() {
            "$text" => true,
            "$and" | "$or" => looks_for_words(value),
            _ => false,
        }),
        Bson::Array(parts) => parts.iter().any(looks_for_words),
        _ => false,
    }
}

/// The score of the documents at a place in a pipeline.
#[derive(Clone)]
enum Score {
    /// This one of the database's.
    Of(&'static str),
    /// Any: there are no documents.
    Nothing,
    /// Nothing was searched.
    Never,
    /// None since this stage.
    Until(String),
}

impl Score {
    /// The score that a pipeline has by its first stage.
    fn of(first: &Document) -> Self {
        match first.iter().next().map(|(name, body)| (name.as_str(), body)) {
            Some(("$match", body)) if looks_for_words(body) => Score::Of(TEXT),
            Some(("$match", Bson::Document(condition))) if is_nothing(condition) => Score::Nothing,
            Some(("$search", _)) => Score::Of("searchScore"),
            Some(("$vectorSearch", _)) => Score::Of("vectorSearchScore"),
            Some(("$rankFusion" | "$scoreFusion", _)) => Score::Of("score"),
            _ => Score::Never,
        }
    }

    /// The database's expression.
    fn value(&self) -> Result<Bson> {
        match self {
            Score::Of(kind) => Ok(doc! { "$meta": *kind }.into()),
            Score::Nothing => Ok(Bson::Null),
            Score::Never => Err(Error::bad_request(
                "there is a score only in a search: a pipeline that begins with text, nearest_vector, search or rank_fusion",
            )),
            Score::Until(stage) => Err(Error::bad_request(format!(
                "the documents of `{stage}` have no score; give it a name before: `.set(|_| [score().named(\"score\")])`"
            ))),
        }
    }

    fn through(&mut self, stages: Vec<Document>) -> Result<Vec<Document>> {
        let mut out = Vec::with_capacity(stages.len());
        for mut stage in stages {
            let Some((name, body)) = stage.iter_mut().next() else { continue };
            let name = name.clone();
            match (name.as_str(), body) {
                ("$sort", Bson::Document(order)) if order.contains_key(SCORE) => {
                    out.extend(self.sorted(std::mem::take(order))?);
                    continue;
                }
                ("$setWindowFields", Bson::Document(form))
                    if form.get_document("sortBy").is_ok_and(|order| order.contains_key(SCORE)) =>
                {
                    return Err(Error::bad_request(
                        "windows are not ordered by a score as such; give it a name before, and order by that",
                    ));
                }
                ("$facet", Bson::Document(facets)) => {
                    for (_, stages) in facets.iter_mut() {
                        inside(stages, |stages| self.clone().through(stages))?;
                    }
                }
                ("$lookup" | "$unionWith", Bson::Document(form)) => {
                    if let Some(stages) = form.get_mut("pipeline") {
                        inside(stages, placed)?;
                    }
                    let rest = form.iter_mut().filter(|(name, _)| *name != "pipeline");
                    rest.into_iter().try_for_each(|(_, value)| self.place(value))?;
                }
                (_, body) => self.place(body)?,
            }
            out.push(stage);
            if WITHOUT.contains(&name.as_str()) && !matches!(self, Score::Never) {
                *self = Score::Until(name);
            }
        }
        Ok(out)
    }

    /// The stages of an order by the score among others, the best first.
    fn sorted(&self, mut order: Document) -> Result<Vec<Document>> {
        let score = self.value()?;
        if matches!(self, Score::Of(TEXT)) {
            order.insert(SCORE, score);
            return Ok(vec![doc! { "$sort": order }]);
        }
        // Servers sort by a score of another kind only where it is a field.
        order.insert(SCORE, -1);
        Ok(vec![doc! { "$set": { SCORE: score } }, doc! { "$sort": order }, doc! { "$unset": SCORE }])
    }

    /// Puts the score in its places in a part of a stage.
    fn place(&self, part: &mut Bson) -> Result<()> {
        if !asks_for_score(part) {
            return Ok(());
        }
        match part {
            Bson::Document(form) if form.contains_key("$meta") => {
                *part = self.value()?;
                Ok(())
            }
            Bson::Document(form) => {
                let quoted = |name: &str| name == "$literal";
                form.iter_mut().filter(|(name, _)| !quoted(name)).try_for_each(|(_, value)| self.place(value))
            }
            Bson::Array(items) => items.iter_mut().try_for_each(|item| self.place(item)),
            _ => Ok(()),
        }
    }
}

/// Changes the stages of a pipeline inside of a stage.
fn inside(pipeline: &mut Bson, change: impl FnOnce(Vec<Document>) -> Result<Vec<Document>>) -> Result<()> {
    let Bson::Array(stages) = pipeline else { return Ok(()) };
    // What is no stage is left for the database to refuse.
    if !stages.iter().all(|stage| stage.as_document().is_some_and(|stage| !stage.is_empty())) {
        return Ok(());
    }
    let stages = std::mem::take(stages).into_iter().filter_map(|stage| match stage {
        Bson::Document(stage) => Some(stage),
        _ => None,
    });
    *pipeline = Bson::Array(change(stages.collect())?.into_iter().map(Bson::Document).collect());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use forge_core::ErrorCode;

    fn json(stages: Vec<Document>) -> String {
        serde_json::to_string(&placed(stages).unwrap()).unwrap()
    }

    fn score() -> Document {
        doc! { "$meta": SCORE }
    }

    #[test]
    fn a_score_is_the_one_of_the_first_stage() {
        let set = || doc! { "$set": { "s": score(), "twice": { "$multiply": [score(), 2] }, "text": { "$literal": score() } } };
        insta::assert_snapshot!(json(vec![doc! { "$match": { "$and": [{ "$text": { "$search": "x" } }] } }, set()]), @r#"[{"$match":{"$and":[{"$text":{"$search":"x"}}]}},{"$set":{"s":{"$meta":"textScore"},"twice":{"$multiply":[{"$meta":"textScore"},2]},"text":{"$literal":{"$meta":"__forge_score"}}}}]"#);
        insta::assert_snapshot!(json(vec![doc! { "$search": {} }, set()]), @r#"[{"$search":{}},{"$set":{"s":{"$meta":"searchScore"},"twice":{"$multiply":[{"$meta":"searchScore"},2]},"text":{"$literal":{"$meta":"__forge_score"}}}}]"#);
        insta::assert_snapshot!(json(vec![doc! { "$vectorSearch": {} }, doc! { "$match": { "$expr": { "$gt": [score(), 1] } } }]), @r#"[{"$vectorSearch":{}},{"$match":{"$expr":{"$gt":[{"$meta":"vectorSearchScore"},1]}}}]"#);
        insta::assert_snapshot!(json(vec![doc! { "$rankFusion": {} }, doc! { "$group": { "_id": null, "best": { "$max": score() } } }]), @r#"[{"$rankFusion":{}},{"$group":{"_id":null,"best":{"$max":{"$meta":"score"}}}}]"#);
        let nothing = doc! { "$match": crate::compile::nothing() };
        insta::assert_snapshot!(json(vec![nothing, set()]), @r#"[{"$match":{"_id":{"$in":[]}}},{"$set":{"s":null,"twice":{"$multiply":[null,2]},"text":{"$literal":{"$meta":"__forge_score"}}}}]"#);
    }

    #[test]
    fn an_order_by_score_begins_with_the_best() {
        let sort = || doc! { "$sort": { SCORE: -1, "year": 1 } };
        insta::assert_snapshot!(json(vec![doc! { "$match": { "$text": {} } }, sort()]), @r#"[{"$match":{"$text":{}}},{"$sort":{"__forge_score":{"$meta":"textScore"},"year":1}}]"#);
        insta::assert_snapshot!(json(vec![doc! { "$search": {} }, doc! { "$facet": { "a": [sort()] } }]), @r#"[{"$search":{}},{"$facet":{"a":[{"$set":{"__forge_score":{"$meta":"searchScore"}}},{"$sort":{"__forge_score":-1,"year":1}},{"$unset":"__forge_score"}]}}]"#);
    }

    #[test]
    fn a_score_that_is_not_there_is_refused() {
        let found = || doc! { "$search": {} };
        let set = || doc! { "$set": { "s": score() } };
        for stages in [
            vec![set()],
            vec![doc! { "$match": { "year": 1 } }, doc! { "$sort": { SCORE: -1 } }],
            vec![found(), doc! { "$group": { "_id": "$year" } }, set()],
            vec![found(), doc! { "$facet": { "a": [{ "$count": "n" }, set()] } }],
            vec![found(), doc! { "$lookup": { "from": "x", "as": "x", "pipeline": [set()] } }],
            vec![found(), doc! { "$setWindowFields": { "sortBy": { SCORE: -1 }, "output": {} } }],
        ] {
            assert_eq!(placed(stages.clone()).unwrap_err().code(), ErrorCode::BadRequest, "{stages:?}");
        }
        placed(vec![doc! { "$group": { "_id": "$year" } }, doc! { "$set": { "s": 1 } }]).unwrap();
    }
}
