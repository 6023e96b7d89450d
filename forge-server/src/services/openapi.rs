//! Services as OpenAPI: a path for many documents, one for a single document, with examples.

use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

use super::context::Method;
use super::documents::Documents;
use super::fields::QueryFields;
use super::kind::{Form, Kind};
use super::operators::{self, EVERYWHERE};
use super::patch_schema;
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
    /// What the schemas refer to.
    definitions: Map<String, Value>,
    shown: Value,
    new: Value,
    patch: Value,
}

impl<'a> Described<'a> {
    fn new(service: &'a Bound, generator: &mut SchemaGenerator) -> Self {
        let fields = service.options.grammar.fields.iter().flat_map(QueryFields::kinds);
        let fields = fields.filter(|(name, _)| !name.contains('.'));
        let fields: Map<_, _> = fields.map(|(name, kind)| (name.to_owned(), kind.schema())).collect();
        let any = || json!({ "type": "object", "properties": fields, "additionalProperties": true });
        let [shown, new, patch] = match &service.options.documents {
            Documents::Raw(_) => [any(), any(), any()],
            Documents::Typed(form) => [
                form.schema(generator).to_value(),
                form.new_schema(generator).to_value(),
                form.patch_schema(generator).to_value(),
            ],
        };
        let typed = matches!(service.options.documents, Documents::Typed(_));
        let patch = patch_schema::body(&patch, typed, &service.options.disabled);
        Self { service, definitions: generator.definitions().clone(), shown, new, patch }
    }

    fn paths(&self, base: &str) -> [(String, Value); 2] {
        let (many, one) = (self.many(), self.one());
        let place = self.place();
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
        self.add_own_methods(&mut of_many);
        if !place.is_empty() {
            of_many.insert("parameters".into(), place.clone().into());
        }
        let key = json!({
            "name": "id", "in": "path", "required": true, "schema": self.service.options.key.kind.schema(),
            "description": format!("The `{}` of the document.", self.service.options.key.client),
        });
        of_one.insert("parameters".into(), place.into_iter().chain([key]).collect());
        [(base.to_owned(), of_many.into()), (format!("{base}/{{id}}"), of_one.into())]
    }

    /// The placeholders of the path.
    fn place(&self) -> Vec<Value> {
        let names = self.service.path.split('/').filter_map(|part| part.strip_prefix(':'));
        let parameter = |name| {
            json!({
                "name": name, "in": "path", "required": true, "schema": { "type": "string" },
                "description": format!("What `:{name}` of the service's path stands for."),
            })
        };
        names.map(parameter).collect()
    }

    /// Methods of the service's own are called by a header.
    fn add_own_methods(&self, operations: &mut Map<String, Value>) {
        let own = self.service.methods.iter().filter(|method| matches!(method, Method::Custom(_)));
        let names: Vec<_> = own.clone().map(Method::name).collect();
        let Some(first) = own.clone().next() else { return };
        let creates = operations.contains_key("post");
        let post = operations.entry("post").or_insert_with(|| {
            let mut operation = self.operation(first);
            operation["requestBody"] = json!({ "content": { "application/json": { "schema": {} } } });
            operation
        });
        post["parameters"] = json!([{
            "name": "X-Service-Method", "in": "header", "required": !creates, "schema": { "enum": names },
            "description": "The method of the service's own that gets the body, in place of `create`.",
        }]);
        post["responses"]["200"] = json!({
            "description": "What the method answers.", "content": { "application/json": { "schema": {} } },
        });
    }

    fn example(&self, schema: &Value) -> Value {
        example(schema, &self.definitions, 0)
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
                json!({ "schema": if many { &list } else { schema }, "example": self.example(schema) });
            operation["requestBody"] =
                json!({ "required": true, "content": { "application/json": content } });
        }
        if *method == Method::Create {
            let mut made = self.one();
            if self.service.options.multi.create {
                made["schema"] = json!({ "oneOf": [self.shown, { "type": "array", "items": self.shown }] });
            }
            operation["responses"]["201"] = ok(&made);
        }
        operation
    }

    /// What is answered for one document.
    fn one(&self) -> Value {
        json!({ "schema": self.shown, "example": self.example(&self.shown) })
    }

    /// What find answers.
    fn many(&self) -> Value {
        let paginate = self.service.options.paginate;
        let list = json!({ "type": "array", "items": self.shown });
        let item = self.example(&self.shown);
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
        let conditions = json!({ "type": "array", "items": { "type": "object" } });
        let grammar = &self.service.options.grammar;
        let first = grammar.fields.iter().flat_map(QueryFields::names).next();
        let mut all = vec![
            parameter("$limit", &count, "At most how many.", Some(json!(10))),
            parameter("$skip", &count, "How many to pass over.", Some(json!(0))),
            parameter(
                "$sort",
                &direction,
                "In which order: `$sort[name]=-1`.",
                first.map(|name| json!({ name: -1 })),
            ),
            parameter("$select[]", &names, "Which fields.", first.map(|name| json!([name]))),
            parameter("$or", &conditions, "One of these holds: `$or[0][name]=…&$or[1][age]=…`.", None),
            parameter("$and", &conditions, "All of these hold.", None),
        ];
        for name in grammar.filters.keys() {
            all.push(parameter(name, &json!({}), "A parameter of the service's own.", None));
        }
        for (name, kind) in grammar.fields.iter().flat_map(QueryFields::kinds) {
            let value = kind.schema();
            let own =
                grammar.fields.iter().filter_map(|fields| fields.find(name)).flat_map(|rule| rule.operators);
            let allowed = grammar.operators.iter().filter(|operator| *operator != "$nor").cloned().chain(own);
            let allowed = allowed.chain(EVERYWHERE.map(str::to_owned));
            let operators: Map<_, _> =
                allowed.map(|operator| (operator.clone(), operators::schema(&operator, &value))).collect();
            let schema = json!({ "anyOf": [value, { "type": "object", "properties": operators }] });
            let docs = format!("A condition: `{name}=…`, or `{name}[$ne]=…` and the other operators.");
            all.push(parameter(name, &schema, &docs, Some(self.example(&value))));
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
            Kind::Geo(geo) => geo.schema(),
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

/// A value that a schema allows.
fn example(schema: &Value, definitions: &Map<String, Value>, depth: usize) -> Value {
    if let Some(value) =
        schema["enum"].get(0).or_else(|| schema.get("const")).or_else(|| schema.get("default"))
    {
        return value.clone();
    }
    if let Some(value) = schema["examples"].get(0) {
        return value.clone();
    }
    if depth > MAX_DEPTH {
        return Value::Null;
    }
    let named = schema["$ref"].as_str().and_then(|path| definitions.get(path.rsplit('/').next()?));
    let one_of = ["anyOf", "oneOf", "allOf"].into_iter().find_map(|key| schema[key].as_array()?.first());
    if let Some(other) = named.or(one_of) {
        return example(other, definitions, depth + 1);
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.first().and_then(Value::as_str),
        kind => kind.as_str(),
    };
    match kind {
        Some("object") => {
            let properties = schema["properties"].as_object().into_iter().flatten();
            let known = properties.map(|(name, of)| (name.clone(), example(of, definitions, depth + 1)));
            // What is too deep is left out.
            known.filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>().into()
        }
        Some("array") => match example(&schema["items"], definitions, depth + 1) {
            Value::Null => json!([]),
            item => json!([item]),
        },
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
