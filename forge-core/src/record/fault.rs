//! The field that a failure to read a record is about, of the texts that [`Reader`](super::Reader) and types make.

use crate::error::Details;

/// The field, and what it must be; none where the failure is about the whole record.
pub(crate) fn fault(text: &str) -> Option<Details> {
    let (path, rest) = match text.strip_prefix("at `") {
        Some(located) => located.split_once("`: ")?,
        None => ("", text),
    };
    if let Some((name, known)) = named(rest, "unknown field `") {
        let message = match (known.strip_prefix("; "), known.strip_prefix(", expected ")) {
            (Some(known), _) => format!("is not known: {known}"),
            (None, Some(known)) => format!("is not known: must be {known}"),
            (None, None) => "is not known".to_owned(),
        };
        return Some(field(join(path, name), "additionalProperties", message));
    }
    if let Some((name, _)) = named(rest, "missing field `") {
        return Some(field(join(path, name), "required", "is missing".to_owned()));
    }
    if path.is_empty() {
        return None;
    }
    // What was sent is not repeated.
    let message = match rest.rsplit_once(", expected ") {
        Some((_, expected)) => format!("must be {}", in_words(expected)),
        None => rest.to_owned(),
    };
    Some(field(path.to_owned(), "type", message))
}

fn named<'a>(text: &'a str, before: &str) -> Option<(&'a str, &'a str)> {
    text.strip_prefix(before)?.split_once('`')
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn field(path: String, keyword: &'static str, message: String) -> Details {
    Details::Field { path, keyword, message }
}

/// The types of Rust, as clients know them.
fn in_words(expected: &str) -> &str {
    match expected {
        "i8" => "a whole number from -128 to 127",
        "i16" => "a whole number from -32768 to 32767",
        "i32" => "a whole number from -2147483648 to 2147483647",
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "i64" | "i128" | "isize" => "a whole number",
        "u64" | "u128" | "usize" => "a whole number from 0",
        "f32" | "f64" => "a number",
        "a sequence" => "a list",
        "a map" => "an object",
        "a borrowed string" | "str" => "a string",
        "unit" => "null",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_and_what_it_must_be_are_told_of_every_failure() {
        for (text, path, keyword, message) in [
            (
                "unknown field `x`; NewA takes `y`",
                "x",
                "additionalProperties",
                "is not known: NewA takes `y`",
            ),
            (
                "at `home`: unknown field `door`; Home takes none",
                "home.door",
                "additionalProperties",
                "is not known: Home takes none",
            ),
            ("unknown field `x`, expected `y`", "x", "additionalProperties", "is not known: must be `y`"),
            ("at `a.b`: missing field `c`", "a.b.c", "required", "is missing"),
            (
                "at `n`: invalid type: string \"at `z`: x, expected y\", expected f64",
                "n",
                "type",
                "must be a number",
            ),
            (
                "at `n`: invalid value: integer `300`, expected u8",
                "n",
                "type",
                "must be a whole number from 0 to 255",
            ),
            ("at `k`: unknown variant `q`, expected `A` or `B`", "k", "type", "must be `A` or `B`"),
            ("at `d`: not a date", "d", "type", "not a date"),
        ] {
            let expected = field(path.to_owned(), keyword, message.to_owned());
            assert_eq!(fault(text), Some(expected), "{text}");
        }
        for whole in ["invalid type: integer `3`, expected a NewA", "at `unclosed", "at `", ""] {
            assert_eq!(fault(whole), None, "{whole}");
        }
    }
}
