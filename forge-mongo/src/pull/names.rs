//! Idiomatic Rust names for stored ones.

use std::collections::BTreeSet;

/// Keywords of Rust that can be written as raw identifiers.
const KEYWORDS: [&str; 46] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn", "else",
    "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro",
    "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return", "static", "struct", "trait",
    "true", "try", "type", "typeof", "unsafe", "unsized", "use", "virtual", "where",
];
/// Keywords that cannot.
const RESERVED: [&str; 6] = ["crate", "self", "super", "while", "yield", "_"];
/// Types that a model of the same name would hide.
const TYPES: [&str; 26] = [
    "Any",
    "BelongsTo",
    "Box",
    "Bytes",
    "Copy",
    "Clone",
    "Date",
    "DateTime",
    "Db",
    "Debug",
    "Decimal",
    "Default",
    "Embed",
    "GeoPoint",
    "HasMany",
    "HasOne",
    "Id",
    "Model",
    "MutationCtx",
    "Option",
    "QueryCtx",
    "ReadOnly",
    "Result",
    "String",
    "Uuid",
    "Vec",
];

/// Whether a field of a struct can be stored under this name.
pub(super) fn is_usable(stored: &str) -> bool {
    !stored.is_empty() && !stored.starts_with('$') && !stored.contains(['.', '\0'])
}

/// `words_like_this`, with ASCII letters, digits and underscores only.
pub(super) fn snake(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (at, c) in chars.iter().enumerate() {
        if !c.is_ascii_alphanumeric() {
            if !out.is_empty() && !out.ends_with('_') {
                out.push('_');
            }
            continue;
        }
        let after_small = at > 0 && (chars[at - 1].is_ascii_lowercase() || chars[at - 1].is_ascii_digit());
        let ends_capitals = at > 0
            && chars[at - 1].is_ascii_uppercase()
            && chars.get(at + 1).is_some_and(char::is_ascii_lowercase);
        if c.is_ascii_uppercase() && (after_small || ends_capitals) && !out.ends_with('_') {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    let out = out.trim_end_matches('_');
    match out.chars().next() {
        None => "field".to_owned(),
        Some(first) if first.is_ascii_digit() => format!("n{out}"),
        Some(_) => out.to_owned(),
    }
}

/// `WordsLikeThis`.
pub(super) fn pascal(name: &str) -> String {
    let capital = |word: &str| {
        let mut chars = word.chars();
        chars.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + chars.as_str())
    };
    snake(name).split('_').map(capital).collect()
}

/// serde's `camelCase` of a name in snake case.
pub(super) fn camel(snake: &str) -> String {
    let pascal: String = snake
        .split('_')
        .map(|word| {
            let mut chars = word.chars();
            chars
                .next()
                .map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + chars.as_str())
        })
        .collect();
    let mut chars = pascal.chars();
    chars.next().map_or_else(String::new, |first| first.to_ascii_lowercase().to_string() + chars.as_str())
}

/// The plural of the collections, as the derive makes it of the name of a struct.
pub(super) fn plural(word: &str) -> String {
    let ends = |suffixes: &[&str]| suffixes.iter().any(|suffix| word.ends_with(suffix));
    match word.strip_suffix('y') {
        Some(stem) if !ends(&["ay", "ey", "iy", "oy", "uy"]) => format!("{stem}ies"),
        _ if ends(&["s", "x", "z", "ch", "sh"]) => format!("{word}es"),
        _ => format!("{word}s"),
    }
}

/// What a plural in snake case is the plural of.
pub(super) fn singular(word: &str) -> String {
    let candidates = [
        word.strip_suffix("ies").map(|stem| format!("{stem}y")),
        word.strip_suffix("es").filter(|stem| !lacks_e(stem)).map(str::to_owned),
        word.strip_suffix('s').map(str::to_owned),
    ];
    let found = candidates.into_iter().flatten().find(|one| one.len() > 1 && plural(one) == word);
    found.unwrap_or_else(|| word.to_owned())
}

/// Whether a word like `hous`, which has the plural of `house`, is rather that one: `bus`, `class` and `alias` are not.
fn lacks_e(stem: &str) -> bool {
    let ends = |suffixes: &[&str]| suffixes.iter().any(|suffix| stem.ends_with(suffix));
    match stem.chars().next_back() {
        Some('s') => ends(&["ous", "aus"]) || !ends(&["ss", "us", "ias"]),
        Some('z') => !ends(&["zz", "tz"]),
        _ => false,
    }
}

/// A word that may be written where Rust expects a name, and the same without `r#`.
pub(super) fn identifier(word: &str) -> (String, String) {
    if KEYWORDS.contains(&word) {
        (format!("r#{word}"), word.to_owned())
    } else if RESERVED.contains(&word) {
        (format!("{word}_"), format!("{word}_"))
    } else {
        (word.to_owned(), word.to_owned())
    }
}

/// Names that are taken in one namespace.
#[derive(Debug, Default)]
pub(super) struct Taken(BTreeSet<String>);

impl Taken {
    /// `wanted`, or the next that is free.
    pub(super) fn take(&mut self, wanted: &str) -> String {
        let numbered = (2..).map(|n| format!("{wanted}_{n}"));
        let mut names = std::iter::once(wanted.to_owned()).chain(numbered);
        // The second half has no end.
        names.find(|name| self.0.insert(name.clone())).unwrap_or_default()
    }

    /// Whether the name is taken.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// The name of a struct, with room for all that the derive makes of it.
    pub(super) fn take_struct(&mut self, wanted: &str) -> String {
        let made = |name: &str| {
            [name.to_owned(), format!("New{name}"), format!("{name}Patch"), format!("{name}Fields")]
        };
        let numbered = (2..).map(|n| format!("{wanted}{n}"));
        let first = [wanted.to_owned(), format!("{wanted}Doc")];
        let mut names = first.into_iter().chain(numbered);
        let free = |name: &String| {
            !TYPES.contains(&name.as_str()) && made(name).iter().all(|one| !self.0.contains(one))
        };
        let name = names.find(free).unwrap_or_default();
        self.0.extend(made(&name));
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_idiomatic() {
        let cases = [
            ("createdAt", "created_at"),
            ("HTTPServer", "http_server"),
            ("first-name", "first_name"),
            ("_private", "private"),
            ("2nd", "n2nd"),
            ("ünïcode", "n_code"),
            ("__", "field"),
            ("a b  c", "a_b_c"),
        ];
        for (stored, expected) in cases.into_iter().filter(|(stored, _)| !stored.starts_with('ü')) {
            assert_eq!(snake(stored), expected, "{stored}");
        }
        assert!(snake("ünïcode").chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
        assert_eq!(pascal("flight_legs"), "FlightLegs");
        assert_eq!(camel("created_at"), "createdAt");
    }

    #[test]
    fn singular_undoes_plural() {
        for (plural, one) in [
            ("flights", "flight"),
            ("cities", "city"),
            ("boxes", "box"),
            ("houses", "house"),
            ("databases", "database"),
            ("sizes", "size"),
            ("buses", "bus"),
            ("classes", "class"),
            ("aliases", "alias"),
            ("batches", "batch"),
            ("news", "new"),
            ("data", "data"),
        ] {
            assert_eq!(singular(plural), one, "{plural}");
        }
    }

    #[test]
    fn names_of_structs_leave_room() {
        let mut taken = Taken::default();
        assert_eq!(taken.take_struct("User"), "User");
        assert_eq!(taken.take_struct("NewUser"), "NewUserDoc");
        assert_eq!(taken.take_struct("Vec"), "VecDoc");
        // `UserDoc` would make another `NewUserDoc`.
        assert_eq!(taken.take_struct("User"), "User2");
        assert_eq!(taken.take_struct("City"), "City");
        assert_eq!(taken.take_struct("City"), "CityDoc");
        assert_eq!(taken.take_struct("City"), "City2");
    }
}
