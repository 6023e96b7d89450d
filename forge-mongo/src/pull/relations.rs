//! References between collections: guessed by name, believed where the values are ids over there.

use bson::{Bson, doc};
use forge_core::Result;

use super::Source;
use super::names::{plural, singular, snake};
use super::observe::{Kind, Values};
use crate::artifact::{Command, MongoArtifact, Reply};
use crate::driver::Driver;

/// The most values that are looked up.
const LOOKED_UP: usize = 10;
/// The most collections that a name without a hint is looked up in.
const TRIED: usize = 40;

/// A field that holds the id of another document.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reference {
    /// The stored name of the field.
    pub(super) field: String,
    /// The name of the relation, in snake case.
    pub(super) relation: String,
    /// The position of the other collection.
    pub(super) target: usize,
    /// Whether the field holds a list of ids.
    pub(super) many: bool,
    /// What speaks for it.
    pub(super) evidence: String,
}

/// The references of one collection.
pub(super) async fn find(
    driver: &dyn Driver,
    database: &str,
    sources: &[Source],
    at: usize,
) -> Result<Vec<Reference>> {
    let mut found = Vec::new();
    for (field, values) in &sources[at].shape.fields {
        let (values, many) = match (values.known().as_slice(), values.elements.as_deref()) {
            ([Kind::List], Some(elements)) if !values.nullable() && !elements.nullable() => (elements, true),
            _ => (values, false),
        };
        let [kind @ (Kind::ObjectId | Kind::Uuid | Kind::Text | Kind::Int | Kind::Long)] = values.known()[..]
        else {
            continue;
        };
        let Some(stem) = stem_of(field, kind, many) else { continue };
        let candidates = candidates(sources, &stem, kind, field);
        let mut hits = Vec::new();
        for target in candidates.into_iter().take(TRIED) {
            if let Some(evidence) = exists(driver, database, &sources[target], values).await? {
                hits.push((target, evidence));
                if is_named(&sources[target].name, &stem) {
                    hits = hits.split_off(hits.len() - 1);
                    break;
                }
            }
        }
        if let [(target, evidence)] = hits.as_slice() {
            found.push(Reference {
                field: field.clone(),
                relation: if many { plural(&stem) } else { stem },
                many,
                target: *target,
                evidence: evidence.clone(),
            });
        }
    }
    Ok(found)
}

/// What a field refers to, by its name: `origin` of `origin_id`, `originId`, `origin_code`; an ObjectId is a reference
/// whatever its name.
fn stem_of(field: &str, kind: Kind, many: bool) -> Option<String> {
    // `tag_ids` and `tags` hold what `tag_id` and `tag` would.
    let name = if many { singular(&snake(field)) } else { snake(field) };
    if field == "_id" {
        return None;
    }
    let stem = ["_id", "_ref", "_code", "_key", "_uuid"].iter().find_map(|suffix| name.strip_suffix(suffix));
    match stem {
        Some(stem) if !stem.is_empty() => Some(stem.to_owned()),
        _ if kind == Kind::ObjectId => Some(name),
        _ => None,
    }
}

/// Collections whose ids have the type, those with the name first.
fn candidates(sources: &[Source], stem: &str, kind: Kind, field: &str) -> Vec<usize> {
    let fits = |source: &Source| {
        !source.is_view()
            && source.shape.field("_id").is_some_and(|id| match (kind, id.known().as_slice()) {
                (Kind::Int | Kind::Long, [Kind::Int | Kind::Long]) => true,
                (kind, [only]) => *only == kind,
                _ => false,
            })
    };
    let mut all: Vec<usize> = (0..sources.len()).filter(|at| fits(&sources[*at])).collect();
    // Small numbers and texts are ids everywhere: only a name can tell, or that of the field says it is a key.
    let is_key = snake(field).trim_end_matches('s').ends_with("_id");
    let guess = matches!(kind, Kind::ObjectId | Kind::Uuid) || (kind == Kind::Text && is_key);
    if !guess {
        all.retain(|at| is_named(&sources[*at].name, stem));
    }
    all.sort_by_key(|at| !is_named(&sources[*at].name, stem));
    all
}

/// Whether a collection is named after `stem`, or after its last word: `airports` of `home_airport`.
fn is_named(collection: &str, stem: &str) -> bool {
    let name = snake(collection.rsplit('.').next().unwrap_or(collection));
    let one = singular(&name);
    let last = stem.rsplit('_').next().unwrap_or(stem);
    [stem, last].iter().any(|word| *word == one || *word == name || plural(word) == name)
}

/// What speaks for it, where every value that is looked up is an id over there.
async fn exists(
    driver: &dyn Driver,
    database: &str,
    target: &Source,
    values: &Values,
) -> Result<Option<String>> {
    let mut wanted: Vec<Bson> = Vec::new();
    for value in &values.samples {
        if wanted.len() < LOOKED_UP {
            wanted.push(value.clone());
        }
    }
    if wanted.is_empty() {
        return Ok(None);
    }
    let filter = doc! { "_id": { "$in": wanted.clone() } };
    let artifact = MongoArtifact::new(&target.name, Command::Count { filter, limit: None, estimated: false });
    let (reply, _) = driver.run(database, artifact.into(), None).await?;
    let Reply::Count(count) = reply else { return Ok(None) };
    let all = wanted.len() as u64;
    // Dangling keys are common; half of them are not.
    let enough = count > 0 && count * 10 >= all * 8;
    Ok(enough.then(|| format!("{count} of {all} sampled values are ids of `{}`", target.name)))
}

/// The `_id` of sampled documents has one type.
pub(super) fn id_kind(source: &Source) -> Option<Kind> {
    match source.shape.field("_id")?.known().as_slice() {
        [only] => Some(*only),
        [Kind::Int, Kind::Long] => Some(Kind::Long),
        _ => None,
    }
}
