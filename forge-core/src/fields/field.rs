use std::fmt;
use std::marker::PhantomData;

use bson::Bson;
use serde::Serialize;

use super::embed::join;
use super::{Filter, Order};
use crate::ir::{self, Comparison, Predicate};
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

    /// What is stored at a path below, as a `V`: for values whose parts have no fields of their own, such as enums with data,
    /// tuples and [`Any`](crate::types::Any). Nothing checks that it is there and of this type.
    ///
    /// ```ignore
    /// let by_card = db.find::<Order>().filter(|o| o.payment.at_path::<String>("kind").eq("card")).await?;
    /// ```
    pub fn at_path<V>(self, path: &'static str) -> Field<M, V> {
        Field::new(join(self.path, path))
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

impl<M, T> Field<M, T> {
    /// A comparison with another field of the same document. Absent counts as null.
    fn against<U>(self, comparison: Comparison, other: Field<M, U>) -> Filter<M> {
        Filter::with(ir::Filter::Compare(self.path.into(), comparison, other.path.into()), None)
    }

    /// The two fields hold equal values, or both are null or absent.
    ///
    /// No index serves a comparison of two fields: give the query another condition that one does.
    pub fn eq_field<U: Comparable<T>>(self, other: Field<M, U>) -> Filter<M> {
        self.against(Comparison::Eq, other)
    }

    /// The two fields hold different values; one of them may be null or absent.
    pub fn ne_field<U: Comparable<T>>(self, other: Field<M, U>) -> Filter<M> {
        self.against(Comparison::Ne, other)
    }

    /// Greater than what `other` holds. Where one of them is null or absent, it is not.
    pub fn gt_field<U: Comparable<T>>(self, other: Field<M, U>) -> Filter<M> {
        self.against(Comparison::Gt, other) & other.is_something()
    }

    /// Greater than, or equal to, what `other` holds. Where one of them is null or absent, it is not.
    pub fn gte_field<U: Comparable<T>>(self, other: Field<M, U>) -> Filter<M> {
        self.against(Comparison::Gte, other) & other.is_something()
    }

    /// Less than what `other` holds. Where one of them is null or absent, it is not.
    pub fn lt_field<U: Comparable<T>>(self, other: Field<M, U>) -> Filter<M> {
        self.against(Comparison::Lt, other) & self.is_something()
    }

    /// Less than, or equal to, what `other` holds. Where one of them is null or absent, it is not.
    pub fn lte_field<U: Comparable<T>>(self, other: Field<M, U>) -> Filter<M> {
        self.against(Comparison::Lte, other) & self.is_something()
    }

    /// Null is below every other value: a comparison only has to look at its lower side.
    fn is_something(self) -> Filter<M> {
        Filter::field(self.path, Ok(Predicate::Ne(Bson::Null)))
    }
}

impl<M, T> Field<M, Option<T>> {
    /// There is a value: the field is neither null nor absent.
    pub fn is_some(self) -> Filter<M> {
        self.is_something()
    }

    /// There is no value: the field is null or absent.
    pub fn is_none(self) -> Filter<M> {
        self.is_null()
    }

    /// The field is not in the document.
    pub fn is_absent(self) -> Filter<M> {
        self.exists(false)
    }

    /// The field is in the document, and null.
    pub fn is_stored_null(self) -> Filter<M> {
        self.exists(true) & self.is_null()
    }
}

/// Types whose values can be compared with those of a field of type `T` in the database.
#[diagnostic::on_unimplemented(
    message = "a field of type `{T}` cannot be compared with one of type `{Self}`",
    label = "these two types are stored differently"
)]
pub trait Comparable<T> {}
impl<T> Comparable<T> for T {}
impl<T> Comparable<T> for Option<T> {}
impl<T> Comparable<Option<T>> for T {}

macro_rules! comparable_numbers {
    ($($a:ty: $($b:ty),+;)+) => {
        $($(
            impl Comparable<$a> for $b {}
            impl Comparable<Option<$a>> for $b {}
            impl Comparable<$a> for Option<$b> {}
            impl Comparable<Option<$a>> for Option<$b> {}
        )+)+
    };
}
comparable_numbers! {
    i32: i64, f64;
    i64: i32, f64;
    f64: i32, i64;
}

#[cfg(test)]
mod tests {
    use super::*;

    struct M;

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

    #[test]
    fn an_option_is_absent_or_null_or_something() {
        let city: Field<M, Option<String>> = Field::new("city");
        assert_eq!(city.is_none().ir, ir::Filter::eq("city", Bson::Null));
        assert_eq!(city.is_some().ir, ir::Filter::Field("city".into(), Predicate::Ne(Bson::Null)));
        let stored = ir::Filter::Field("city".into(), Predicate::Exists(true));
        assert_eq!(city.is_stored_null().ir, stored.and(ir::Filter::eq("city", Bson::Null)));
    }

    #[test]
    fn comparisons_of_fields_leave_out_what_is_not_there() {
        let (a, b): (Field<M, i32>, Field<M, Option<f64>>) = (Field::new("a"), Field::new("b"));
        let compared = |comparison| ir::Filter::Compare("a".into(), comparison, "b".into());
        let something = |path: &'static str| ir::Filter::Field(path.into(), Predicate::Ne(Bson::Null));
        assert_eq!(a.eq_field(b).ir, compared(Comparison::Eq));
        assert_eq!(a.gt_field(b).ir, compared(Comparison::Gt).and(something("b")));
        assert_eq!(a.lte_field(b).ir, compared(Comparison::Lte).and(something("a")));
    }
}
