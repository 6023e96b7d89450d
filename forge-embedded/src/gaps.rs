//! What is left of a sorted field when conditions rule out parts of it: `$ne`, `$nin`, `$not` of a range. A read in the
//! order of the field passes over those parts.

use bson::Bson;
use forge_core::ir::{Filter, Predicate};

use crate::bounds::{Bytes, one_sided};
use crate::keys::{self, class, successor};

/// Classes of values in order, with lists and the empty list, which no id is.
const CLASSES: [u8; 18] = [
    class::MIN_KEY,
    class::UNDEFINED,
    class::NULL,
    class::NUMBER,
    class::STRING,
    class::DOCUMENT,
    class::ARRAY,
    class::BINARY,
    class::OBJECT_ID,
    class::BOOLEAN,
    class::DATE,
    class::TIMESTAMP,
    class::REGEX,
    class::DB_POINTER,
    class::CODE,
    class::CODE_WITH_SCOPE,
    class::CELL,
    class::MAX_KEY,
];

/// Behind the last class.
const END: u8 = 0xff;

/// The ranges of values, from small to large, that the conditions on `path` do not rule out; none where they rule out
/// nothing.
pub(crate) fn left_over(path: &str, multikey: bool, conditions: &[Filter]) -> Option<Vec<Bytes>> {
    let mut excluded = Vec::new();
    conditions.iter().for_each(|condition| ruled_out(path, multikey, condition, &mut excluded));
    if excluded.is_empty() {
        return None;
    }
    excluded.sort();
    let (mut gaps, mut from) = (Vec::new(), Vec::new());
    for (start, end) in excluded {
        if from < start {
            gaps.push((from.clone(), start));
        }
        if end > from {
            from = end;
        }
    }
    gaps.push((from, vec![END]));
    let possible =
        |gap: &(Vec<u8>, Vec<u8>)| CLASSES.iter().any(|class| may_hold(gap, *class, path == "_id"));
    let gaps = gaps.into_iter().filter(possible);
    Some(gaps.map(|(low, high)| Bytes { low, above_low: false, high, below_high: true }).collect())
}

fn may_hold((start, end): &(Vec<u8>, Vec<u8>), class: u8, is_id: bool) -> bool {
    if is_id && matches!(class, class::UNDEFINED | class::ARRAY | class::CELL) {
        return false;
    }
    let first = [class];
    let begins_inside = start.first() == Some(&class) && start.len() > 1;
    begins_inside || (start.as_slice() <= first.as_slice() && first.as_slice() < end.as_slice())
}

/// Collects the byte ranges, without their ends, in which no value of a matching document is.
fn ruled_out(path: &str, multikey: bool, condition: &Filter, excluded: &mut Vec<(Vec<u8>, Vec<u8>)>) {
    match condition {
        Filter::Field(own, Predicate::Ne(value)) if own == path => point(value, multikey, excluded),
        Filter::Field(own, Predicate::NotIn(values)) if own == path => {
            values.iter().for_each(|value| point(value, multikey, excluded));
        }
        Filter::Not(inner) => match &**inner {
            // None of several holds.
            Filter::Or(branches) => branches
                .iter()
                .for_each(|branch| ruled_out(path, multikey, &branch.clone().negate(), excluded)),
            Filter::Field(own, predicate) if own == path => negated(predicate, multikey, excluded),
            _ => {}
        },
        _ => {}
    }
}

fn negated(predicate: &Predicate, multikey: bool, excluded: &mut Vec<(Vec<u8>, Vec<u8>)>) {
    let (value, low, inclusive) = match predicate {
        Predicate::Eq(value) => return point(value, multikey, excluded),
        Predicate::In(values) => return values.iter().for_each(|value| point(value, multikey, excluded)),
        Predicate::Gt(value) => (value, true, false),
        Predicate::Gte(value) => (value, true, true),
        Predicate::Lt(value) => (value, false, false),
        Predicate::Lte(value) => (value, false, true),
        _ => return,
    };
    let Some(Bytes { low, above_low, high, below_high }) = one_sided(value, low, inclusive) else { return };
    let behind = |bytes: Vec<u8>| successor(&bytes).unwrap_or_else(|| vec![END]);
    let start = if above_low { behind(low) } else { low };
    let end = if below_high { high } else { behind(high) };
    if start < end {
        excluded.push((start, end));
    }
}

fn point(value: &Bson, multikey: bool, excluded: &mut Vec<(Vec<u8>, Vec<u8>)>) {
    let unusable = matches!(value, Bson::Array(_) | Bson::RegularExpression(_) | Bson::Undefined)
        // Deep in lists, an entry of null does not mean that the document is null to a condition.
        || (multikey && matches!(value, Bson::Null));
    if !unusable {
        let bytes = keys::encoded(value);
        let end = successor(&bytes).unwrap_or_else(|| vec![END]);
        excluded.push((bytes, end));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(predicate: Predicate) -> Filter {
        Filter::Field("a".into(), predicate)
    }

    #[allow(clippy::needless_pass_by_value, reason = "cases read better with values in place")]
    fn holds(ranges: &[Bytes], value: Bson) -> bool {
        let bytes = keys::encoded(&value);
        ranges.iter().any(|range| range.low <= bytes && bytes < range.high)
    }

    #[test]
    fn what_is_ruled_out_is_passed_over() {
        let conditions = [
            field(Predicate::Ne(Bson::Null)),
            field(Predicate::Lte(Bson::Int32(5))).negate(),
            field(Predicate::Eq(Bson::Int32(7))).or(field(Predicate::Gte(Bson::String("m".into())))).negate(),
            Filter::eq("b", 1).negate(),
        ];
        let left = left_over("a", false, &conditions).unwrap();
        for gone in [Bson::Null, Bson::Int32(5), Bson::Int64(-1), Bson::Int32(7), Bson::String("n".into())] {
            assert!(!holds(&left, gone.clone()), "{gone}");
        }
        for kept in
            [Bson::Int32(6), Bson::Double(7.5), Bson::String("a".into()), Bson::Boolean(true), Bson::MinKey]
        {
            assert!(holds(&left, kept.clone()), "{kept}");
        }
        assert!(left_over("c", false, &conditions).is_none());
    }

    #[test]
    fn what_no_condition_rules_out_is_left() {
        let least = |value: Bson| Filter::Field("_id".into(), Predicate::Gte(value)).negate();
        let conditions = [
            Filter::eq("_id", Bson::MinKey).negate(),
            Filter::eq("_id", Bson::Null).negate(),
            Filter::eq("_id", f64::NAN).negate(),
            least(Bson::Double(f64::NEG_INFINITY)),
            least(Bson::String(String::new())),
        ];
        let left = left_over("_id", false, &conditions).unwrap();
        let number = |number: f64| Bson::Double(number);
        for gone in
            [Bson::MinKey, Bson::Null, number(f64::NAN), number(f64::NEG_INFINITY), 1.into(), "x".into()]
        {
            assert!(!holds(&left, gone.clone()), "{gone}");
        }
        for kept in
            [Bson::Boolean(false), Bson::Document(bson::doc! { "a": 1 }), Bson::DateTime(bson::DateTime::MIN)]
        {
            assert!(holds(&left, kept.clone()), "{kept}");
        }
        let apart = |pair: &[Bytes]| pair[0].high <= pair[1].low;
        assert!(left.windows(2).all(apart), "each key is read once: {left:?}");
    }
}
