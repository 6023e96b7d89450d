//! Random documents, conditions, orders and changes over a small alphabet, so that they meet often.

use bson::{Bson, DateTime, Document, doc};
use forge::ir::{Aggregate, Change, End, Filter, Predicate, SortKey};
use proptest::collection::vec;
use proptest::prelude::*;

/// One step of a case.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Find { filter: Filter, sort: Vec<SortKey>, skip: Option<u64>, limit: Option<u64> },
    Count(Filter),
    Distinct(&'static str, Filter),
    Group { filter: Filter, keys: Vec<&'static str>, aggregates: Vec<Aggregate> },
    Update { filter: Filter, changes: Vec<Change>, many: bool },
    Delete(Filter),
}

/// Documents to begin with, and what is done to them.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) documents: Vec<Document>,
    pub(super) steps: Vec<Step>,
}

pub(super) fn case() -> impl Strategy<Value = Case> {
    let documents = vec(fields(), 1..9).prop_map(|all| {
        let numbered = all.into_iter().enumerate().map(|(i, fields)| {
            let mut document = doc! { "_id": i as i32, "n": (i % 3) as i32 };
            document.extend(fields);
            document
        });
        numbered.collect()
    });
    (documents, vec(step(), 1..7)).prop_map(|(documents, steps)| Case { documents, steps })
}

fn fields() -> impl Strategy<Value = Document> {
    let field = |name: &'static str| {
        prop::option::weighted(0.8, value()).prop_map(move |v| v.map(|v| (name.to_owned(), v)))
    };
    (field("a"), field("b"), field("c")).prop_map(|(a, b, c)| [a, b, c].into_iter().flatten().collect())
}

fn scalar() -> impl Strategy<Value = Bson> {
    prop_oneof![
        3 => (0..3).prop_map(Bson::Int32),
        1 => (0..3_i64).prop_map(Bson::Int64),
        2 => prop::sample::select(vec![0.0, 1.0, 1.5, 2.0, -1.0]).prop_map(Bson::Double),
        2 => prop::sample::select(vec!["a", "b", "ab", ""]).prop_map(Bson::from),
        1 => Just(Bson::Null),
        1 => any::<bool>().prop_map(Bson::Boolean),
        1 => (0..3_i64).prop_map(|ms| DateTime::from_millis(ms).into()),
    ]
}

fn nested() -> impl Strategy<Value = Bson> {
    (prop::option::of(scalar()), prop::option::of(scalar())).prop_map(|(x, y)| {
        let fields = [("x", x), ("y", y)].into_iter().filter_map(|(k, v)| Some((k.to_owned(), v?)));
        Bson::Document(fields.collect())
    })
}

fn value() -> impl Strategy<Value = Bson> {
    prop_oneof![
        6 => scalar(),
        2 => vec(scalar(), 0..3).prop_map(Bson::Array),
        2 => nested(),
        1 => vec(nested(), 0..3).prop_map(Bson::Array),
    ]
}

fn path() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "a", "b", "b", "c", "n", "_id", "a.x", "b.x", "a.y", "a.0", "b.0.x"])
}

fn field() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "c", "a.x", "b.y"])
}

fn predicate() -> impl Strategy<Value = Predicate> {
    let pattern = prop::sample::select(vec!["^a", "b", "^$", "^AB"]);
    prop_oneof![
        4 => value().prop_map(Predicate::Eq),
        2 => value().prop_map(Predicate::Ne),
        2 => scalar().prop_map(Predicate::Gt),
        2 => scalar().prop_map(Predicate::Gte),
        2 => scalar().prop_map(Predicate::Lt),
        2 => scalar().prop_map(Predicate::Lte),
        2 => vec(value(), 0..4).prop_map(Predicate::In),
        1 => vec(value(), 0..4).prop_map(Predicate::NotIn),
        2 => any::<bool>().prop_map(Predicate::Exists),
        1 => (0..3_i64).prop_map(Predicate::Size),
        1 => vec(scalar(), 1..3).prop_map(Predicate::HasEvery),
        1 => (pattern, any::<bool>()).prop_map(|(p, i)| Predicate::Regex { pattern: p.into(), options: if i { "i" } else { "" }.into() }),
        1 => (prop::sample::select(vec!["x", "y"]), scalar())
            .prop_map(|(path, v)| Predicate::Element(Box::new(Filter::eq(path, v)))),
    ]
}

fn filter() -> impl Strategy<Value = Filter> {
    let leaf = prop_oneof![
        1 => Just(Filter::All),
        1 => Just(Filter::Nothing),
        12 => (path(), predicate()).prop_map(|(path, predicate)| Filter::Field(path.into(), predicate)),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Filter::And),
            vec(inner.clone(), 0..3).prop_map(Filter::Or),
            inner.prop_map(|inner| Filter::Not(Box::new(inner))),
        ]
    })
}

fn sort() -> impl Strategy<Value = Vec<SortKey>> {
    vec((prop::sample::select(vec!["a", "b", "c", "n", "a.x"]), any::<bool>()), 0..3).prop_map(|keys| {
        keys.into_iter().map(|(path, descending)| SortKey { path: path.into(), descending }).collect()
    })
}

fn change() -> impl Strategy<Value = Change> {
    let number = || prop_oneof![(-2..3).prop_map(Bson::Int32), Just(Bson::Int64(2)), Just(Bson::Double(0.5))];
    let end = prop_oneof![Just(End::First), Just(End::Last)];
    prop_oneof![
        4 => (field(), value()).prop_map(|(p, v)| Change::Set(p.into(), v)),
        2 => field().prop_map(|p| Change::Unset(p.into())),
        2 => (field(), number()).prop_map(|(p, v)| Change::Inc(p.into(), v)),
        1 => (field(), number()).prop_map(|(p, v)| Change::Mul(p.into(), v)),
        1 => (field(), scalar()).prop_map(|(p, v)| Change::Min(p.into(), v)),
        1 => (field(), scalar()).prop_map(|(p, v)| Change::Max(p.into(), v)),
        2 => (field(), vec(value(), 0..3)).prop_map(|(p, v)| Change::Push(p.into(), v)),
        2 => (field(), vec(value(), 0..3)).prop_map(|(p, v)| Change::AddToSet(p.into(), v)),
        1 => (field(), vec(value(), 0..3)).prop_map(|(p, v)| Change::Pull(p.into(), v)),
        1 => (field(), end).prop_map(|(p, end)| Change::Pop(p.into(), end)),
    ]
}

fn aggregate() -> impl Strategy<Value = Aggregate> {
    prop_oneof![
        Just(Aggregate::Count),
        field().prop_map(|p| Aggregate::Sum(p.into())),
        field().prop_map(|p| Aggregate::Avg(p.into())),
        field().prop_map(|p| Aggregate::Min(p.into())),
        field().prop_map(|p| Aggregate::Max(p.into())),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let find = (filter(), sort(), prop::option::of(0..4_u64), prop::option::of(1..5_u64))
        .prop_map(|(filter, sort, skip, limit)| Step::Find { filter, sort, skip, limit });
    let key = prop::sample::select(vec!["n", "a", "a.x"]);
    prop_oneof![
        6 => find,
        1 => filter().prop_map(Step::Count),
        1 => (field(), filter()).prop_map(|(path, filter)| Step::Distinct(path, filter)),
        2 => (filter(), vec(key, 0..2), vec(aggregate(), 1..4))
            .prop_map(|(filter, keys, aggregates)| Step::Group { filter, keys, aggregates }),
        4 => (filter(), vec(change(), 1..3), any::<bool>())
            .prop_map(|(filter, changes, many)| Step::Update { filter, changes, many }),
        1 => filter().prop_map(Step::Delete),
    ]
}
