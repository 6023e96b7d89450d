//! Nested query strings, as Feathers' and Express' clients write them: `age[$lt]=30&$or[0][name]=Ann`.
//!
//! The forms are those of the npm package `qs`, but lists may be of any length; every leaf is a string.

use forge_core::{Error, Result};
use percent_encoding::percent_decode;
use serde_json::{Map, Value};

/// Pairs in one query string.
const MAX_PAIRS: usize = 1_000;
/// Brackets that nest; what follows is one key, as it is.
const MAX_DEPTH: usize = 5;

/// What a name holds while pairs come in.
#[derive(Debug)]
enum Node {
    Text(String),
    /// `a=1&a=2`, `a[]=1`.
    List(Vec<Node>),
    /// `a[b]=1`, `a[0]=1`: a list, if all names turn out to be numbers.
    Named(Vec<(String, Node)>),
}

/// The object that a query string describes. The keys of `$sort` have an order, which objects do not keep: where there are
/// several it is a list of objects with one key each.
///
/// # Errors
/// `bad_request` where there are more than 1,000 pairs, or text is not UTF-8.
pub(super) fn parse(query: &str) -> Result<Map<String, Value>> {
    let query = query.strip_prefix('?').unwrap_or(query);
    let mut root = Vec::new();
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    for (count, pair) in pairs.enumerate() {
        if count == MAX_PAIRS {
            return Err(Error::bad_request(format!("a query string has at most {MAX_PAIRS} parameters")));
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode(name)?, decode(value)?);
        let path = segments(&name);
        insert(&mut root, &path, value);
    }
    let finished = |(name, node)| match node {
        Node::Named(keys) if name == "$sort" && keys.len() > 1 => (name, ordered(keys)),
        node => (name, finish(node)),
    };
    Ok(root.into_iter().map(finished).collect())
}

fn ordered(keys: Vec<(String, Node)>) -> Value {
    keys.into_iter().map(|(name, node)| Value::Object(Map::from_iter([(name, finish(node))]))).collect()
}

fn decode(text: &str) -> Result<String> {
    let text = text.replace('+', " ");
    let bytes = percent_decode(text.as_bytes());
    let decoded = bytes.decode_utf8().map_err(|_| Error::bad_request("the query string is not UTF-8"))?;
    Ok(decoded.into_owned())
}

/// `a[b][]` as `a`, `b` and an empty segment. Brackets that do not close belong to the name.
fn segments(name: &str) -> Vec<&str> {
    let Some(open) = name.find('[').filter(|open| *open > 0) else { return vec![name] };
    let (first, mut rest) = name.split_at(open);
    let mut path = vec![first];
    while let Some(inner) = rest.strip_prefix('[') {
        let Some((segment, after)) = inner.split_once(']').filter(|_| path.len() <= MAX_DEPTH) else { break };
        path.push(segment);
        rest = after;
    }
    match path.len() {
        1 => vec![name],
        // Beyond the depth the brackets stay in the name; text after the last bracket has no meaning.
        _ if rest.starts_with('[') => {
            path.push(rest);
            path
        }
        _ => path,
    }
}

fn insert(level: &mut Vec<(String, Node)>, path: &[&str], value: String) {
    let Some((name, rest)) = path.split_first() else { return };
    match level.iter_mut().find(|(known, _)| known == name) {
        Some((_, node)) => add(node, rest, value),
        None => level.push(((*name).to_owned(), fresh(rest, value))),
    }
}

fn fresh(path: &[&str], value: String) -> Node {
    match path {
        [] => Node::Text(value),
        ["", rest @ ..] => Node::List(vec![fresh(rest, value)]),
        [name, rest @ ..] => Node::Named(vec![((*name).to_owned(), fresh(rest, value))]),
    }
}

/// Adds to a name that was seen before.
fn add(node: &mut Node, path: &[&str], value: String) {
    match (&mut *node, path) {
        (Node::Named(level), [name, ..]) if !name.is_empty() => insert(level, path, value),
        (Node::List(list), ["", rest @ ..]) => list.push(fresh(rest, value)),
        (Node::List(list), _) => list.push(fresh(path, value)),
        _ => {
            let first = std::mem::replace(node, Node::List(Vec::new()));
            let rest = if let ["", rest @ ..] = path { rest } else { path };
            *node = Node::List(vec![first, fresh(rest, value)]);
        }
    }
}

fn finish(node: Node) -> Value {
    match node {
        Node::Text(text) => Value::String(text),
        Node::List(list) => Value::Array(list.into_iter().map(finish).collect()),
        Node::Named(level) => {
            let positions: Option<Vec<u32>> = level.iter().map(|(name, _)| position(name)).collect();
            let Some(positions) = positions else {
                return Value::Object(level.into_iter().map(|(name, node)| (name, finish(node))).collect());
            };
            let mut list: Vec<_> = positions.into_iter().zip(level).collect();
            list.sort_by_key(|(position, _)| *position);
            Value::Array(list.into_iter().map(|(_, (_, node))| finish(node)).collect())
        }
    }
}

/// The position in a list that a name is. Gaps are closed, so that no number costs memory.
fn position(name: &str) -> Option<u32> {
    let plain = name == "0" || !name.starts_with('0');
    name.parse().ok().filter(|_| plain && name.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parsed(query: &str) -> Value {
        Value::Object(parse(query).unwrap())
    }

    #[test]
    fn brackets_nest() {
        assert_eq!(
            parsed("?age[$lt]=30&$sort[name]=-1&a.b=1"),
            json!({"age": {"$lt": "30"}, "$sort": {"name": "-1"}, "a.b": "1"})
        );
        assert_eq!(parsed("$or%5B0%5D%5Bname%5D=Ann+B%2B"), json!({"$or": [{"name": "Ann B+"}]}));
        assert_eq!(parsed("a&b=&=c"), json!({"a": "", "b": "", "": "c"}));
    }

    #[test]
    fn lists_are_lists_however_they_are_written_and_however_long() {
        assert_eq!(parsed("a=1&a=2&a=3"), json!({"a": ["1", "2", "3"]}));
        assert_eq!(parsed("a[]=1&a[]=2"), json!({"a": ["1", "2"]}));
        assert_eq!(parsed("a[1]=y&a[0]=x&a[4000000000]=z"), json!({"a": ["x", "y", "z"]}));
        let long: Vec<_> = (0..50).map(|n| format!("a[$in][{n}]={n}")).collect();
        assert_eq!(parsed(&long.join("&"))["a"]["$in"].as_array().unwrap().len(), 50);
        assert_eq!(parsed("a[0][b]=1&a[0][c]=2"), json!({"a": [{"b": "1", "c": "2"}]}));
    }

    #[test]
    fn names_that_only_look_like_positions_are_names() {
        assert_eq!(parsed("a[01]=x"), json!({"a": {"01": "x"}}));
        assert_eq!(parsed("a[0]=x&a[b]=y"), json!({"a": {"0": "x", "b": "y"}}));
        assert_eq!(parsed("a[+1]=x"), json!({"a": {" 1": "x"}}));
    }

    #[test]
    fn depth_is_bounded_and_broken_brackets_are_text() {
        assert_eq!(
            parsed("a[b][c][d][e][f][g][h]=1"),
            json!({"a": {"b": {"c": {"d": {"e": {"f": {"[g][h]": "1"}}}}}}})
        );
        assert_eq!(parsed("a[b=1&[c]=2"), json!({"a[b": "1", "[c]": "2"}));
    }

    #[test]
    fn what_is_said_twice_in_two_ways_is_kept() {
        assert_eq!(parsed("a=1&a[b]=2"), json!({"a": ["1", {"b": "2"}]}));
        assert_eq!(parsed("a[b]=2&a=1"), json!({"a": [{"b": "2"}, "1"]}));
    }

    #[test]
    fn the_keys_of_a_sort_keep_their_order() {
        assert_eq!(parsed("$sort[b]=1&$sort[a]=-1"), json!({"$sort": [{"b": "1"}, {"a": "-1"}]}));
        assert_eq!(parsed("$sort[b]=1"), json!({"$sort": {"b": "1"}}));
    }

    #[test]
    fn too_much_is_refused() {
        let many = vec!["a=1"; MAX_PAIRS + 1].join("&");
        assert_eq!(parse(&many).unwrap_err().code(), forge_core::ErrorCode::BadRequest);
        assert!(parse("a=%ff").is_err());
    }
}
