use bson::{Bson, doc};

use super::{Expr, IntoExpr, Parts, lit};
use crate::fields::Text;

impl<T: Text> Expr<T> {
    /// The text in small letters; of null it is empty. Letters beyond ASCII stay as they are.
    pub fn lower(self) -> Expr<String> {
        self.apply("$toLower")
    }

    /// The text in capital letters; of null it is empty. Letters beyond ASCII stay as they are.
    pub fn upper(self) -> Expr<String> {
        self.apply("$toUpper")
    }

    /// This text, then another one; null where one of them is.
    pub fn concat(self, other: impl IntoExpr<T>) -> Expr<T> {
        self.with("$concat", other.into_expr())
    }

    /// The text without white space at both ends.
    pub fn trim(self) -> Expr<T> {
        Parts::default().push(self).named("$trim", &["input"])
    }

    /// How many characters it has; the query fails for null.
    pub fn chars(self) -> Expr<i32> {
        self.apply("$strLenCP")
    }

    /// `count` characters, from the one at `start` (from 0).
    pub fn substr(self, start: u32, count: u32) -> Expr<String> {
        let [start, count] = [start, count].map(|number| lit(i64::from(number)));
        Parts::default().push(self).push(start).push(count).list("$substrCP")
    }

    /// The parts between separators.
    pub fn split(self, separator: impl IntoExpr<String>) -> Expr<Vec<String>> {
        self.with("$split", separator.into_expr())
    }

    /// The text with every `find` replaced.
    pub fn replace(self, find: impl IntoExpr<String>, replacement: impl IntoExpr<String>) -> Expr<T> {
        Parts::default()
            .push(self)
            .push(find.into_expr())
            .push(replacement.into_expr())
            .named("$replaceAll", &["input", "find", "replacement"])
    }

    /// Whether a regular expression finds something in it; `options` are of `i`, `m`, `s`, `x`. The pattern must not
    /// come from a client.
    pub fn is_match(self, pattern: impl Into<String>, options: &str) -> Expr<bool> {
        let pattern = Expr::<String>::new(doc! { "$literal": Bson::String(pattern.into()) });
        Parts::default()
            .push(self)
            .push(pattern)
            .push(lit(options.to_owned()))
            .named("$regexMatch", &["input", "regex", "options"])
    }

    /// The position of the first `find` in characters, from 0; −1 where there is none.
    pub fn position(self, find: impl IntoExpr<String>) -> Expr<Option<i32>> {
        self.with("$indexOfCP", find.into_expr())
    }
}
