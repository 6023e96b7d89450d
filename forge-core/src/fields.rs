//! Typed handles on fields and relations: what the closures of the query builders receive.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{BitAnd, BitOr, Deref, Not};
use std::sync::{PoisonError, RwLock};

use bson::Bson;
use serde::Serialize;

use crate::error::Error;
use crate::ir::{self, Predicate, Quantifier, RelationFilter, SortKey};
use crate::model::ModelRef;
use crate::traits::{Embed, Model};
use crate::types::GeoPoint;
use crate::value::{IntoValue, to_bson};

/// A condition on documents of `M`. Combine with `&`, `|` and `!`.
pub struct Filter<M> {
    pub(crate) ir: ir::Filter,
    /// A value that has no BSON form; reported when the query runs, since operators cannot fail.
    pub(crate) error: Option<Error>,
    _model: PhantomData<fn() -> M>,
}

impl<M> Filter<M> {
    fn new(ir: ir::Filter) -> Self {
        Self { ir, error: None, _model: PhantomData }
    }

    /// Every document.
    pub fn everything() -> Self {
        Self::new(ir::Filter::All)
    }

    /// No document.
    pub fn nothing() -> Self {
        Self::new(ir::Filter::Nothing)
    }

    /// Documents that match all of `filters`; every document, where there are none.
    pub fn all(filters: impl IntoIterator<Item = Self>) -> Self {
        filters.into_iter().fold(Self::everything(), BitAnd::bitand)
    }

    /// Documents that match one of `filters` at least; no document, where there are none.
    pub fn any(filters: impl IntoIterator<Item = Self>) -> Self {
        filters.into_iter().fold(Self::nothing(), BitOr::bitor)
    }

    fn combine(self, other: Self, with: impl FnOnce(ir::Filter, ir::Filter) -> ir::Filter) -> Self {
        Self { ir: with(self.ir, other.ir), error: self.error.or(other.error), _model: PhantomData }
    }

    fn field(path: &'static str, predicate: crate::Result<Predicate>) -> Self {
        match predicate {
            Ok(predicate) => Self::new(ir::Filter::Field(path.into(), predicate)),
            Err(error) => Self { ir: ir::Filter::Nothing, error: Some(error), _model: PhantomData },
        }
    }

    pub(crate) fn into_ir(self) -> crate::Result<ir::Filter> {
        match self.error {
            Some(error) => Err(error),
            None => Ok(self.ir),
        }
    }
}

impl<M> BitAnd for Filter<M> {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        self.combine(other, ir::Filter::and)
    }
}
impl<M> BitOr for Filter<M> {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        self.combine(other, ir::Filter::or)
    }
}
impl<M> Not for Filter<M> {
    type Output = Self;
    fn not(mut self) -> Self {
        self.ir = self.ir.negate();
        self
    }
}
impl<M> fmt::Debug for Filter<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ir.fmt(f)
    }
}

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

/// A sort key of `M`.
pub struct Order<M> {
    pub(crate) key: SortKey,
    _model: PhantomData<fn() -> M>,
}

impl<M> Order<M> {
    pub(crate) fn new(path: &'static str, descending: bool) -> Self {
        Self { key: SortKey { path: path.into(), descending }, _model: PhantomData }
    }
}

/// One sort key, or a tuple of them: the first counts most.
pub trait IntoSort<M> {
    #[doc(hidden)]
    fn into_sort(self) -> Vec<SortKey>;
}

impl<M> IntoSort<M> for Order<M> {
    fn into_sort(self) -> Vec<SortKey> {
        vec![self.key]
    }
}

macro_rules! sort_tuples {
    ($(($($name:ident),+))+) => {
        $(impl<M> IntoSort<M> for ($(sort_tuples!(@order $name M),)+) {
            #[allow(non_snake_case, reason = "the type's name is the variable's")]
            fn into_sort(self) -> Vec<SortKey> {
                let ($($name,)+) = self;
                vec![$($name.key),+]
            }
        })+
    };
    (@order $name:ident $model:ident) => { Order<$model> };
}
sort_tuples! { (A, B) (A, B, C) (A, B, C, D) }

/// A relation of `M` to at most one `T`.
pub struct ToOne<M, T> {
    index: usize,
    _types: PhantomData<fn() -> (M, T)>,
}

/// A relation of `M` to any number of `T`.
pub struct ToMany<M, T> {
    index: usize,
    _types: PhantomData<fn() -> (M, T)>,
}

macro_rules! relation_handle {
    ($name:ident) => {
        impl<M, T> Clone for $name<M, T> {
            fn clone(&self) -> Self {
                *self
            }
        }
        impl<M, T> Copy for $name<M, T> {}

        impl<M, T> $name<M, T> {
            #[doc(hidden)]
            pub const fn new(index: usize) -> Self {
                Self { index, _types: PhantomData }
            }

            /// The position in the relations of `M`.
            #[doc(hidden)]
            pub const fn index(self) -> usize {
                self.index
            }
        }

        impl<M: Model, T: Model> $name<M, T> {
            fn related(
                self,
                quantifier: Quantifier,
                filter: impl FnOnce(&'static T::Fields) -> Filter<T>,
            ) -> Filter<M> {
                let Filter { ir, error, .. } = filter(T::FIELDS);
                let filter = ir::Filter::Relation(RelationFilter {
                    model: ModelRef(M::def()),
                    relation: M::def().relations[self.index].name.into(),
                    quantifier,
                    filter: Box::new(ir),
                });
                Filter { ir: filter, error, _model: PhantomData }
            }
        }
    };
}
relation_handle!(ToOne);
relation_handle!(ToMany);

impl<M: Model, T: Model> ToOne<M, T> {
    /// There is a related document, and it matches.
    pub fn is(self, filter: impl FnOnce(&'static T::Fields) -> Filter<T>) -> Filter<M> {
        self.related(Quantifier::Some, filter)
    }

    /// There is no related document, or it does not match.
    pub fn is_not(self, filter: impl FnOnce(&'static T::Fields) -> Filter<T>) -> Filter<M> {
        self.related(Quantifier::None, filter)
    }
}

impl<M: Model, T: Model> ToMany<M, T> {
    /// At least one related document matches.
    pub fn some(self, filter: impl FnOnce(&'static T::Fields) -> Filter<T>) -> Filter<M> {
        self.related(Quantifier::Some, filter)
    }

    /// Every related document matches; so it is where there are none.
    pub fn every(self, filter: impl FnOnce(&'static T::Fields) -> Filter<T>) -> Filter<M> {
        self.related(Quantifier::Every, filter)
    }

    /// No related document matches.
    pub fn none(self, filter: impl FnOnce(&'static T::Fields) -> Filter<T>) -> Filter<M> {
        self.related(Quantifier::None, filter)
    }
}

/// An embedded struct of `M`: dereferences to its fields, so that `f.address.city` is a [`Field`].
pub struct EmbedOne<M, E> {
    path: &'static str,
    _types: PhantomData<fn() -> (M, E)>,
}

impl<M, E> Clone for EmbedOne<M, E> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<M, E> Copy for EmbedOne<M, E> {}

impl<M, E> EmbedOne<M, E> {
    #[doc(hidden)]
    pub const fn new(path: &'static str) -> Self {
        Self { path, _types: PhantomData }
    }

    #[doc(hidden)]
    pub fn below(prefix: &'static str, name: &'static str) -> Self {
        Self::new(join(prefix, name))
    }

    /// The embed as a whole.
    pub const fn whole(self) -> Field<M, E> {
        Field::new(self.path)
    }
}

impl<M: 'static, E: Embed> Deref for EmbedOne<M, E> {
    type Target = E::Fields<M>;
    fn deref(&self) -> &Self::Target {
        fields_at::<M, E>(self.path)
    }
}

/// A list of embedded structs of `M`.
pub struct EmbedMany<M, E> {
    path: &'static str,
    _types: PhantomData<fn() -> (M, E)>,
}

impl<M, E> Clone for EmbedMany<M, E> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<M, E> Copy for EmbedMany<M, E> {}

impl<M, E> EmbedMany<M, E> {
    #[doc(hidden)]
    pub const fn new(path: &'static str) -> Self {
        Self { path, _types: PhantomData }
    }

    #[doc(hidden)]
    pub fn below(prefix: &'static str, name: &'static str) -> Self {
        Self::new(join(prefix, name))
    }

    /// The list as a whole.
    pub const fn whole(self) -> Field<M, Vec<E>> {
        Field::new(self.path)
    }
}

impl<M: 'static, E: Embed> EmbedMany<M, E> {
    fn element(self, filter: impl FnOnce(&'static E::Fields<E>) -> Filter<E>) -> Filter<M> {
        // Paths inside an element start at the element.
        let Filter { ir, error, .. } = filter(fields_at::<E, E>(""));
        Filter {
            ir: ir::Filter::Field(self.path.into(), Predicate::Element(Box::new(ir))),
            error,
            _model: PhantomData,
        }
    }

    /// At least one element matches.
    pub fn some(self, filter: impl FnOnce(&'static E::Fields<E>) -> Filter<E>) -> Filter<M> {
        self.element(filter)
    }

    /// No element matches.
    pub fn none(self, filter: impl FnOnce(&'static E::Fields<E>) -> Filter<E>) -> Filter<M> {
        !self.element(filter)
    }

    /// Every element matches; so it is where there are none.
    pub fn every(self, filter: impl FnOnce(&'static E::Fields<E>) -> Filter<E>) -> Filter<M> {
        !self.element(|fields| !filter(fields))
    }
}

/// `prefix.name`, made once for each distinct pair: the number of paths is that of the program's text.
fn join(prefix: &'static str, name: &'static str) -> &'static str {
    static JOINED: RwLock<Option<HashMap<(&'static str, &'static str), &'static str>>> = RwLock::new(None);
    if prefix.is_empty() {
        return name;
    }
    if let Some(path) = JOINED
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .as_ref()
        .and_then(|map| map.get(&(prefix, name)))
    {
        return path;
    }
    let mut map = JOINED.write().unwrap_or_else(PoisonError::into_inner);
    map.get_or_insert_default()
        .entry((prefix, name))
        .or_insert_with(|| Box::leak(format!("{prefix}.{name}").into_boxed_str()))
}

/// The fields of `E` below `prefix`, made at the first use. Lazy, so that an embed may hold itself.
fn fields_at<M: 'static, E: Embed>(prefix: &'static str) -> &'static E::Fields<M> {
    type Made = HashMap<(TypeId, &'static str), &'static (dyn Any + Send + Sync)>;
    static MADE: RwLock<Option<Made>> = RwLock::new(None);
    let key = (TypeId::of::<E::Fields<M>>(), prefix);
    let found =
        MADE.read().unwrap_or_else(PoisonError::into_inner).as_ref().and_then(|map| map.get(&key).copied());
    let fields = found.unwrap_or_else(|| {
        let made: &'static (dyn Any + Send + Sync) = Box::leak(Box::new(E::fields_below::<M>(prefix)));
        *MADE
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert_default()
            .entry(key)
            .or_insert(made)
    });
    match fields.downcast_ref() {
        Some(fields) => fields,
        // The key holds the type, so this arm is never taken; leaking once more is still right.
        None => Box::leak(Box::new(E::fields_below::<M>(prefix))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
