//! What a service allows.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::condition::Grammar;
use super::documents::{Documents, Key};
use super::rows::Views;

/// How many documents one answer holds. Without a `default`, answers are plain lists.
///
/// ```
/// use forge_server::services::Paginate;
///
/// let pages = Paginate::new(10).max(50);
/// assert_eq!((pages.default, pages.max), (Some(10), Some(50)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Paginate {
    /// How many documents an answer holds where the query does not say.
    pub default: Option<u64>,
    /// At most how many, whatever the query says.
    pub max: Option<u64>,
}

impl Paginate {
    /// Pages of this many documents: `{total, limit, skip, data}`.
    pub fn new(default: u64) -> Self {
        Self { default: Some(default), max: None }
    }

    /// At most this many documents in a page.
    #[must_use]
    pub fn max(mut self, max: u64) -> Self {
        self.max = Some(max);
        self
    }

    /// Whether answers are pages.
    pub(super) fn pages(self) -> bool {
        self.default.is_some_and(|default| default > 0)
    }

    /// How many documents to read.
    pub(super) fn limit(self, asked: Option<u64>) -> Option<u64> {
        let wanted = asked.or(self.default.filter(|default| *default > 0));
        match (wanted, self.max) {
            (Some(wanted), Some(max)) => Some(wanted.min(max)),
            (wanted, max) => wanted.or(max),
        }
    }
}

/// Which methods take many documents at once: lists by `create`, no id by `patch` and `remove`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Multi {
    /// Lists of new documents.
    pub create: bool,
    /// Changes of every document that a query finds.
    pub patch: bool,
    /// Removals of every document that a query finds.
    pub remove: bool,
}

impl Multi {
    /// None of them.
    pub const NONE: Self = Self { create: false, patch: false, remove: false };
    /// All of them.
    pub const ALL: Self = Self { create: true, patch: true, remove: true };
    /// Lists of new documents.
    pub const CREATE: Self = Self { create: true, ..Self::NONE };
    /// Changes of many documents.
    pub const PATCH: Self = Self { patch: true, ..Self::NONE };
    /// Removals of many documents.
    pub const REMOVE: Self = Self { remove: true, ..Self::NONE };
}

impl std::ops::BitOr for Multi {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self {
            create: self.create || other.create,
            patch: self.patch || other.patch,
            remove: self.remove || other.remove,
        }
    }
}

/// What the methods of one service work by.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) documents: Documents,
    /// What the models of the program show of their documents.
    pub(super) views: Arc<Views>,
    pub(super) grammar: Grammar,
    /// The update operators that patches do without.
    pub(super) disabled: BTreeSet<String>,
    pub(super) key: Key,
    pub(super) paginate: Paginate,
    pub(super) multi: Multi,
    /// Whether the total of everything may be what the database thinks it is.
    pub(super) estimate: bool,
    /// Whether a unique violation is a `GeneralError`, as with Feathers.
    pub(super) general_duplicates: bool,
}
