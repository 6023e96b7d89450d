//! JSON from clients: depth first, then parsed, then in one canonical spelling.

use std::fmt;

use forge_core::{Error, Result};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// Parses the arguments of a handler: an object, or nothing at all for `{}`.
///
/// `what` names the text in messages: `"the body"`.
///
/// # Errors
/// `bad_request` saying where the text stops being JSON, or what it is in place of an object; `too_large` for deep nesting.
pub(crate) fn parse_object(text: &[u8], what: &str, max_depth: usize) -> Result<Map<String, Value>> {
    if text.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    match parse(text, what, max_depth)? {
        Value::Object(map) => Ok(map),
        other => Err(Error::bad_request(format!(
            "{what} must be a JSON object of arguments, not {}",
            kind(&other)
        ))),
    }
}

/// Parses any JSON value.
///
/// # Errors
/// As [`parse_object`], but for the kind of value.
pub(crate) fn parse(text: &[u8], what: &str, max_depth: usize) -> Result<Value> {
    check_depth(text, what, max_depth)?;
    serde_json::from_slice::<Strict>(text)
        .map(|Strict(value)| value)
        .map_err(|error| Error::bad_request(format!("{what} is not valid JSON: {error}")))
}

/// Any JSON value whose objects have each key once: of two values, the reader and a proxy before it might see
/// different ones.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(value)) = items.next_element()? {
            list.push(value);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if map.contains_key(&key) {
                let shown: String = key.chars().take(64).collect();
                return Err(de::Error::custom(format_args!("`{shown}` is given twice")));
            }
            let Strict(value) = entries.next_value()?;
            map.insert(key, value);
        }
        Ok(map.into())
    }
}

/// Refuses nesting that is deeper than `max`, before anything recursive looks at the text.
fn check_depth(text: &[u8], what: &str, max: usize) -> Result<()> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for &byte in text {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > max {
            return Err(Error::too_large(format!("{what} is nested deeper than {max} levels")));
        }
    }
    Ok(())
}

/// What a value is, for messages.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// The one spelling of equal objects: no spaces, keys sorted at every level.
pub(crate) fn canonical(map: &Map<String, Value>) -> String {
    let mut out = String::with_capacity(64);
    write_object(map, &mut out);
    out
}

fn write_object(map: &Map<String, Value>, out: &mut String) {
    let mut keys: Vec<_> = map.keys().collect();
    keys.sort_unstable();
    out.push('{');
    for (i, key) in keys.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        out.push_str(&Value::from(key.as_str()).to_string());
        out.push(':');
        if let Some(value) = map.get(key) {
            write_value(value, out);
        }
    }
    out.push('}');
}

fn write_value(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => write_object(map, out),
        Value::Array(list) => {
            out.push('[');
            for (i, item) in list.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_value(item, out);
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

/// A short hash of a text: the first 96 bits of its SHA-256. The same on every machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShortHash([u8; 12]);

/// The [`ShortHash`] of a text.
pub(crate) fn short_hash(text: &[u8]) -> ShortHash {
    let digest = Sha256::digest(text);
    ShortHash(std::array::from_fn(|at| digest[at]))
}

impl fmt::Display for ShortHash {
    /// In hexadecimal digits, in lower case.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digit = |value: u8| DIGITS[usize::from(value)];
        let digits: [u8; 24] = std::array::from_fn(|at| {
            let byte = self.0[at / 2];
            digit(if at % 2 == 0 { byte >> 4 } else { byte & 15 })
        });
        f.write_str(str::from_utf8(&digits).unwrap_or_default())
    }
}

impl ShortHash {
    /// Reads what [`Display`](fmt::Display) writes; none for anything else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let value = |digit: u8| DIGITS.iter().position(|known| *known == digit);
        let mut bytes = [0; 12];
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
        if pairs.len() != bytes.len() {
            return None;
        }
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = u8::try_from(value(*high)? << 4 | value(*low)?).ok()?;
        }
        Some(Self(bytes))
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::*;
    use forge_core::ErrorCode;

    fn message(text: &str) -> (ErrorCode, String) {
        let error = parse_object(text.as_bytes(), "the body", 4).unwrap_err();
        (error.code(), error.to_string())
    }

    #[test]
    fn an_empty_text_is_an_empty_object() {
        assert!(parse_object(b" \n", "the body", 4).unwrap().is_empty());
    }

    #[test]
    fn other_kinds_are_named() {
        for (text, name) in [("null", "null"), ("[1]", "an array"), ("3", "a number"), ("\"x\"", "a string")]
        {
            let (code, message) = message(text);
            assert_eq!(code, ErrorCode::BadRequest);
            assert_eq!(message, format!("the body must be a JSON object of arguments, not {name}"));
        }
    }

    #[test]
    fn malformed_text_says_where() {
        let (code, message) = message("{\"a\":\n  oops}");
        assert_eq!(code, ErrorCode::BadRequest);
        assert!(message.contains("line 2 column 3"), "{message}");
    }

    #[test]
    fn nesting_is_bounded_and_strings_do_not_count() {
        assert_eq!(message("{\"a\":[[[[1]]]]}").0, ErrorCode::TooLarge);
        assert!(parse_object(br#"{"a":"[[[[[[\"[[[["}"#, "the body", 4).is_ok());
        let bomb = vec![b'['; 1_000_000];
        assert_eq!(parse(&bomb, "the frame", 64).unwrap_err().code(), ErrorCode::TooLarge);
    }

    #[test]
    fn equal_objects_have_one_spelling() {
        let a = parse_object(br#"{ "b": {"y": 1, "x": [true, {"q":1,"p":2}]}, "a": "s" }"#, "", 9).unwrap();
        assert_eq!(canonical(&a), r#"{"a":"s","b":{"x":[true,{"p":2,"q":1}],"y":1}}"#);
    }

    #[test]
    fn hashes_are_the_same_on_every_machine() {
        assert_eq!(short_hash(b"[]").to_string(), "4f53cda18c2baa0c0354bb5f");
    }

    #[test]
    fn only_what_a_hash_is_written_as_is_read_as_one() {
        let hash = short_hash(b"[]");
        assert_eq!(ShortHash::parse(&hash.to_string()), Some(hash));
        for other in
            ["", "4f53", "4F53CDA18C2BAA0C0354BB5F", "4f53cda18c2baa0c0354bb5f0", "+f53cda18c2baa0c0354bb5é"]
        {
            assert_eq!(ShortHash::parse(other), None, "{other}");
        }
    }
}
