//! The arguments of a call: `service, ...id, ...data, query`.

use std::fmt;

use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::json;
use crate::services::{ServiceError, SocketCall};

/// More than any method takes: what is beyond is not kept.
const MOST: usize = 8;

/// What follows the name of an event, as it was written.
#[derive(Debug)]
pub(super) struct Arguments(Vec<Box<RawValue>>);

impl<'de> Deserialize<'de> for Arguments {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A tuple is all arguments of an event; anything else would be the first.
        deserializer.deserialize_tuple(MOST, All)
    }
}

struct All;

impl<'de> Visitor<'de> for All {
    type Value = Arguments;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of arguments")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Arguments, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            if items.len() < MOST {
                items.push(item);
            }
        }
        Ok(Arguments(items))
    }
}

impl Arguments {
    /// The call of `method` that they are.
    ///
    /// # Errors
    /// `BadRequest` where there are too many, or one is not what it must be.
    pub(super) fn call(self, method: String, depth: usize) -> Result<SocketCall, ServiceError> {
        let mut rest = self.0.into_iter();
        let mut next = || rest.next().map_or_else(|| "null".to_owned(), |text| text.get().to_owned());
        let read = |text: &str| json::parse(text.as_bytes(), "an argument", depth);
        let service = match read(&next())? {
            Value::String(path) => path,
            _ => return Err(ServiceError::bad_request("the first argument must be the path of a service")),
        };
        let (has_id, has_data) = match method.as_str() {
            "find" => (false, false),
            "get" | "remove" => (true, false),
            "update" | "patch" => (true, true),
            _ => (false, true),
        };
        let id = if has_id { Some(read(&next())?) } else { None };
        let data = if has_data { next() } else { "null".to_owned() };
        let query = next();
        if rest.next().is_some() {
            return Err(ServiceError::bad_request(format!("Too many arguments for '{method}' method")));
        }
        let sent = match read(&data)? {
            Value::Null => Map::new().into(),
            sent => sent,
        };
        let conditions = match read(&query)? {
            Value::Object(query) => query,
            Value::Null => Map::new(),
            _ => return Err(ServiceError::bad_request("the query must be an object")),
        };
        Ok(SocketCall::new(service, method).with(id, Some(sent), conditions).ordered(&data, &query))
    }
}
