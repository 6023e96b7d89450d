//! Indexes that cost and do not serve.

use bson::{Bson, Document, doc};
use forge_core::adapter::{Finding, Severity};
use forge_core::{Catalog, DateTime, Result};

use super::is_forbidden;
use crate::artifact::{Command, MongoArtifact, Reply};
use crate::driver::Driver;

/// Servers count from their start: younger counts say nothing, in milliseconds.
const OLD_ENOUGH: i64 = 24 * 3_600_000;

/// Reports indexes that are the beginning of another, and those that nobody used.
pub(super) async fn examine(
    driver: &dyn Driver,
    database: &str,
    catalog: &Catalog,
    now: DateTime,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    for model in catalog.models().iter().filter(|model| !model.is_plain_view()) {
        let listed = driver.list_indexes(database, model.collection).await?;
        for index in &listed {
            if let Some(longer) = listed.iter().find(|longer| is_beginning(index, longer)) {
                let message = format!(
                    "{} {} is the beginning of {}, which serves its queries as well",
                    model.collection,
                    name(index),
                    name(longer)
                );
                let advice = "remove its declaration, and `push --prune`";
                findings.push(Finding::new(Severity::Info, "indexes", message).advise(advice));
            }
        }
        findings.extend(unused(driver, database, model.collection, &listed, now).await?);
    }
    Ok(())
}

/// Whether `longer` serves every query that `index` serves.
fn is_beginning(index: &Document, longer: &Document) -> bool {
    let keys = |index: &Document| -> Vec<(String, Option<i64>)> {
        let key = index.get_document("key").cloned().unwrap_or_default();
        key.iter().map(|(path, kind)| (path.clone(), crate::push::whole(kind))).collect()
    };
    let (short, long) = (keys(index), keys(longer));
    let plain = |index: &Document| {
        let special = ["partialFilterExpression", "expireAfterSeconds", "collation", "weights", "hidden"];
        !special.iter().any(|option| index.contains_key(option)) && !is_set(index, "sparse")
    };
    name(index) != "_id_"
        && !is_set(index, "unique")
        && plain(index)
        && plain(longer)
        && short.len() < long.len()
        && short.iter().all(|(_, kind)| kind.is_some())
        && long.starts_with(&short)
}

async fn unused(
    driver: &dyn Driver,
    database: &str,
    collection: &str,
    listed: &[Document],
    now: DateTime,
) -> Result<Vec<Finding>> {
    let stats = Command::Aggregate { pipeline: vec![doc! { "$indexStats": {} }] };
    let documents = match driver.run(database, MongoArtifact::new(collection, stats).into(), None).await {
        Ok((Reply::Documents(documents), _)) => documents,
        Ok(_) => return Ok(Vec::new()),
        Err(error) if is_forbidden(error.code()) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut findings = Vec::new();
    for document in &documents {
        let stats = Document::try_from(document)?;
        let Ok(accesses) = stats.get_document("accesses") else { continue };
        let never = accesses.get("ops").and_then(crate::push::whole) == Some(0);
        let since = accesses.get_datetime("since").map_or(now.millis(), |since| since.timestamp_millis());
        let old = now.millis().saturating_sub(since) >= OLD_ENOUGH;
        let index = listed.iter().find(|index| name(index) == name(&stats));
        // These do their work without being read.
        let works =
            index.is_none_or(|index| is_set(index, "unique") || index.contains_key("expireAfterSeconds"));
        if never && old && !works && name(&stats) != "_id_" {
            let message = format!(
                "{collection} {} was used by no query since {}",
                name(&stats),
                DateTime::from_millis(since)
            );
            let advice =
                "if it is for rare queries, keep it; else remove its declaration, and `push --prune`";
            findings.push(Finding::new(Severity::Info, "indexes", message).advise(advice));
        }
    }
    Ok(findings)
}

fn name(index: &Document) -> &str {
    index.get_str("name").unwrap_or_default()
}

fn is_set(index: &Document, flag: &str) -> bool {
    matches!(index.get(flag), Some(Bson::Boolean(true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_beginning_is_redundant() {
        let index = |key: Document, more: Document| {
            let mut index = doc! { "name": key.to_string(), "key": key };
            index.extend(more);
            index
        };
        let long = index(doc! { "a": 1, "b": -1.0 }, doc! {});
        assert!(is_beginning(&index(doc! { "a": 1_i64 }, doc! {}), &long));
        assert!(!is_beginning(&long, &long));
        for other in [
            index(doc! { "b": 1 }, doc! {}),
            index(doc! { "a": -1 }, doc! {}),
            index(doc! { "a": "hashed" }, doc! {}),
            index(doc! { "a": 1 }, doc! { "unique": true }),
            index(doc! { "a": 1 }, doc! { "partialFilterExpression": {} }),
        ] {
            assert!(!is_beginning(&other, &long), "{other}");
        }
    }
}
