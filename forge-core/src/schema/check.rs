//! What no macro can see about indexes, views and shard keys: paths inside embeds, and rules between models.

use crate::ir::Stage;
use crate::model::{CREATED_AT, DELETED_AT, FieldDef, IndexDef, ModelDef, UPDATED_AT, WILDCARD};

/// Reports indexes over paths that no document has, and options that are no JSON.
pub(crate) fn check_indexes(model: &'static ModelDef, problems: &mut Vec<String>) {
    let mut report = |index: &IndexDef, what: String| {
        problems.push(format!("the index {} of {} {what}", index.name(), model.name));
    };
    for index in model.indexes {
        for (path, _) in index.keys {
            match resolve(model, path) {
                Err(problem) => report(index, format!("is over {path:?}, but {problem}")),
                Ok(Some(field)) if index.ttl_seconds.is_some() && !is_date(field) => {
                    report(index, format!("expires documents by {path:?}, which is no date"));
                }
                Ok(_) => {}
            }
        }
        if index.partial.is_some_and(|partial| !is_object(partial)) {
            report(index, "has a partial filter that is not a JSON object".to_owned());
        }
        if index.projection.is_some_and(|projection| !is_object(projection)) {
            report(index, "has a wildcard projection that is not a JSON object".to_owned());
        }
    }
}

/// Reports a shard key over paths that no document has.
pub(crate) fn check_shard_key(model: &'static ModelDef, problems: &mut Vec<String>) {
    for (path, _) in model.shard_key.iter().flat_map(|key| key.keys) {
        if let Err(problem) = resolve(model, path) {
            problems.push(format!("the shard key of {} is over {path:?}, but {problem}", model.name));
        }
    }
}

/// Reports views that read from themselves, from models that are not linked in, and whose pipeline cannot be made.
pub(crate) fn check_view(model: &'static ModelDef, models: &[&'static ModelDef], problems: &mut Vec<String>) {
    let Some(view) = &model.view else { return };
    let mut source = (view.source)();
    if !models.iter().any(|candidate| std::ptr::eq(*candidate, source)) {
        problems.push(format!(
            "the view {} reads {}, which is not among the models of this program",
            model.name, source.name
        ));
    }
    if !view_is_kept_apart(model, source) {
        problems.push(format!(
            "the view {} shows {}, whose documents belong to tenants: declare its tenant_key on the view as well, over a \
             field that the pipeline keeps",
            model.name, source.name
        ));
    }
    if source.policy.is_some() && model.policy.is_none() {
        problems.push(format!(
            "the view {} shows {}, which has a policy: give the view one of its own",
            model.name, source.name
        ));
    }
    // A ring is at most as long as there are models.
    for _ in 0..models.len() {
        if std::ptr::eq(source, model) {
            problems.push(format!("the view {} reads itself, at the end of its sources", model.name));
            break;
        }
        let Some(next) = &source.view else { break };
        source = (next.source)();
    }
    match view.contents() {
        Err(error) => problems.push(format!("the pipeline of the view {} fails: {error}", model.name)),
        Ok(contents) => {
            if contents.stages.iter().any(writes) {
                problems.push(format!(
                    "the pipeline of the view {} writes ($out or $merge); a materialized view is refreshed by db.refresh",
                    model.name
                ));
            }
            if contents.has_relations() {
                problems.push(format!(
                    "the pipeline of the view {} has a condition on a relation, whose keys would be those of today: \
                     join it by lookup, and match what is joined",
                    model.name
                ));
            }
        }
    }
}

fn writes(stage: &Stage) -> bool {
    matches!(stage, Stage::Raw(stage) if stage.contains_key("$out") || stage.contains_key("$merge"))
}

/// Whether reads of the view are narrowed to a tenant where those of its source are.
fn view_is_kept_apart(view: &ModelDef, source: &ModelDef) -> bool {
    source.tenant.is_none() || view.tenant.is_some()
}

/// The field at the end of a stored path, where its type is known; none below maps and other types that may hold anything.
fn resolve(model: &'static ModelDef, path: &str) -> Result<Option<&'static FieldDef>, String> {
    if path == WILDCARD {
        return Ok(None);
    }
    let mut parts = path.split('.').peekable();
    let root = parts.next().unwrap_or(path);
    let Some(mut field) = model.stored_field(root) else {
        if [CREATED_AT, UPDATED_AT, DELETED_AT].contains(&root) {
            return Ok(None);
        }
        return Err(missing(model.name, model.fields, root));
    };
    for part in parts {
        if part == WILDCARD {
            return Ok(None);
        }
        let Some(embed) = field.embed else {
            return if is_scalar(field) {
                Err(format!("{:?} is no embed: it has no field {part:?}", field.name))
            } else {
                Ok(None)
            };
        };
        // A position in a list of embeds.
        if part.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let embed = embed();
        field = embed
            .fields
            .iter()
            .find(|field| field.stored == part)
            .ok_or_else(|| missing(embed.name, embed.fields, part))?;
    }
    Ok(Some(field))
}

fn missing(of: &str, fields: &[FieldDef], part: &str) -> String {
    if let Some(field) = fields.iter().find(|field| field.name == part) {
        return format!("{of}.{part} is stored as {:?}: write that", field.stored);
    }
    let known: Vec<_> = fields.iter().map(|field| format!("{:?}", field.stored)).collect();
    format!("{of} has no field {part:?}; it has {}", known.join(", "))
}

fn schema_of(field: &FieldDef) -> serde_json::Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true);
    (field.schema)(&mut settings.into_generator()).to_value()
}

fn types(schema: &serde_json::Value) -> Vec<&str> {
    match &schema["type"] {
        serde_json::Value::Array(all) => all.iter().filter_map(serde_json::Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    }
}

fn is_scalar(field: &FieldDef) -> bool {
    let schema = schema_of(field);
    let types = types(&schema);
    !types.is_empty() && types.iter().all(|kind| !["object", "array"].contains(kind))
}

fn is_date(field: &FieldDef) -> bool {
    schema_of(field)["format"] == "date-time"
}

fn is_object(json: &str) -> bool {
    matches!(serde_json::from_str(json), Ok(serde_json::Value::Object(_)))
}
