//! The last door before the driver: commands on collections of tenants are narrowed to one tenant, whatever built them.

use bson::{Bson, Document, doc};
use forge_core::model::ModelDef;
use forge_core::tenant::{TenantScope, foreign};
use forge_core::{Catalog, Error, Result};

use super::exact::{equal, is_collated};
use super::narrow::{Condition, Narrowing, narrow};
use crate::artifact::{Command, Modification, MongoArtifact};

/// The command as it may be sent for the tenant.
///
/// # Errors
/// `internal` where a collection of tenants is used for none; `forbidden` where a document would change hands.
pub(super) fn scoped(
    catalog: &Catalog,
    scope: &TenantScope,
    artifact: MongoArtifact,
) -> Result<MongoArtifact> {
    if !catalog.has_tenants() {
        return Ok(artifact);
    }
    let guard = Guard { catalog, scope, collated: is_collated(&artifact.options) };
    let model = catalog
        .by_collection(&artifact.collection)
        .filter(|model| model.tenant.is_some() || model.view.is_some());
    let command = match (&artifact.command, model) {
        (Command::Aggregate { pipeline }, _) => {
            let narrowing =
                Narrowing { condition: &|collection| guard.condition(collection), refusal: foreign_target };
            Command::Aggregate { pipeline: narrowing.pipeline(&artifact.collection, pipeline)? }
        }
        (_, None) => return Ok(artifact),
        (command, Some(model)) => match guard.command(model, command.clone())? {
            Some(command) => command,
            None => return Ok(artifact),
        },
    };
    Ok(MongoArtifact { command, ..artifact })
}

/// The paths of a unique index that callers know: the tenant goes without saying.
pub(super) fn without_key(model: &ModelDef, mut paths: Vec<String>) -> Vec<String> {
    paths.retain(|path| Some(path.as_str()) != model.tenant);
    paths
}

struct Guard<'a> {
    catalog: &'a Catalog,
    scope: &'a TenantScope,
    /// Whether the command takes some texts for equal.
    collated: bool,
}

impl Guard<'_> {
    /// The condition that a document is the tenant's.
    fn owned(&self, path: &str, tenant: &Bson) -> Document {
        if self.collated {
            equal(path, tenant)
        } else {
            doc! { path: tenant }
        }
    }

    /// The narrowed command; none where it may stay as it is.
    fn command(&self, model: &ModelDef, mut command: Command) -> Result<Option<Command>> {
        if let Command::Insert { documents, .. } = &mut command {
            for document in documents {
                self.scope.claim(model, document)?;
            }
            return Ok(Some(command));
        }
        let Some((path, tenant)) = self.scope.key(model)? else { return Ok(None) };
        match &mut command {
            Command::Update { filter, update, .. } | Command::FindOneAndUpdate { filter, update, .. } => {
                keep_tenant(model, path, tenant, update)?;
                narrow(filter, &self.owned(path, tenant));
            }
            Command::Replace { filter, replacement } => {
                self.scope.claim(model, replacement)?;
                narrow(filter, &self.owned(path, tenant));
            }
            Command::Find { filter, .. }
            | Command::Count { filter, .. }
            | Command::Distinct { filter, .. }
            | Command::Delete { filter, .. }
            | Command::FindOneAndDelete { filter } => narrow(filter, &self.owned(path, tenant)),
            other => {
                let name = other.name();
                return Err(Error::unsupported(format!("{name} cannot be narrowed to one tenant")));
            }
        }
        Ok(Some(command))
    }

    fn condition(&self, collection: &str) -> Result<Option<Condition>> {
        let Some(model) = self.catalog.by_collection(collection) else { return Ok(None) };
        Ok(self.scope.key(model)?.map(|(path, tenant)| self.owned(path, tenant).into()))
    }
}

fn foreign_target(collection: &str) -> Error {
    Error::forbidden(format!(
        "a pipeline cannot write into {collection}, which holds the documents of many tenants; use db.across_tenants()"
    ))
}

/// Refuses an update that would give a document to another tenant.
fn keep_tenant(model: &ModelDef, path: &str, tenant: &Bson, update: &mut Modification) -> Result<()> {
    let operators = match update {
        Modification::Pipeline(stages) => {
            // Whatever the stages make of it, it stays the tenant's.
            stages.push(doc! { "$set": { path: { "$literal": tenant } } });
            return Ok(());
        }
        Modification::Operators(operators) | Modification::Elements { operators, .. } => operators,
    };
    for (operator, fields) in operators.iter_mut() {
        let Bson::Document(fields) = fields else { continue };
        let harmless = matches!(operator.as_str(), "$set" | "$setOnInsert");
        match fields.get(path) {
            // The condition gives it to what is inserted.
            Some(value) if harmless && value == tenant => _ = fields.remove(path),
            Some(_) => return Err(foreign(model)),
            None => {}
        }
        let inside = |name: &str| name.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
        let renamed = |value: &Bson| value.as_str().is_some_and(|to| to == path || inside(to));
        if fields.iter().any(|(name, value)| inside(name) || (operator == "$rename" && renamed(value))) {
            return Err(foreign(model));
        }
    }
    // The server refuses operators without fields.
    let full = |fields: &Bson| !fields.as_document().is_some_and(Document::is_empty);
    if operators.values().any(full) {
        *operators = std::mem::take(operators).into_iter().filter(|(_, fields)| full(fields)).collect();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::rawdoc;
    use forge_core::ErrorCode;
    use std::sync::Arc;

    static NOTE: ModelDef = ModelDef { tenant: Some("org"), ..ModelDef::new("Note", "notes", &[], 0) };
    static BOARD: ModelDef = ModelDef::new("Board", "boards", &[], 0);

    fn catalog() -> Catalog {
        Catalog::new([&NOTE, &BOARD]).unwrap()
    }

    fn one() -> TenantScope {
        TenantScope::One(Arc::new("a".into()))
    }

    fn send(collection: &str, command: Command) -> Result<Command> {
        let artifact = MongoArtifact::new(collection, command);
        scoped(&catalog(), &one(), artifact).map(|artifact| artifact.command)
    }

    fn stages(collection: &str, pipeline: Vec<Document>) -> Vec<Document> {
        match send(collection, Command::Aggregate { pipeline }).unwrap() {
            Command::Aggregate { pipeline } => pipeline,
            other => panic!("{other:?}"),
        }
    }

    fn update(operators: Document) -> Result<Command> {
        let (filter, update) = (doc! { "_id": 1 }, operators.into());
        send("notes", Command::Update { filter, update, many: false, upsert: true })
    }

    #[test]
    fn conditions_begin_with_the_tenant_and_cannot_name_another() {
        let delete = |filter| match send("notes", Command::Delete { filter, many: true }).unwrap() {
            Command::Delete { filter, .. } => filter,
            other => panic!("{other:?}"),
        };
        assert_eq!(delete(doc! { "n": 1 }), doc! { "org": "a", "n": 1 });
        assert_eq!(delete(doc! { "org": "a" }), doc! { "org": "a" });
        assert_eq!(delete(doc! { "org": "b" }), doc! { "org": "b", "$and": [{ "org": "a" }] });
    }

    #[test]
    fn every_stage_that_reads_tenants_is_narrowed() {
        let only = doc! { "$match": { "org": "a" } };
        assert_eq!(stages("notes", vec![]), std::slice::from_ref(&only));
        assert_eq!(stages("boards", vec![doc! { "$limit": 1 }]), [doc! { "$limit": 1 }]);
        let near = stages("notes", vec![doc! { "$geoNear": { "near": [0, 0] } }]);
        assert_eq!(near, [doc! { "$geoNear": { "near": [0, 0], "query": { "org": "a" } } }]);
        let lookup =
            doc! { "$lookup": { "from": "notes", "localField": "_id", "foreignField": "board", "as": "n" } };
        let found = stages("boards", vec![doc! { "$facet": { "x": [lookup, { "$unionWith": "notes" }] } }]);
        let facet = found[0].get_document("$facet").unwrap().get_array("x").unwrap();
        let stage = |at: usize, name: &str| facet[at].as_document().unwrap().get_document(name).unwrap();
        assert_eq!(stage(0, "$lookup").get_array("pipeline").unwrap(), &[only.clone().into()]);
        assert_eq!(stage(1, "$unionWith").get_array("pipeline").unwrap(), &[only.into()]);
        let graph = doc! { "$graphLookup": { "from": "notes", "startWith": "$_id", "as": "n" } };
        let found = stages("boards", vec![graph]);
        let graph = found[0].get_document("$graphLookup").unwrap();
        assert_eq!(graph.get_document("restrictSearchWithMatch").unwrap(), &doc! { "org": "a" });
    }

    #[test]
    fn pipelines_cannot_write_among_the_tenants() {
        for stage in [doc! { "$out": "notes" }, doc! { "$merge": { "into": { "coll": "notes" } } }] {
            let error = send("boards", Command::Aggregate { pipeline: vec![stage] }).unwrap_err();
            assert_eq!(error.code(), ErrorCode::Forbidden);
        }
        assert_eq!(stages("boards", vec![doc! { "$out": "boards" }]), [doc! { "$out": "boards" }]);
    }

    #[test]
    fn no_update_moves_a_document_to_another_tenant() {
        for operators in [
            doc! { "$set": { "org": "b" } },
            doc! { "$unset": { "org": "" } },
            doc! { "$rename": { "n": "org" } },
            doc! { "$set": { "org.x": 1 } },
            doc! { "$setOnInsert": { "org": "b" } },
        ] {
            assert_eq!(update(operators.clone()).unwrap_err().code(), ErrorCode::Forbidden, "{operators}");
        }
        let Command::Update { filter, update, .. } =
            update(doc! { "$set": { "n": 1 }, "$setOnInsert": { "org": "a" } }).unwrap()
        else {
            panic!()
        };
        assert_eq!(filter, doc! { "org": "a", "_id": 1 });
        assert_eq!(update, Modification::Operators(doc! { "$set": { "n": 1 } }));
    }

    #[test]
    fn inserts_and_replacements_are_given_to_the_tenant() {
        let documents = vec![rawdoc! { "_id": 1 }];
        let Command::Insert { documents, .. } =
            send("notes", Command::Insert { documents, ordered: true }).unwrap()
        else {
            panic!()
        };
        assert_eq!(documents, [rawdoc! { "_id": 1, "org": "a" }]);
        let (filter, replacement) = (doc! { "_id": 1 }, rawdoc! { "org": "b" });
        let error = send("notes", Command::Replace { filter, replacement }).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Forbidden);
    }

    #[test]
    fn without_a_tenant_nothing_is_sent() {
        let find = Command::Find { filter: doc! {}, projection: None, sort: None, skip: None, limit: None };
        let artifact = MongoArtifact::new("notes", find);
        let error = scoped(&catalog(), &TenantScope::Unset, artifact.clone()).unwrap_err();
        assert!(error.message().contains("Note belongs to tenants"), "{error}");
        assert_eq!(scoped(&catalog(), &TenantScope::Across, artifact.clone()).unwrap(), artifact);
        let lookup = doc! { "$lookup": { "from": "notes", "as": "n", "pipeline": [] } };
        let artifact = MongoArtifact::new("boards", Command::Aggregate { pipeline: vec![lookup] });
        assert!(scoped(&catalog(), &TenantScope::Unset, artifact).is_err());
    }
}
