use bson::Bson;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Any value: for fields that hold values of several types.
///
/// In BSON it is the value itself. In JSON it is what JSON has for it, and extended JSON for the rest
/// (`{"$oid": "…"}`, `{"$date": …}`, `{"$numberDecimal": "…"}`); other keys that begin with `$` are refused, so that nothing
/// that a client sends is an operator.
#[derive(Debug, Clone, PartialEq)]
pub struct Any(pub Bson);

impl From<Bson> for Any {
    fn from(value: Bson) -> Self {
        Self(value)
    }
}

impl From<Any> for Bson {
    fn from(value: Any) -> Self {
        value.0
    }
}

impl Serialize for Any {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return Bson::deserialize(deserializer).map(Self);
        }
        let value = crate::schema::bson_of(serde_json::Value::deserialize(deserializer)?);
        match unstorable_in(&value) {
            None => Ok(Self(value)),
            Some(key) if key.contains('\0') => {
                Err(de::Error::custom(format_args!("the name {key:?} has a NUL, which no document holds")))
            }
            Some(key) => {
                Err(de::Error::custom(format_args!("a value has no operators, and {key:?} looks like one")))
            }
        }
    }
}

/// The first name that is an operator's, or that BSON cannot hold.
fn unstorable_in(value: &Bson) -> Option<&str> {
    match value {
        Bson::Document(fields) => {
            let own =
                fields.keys().find(|key| key.starts_with('$') || key.contains('\0')).map(String::as_str);
            own.or_else(|| fields.values().find_map(unstorable_in))
        }
        Bson::Array(items) => items.iter().find_map(unstorable_in),
        _ => None,
    }
}

impl JsonSchema for Any {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Any".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        Schema::default()
    }
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn values_pass_through_bson_and_json() {
        let id = bson::oid::ObjectId::from_bytes([7; 12]);
        for value in [Bson::Int64(5), id.into(), Bson::Null, doc! { "a": [1, "x"] }.into()] {
            let raw = bson::serialize_to_vec(&doc! { "v": value.clone() }).unwrap();
            #[derive(Deserialize)]
            struct Holder {
                v: Any,
            }
            assert_eq!(bson::deserialize_from_slice::<Holder>(&raw).unwrap().v.0, value);
        }
        let any: Any = serde_json::from_str(&format!("{{\"$oid\":\"{}\"}}", id.to_hex())).unwrap();
        assert_eq!(any.0, Bson::ObjectId(id));
        assert_eq!(serde_json::to_value(&any).unwrap(), serde_json::json!({ "$oid": id.to_hex() }));
    }

    #[test]
    fn operators_and_names_that_no_document_holds_are_no_values() {
        for text in [r#"{"$gt":""}"#, r#"{"a":[{"$where":"1"}]}"#, r#"[{"a\u0000":1}]"#] {
            assert!(serde_json::from_str::<Any>(text).is_err(), "{text}");
        }
    }
}
