//! Services as OpenAPI: a path for many documents, one for a single document, with examples.

use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

use super::condition::EVERYWHERE;
use super::context::Method;
use super::documents::Documents;
use super::kind::{Form, Kind};
use super::registry::{Bound, Services};

/// How deep examples go.
const MAX_DEPTH: usize = 4;
const ERROR: &str = "#/components/schemas/ServiceError";

impl Services {
    /// The paths of every service. Their errors are components of the document: see [`error_schema`].
    pub(crate) fn describe(&self, generator: &mut SchemaGenerator) -> Map<String, Value> {
        let mut paths = Map::new();
        for service in self.bound() {
            let base = format!("{}/{}", self.base(), template(&service.path));
            let described = Described::new(service, generator);
            for (path, operations) in described.paths(&base) {
                if operations
                    .as_object()
                    .is_some_and(|operations| operations.keys().any(|key| key != "parameters"))
                {
                    paths.insert(path, operations);
                }
            }
        }
        paths
    }
}

/// `users/:user/notes` as `users/{user}/notes`.
fn template(path: &str) -> String {
    let part =
        |part: &str| part.strip_prefix(':').map_or_else(|| part.to_owned(), |name| format!("{{{name}}}"));
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// The schemas of one service.
struct Described<'a> {
    service: &'a Bound,
    shown: Value,
    new: Value,
    patch: Value,
}

impl<'a> Described<'a> {
    fn new(service: &'a Bound, generator: &mut SchemaGenerator) -> Self {
        let any = || json!({ "type": "object", "additionalProperties": true });
        let [shown, new, patch] = match &service.options.documents {
            Documents::Raw(_) => [any(), any(), any()],
            Documents::Typed(form) => [
                form.schema(generator).to_value(),
                form.new_schema(generator).to_value(),
                form.patch_schema(generator).to_value(),
            ],
        };
        Self { service, shown, new, patch }
    }

    fn paths(&self, base: &str) -> [(String, Value); 2] {
        let (many, one) = (self.many(), self.one());
        let mut of_many = self.operations([("get", Method::Find), ("post", Method::Create)]);
        if self.service.options.multi.patch {
            of_many.extend(self.operations([("patch", Method::Patch)]));
        }
        if self.service.options.multi.remove {
            of_many.extend(self.operations([("delete", Method::Remove)]));
        }
        for operation in of_many.values_mut() {
            if operation["operationId"] != format!("{}.create", self.service.path) {
                operation["responses"]["200"] = ok(&many);
                operation["parameters"] = self.parameters();
            }
        }
        let mut of_one = self.operations([
            ("get", Method::Get),
            ("put", Method::Update),
            ("patch", Method::Patch),
            ("delete", Method::Remove),
        ]);
        for (verb, operation) in &mut of_one {
            operation["responses"]["200"] = ok(&one);
            // These two are there for many documents as well.
            if verb == "patch" || verb == "delete" {
                let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
                operation["operationId"] = format!("{id}.one").into();
            }
        }
        let key = json!({
            "name": "id", "in": "path", "required": true, "schema": self.service.options.key.kind.schema(),
            "description": format!("The `{}` of the document.", self.service.options.key.client),
        });
        of_one.insert("parameters".into(), json!([key]));
        [(base.to_owned(), of_many.into()), (format!("{base}/{{id}}"), of_one.into())]
    }

    /// The operations of those methods that the service has.
    fn operations<const N: usize>(&self, methods: [(&str, Method); N]) -> Map<String, Value> {
        let offered = methods.into_iter().filter(|(_, method)| self.service.methods.contains(method));
        offered.map(|(verb, method)| (verb.to_owned(), self.operation(&method))).collect()
    }

    fn operation(&self, method: &Method) -> Value {
        let path = &self.service.path;
        let error = json!({
            "description": "Why the call failed.",
            "content": { "application/json": { "schema": { "$ref": ERROR } } },
        });
        let mut operation = json!({
            "operationId": format!("{path}.{}", method.name()),
            "tags": [&**path],
            "responses": { "default": error },
        });
        let body = match method {
            Method::Create | Method::Update => Some(&self.new),
            Method::Patch => Some(&self.patch),
            _ => None,
        };
        if let Some(schema) = body {
            let many = *method == Method::Create && self.service.options.multi.create;
            let list = json!({ "oneOf": [schema, { "type": "array", "items": schema }] });
            let content =
                json!({ "schema": if many { &list } else { schema }, "example": example(schema, 0) });
            operation["requestBody"] =
                json!({ "required": true, "content": { "application/json": content } });
        }
        if *method == Method::Create {
            operation["responses"]["201"] = ok(&self.one());
        }
        operation
    }

    /// What is answered for one document.
    fn one(&self) -> Value {
        json!({ "schema": self.shown, "example": example(&self.shown, 0) })
    }

    /// What find answers.
    fn many(&self) -> Value {
        let paginate = self.service.options.paginate;
        let list = json!({ "type": "array", "items": self.shown });
        let item = example(&self.shown, 0);
        if !paginate.pages() {
            return json!({ "schema": list, "example": [item] });
        }
        let count = json!({ "type": "integer", "minimum": 0 });
        let schema = json!({
            "type": "object",
            "required": ["total", "limit", "skip", "data"],
            "properties": { "total": count, "limit": count, "skip": count, "data": list },
        });
        json!({ "schema": schema, "example": { "total": 1, "limit": paginate.default, "skip": 0, "data": [item] } })
    }

    /// What a query may say.
    fn parameters(&self) -> Value {
        let count = json!({ "type": "integer", "minimum": 0 });
        let direction = json!({ "type": "object", "additionalProperties": { "enum": [1, -1] } });
        let names = json!({ "type": "array", "items": { "type": "string" } });
        let mut all = vec![
            parameter("$limit", &count, "At most how many.", Some(json!(10))),
            parameter("$skip", &count, "How many to pass over.", Some(json!(0))),
            parameter("$sort", &direction, "In which order: `$sort[name]=-1`.", None),
            parameter("$select[]", &names, "Which fields.", None),
        ];
        let grammar = &self.service.options.grammar;
        for (name, kind) in grammar.fields.iter().flat_map(super::fields::QueryFields::kinds) {
            let value = kind.schema();
            let operators: Map<_, _> = EVERYWHERE
                .into_iter()
                .map(|operator| match operator {
                    "$in" | "$nin" => (operator.to_owned(), json!({ "type": "array", "items": value })),
                    _ => (operator.to_owned(), value.clone()),
                })
                .collect();
            let schema = json!({ "anyOf": [value, { "type": "object", "properties": operators }] });
            let docs = format!("A condition: `{name}=…`, or `{name}[$ne]=…` and the other operators.");
            all.push(parameter(name, &schema, &docs, Some(example(&value, 0))));
        }
        all.into()
    }
}

fn ok(content: &Value) -> Value {
    json!({ "description": "The result.", "content": { "application/json": content } })
}

fn parameter(name: &str, schema: &Value, docs: &str, example: Option<Value>) -> Value {
    let mut parameter = json!({
        "name": name, "in": "query", "style": "deepObject", "explode": true, "description": docs, "schema": schema,
    });
    if schema["type"] == "array" || schema["type"] == "integer" {
        parameter["style"] = "form".into();
    }
    if let Some(example) = example {
        parameter["example"] = example;
    }
    parameter
}

impl Kind {
    /// The JSON Schema of one value.
    fn schema(&self) -> Value {
        match self {
            Kind::Any | Kind::Nested | Kind::Parts(_) => json!({}),
            Kind::Key => json!({ "type": "string" }),
            Kind::String => json!({ "type": "string" }),
            Kind::Number => json!({ "type": "number" }),
            Kind::Boolean => json!({ "type": "boolean" }),
            Kind::Date => json!({ "type": "string", "format": "date-time" }),
            Kind::ObjectId => json!({ "type": "string", "pattern": "^[0-9a-fA-F]{24}$" }),
            Kind::List(of) => json!({ "type": "array", "items": of.schema() }),
            Kind::Element(of) => of.schema(),
            Kind::Text(form) => match form {
                Form::Calendar => json!({ "type": "string", "format": "date" }),
                Form::Clock => json!({ "type": "string", "format": "time" }),
                Form::Uuid => json!({ "type": "string", "format": "uuid" }),
                Form::Decimal => json!({ "type": "string", "format": "decimal" }),
                Form::Long => json!({ "type": "string", "format": "int64" }),
                Form::Base64 => json!({ "type": "string", "contentEncoding": "base64" }),
            },
        }
    }
}

/// A value that a schema allows, as far as it says so without references.
fn example(schema: &Value, depth: usize) -> Value {
    if let Some(value) =
        schema["enum"].get(0).or_else(|| schema.get("const")).or_else(|| schema.get("default"))
    {
        return value.clone();
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.first().and_then(Value::as_str),
        kind => kind.as_str(),
    };
    match kind {
        Some("object") if depth < MAX_DEPTH => {
            let properties = schema["properties"].as_object().into_iter().flatten();
            let known =
                properties.filter(|(_, of)| of.get("$ref").is_none() && of["items"].get("$ref").is_none());
            known.map(|(name, of)| (name.clone(), example(of, depth + 1))).collect::<Map<_, _>>().into()
        }
        Some("array") if depth < MAX_DEPTH => json!([example(&schema["items"], depth + 1)]),
        Some("array") => json!([]),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(json!(1)),
        Some("boolean") => json!(true),
        Some("string") => text(schema).into(),
        _ => Value::Null,
    }
}

fn text(schema: &Value) -> &'static str {
    match (schema["format"].as_str(), schema["pattern"].as_str()) {
        (Some("date-time"), _) => "2026-01-31T12:00:00.000Z",
        (Some("date"), _) => "2026-01-31",
        (Some("time"), _) => "12:00:00",
        (Some("uuid"), _) => "01234567-89ab-4def-8123-456789abcdef",
        (Some("decimal"), _) => "12.50",
        (Some("int64"), _) => "12",
        (_, Some("^[0-9a-fA-F]{24}$")) => "0123456789abcdef01234567",
        _ => "text",
    }
}

/// The schema of what services answer to a failed call.
pub(crate) fn error_schema() -> Value {
    json!({
        "type": "object",
        "required": ["name", "message", "code", "className"],
        "properties": {
            "name": { "type": "string" },
            "message": { "type": "string" },
            "code": { "type": "integer" },
            "className": { "type": "string" },
            "data": {},
            "errors": { "type": "object" },
        },
        "example": { "name": "NotFound", "message": "No record found for id 'x'", "code": 404, "className": "not-found" },
    })
}
