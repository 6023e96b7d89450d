use std::fmt;
use std::marker::PhantomData;

use bson::Bson;
use serde::Serialize;

use super::embed::join;
use super::{Filter, Order};
use crate::ir::Predicate;
use crate::types::GeoPoint;
use crate::value::{IntoValue, to_bson};

/// A field of `M` that holds a `T`.
pub struct Field<M, T> {
    path: &'static str,
    _types: PhantomData<fn() -> (M, T)>,
}

impl<M, T> Clone for Field<M, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<M, T> Copy for Field<M, T> {}
impl<M, T> fmt::Debug for Field<M, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path)
    }
}

impl<M, T> Field<M, T> {
    #[doc(hidden)]
    pub const fn new(path: &'static str) -> Self {
        Self { path, _types: PhantomData }
    }

    /// A field of the embed at `prefix`.
    #[doc(hidden)]
    pub fn below(prefix: &'static str, name: &'static str) -> Self {
        Self::new(join(prefix, name))
    }

    /// The stored path.
    pub const fn path(self) -> &'static str {
        self.path
    }

    /// Sorts from small to large.
    pub fn asc(self) -> Order<M> {
        Order::new(self.path, false)
    }

    /// Sorts from large to small.
    pub fn desc(self) -> Order<M> {
        Order::new(self.path, true)
    }

    /// Whether the field is in the document at all, be it null.
    pub fn exists(self, exists: bool) -> Filter<M> {
        Filter::field(self.path, Ok(Predicate::Exists(exists)))
    }

    /// The field is null or absent.
    pub fn is_null(self) -> Filter<M> {
        Filter::field(self.path, Ok(Predicate::Eq(Bson::Null)))
    }
}

impl<M, T: Serialize + 'static> Field<M, T> {
    fn compare(self, value: impl IntoValue<T>, make: impl FnOnce(Bson) -> Predicate) -> Filter<M> {
        Filter::field(self.path, to_bson(&value.into_value()).map(make))
    }

    fn list<V: IntoValue<T>>(
        self,
        values: impl IntoIterator<Item = V>,
        make: impl FnOnce(Vec<Bson>) -> Predicate,
    ) -> Filter<M> {
        let values = values.into_iter().map(|value| to_bson(&value.into_value()));
        Filter::field(self.path, values.collect::<crate::Result<_>>().map(make))
    }

    /// Equal to `value`; a null also finds documents without the field.
    pub fn eq(self, value: impl IntoValue<T>) -> Filter<M> {
        self.compare(value, Predicate::Eq)
    }

    /// Not equal to `value`; also finds documents without the field.
    pub fn ne(self, value: impl IntoValue<T>) -> Filter<M> {
        self.compare(value, Predicate::Ne)
    }

    /// Greater than `value`.
    pub fn gt(self, value: impl IntoValue<T>) -> Filter<M> {
        self.compare(value, Predicate::Gt)
    }

    /// Greater than or equal to `value`.
    pub fn gte(self, value: impl IntoValue<T>) -> Filter<M> {
        self.compare(value, Predicate::Gte)
    }

    /// Less than `value`.
    pub fn lt(self, value: impl IntoValue<T>) -> Filter<M> {
        self.compare(value, Predicate::Lt)
    }

    /// Less than or equal to `value`.
    pub fn lte(self, value: impl IntoValue<T>) -> Filter<M> {
        self.compare(value, Predicate::Lte)
    }

    /// Equal to one of `values`; an empty list finds nothing.
    pub fn is_in<V: IntoValue<T>>(self, values: impl IntoIterator<Item = V>) -> Filter<M> {
        self.list(values, Predicate::In)
    }

    /// Equal to none of `values`; an empty list finds everything.
    pub fn not_in<V: IntoValue<T>>(self, values: impl IntoIterator<Item = V>) -> Filter<M> {
        self.list(values, Predicate::NotIn)
    }
}

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
        let pattern = format!("{before}{}{after}", escape(text));
        Filter::field(self.path, Ok(Predicate::Regex { pattern, options: options.to_owned() }))
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

    /// Is matched by the regular expression `pattern`, which must not come from a client.
    pub fn regex(self, pattern: impl Into<String>) -> Filter<M> {
        Filter::field(self.path, Ok(Predicate::Regex { pattern: pattern.into(), options: String::new() }))
    }
}

/// Makes `text` match itself in a regular expression, in PCRE and in linear-time engines alike.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_punctuation() && c != '_' {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

impl<M, E: Serialize + 'static> Field<M, Vec<E>> {
    fn element(self, value: impl IntoValue<E>) -> crate::Result<Bson> {
        to_bson(&value.into_value())
    }

    /// Holds `value`.
    pub fn has(self, value: impl IntoValue<E>) -> Filter<M> {
        let value = self.element(value);
        Filter::field(self.path, value.map(Predicate::Eq))
    }

    /// Holds one of `values` at least.
    pub fn has_some<V: IntoValue<E>>(self, values: impl IntoIterator<Item = V>) -> Filter<M> {
        let values = values.into_iter().map(|value| self.element(value)).collect::<crate::Result<_>>();
        Filter::field(self.path, values.map(Predicate::In))
    }

    /// Holds all of `values`; everything, where there are none.
    pub fn has_every<V: IntoValue<E>>(self, values: impl IntoIterator<Item = V>) -> Filter<M> {
        match values.into_iter().map(|value| self.element(value)).collect::<crate::Result<Vec<_>>>() {
            Ok(values) if values.is_empty() => Filter::everything(),
            values => Filter::field(self.path, values.map(Predicate::HasEvery)),
        }
    }

    /// Has exactly `n` elements.
    pub fn size(self, n: u32) -> Filter<M> {
        Filter::field(self.path, Ok(Predicate::Size(n.into())))
    }

    /// Has no elements.
    pub fn is_empty(self) -> Filter<M> {
        self.size(0)
    }
}

/// Types of fields that hold a place.
#[diagnostic::on_unimplemented(message = "`{Self}` is not a place", label = "only GeoPoint fields have this")]
pub trait Place {}
impl Place for GeoPoint {}
impl Place for Option<GeoPoint> {}

impl<M, T: Place> Field<M, T> {
    /// Within `max_metres` of `point`, nearest first unless another order is asked for.
    pub fn near(self, point: GeoPoint, max_metres: f64) -> Filter<M> {
        let point = [point.longitude(), point.latitude()];
        Filter::field(
            self.path,
            Ok(Predicate::Near { point, max_metres: Some(max_metres), min_metres: None }),
        )
    }

    /// Within `metres` of `centre`, in no order.
    pub fn within_circle(self, centre: GeoPoint, metres: f64) -> Filter<M> {
        let centre = [centre.longitude(), centre.latitude()];
        Filter::field(self.path, Ok(Predicate::WithinCircle { centre, metres }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir;

    struct M;

    #[test]
    fn text_filters_escape_their_input() {
        let f: Field<M, String> = Field::new("name");
        let ir::Filter::Field(_, Predicate::Regex { pattern, options }) = f.contains_ignore_case("a.*(b").ir
        else {
            panic!()
        };
        assert_eq!((pattern.as_str(), options.as_str()), ("a\\.\\*\\(b", "i"));
    }

    #[test]
    fn empty_lists_of_alternatives_match_nothing_and_of_conditions_everything() {
        assert_eq!(Filter::<M>::any([]).ir, ir::Filter::Nothing);
        assert_eq!(Filter::<M>::all([]).ir, ir::Filter::All);
    }

    #[test]
    fn options_and_text_compare_with_bare_values() {
        let city: Field<M, Option<String>> = Field::new("city");
        assert_eq!(city.eq("Salem").ir, ir::Filter::eq("city", "Salem"));
        assert_eq!(city.eq(None).ir, ir::Filter::eq("city", Bson::Null));
        let n: Field<M, i32> = Field::new("n");
        assert_eq!(n.gt(5).ir, ir::Filter::Field("n".into(), Predicate::Gt(Bson::Int32(5))));
    }
}
