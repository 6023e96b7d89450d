//! Paths of fields, as clients write them: no database is asked for what no document has.

/// How deep databases nest sub-documents.
const MAX_DEPTH: usize = 100;
/// The parts of references to documents, the only names with a `$` that documents of databases have.
const REFERENCE: [&str; 3] = ["$ref", "$id", "$db"];

/// Why a query cannot name this path, as the end of a sentence; none where it can.
pub(super) fn wrong_in_query(path: &str) -> Option<&'static str> {
    wrong(path, |_| false)
}

/// Why a patch cannot change this path: there, parts stand for elements of lists too (`$`, `$[]`, `$[name]`).
pub(super) fn wrong_in_patch(path: &str) -> Option<&'static str> {
    wrong(path, |part| part == "$" || (part.starts_with("$[") && part.ends_with(']')))
}

fn wrong(path: &str, is_position: impl Fn(&str) -> bool) -> Option<&'static str> {
    if path.split('.').count() > MAX_DEPTH {
        return Some("is no path of a field: it has more than 100 parts");
    }
    let mut parts = path.split('.').enumerate();
    parts.find_map(|(index, part)| match part {
        "" => Some("is no path of a field: a part between its dots is empty"),
        part if part.contains('\0') => Some("is no path of a field: it has a NUL"),
        part if part.starts_with('$') => {
            let known = index > 0 && (REFERENCE.contains(&part) || is_position(part));
            (!known).then_some("is no path of a field: a part begins with `$`, as operators do")
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_between_the_dots() {
        for path in ["a", "a.b", "a.0.b", "größe", "a b", "owner.$id", "__proto__"] {
            assert_eq!((wrong_in_query(path), wrong_in_patch(path)), (None, None), "{path}");
        }
        for path in
            ["", ".", "a.", ".a", "a..b", "a\0b", "$a", "a.$b", "a.$where", "$id", &["a"; 101].join(".")]
        {
            assert!(wrong_in_query(path).is_some() && wrong_in_patch(path).is_some(), "{path}");
        }
    }

    #[test]
    fn patches_name_elements_of_lists() {
        for path in ["list.$", "list.$[]", "list.$[x].n"] {
            assert_eq!((wrong_in_query(path).is_some(), wrong_in_patch(path)), (true, None), "{path}");
        }
        assert!(wrong_in_patch("$[]").is_some() && wrong_in_patch("a.$[x").is_some());
    }
}
