//! Which field is at fault: failures in the form of JSON Schema validators, and by field.

use serde_json::{Map, Value, json};

use super::error::{ErrorKind, ServiceError};

/// What all failures of data and queries that do not fit say.
pub(super) const FAILED: &str = "validation failed";

/// A value of the wrong type.
pub(super) fn mismatch(at: &str, keyword: &str, message: &str) -> ServiceError {
    let params = match keyword {
        "type" => json!({ "type": message.trim_start_matches("must be ") }),
        _ => json!({}),
    };
    violation(at, keyword, message, &params)
}

/// A failure as JSON Schema validators report it, of what stands at the JSON pointer `at`.
pub(super) fn violation(at: &str, keyword: &str, message: &str, params: &Value) -> ServiceError {
    let item = json!({
        "instancePath": at,
        "schemaPath": format!("#/properties{at}/{keyword}"),
        "keyword": keyword,
        "params": params,
        "message": message,
    });
    let errors = Map::from_iter([(field_at(at), message.into())]);
    ServiceError::bad_request(FAILED).with_data(json!([item])).with_errors(errors.into())
}

/// A field of data that does not fit, by its dotted path.
pub(super) fn misfit(path: &str, keyword: &str, message: &str) -> ServiceError {
    let name = path.rsplit_once('.').map_or(path, |(_, name)| name);
    let params = match keyword {
        "required" => json!({ "missingProperty": name }),
        "additionalProperties" => json!({ "additionalProperty": name }),
        _ => json!({ "type": message.trim_start_matches("must be ") }),
    };
    let mut failure = violation(&format!("/{}", path.replace('.', "/")), keyword, message, &params);
    failure.set_errors(Map::from_iter([(path.to_owned(), message.into())]));
    failure
}

/// The field that a place in a query is about: without operators and positions. What is about none is about its parameter.
pub(super) fn field_at(at: &str) -> String {
    let mut names = Vec::new();
    let mut in_list = false;
    for segment in at.split('/').skip(1) {
        let position = in_list && !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit());
        if segment.starts_with('$') {
            in_list = true;
        } else if !position {
            in_list = false;
            names.push(segment);
        }
    }
    match names.is_empty() {
        true => at.split('/').nth(1).unwrap_or("").to_owned(),
        false => names.join("."),
    }
}

impl ServiceError {
    /// The same failure, which is about this field where it does not say so itself.
    #[must_use]
    pub(super) fn of_field(mut self, field: &str) -> Self {
        if self.errors().is_none() {
            if self.kind() == ErrorKind::BadRequest && self.data().is_none() {
                let item = json!({
                    "instancePath": format!("/{}", field.replace('.', "/")), "keyword": "type", "params": {},
                    "message": self.message(),
                });
                self = self.with_data(json!([item]));
            }
            let message = self.message().to_owned();
            self.set_errors(Map::from_iter([(field.to_owned(), message.into())]));
        }
        self
    }

    /// The same failure of one item of a list.
    #[must_use]
    pub(super) fn of_item(mut self, index: usize) -> Self {
        if let Some(Value::Object(errors)) = self.errors().cloned() {
            let errors = errors.into_iter().map(|(field, message)| (format!("{index}.{field}"), message));
            self.set_errors(errors.collect());
        }
        if let Some(Value::Array(mut items)) = self.data().cloned() {
            for item in &mut items {
                if let Some(at) = item.get("instancePath").and_then(Value::as_str) {
                    item["instancePath"] = format!("/{index}{at}").into();
                }
            }
            self = self.with_data(items.into());
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_a_query_is_about_a_field() {
        for (at, field) in [
            ("/age/$lt", "age"),
            ("/$or/0/home.city/$in/3", "home.city"),
            ("/friends/$elemMatch/name/$gt", "friends.name"),
            ("/place/$geoWithin/$box/0/1", "place"),
            ("/$sort/age", "age"),
            ("/$and/1/$or/0/0", "$and"),
            ("/list.0", "list.0"),
            ("/$limit", "$limit"),
            ("", ""),
        ] {
            assert_eq!(field_at(at), field, "{at}");
        }
    }

    #[test]
    fn failures_name_the_field_and_the_item_that_they_are_about() {
        let failure = misfit("home.city", "required", "is missing").of_field("other").of_item(2).to_json();
        assert_eq!(failure["errors"], json!({ "2.home.city": "is missing" }));
        assert_eq!(failure["data"][0]["instancePath"], "/2/home/city");
        assert_eq!(failure["data"][0]["params"], json!({ "missingProperty": "city" }));
        let refused = ServiceError::new(ErrorKind::Forbidden, "not yours").of_field("owner").to_json();
        assert_eq!((&refused["code"], &refused["errors"]), (&json!(403), &json!({ "owner": "not yours" })));
        assert_eq!(refused.get("data"), None);
    }
}
