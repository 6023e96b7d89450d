//! One key of a place: which values stand before, at and after it, as conditions.

use bson::{Bson, Document};

use crate::ir::{Filter, Path, Predicate, SortKey};

const EPOCH: bson::DateTime = bson::DateTime::from_millis(0);

/// The brackets of the order of types that conditions can tell apart, from small to large.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Bracket {
    MinKey,
    /// What an empty list sorts as.
    Empty,
    Null,
    Number,
    String,
    Document,
    Binary,
    ObjectId,
    Boolean,
    Date,
    Timestamp,
    MaxKey,
}

impl Bracket {
    const ALL: [Self; 12] = [
        Self::MinKey,
        Self::Empty,
        Self::Null,
        Self::Number,
        Self::String,
        Self::Document,
        Self::Binary,
        Self::ObjectId,
        Self::Boolean,
        Self::Date,
        Self::Timestamp,
        Self::MaxKey,
    ];

    fn of(value: &Bson) -> Self {
        match value {
            Bson::MinKey => Self::MinKey,
            Bson::Undefined => Self::Empty,
            Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_) | Bson::Decimal128(_) => Self::Number,
            Bson::String(_) => Self::String,
            Bson::Document(_) => Self::Document,
            Bson::Binary(_) => Self::Binary,
            Bson::ObjectId(_) => Self::ObjectId,
            Bson::Boolean(_) => Self::Boolean,
            Bson::DateTime(_) => Self::Date,
            Bson::Timestamp(_) => Self::Timestamp,
            Bson::MaxKey => Self::MaxKey,
            _ => Self::Null,
        }
    }

    /// The path has a value in the bracket, be it in a list.
    fn holds(self, path: &Path) -> Filter {
        let from = |least: Bson| Filter::Field(path.clone(), Predicate::Gte(least));
        match self {
            Self::MinKey => Filter::eq(path.clone(), Bson::MinKey),
            Self::Empty => Filter::Field(path.clone(), Predicate::Size(0)),
            Self::Null => Filter::eq(path.clone(), Bson::Null),
            Self::Number => from(Bson::Double(f64::NEG_INFINITY)).or(Filter::eq(path.clone(), f64::NAN)),
            Self::String => from(Bson::String(String::new())),
            Self::Document => from(Bson::Document(Document::new())),
            Self::Binary => from(Bson::Binary(bson::Binary {
                subtype: bson::spec::BinarySubtype::Generic,
                bytes: Vec::new(),
            })),
            Self::ObjectId => from(Bson::ObjectId(bson::oid::ObjectId::from_bytes([0; 12]))),
            Self::Boolean => from(Bson::Boolean(false)),
            // Not from the first moment that BSON can hold: some servers cannot read it.
            Self::Date => from(Bson::DateTime(EPOCH))
                .or(Filter::Field(path.clone(), Predicate::Lt(Bson::DateTime(EPOCH)))),
            Self::Timestamp => from(Bson::Timestamp(bson::Timestamp { time: 0, increment: 0 })),
            Self::MaxKey => Filter::eq(path.clone(), Bson::MaxKey),
        }
    }
}

/// One key of a place, in conditions. Of a list the smallest element counts upwards, and the largest downwards.
pub(super) struct Side<'a> {
    path: &'a Path,
    descending: bool,
    value: &'a Bson,
    bracket: Bracket,
}

impl<'a> Side<'a> {
    pub(super) fn new(key: &'a SortKey, value: &'a Bson) -> Self {
        Self { path: &key.path, descending: key.descending, value, bracket: Bracket::of(value) }
    }

    fn field(&self, predicate: Predicate) -> Filter {
        Filter::Field(self.path.clone(), predicate)
    }

    fn is_nan(&self) -> bool {
        match self.value {
            Bson::Double(number) => number.is_nan(),
            Bson::Decimal128(number) => number.to_string().eq_ignore_ascii_case("nan"),
            _ => false,
        }
    }

    /// Whether comparisons within the bracket mean anything: the others hold one value.
    fn has_range(&self) -> bool {
        !matches!(self.bracket, Bracket::MinKey | Bracket::Empty | Bracket::Null | Bracket::MaxKey)
    }

    /// The path holds this very value.
    pub(super) fn here(&self) -> Filter {
        if self.has_range() {
            self.field(Predicate::Eq(self.value.clone()))
        } else {
            self.bracket.holds(self.path)
        }
    }

    /// The path holds a smaller value of the same bracket.
    fn below(&self) -> Filter {
        match self.bracket {
            _ if !self.has_range() || self.is_nan() => Filter::Nothing,
            // NaN is the smallest number of the order, and no comparison finds it.
            Bracket::Number => self
                .field(Predicate::Lt(self.value.clone()))
                .or(self.field(Predicate::Eq(Bson::Double(f64::NAN)))),
            _ => self.field(Predicate::Lt(self.value.clone())),
        }
    }

    /// The path holds a larger value of the same bracket.
    fn above(&self) -> Filter {
        match self.bracket {
            _ if !self.has_range() => Filter::Nothing,
            Bracket::Number if self.is_nan() => self.field(Predicate::Gte(Bson::Double(f64::NEG_INFINITY))),
            _ => self.field(Predicate::Gt(self.value.clone())),
        }
    }

    /// The path holds a value before this one, so that the document has its place there.
    fn before(&self) -> Filter {
        let (brackets, within) = if self.descending {
            (Bracket::ALL.iter().filter(|other| **other > self.bracket).collect::<Vec<_>>(), self.above())
        } else {
            (Bracket::ALL.iter().filter(|other| **other < self.bracket).collect(), self.below())
        };
        brackets.into_iter().fold(within, |any, bracket| any.or(bracket.holds(self.path)))
    }

    /// The path holds a value after this one in the same bracket.
    pub(super) fn further(&self) -> Filter {
        if self.descending { self.below() } else { self.above() }
    }

    /// The document has its place here, under this key.
    pub(super) fn level(&self) -> Filter {
        self.here().and(self.before().negate())
    }

    /// The document has its place after this value.
    pub(super) fn beyond(&self) -> Filter {
        self.here().or(self.before()).negate()
    }

    /// The path holds this value or one after it in the same bracket. Of documents that are not before this value, those
    /// are all whose place is in the bracket, but for NaN downwards, which is its last.
    pub(super) fn range(&self) -> Filter {
        match self.bracket {
            _ if !self.has_range() => self.here(),
            Bracket::Number if self.is_nan() => {
                if self.descending {
                    self.here()
                } else {
                    self.bracket.holds(self.path)
                }
            }
            _ if self.descending => self.field(Predicate::Lte(self.value.clone())),
            _ => self.field(Predicate::Gte(self.value.clone())),
        }
    }
}
