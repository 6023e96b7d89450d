//! `/openapi.json`: the handlers as an OpenAPI 3.1 document, for tools that know nothing of Forge.

use forge_core::auth::Guard;
use forge_core::handler::{HandlerDef, HandlerKind, Registry};
use forge_core::record::shape_schema;
use forge_core::{Catalog, ErrorCode, Result};
use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

use super::schemas;
use crate::services::{Services, error_schema as service_error_schema};

const SCHEMAS: &str = "#/components/schemas/";
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The document as JSON. Internal handlers are not in it. `signed` says that callers can be known here.
///
/// # Errors
/// None for JSON that was made here.
pub(crate) fn document(
    registry: &Registry,
    catalog: &Catalog,
    services: &Services,
    signed: bool,
) -> Result<String> {
    let mut generator = schemas::generator("/$defs");
    let mut paths = Map::new();
    for def in registry.iter().filter(|def| !def.internal) {
        let path = format!("/api/{}/{}", def.kind.as_str(), def.name);
        paths.insert(path, Operations::new(def, signed, &mut generator).into_path());
    }
    paths.extend(services.describe(&mut generator));
    let paths = Value::from(paths);
    let mut schemas = schemas::definitions(generator, &paths, catalog);
    schemas.insert("ForgeError".into(), error_schema());
    if !services.is_empty() {
        schemas.insert("ServiceError".into(), service_error_schema());
    }
    let mut components = json!({
        "schemas": schemas,
        "parameters": { "IdempotencyKey": idempotency_key() },
        "responses": { "Error": error_response("Why the call failed.") },
    });
    if signed {
        components["securitySchemes"] = json!({ "token": { "type": "http", "scheme": "bearer" } });
    }
    let info =
        json!({ "title": "Forge", "version": "1", "description": "The public handlers of this program." });
    let mut document = json!({
        "openapi": "3.1.1",
        "jsonSchemaDialect": DIALECT,
        "info": info,
        "paths": paths,
        "components": components,
    });
    schemas::relink(&mut document, SCHEMAS);
    Ok(serde_json::to_string(&document)?)
}

/// What a handler's path answers.
struct Operations<'a> {
    def: &'a HandlerDef,
    args: Value,
    /// Whether there is an argument that a call must have.
    required: bool,
    returns: Value,
    signed: bool,
}

impl<'a> Operations<'a> {
    fn new(def: &'a HandlerDef, signed: bool, generator: &mut SchemaGenerator) -> Self {
        let args = shape_schema((def.args)(), generator).to_value();
        let required = args.get("required").and_then(Value::as_array).is_some_and(|names| !names.is_empty());
        Self { def, args, required, returns: (def.returns)(generator).to_value(), signed }
    }

    fn into_path(self) -> Value {
        match self.def.kind {
            HandlerKind::Query => json!({ "get": self.get(), "post": self.post() }),
            HandlerKind::Mutation => json!({ "post": self.post() }),
        }
    }

    fn post(&self) -> Value {
        let mut operation = self.operation(self.def.name);
        operation["requestBody"] =
            json!({ "required": self.required, "content": { "application/json": { "schema": self.args } } });
        if self.def.kind == HandlerKind::Mutation {
            operation["parameters"] = json!([{ "$ref": "#/components/parameters/IdempotencyKey" }]);
            operation["responses"]["200"]["headers"] = json!({ "x-forge-version": {
                "description": "The version that includes the write.",
                "schema": { "type": "integer", "minimum": 0 },
            } });
        }
        operation
    }

    /// A query with its arguments in the URL, for caches.
    fn get(&self) -> Value {
        let mut operation = self.operation(&format!("{}.get", self.def.name));
        let known = |name: &str, place: &str, docs: &str| json!({ "name": name, "in": place, "description": docs, "schema": { "type": "string" } });
        operation["parameters"] = json!([
            {
                "name": "args",
                "in": "query",
                "required": self.required,
                "description": "The arguments as JSON, percent-encoded.",
                "content": { "application/json": { "schema": self.args } },
            },
            known("If-None-Match", "header", "The ETag of the result that the caller has."),
        ]);
        operation["responses"]["200"]["headers"] =
            json!({ "ETag": { "description": "Names the result.", "schema": { "type": "string" } } });
        operation["responses"]["304"] =
            json!({ "description": "The result that the caller has still holds." });
        operation
    }

    fn operation(&self, id: &str) -> Value {
        let docs = self.def.docs.trim();
        let mut operation = json!({
            "operationId": id,
            "tags": [self.def.kind.as_str()],
            "responses": self.responses(),
        });
        if let Some(summary) = docs.lines().next() {
            operation["summary"] = summary.into();
            operation["description"] = docs.into();
        }
        if self.signed {
            operation["security"] = match self.def.guard {
                Guard::Open => json!([{}, { "token": [] }]),
                _ => json!([{ "token": [] }]),
            };
        }
        operation
    }

    fn responses(&self) -> Value {
        let result = json!({ "description": "The result.", "content": { "application/json": { "schema": self.returns } } });
        let mut responses = json!({ "200": result, "default": { "$ref": "#/components/responses/Error" } });
        if self.def.guard != Guard::Open {
            responses["401"] = error_response("The caller is not known.");
        }
        if let Guard::Roles(roles) = self.def.guard {
            responses["403"] =
                error_response(&format!("The caller has none of the roles: {}.", roles.join(", ")));
        }
        responses
    }
}

fn idempotency_key() -> Value {
    json!({
        "name": "Idempotency-Key",
        "in": "header",
        "description": "Makes the mutation happen once, however often it is sent: 1 to 255 visible ASCII characters.",
        "schema": { "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$" },
    })
}

fn error_response(description: &str) -> Value {
    json!({
        "description": description,
        "content": { "application/json": { "schema": { "$ref": "#/components/schemas/ForgeError" } } },
    })
}

fn error_schema() -> Value {
    let codes: Vec<_> = ErrorCode::ALL.into_iter().map(ErrorCode::as_str).collect();
    let texts = json!({ "type": "array", "items": { "type": "string" } });
    json!({
        "type": "object",
        "required": ["code", "message", "requestId"],
        "properties": {
            "code": { "type": "string", "enum": codes, "description": "Stable; programs decide by it." },
            "message": { "type": "string", "description": "One sentence for a person." },
            "errors": { "type": "object", "additionalProperties": texts, "description": "Path to messages, of a validation." },
            "model": { "type": "string", "description": "Of a unique violation." },
            "fields": texts,
            "relation": { "type": "string", "description": "Which keeps a document from being deleted." },
            "count": { "type": "integer", "minimum": 0 },
            "requestId": { "type": "string", "description": "Under which the server's log knows the request." },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn document(signed: bool) -> Value {
        let (registry, catalog) = (Registry::collect().unwrap(), Catalog::collect().unwrap());
        serde_json::from_str(&super::document(&registry, &catalog, &Services::default(), signed).unwrap())
            .unwrap()
    }

    fn each<'v>(value: &'v Value, visit: &mut impl FnMut(&'v Map<String, Value>)) {
        match value {
            Value::Object(map) => {
                visit(map);
                map.values().for_each(|value| each(value, visit));
            }
            Value::Array(list) => list.iter().for_each(|value| each(value, visit)),
            _ => {}
        }
    }

    fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
        let paths = document["paths"].as_object().unwrap().iter();
        paths
            .flat_map(|(path, item)| {
                item.as_object()
                    .unwrap()
                    .iter()
                    .map(move |(method, operation)| (&**path, &**method, operation))
            })
            .collect()
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document(true);
        let mut count = 0;
        each(&document, &mut |map| {
            if let Some(target) = map.get("$ref").and_then(Value::as_str) {
                let pointer = target.strip_prefix('#').unwrap_or_else(|| panic!("{target} is not local"));
                assert!(document.pointer(pointer).is_some(), "{target}");
                count += 1;
            }
        });
        assert!(count > 5, "{count}");
    }

    #[test]
    fn models_behind_relations_are_there_without_what_is_private() {
        let document = document(false);
        let board = &document["components"]["schemas"]["Board"]["properties"];
        assert_eq!(board["marks"]["items"]["$ref"], "#/components/schemas/Mark");
        assert!(!document.to_string().contains("canary"));
    }

    #[test]
    fn names_of_components_are_those_that_the_standard_allows() {
        let document = document(true);
        for (_, components) in document["components"].as_object().unwrap() {
            for name in components.as_object().unwrap().keys() {
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
                assert!(name.bytes().all(plain), "{name}");
            }
        }
    }

    #[test]
    fn every_operation_is_complete() {
        let document = document(true);
        let mut ids = HashSet::new();
        for (path, method, operation) in operations(&document) {
            assert!(path.starts_with("/api/") && ["get", "post"].contains(&method), "{method} {path}");
            assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{method} {path}");
            let responses = operation["responses"].as_object().unwrap();
            assert!(responses.contains_key("200") && responses.contains_key("default"), "{method} {path}");
            for response in responses.values() {
                assert!(
                    response.get("$ref").is_some() || response["description"].is_string(),
                    "{method} {path}"
                );
            }
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                if parameter.get("$ref").is_none() {
                    assert!(parameter["name"].is_string() && parameter["in"].is_string(), "{parameter}");
                    assert!(
                        parameter.get("schema").is_some() != parameter.get("content").is_some(),
                        "{parameter}"
                    );
                }
            }
            assert_eq!(method == "post", operation.get("requestBody").is_some(), "{method} {path}");
        }
        let paths: HashSet<_> = operations(&document).iter().map(|(path, ..)| *path).collect();
        assert!(paths.contains("/api/query/counter") && paths.contains("/api/mutation/add"));
        assert!(!paths.contains("/api/query/hidden"), "internal handlers are nobody's business");
    }

    #[test]
    fn guards_and_keys_are_said() {
        let signed = document(true);
        let operation = |path: &str, method: &str| signed["paths"][path][method].clone();
        assert_eq!(operation("/api/query/secrets", "post")["security"], json!([{ "token": [] }]));
        assert!(operation("/api/query/secrets", "get")["responses"].get("403").is_some());
        assert_eq!(operation("/api/query/counter", "post")["security"], json!([{}, { "token": [] }]));
        let sign = operation("/api/mutation/sign", "post");
        assert!(sign["responses"].get("401").is_some() && sign["responses"].get("403").is_none());
        assert_eq!(sign["parameters"][0]["$ref"], "#/components/parameters/IdempotencyKey");
        let open = document(false);
        assert!(open["components"].get("securitySchemes").is_none());
        each(&open, &mut |map| assert!(!map.contains_key("security")));
    }

    #[test]
    fn arguments_and_results_have_their_schemas() {
        let document = document(false);
        let counter = &document["paths"]["/api/query/counter"]["post"];
        let body = &counter["requestBody"];
        assert_eq!(body["required"], true);
        let schema = &body["content"]["application/json"]["schema"];
        assert_eq!((&schema["required"], &schema["additionalProperties"]), (&json!(["id"]), &json!(false)));
        assert_eq!(counter["responses"]["200"]["content"]["application/json"]["schema"]["type"], "integer");
        assert_eq!(document["paths"]["/api/query/numbers"]["post"]["requestBody"]["required"], false);
    }
}
