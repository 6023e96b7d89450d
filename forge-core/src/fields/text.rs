use super::{Field, Filter};
use crate::ir::Predicate;
use crate::matcher::escape_pattern;

/// Types of fields that hold text.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not text",
    label = "only String and Option<String> fields have this"
)]
pub trait Text {}
impl Text for String {}
impl Text for Option<String> {}

impl<M, T: Text> Field<M, T> {
    fn pattern(self, before: &str, text: &str, after: &str, options: &str) -> Filter<M> {
        let pattern = format!("{before}{}{after}", escape_pattern(text));
        Filter::field(self.path(), Ok(Predicate::Regex { pattern, options: options.to_owned() }))
    }

    /// Has `text` somewhere inside.
    pub fn contains(self, text: impl AsRef<str>) -> Filter<M> {
        self.pattern("", text.as_ref(), "", "")
    }

    /// Has `text` somewhere inside, whatever the case of the letters.
    pub fn contains_ignore_case(self, text: impl AsRef<str>) -> Filter<M> {
        self.pattern("", text.as_ref(), "", "i")
    }

    /// Begins with `text`. Uses an index on the field.
    pub fn starts_with(self, text: impl AsRef<str>) -> Filter<M> {
        self.pattern("^", text.as_ref(), "", "")
    }

    /// Begins with `text`, whatever the case of the letters.
    pub fn starts_with_ignore_case(self, text: impl AsRef<str>) -> Filter<M> {
        self.pattern("^", text.as_ref(), "", "i")
    }

    /// Ends with `text`.
    pub fn ends_with(self, text: impl AsRef<str>) -> Filter<M> {
        self.pattern("", text.as_ref(), "\\z", "")
    }

    /// Ends with `text`, whatever the case of the letters.
    pub fn ends_with_ignore_case(self, text: impl AsRef<str>) -> Filter<M> {
        self.pattern("", text.as_ref(), "\\z", "i")
    }

    /// Is `text`, whatever the case of the letters.
    pub fn eq_ignore_case(self, text: impl AsRef<str>) -> Filter<M> {
        self.pattern("^", text.as_ref(), "\\z", "i")
    }

    /// Is not `text`, whatever the case of the letters; also finds documents without the field.
    pub fn ne_ignore_case(self, text: impl AsRef<str>) -> Filter<M> {
        !self.eq_ignore_case(text)
    }

    /// Is one of `texts`, whatever the case of the letters; an empty list finds nothing.
    pub fn is_in_ignore_case<S: AsRef<str>>(self, texts: impl IntoIterator<Item = S>) -> Filter<M> {
        let texts: Vec<String> = texts.into_iter().map(|text| escape_pattern(text.as_ref())).collect();
        if texts.is_empty() {
            return Filter::nothing();
        }
        let pattern = format!("^(?:{})\\z", texts.join("|"));
        Filter::field(self.path(), Ok(Predicate::Regex { pattern, options: "i".to_owned() }))
    }

    /// Is matched by the regular expression `pattern`, which must not come from a client.
    ///
    /// Patterns are those of PCRE. The embedded engine and live queries match in linear time: look-around, back
    /// references and possessive quantifiers are [`Unsupported`](crate::ErrorCode::Unsupported) there.
    pub fn regex(self, pattern: impl Into<String>) -> Filter<M> {
        self.regex_with(pattern, "")
    }

    /// As [`regex`](Self::regex), with options: `i` for any case of letters, `m` for `^` and `$` at every line, `s`
    /// for `.` at line ends too, `x` for blanks and comments in the pattern.
    pub fn regex_with(self, pattern: impl Into<String>, options: impl Into<String>) -> Filter<M> {
        let (pattern, options) = (pattern.into(), options.into());
        Filter::field(self.path(), Ok(Predicate::Regex { pattern, options }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir;

    struct M;

    fn regex(filter: Filter<M>) -> (String, String) {
        let ir::Filter::Field(_, Predicate::Regex { pattern, options }) = filter.ir else { panic!() };
        (pattern, options)
    }

    #[test]
    fn text_filters_escape_their_input() {
        let f: Field<M, String> = Field::new("name");
        assert_eq!(regex(f.contains_ignore_case("a.*(b")), ("a\\.\\*\\(b".into(), "i".into()));
        assert_eq!(regex(f.eq_ignore_case("a|b")), ("^a\\|b\\z".into(), "i".into()));
        assert_eq!(regex(f.is_in_ignore_case(["a.", "b"])), ("^(?:a\\.|b)\\z".into(), "i".into()));
        assert_eq!(f.is_in_ignore_case([""; 0]).ir, ir::Filter::Nothing);
    }
}
