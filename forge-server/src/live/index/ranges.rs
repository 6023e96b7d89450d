//! Which ranges a value lies in, at a cost that grows with how many those are.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::mem::discriminant;

use super::EntryId;
use super::scalar::Point;

/// The values between two bounds of one kind, the bounds included, or beyond one bound.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Span {
    From(Point),
    Until(Point),
    /// Among values that can be taken for numbers; the first bound is not above the second.
    Between(Point, Point),
}

impl Span {
    /// The span from `low` to `high`, or one that has all of it and more.
    pub(super) fn new(low: Option<Point>, high: Option<Point>) -> Option<Self> {
        Some(match (low, high) {
            (Some(low), Some(high)) if low.real().is_some() && same_kind(&low, &high) && low <= high => {
                Self::Between(low, high)
            }
            // A second bound that is not looked at only means that the matcher is asked more often.
            (Some(low), _) => Self::From(low),
            (None, Some(high)) => Self::Until(high),
            (None, None) => return None,
        })
    }
}

fn same_kind(a: &Point, b: &Point) -> bool {
    discriminant(a) == discriminant(b)
}

/// Spans of similar length are cut into cells that are as long as they are: each lies in two cells at most.
type Cell = (i32, i64);

/// The smallest cells are 2⁻⁴⁰ long.
const FINEST: i32 = -40;

/// Entries by the span of one path that they look at.
#[derive(Debug, Default)]
pub(super) struct Ranges {
    from: BTreeMap<Point, HashSet<EntryId>>,
    until: BTreeMap<Point, HashSet<EntryId>>,
    cells: HashMap<(std::mem::Discriminant<Point>, Cell), HashSet<EntryId>>,
    /// How many spans there are of each length.
    lengths: BTreeMap<i32, usize>,
}

impl Ranges {
    /// Whether there is nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.from.is_empty() && self.until.is_empty() && self.cells.is_empty()
    }

    /// Files `entry` under `span`.
    pub(super) fn insert(&mut self, entry: EntryId, span: &Span) {
        match span {
            Span::From(low) => drop(self.from.entry(low.clone()).or_default().insert(entry)),
            Span::Until(high) => drop(self.until.entry(high.clone()).or_default().insert(entry)),
            Span::Between(low, high) => {
                let (length, first, last) = cells(low, high);
                *self.lengths.entry(length).or_default() += 1;
                for cell in first..=last {
                    let key = (discriminant(low), (length, cell));
                    self.cells.entry(key).or_default().insert(entry);
                }
            }
        }
    }

    /// Forgets `entry` under `span`, where it was filed once.
    pub(super) fn remove(&mut self, entry: EntryId, span: &Span) {
        match span {
            Span::From(low) => remove_from(&mut self.from, low, entry),
            Span::Until(high) => remove_from(&mut self.until, high, entry),
            Span::Between(low, high) => {
                let (length, first, last) = cells(low, high);
                if let Some(count) = self.lengths.get_mut(&length) {
                    *count -= 1;
                    if *count == 0 {
                        self.lengths.remove(&length);
                    }
                }
                for cell in first..=last {
                    let key = (discriminant(low), (length, cell));
                    if let Some(entries) = self.cells.get_mut(&key) {
                        entries.remove(&entry);
                        if entries.is_empty() {
                            self.cells.remove(&key);
                        }
                    }
                }
            }
        }
    }

    /// Everything.
    pub(super) fn all(&self, out: &mut HashSet<EntryId>) {
        out.extend(self.from.values().chain(self.until.values()).chain(self.cells.values()).flatten());
    }

    /// What is filed under a span with the point in it.
    pub(super) fn around(&self, point: &Point, out: &mut HashSet<EntryId>) {
        let ours = |other: &Point| same_kind(other, point);
        let from = self.from.range(..=point).rev().take_while(|(low, _)| ours(low));
        let until = self.until.range(point..).take_while(|(high, _)| ours(high));
        out.extend(from.chain(until).flat_map(|(_, entries)| entries));
        let Some(real) = point.real() else { return };
        for length in self.lengths.keys() {
            let key = (discriminant(point), (*length, cell(real, *length)));
            out.extend(self.cells.get(&key).into_iter().flatten());
        }
    }

    /// What is filed under a span with two bounds: several values of one document may meet them between them.
    pub(super) fn bounded(&self, out: &mut HashSet<EntryId>) {
        out.extend(self.cells.values().flatten());
    }
}

fn remove_from(map: &mut BTreeMap<Point, HashSet<EntryId>>, point: &Point, entry: EntryId) {
    if let Some(entries) = map.get_mut(point) {
        entries.remove(&entry);
        if entries.is_empty() {
            map.remove(point);
        }
    }
}

/// The length of the cells of a span, as a power of two, and its first and last cell.
fn cells(low: &Point, high: &Point) -> (i32, i64, i64) {
    let (low, high) = (low.real().unwrap_or_default(), high.real().unwrap_or_default());
    let length = (high - low).log2().ceil();
    // Of a single value the logarithm is -∞, of the longest spans it is beyond what numbers can be.
    let length = if length.is_nan() { 1_023 } else { (length as i32).clamp(FINEST, 1_023) };
    let (first, last) = (cell(low, length), cell(high, length));
    // The rounding of a logarithm may make it one too small.
    if last.saturating_sub(first) > 2 {
        (1_023, cell(low, 1_023), cell(high, 1_023))
    } else {
        (length, first, last)
    }
}

/// The number of the cell that a value lies in. Never smaller for a larger value.
fn cell(value: f64, length: i32) -> i64 {
    (value.clamp(f64::MIN, f64::MAX) / 2_f64.powi(length)).floor() as i64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::scalar::Scalar;
    use super::*;

    fn point(number: f64) -> Point {
        Scalar::number(number).point().unwrap()
    }

    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![
            (-20..20_i32).prop_map(f64::from),
            (-1e6..1e6_f64),
            any::<f64>().prop_filter("a number", |number| !number.is_nan()),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_span_around_a_point_is_found(spans in prop::collection::vec((number(), number()), 1..30), at in number()) {
            let mut ranges = Ranges::default();
            for (i, (low, high)) in spans.iter().enumerate() {
                ranges.insert(EntryId(i as u64), &Span::new(Some(point(*low)), Some(point(*high))).unwrap());
            }
            let mut found = HashSet::new();
            ranges.around(&point(at), &mut found);
            for (i, (low, high)) in spans.iter().enumerate() {
                prop_assert!(!(*low <= at && at <= *high) || found.contains(&EntryId(i as u64)), "{low}..{high} at {at}");
            }
            for (i, (low, high)) in spans.iter().enumerate() {
                ranges.remove(EntryId(i as u64), &Span::new(Some(point(*low)), Some(point(*high))).unwrap());
            }
            prop_assert!(ranges.is_empty() && ranges.lengths.is_empty());
        }
    }

    #[test]
    fn both_zeros_are_one_bound() {
        for (bound, at) in [(0.0, -0.0), (-0.0, 0.0)] {
            for (low, high) in [(Some(bound), Some(bound)), (Some(bound), None), (None, Some(bound))] {
                let mut ranges = Ranges::default();
                ranges.insert(EntryId(1), &Span::new(low.map(point), high.map(point)).unwrap());
                let mut found = HashSet::new();
                ranges.around(&point(at), &mut found);
                assert_eq!(found.len(), 1, "{low:?}..{high:?} at {at:?}");
            }
        }
    }

    #[test]
    fn spans_far_from_the_point_are_not_found() {
        let mut ranges = Ranges::default();
        for i in 0..10_000_u32 {
            let low = f64::from(i) * 10.0;
            ranges.insert(EntryId(i.into()), &Span::new(Some(point(low)), Some(point(low + 10.0))).unwrap());
        }
        let mut found = HashSet::new();
        ranges.around(&point(55_555.0), &mut found);
        assert!(found.len() <= 6, "{found:?}");
    }
}
