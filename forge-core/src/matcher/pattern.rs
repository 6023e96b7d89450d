//! PCRE patterns on a linear-time engine.
//!
//! Servers match `$regex` with PCRE in UTF-8 mode. [`Pattern`] translates what differs in spelling or in meaning
//! (`\d`, `\w` and `\s` are ASCII there, `$` also matches before a last newline, `[` inside a class is a character)
//! and refuses what needs backtracking: look-around, back references, possessive quantifiers.

use std::fmt::Write as _;

use bson::RawBsonRef;
use regex::{Regex, RegexBuilder};

use crate::error::{Error, Result};

/// The largest compiled pattern, in bytes.
const SIZE_LIMIT: usize = 1 << 20;
const NEST_LIMIT: u32 = 100;

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    regex: Regex,
    source: Box<str>,
    options: Box<str>,
}

impl Pattern {
    /// Compiles `pattern`; `path` is where it stands, for messages.
    pub(super) fn new(path: &str, pattern: &str, options: &str) -> Result<Pattern> {
        let known = |option: &char| matches!(option, 'i' | 'm' | 's' | 'x' | 'u');
        if let Some(option) = options.chars().find(|option| !known(option)) {
            return Err(Error::bad_request(format!(
                "the pattern for `{path}` has the unknown option `{option}`; there are i, m, s and x"
            )));
        }
        let has = |option| options.contains(option);
        let mut translator =
            Translator { path, rest: pattern, out: String::new(), multi_line: has('m'), extended: has('x') };
        translator.run()?;
        let regex = RegexBuilder::new(&translator.out)
            .case_insensitive(has('i'))
            .multi_line(has('m'))
            .dot_matches_new_line(has('s'))
            .ignore_whitespace(has('x'))
            .size_limit(SIZE_LIMIT)
            .nest_limit(NEST_LIMIT)
            .build()
            .map_err(|source| refusal(path, source))?;
        let mut options: Vec<char> = options.chars().collect();
        options.sort_unstable();
        Ok(Pattern { regex, source: pattern.into(), options: options.into_iter().collect() })
    }

    /// Whether the pattern occurs in a string. A stored pattern is found by the same pattern.
    pub(super) fn finds(&self, value: RawBsonRef<'_>) -> bool {
        match value {
            RawBsonRef::String(text) | RawBsonRef::Symbol(text) => self.regex.is_match(text),
            RawBsonRef::RegularExpression(stored) => {
                stored.pattern.as_str() == &*self.source && stored.options.as_str() == &*self.options
            }
            _ => false,
        }
    }
}

/// A pattern in MongoDB's form (PCRE, with the options `i`, `m`, `s` and `x`) as one that runs in linear time.
///
/// `place` says in messages where it stands.
///
/// # Errors
/// `unsupported` names what needs backtracking; `bad_request` says what is malformed, `too_large` that it is too large.
pub fn pattern(place: &str, pattern: &str, options: &str) -> Result<Regex> {
    Pattern::new(place, pattern, options).map(|pattern| pattern.regex)
}

/// Makes `text` match itself in a regular expression, in PCRE and in linear-time engines alike.
pub fn escape_pattern(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_punctuation() && c != '_' {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn refusal(path: &str, source: regex::Error) -> Error {
    if let regex::Error::CompiledTooBig(limit) = source {
        return Error::too_large(format!("the pattern for `{path}` compiles to more than {limit} bytes"));
    }
    let text = source.to_string();
    // The last line says what is wrong; those before it draw where, in the translated pattern.
    let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
    Error::bad_request(format!("the pattern for `{path}` is malformed: {reason}")).with_source(source)
}

const DIGIT: &str = "0-9";
const WORD: &str = "0-9A-Za-z_";
const SPACE: &str = r"\t\n\x0B\f\r\x20";
/// `$` and `\Z`: at the end, or before the newline there.
const END: &str = r"(?:\n?\z)";

struct Translator<'p> {
    path: &'p str,
    rest: &'p str,
    out: String,
    multi_line: bool,
    extended: bool,
}

impl<'p> Translator<'p> {
    fn run(&mut self) -> Result<()> {
        while let Some(next) = self.next() {
            match next {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => self.group()?,
                '{' => self.brace()?,
                '*' | '+' | '?' => {
                    self.out.push(next);
                    self.after_quantifier()?;
                }
                '$' if !self.multi_line => self.out.push_str(END),
                '#' if self.extended => self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest),
                other => self.out.push(other),
            }
        }
        Ok(())
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let next = chars.next();
        self.rest = chars.as_str();
        next
    }

    fn eat(&mut self, prefix: &str) -> bool {
        let rest = self.rest.strip_prefix(prefix);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn unsupported(&self, what: &str) -> Error {
        Error::unsupported(format!(
            "the pattern for `{}` uses {what}, which patterns that run in linear time do not have",
            self.path
        ))
    }

    /// A character that stands for itself, in a class or outside.
    fn literal(&mut self, character: char) {
        if character.is_alphanumeric() || character == '_' {
            self.out.push(character);
        } else {
            let _ = write!(self.out, r"\x{{{:X}}}", u32::from(character));
        }
    }

    /// `\Q…\E`, after the `\Q`.
    fn quoted(&mut self) {
        let (text, rest) = self.rest.split_once(r"\E").unwrap_or((self.rest, ""));
        self.rest = rest;
        text.chars().for_each(|character| self.literal(character));
    }

    /// `\x41`, `\x{41}`, `\p{Lu}`: the letter and what belongs to it.
    fn with_argument(&mut self, letter: char) {
        self.out.push('\\');
        self.out.push(letter);
        if self.rest.starts_with('{')
            && let Some((argument, rest)) = self.rest.split_once('}')
        {
            self.out.push_str(argument);
            self.out.push('}');
            self.rest = rest;
        }
    }

    fn escape(&mut self) -> Result<()> {
        let Some(letter) = self.next() else {
            self.out.push('\\');
            return Ok(());
        };
        match letter {
            'd' | 'w' | 's' => self.set("[", letter),
            'D' | 'W' | 'S' => self.set("[^", letter.to_ascii_lowercase()),
            'b' | 'B' => {
                let _ = write!(self.out, r"(?-u:\{letter})");
            }
            'Z' => self.out.push_str(END),
            'A' | 'z' => {
                self.out.push('\\');
                self.out.push(letter);
            }
            _ => self.common_escape(letter)?,
        }
        Ok(())
    }

    fn set(&mut self, open: &str, letter: char) {
        let members = match letter {
            'd' => DIGIT,
            'w' => WORD,
            _ => SPACE,
        };
        self.out.push_str(open);
        self.out.push_str(members);
        self.out.push(']');
    }

    /// Escapes with the same meaning inside and outside of a class.
    fn common_escape(&mut self, letter: char) -> Result<()> {
        match letter {
            'Q' => self.quoted(),
            'E' => {}
            'e' => self.out.push_str(r"\x1B"),
            'n' | 'r' | 't' | 'f' | 'a' => {
                self.out.push('\\');
                self.out.push(letter);
            }
            'x' | 'p' | 'P' => self.with_argument(letter),
            '1'..='9' | 'g' | 'k' => {
                return Err(self.unsupported(&format!(r"the back reference `\{letter}`")));
            }
            letter if letter.is_alphanumeric() => {
                return Err(self.unsupported(&format!(r"the escape `\{letter}`")));
            }
            other => self.literal(other),
        }
        Ok(())
    }

    fn group(&mut self) -> Result<()> {
        const REFUSED: [(&str, &str); 12] = [
            ("?=", "lookahead"),
            ("?!", "lookahead"),
            ("?<=", "lookbehind"),
            ("?<!", "lookbehind"),
            ("?>", "an atomic group"),
            ("?(", "a conditional group"),
            ("?|", "a branch reset group"),
            ("?P=", "a back reference"),
            ("?P>", "recursion"),
            ("?&", "recursion"),
            ("?R", "recursion"),
            ("*", "a backtracking verb"),
        ];
        if let Some((_, what)) = REFUSED.iter().find(|(start, _)| self.rest.starts_with(start)) {
            return Err(self.unsupported(what));
        }
        if self.rest.starts_with('?') && self.rest[1..].starts_with(|c: char| c.is_ascii_digit() || c == '+')
        {
            return Err(self.unsupported("recursion"));
        }
        if self.eat("?#") {
            self.rest = self.rest.split_once(')').map_or("", |(_, rest)| rest);
            return Ok(());
        }
        self.out.push('(');
        if self.eat("?'") {
            let (name, rest) = self.rest.split_once('\'').unwrap_or((self.rest, ""));
            self.rest = rest;
            let _ = write!(self.out, "?P<{name}>");
        } else if self.eat("?") {
            self.flags();
        }
        Ok(())
    }

    /// What follows `(?`: inline flags are kept, and noted.
    fn flags(&mut self) {
        self.out.push('?');
        let end = self.rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(self.rest.len());
        let (flags, rest) = self.rest.split_at(end);
        if rest.starts_with([')', ':', '-']) {
            self.multi_line |= flags.contains('m');
            self.extended |= flags.contains('x');
        }
        self.out.push_str(flags);
        self.rest = rest;
    }

    /// `{2,3}` is a quantifier; any other brace stands for itself.
    fn brace(&mut self) -> Result<()> {
        let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if let Some((inside, rest)) = self.rest.split_once('}') {
            let (low, high) = inside.split_once(',').unwrap_or((inside, "0"));
            if number(low) && (high.is_empty() || number(high)) {
                let _ = write!(self.out, "{{{inside}}}");
                self.rest = rest;
                return self.after_quantifier();
            }
        }
        self.literal('{');
        Ok(())
    }

    fn after_quantifier(&mut self) -> Result<()> {
        if self.eat("?") {
            self.out.push('?');
        } else if self.rest.starts_with('+') {
            return Err(self.unsupported("a possessive quantifier"));
        }
        Ok(())
    }

    /// A class, after its `[`.
    fn class(&mut self) -> Result<()> {
        self.out.push('[');
        if self.eat("^") {
            self.out.push('^');
        }
        if self.eat("]") {
            self.literal(']');
        }
        // Whether a dash here could begin no range: after a set such as `\d`, or after the dash of a range.
        let mut closed = false;
        while let Some(next) = self.next() {
            let was_closed = std::mem::take(&mut closed);
            match next {
                ']' => {
                    self.out.push(']');
                    return Ok(());
                }
                '\\' => closed = self.class_escape()?,
                '[' if self.named_class() => closed = true,
                '-' if was_closed || self.set_follows() => self.literal('-'),
                '-' => {
                    self.out.push('-');
                    closed = true;
                }
                other => self.literal(other),
            }
        }
        Ok(())
    }

    /// Whether the rest begins with a set, such as `\d`.
    fn set_follows(&self) -> bool {
        self.rest.strip_prefix('\\').is_some_and(|rest| rest.starts_with(['d', 'D', 'w', 'W', 's', 'S']))
    }

    /// `[:alpha:]`, after its first bracket.
    fn named_class(&mut self) -> bool {
        let Some((name, rest)) = self.rest.strip_prefix(':').and_then(|rest| rest.split_once(":]")) else {
            return false;
        };
        if !name.trim_start_matches('^').bytes().all(|byte| byte.is_ascii_lowercase()) {
            return false;
        }
        let _ = write!(self.out, "[:{name}:]");
        self.rest = rest;
        true
    }

    /// An escape in a class; whether it stands for a set.
    fn class_escape(&mut self) -> Result<bool> {
        let Some(letter) = self.next() else { return Ok(false) };
        match letter {
            'd' | 'w' | 's' => self.set("[", letter),
            'D' | 'W' | 'S' => self.set("[^", letter.to_ascii_lowercase()),
            'b' => self.out.push_str(r"\x08"),
            _ => self.common_escape(letter)?,
        }
        Ok(matches!(letter.to_ascii_lowercase(), 'd' | 'w' | 's'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorCode;

    fn finds(pattern: &str, options: &str, text: &str) -> bool {
        Pattern::new("name", pattern, options).unwrap().finds(RawBsonRef::String(text))
    }

    #[test]
    fn patterns_mean_what_pcre_means() {
        let cases = [
            (r"^ab", "", "abc", true),
            (r"^ab", "", "cab", false),
            (r"AB", "i", "cab", true),
            (r"É", "i", "café", true),
            (r"^b$", "", "a\nb\nc", false),
            (r"^b$", "m", "a\nb\nc", true),
            (r"(?m)^b$", "", "a\nb\nc", true),
            (r"b$", "", "ab\n", true),
            (r"b$", "", "ab\n\n", false),
            (r"b\Z", "", "ab\n", true),
            (r"b\z", "", "ab\n", false),
            (r"a.c", "", "a\nc", false),
            (r"a.c", "s", "a\nc", true),
            ("a b # a comment [", "x", "ab", true),
            (r"a[ #]b", "x", "a b", true),
            (r"a\ b", "x", "a b", true),
            (r"^\d+$", "", "12", true),
            (r"^\d+$", "", "١٢", false),
            (r"^\w+$", "", "é", false),
            (r"^\W$", "", "é", true),
            (r"^[\w-]+$", "", "a-b", true),
            (r"^[\w-z]+$", "", "`", false),
            (r"^[a-\d]+$", "", "a-5", true),
            (r"^[^\s]+$", "", "a b", false),
            (r"^[\D]$", "", "x", true),
            (r"a\b", "", "a é", true),
            (r"a\B", "", "ab", true),
            (r"^[[]$", "", "[", true),
            (r"^[]a]+$", "", "]a", true),
            (r"^[a&&b]+$", "", "&b", true),
            (r"^[[:alpha:]]+$", "", "ab", true),
            (r"^[\x{41}-C]+$", "", "ABC", true),
            (r"^a{2}$", "", "aa", true),
            (r"^a{x}$", "", "a{x}", true),
            (r"^\Qa.b[\E$", "", "a.b[", true),
            (r"^\<a\/b\>$", "", "<a/b>", true),
            (r"^a(?#a comment)b$", "", "ab", true),
            (r"^(?'n'a)b+?$", "", "abb", true),
            (r"^(?i:A)b$", "", "ab", true),
        ];
        for (pattern, options, text, expected) in cases {
            assert_eq!(finds(pattern, options, text), expected, "/{pattern}/{options} in {text:?}");
        }
    }

    #[test]
    fn what_needs_backtracking_is_refused_by_name() {
        let cases = [
            ("a(?=b)", "lookahead"),
            ("a(?!b)", "lookahead"),
            ("(?<=a)b", "lookbehind"),
            ("(?<!a)b", "lookbehind"),
            (r"(a)\1", r"back reference `\1`"),
            (r"(?P<n>a)(?P=n)", "back reference"),
            (r"(?P<n>a)\k<n>", r"back reference `\k`"),
            ("(?>a)", "atomic group"),
            ("a++", "possessive"),
            ("a{2}+", "possessive"),
            ("(?R)", "recursion"),
            (r"a\Rb", r"escape `\R`"),
        ];
        for (pattern, named) in cases {
            let error = Pattern::new("name", pattern, "").unwrap_err();
            assert_eq!(error.code(), ErrorCode::Unsupported, "{pattern}: {error}");
            assert!(error.message().contains(named), "{pattern}: {error}");
            assert!(error.message().contains("`name`"), "{pattern}: {error}");
        }
    }

    #[test]
    fn malformed_and_oversized_patterns_are_errors_not_panics() {
        let code = |pattern, options| Pattern::new("name", pattern, options).unwrap_err().code();
        assert_eq!(code("(a", ""), ErrorCode::BadRequest);
        assert_eq!(code("[a", ""), ErrorCode::BadRequest);
        assert_eq!(code("*", ""), ErrorCode::BadRequest);
        assert_eq!(code("a\\", ""), ErrorCode::BadRequest);
        assert_eq!(code("a", "g"), ErrorCode::BadRequest);
        assert_eq!(code("(?:(?:a{1000}){1000}){1000}", ""), ErrorCode::TooLarge);
        assert_eq!(code(&"(".repeat(100_000), ""), ErrorCode::BadRequest);
    }

    #[test]
    fn only_strings_are_searched_and_a_pattern_finds_itself() {
        let pattern = Pattern::new("name", "1", "i").unwrap();
        assert!(!pattern.finds(RawBsonRef::Int32(1)));
        assert!(pattern.finds(RawBsonRef::Symbol("1")));
        let stored = bson::rawdoc! { "r": bson::Regex { pattern: bson::raw::cstr!("1").into(), options: bson::raw::cstr!("i").into() } };
        assert!(pattern.finds(stored.get("r").unwrap().unwrap()));
    }
}
