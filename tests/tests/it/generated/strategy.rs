//! Random documents, conditions, orders and changes over a small alphabet, so that they meet often.

use bson::{Bson, DateTime, Document, doc};
use forge::ir::{
    Aggregate, Area, BitOp, Change, Comparison, End, Filter, Predicate, PushOptions, PushSort, SortKey,
};
use proptest::collection::vec;
use proptest::prelude::*;

use super::stages::pipeline;

/// One step of a case.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Find { filter: Filter, sort: Vec<SortKey>, skip: Option<u64>, limit: Option<u64> },
    Count(Filter),
    Distinct(&'static str, Filter),
    Group { filter: Filter, keys: Vec<&'static str>, aggregates: Vec<Aggregate> },
    Update { filter: Filter, changes: Vec<Change>, element: Filter, many: bool },
    Delete(Filter),
    Pipeline(Vec<Document>),
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
    let place = prop::option::of(place().prop_map(|place| ("p".to_owned(), place)));
    (field("a"), field("b"), field("c"), place)
        .prop_map(|(a, b, c, place)| [a, b, c, place].into_iter().flatten().collect())
}

/// A pair of numbers. SecantusDB does not look into lists of several.
fn place() -> impl Strategy<Value = Bson> {
    let number = || prop_oneof![(-1..3).prop_map(Bson::Int32), Just(Bson::Double(1.5))];
    (number(), number(), any::<bool>()).prop_map(|(x, y, named)| {
        if named { doc! { "x": x, "y": y }.into() } else { Bson::Array(vec![x, y]) }
    })
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
        2 => on_elements().prop_map(|inner| Predicate::Element(Box::new(inner))),
    ]
}

/// Conditions on the elements of lists themselves.
fn on_elements() -> impl Strategy<Value = Filter> {
    let at = |predicate| Filter::Field("".into(), predicate);
    let leaf = prop_oneof![
        scalar().prop_map(Predicate::Eq),
        scalar().prop_map(Predicate::Ne),
        scalar().prop_map(Predicate::Gte),
        scalar().prop_map(Predicate::Lt),
        vec(scalar(), 1..3).prop_map(Predicate::In),
    ]
    .prop_map(at);
    leaf.prop_recursive(2, 6, 2, |inner| {
        prop_oneof![
            vec(inner.clone(), 1..3).prop_map(Filter::And),
            vec(inner.clone(), 1..3).prop_map(Filter::Or),
            inner.prop_map(|inner| Filter::Not(Box::new(inner))),
        ]
    })
}

fn comparison() -> impl Strategy<Value = Filter> {
    use Comparison::{Eq, Gt, Gte, Lt, Lte, Ne};
    (path(), prop::sample::select(vec![Eq, Ne, Gt, Gte, Lt, Lte]), path())
        .prop_map(|(left, how, right)| Filter::Compare(left.into(), how, right.into()))
}

/// An area of the plane. No point of the alphabet is on its edge: servers differ there by rounding.
fn area() -> impl Strategy<Value = Area> {
    let bound = || prop::sample::select(vec![-0.7, 0.3, 0.8, 1.2, 1.8, 2.4]);
    let corner = || (bound(), bound()).prop_map(|(x, y)| [x, y]);
    prop_oneof![
        (corner(), bound()).prop_map(|(centre, radius)| Area::Circle { centre, radius: radius.abs() }),
        (corner(), 0.6..2.0_f64)
            .prop_map(|(low, side)| Area::Rectangle { low, high: [low[0] + side, low[1] + side] }),
        (bound(), bound()).prop_map(|(x, y)| Area::Outline(vec![
            [x, y],
            [x + 2.1, y],
            [x + 2.1, y + 1.3],
            [x, y + 1.1]
        ])),
    ]
}

/// A schema of whole documents, or of what is at one of their fields.
fn document_schema(depth: u32) -> BoxedStrategy<Document> {
    let kind = prop::sample::select(vec![
        "int", "long", "double", "number", "string", "object", "array", "null", "bool", "date",
    ]);
    let json = prop::sample::select(vec!["number", "string", "object", "array", "null", "boolean"]);
    let name = || prop::sample::select(vec!["a", "b", "c", "n", "x", "y"]);
    let count = (
        prop::sample::select(vec![
            "minProperties",
            "maxProperties",
            "minItems",
            "maxItems",
            "minLength",
            "maxLength",
        ]),
        0..4_i32,
    );
    let limit = (
        prop::sample::select(vec!["minimum", "maximum"]),
        prop::sample::select(vec![0.0, 1.0, 1.5]),
        any::<bool>(),
    );
    let leaf = prop_oneof![
        kind.prop_map(|kind| doc! { "bsonType": kind }),
        json.prop_map(|kind| doc! { "type": [kind] }),
        vec(scalar(), 1..3).prop_map(|values| doc! { "enum": distinct(values) }),
        name().prop_map(|name| doc! { "required": [name] }),
        count.prop_map(|(keyword, count)| doc! { keyword: count }),
        limit.prop_map(|(keyword, bound, open)| {
            let flag = if keyword == "minimum" { "exclusiveMinimum" } else { "exclusiveMaximum" };
            doc! { keyword: bound, flag: open }
        }),
        prop::sample::select(vec![2.0, 1.5]).prop_map(|divisor| doc! { "multipleOf": divisor }),
        prop::sample::select(vec!["^a", "b"]).prop_map(|pattern| doc! { "pattern": pattern }),
        any::<bool>().prop_map(|on| doc! { "uniqueItems": on }),
        (name(), name()).prop_map(|(name, other)| doc! { "dependencies": { name: [other] } }),
    ];
    if depth == 0 {
        return leaf.boxed();
    }
    let inner = || document_schema(depth - 1);
    let several = prop::sample::select(vec!["allOf", "anyOf", "oneOf"]);
    prop_oneof![
        2 => leaf,
        4 => (name(), inner()).prop_map(|(name, inner)| doc! { "properties": { name: inner } }),
        1 => (name(), inner()).prop_map(|(name, rest)| doc! { "properties": { "_id": {}, "n": {}, name: {} }, "additionalProperties": rest }),
        1 => inner().prop_map(|inner| doc! { "patternProperties": { "^[ax]": inner } }),
        1 => (inner(), inner()).prop_map(|(first, rest)| doc! { "items": [first], "additionalItems": rest }),
        1 => inner().prop_map(|inner| doc! { "items": inner }),
        1 => (several, vec(inner(), 1..3)).prop_map(|(keyword, all)| doc! { keyword: all }),
        1 => inner().prop_map(|inner| doc! { "not": inner }),
    ]
    .boxed()
}

/// Servers refuse lists that hold a value twice.
fn distinct(values: Vec<Bson>) -> Vec<Bson> {
    let mut out: Vec<Bson> = Vec::new();
    for value in values {
        if !out.iter().any(|known| super::by_value(known.clone()) == super::by_value(value.clone())) {
            out.push(value);
        }
    }
    out
}

fn filter() -> impl Strategy<Value = Filter> {
    let leaf = prop_oneof![
        1 => Just(Filter::All),
        1 => Just(Filter::Nothing),
        12 => (path(), predicate()).prop_map(|(path, predicate)| Filter::Field(path.into(), predicate)),
        1 => comparison(),
        2 => document_schema(3).prop_map(Filter::Schema),
        1 => area().prop_map(|area| Filter::Field("p".into(), Predicate::Within(area))),
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
    let bits = prop_oneof![Just(BitOp::And), Just(BitOp::Or), Just(BitOp::Xor)];
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
        1 => (field(), vec(scalar(), 0..3), push()).prop_map(|(p, v, push)| Change::PushWith(p.into(), v, push)),
        1 => (field(), condition()).prop_map(|(p, condition)| Change::PullWhere(p.into(), condition)),
        1 => (field(), field()).prop_map(|(from, to)| Change::Rename(from.into(), to.into())),
        1 => (field(), bits, prop_oneof![(0..8).prop_map(Bson::Int32), (0..8_i64).prop_map(Bson::Int64)])
            .prop_map(|(p, op, v)| Change::Bit(p.into(), op, v)),
        2 => (elements(), scalar()).prop_map(|(p, v)| Change::Set(p.into(), v)),
        1 => (elements(), number()).prop_map(|(p, v)| Change::Inc(p.into(), v)),
    ]
}

/// A change of the element by which a document was found.
fn by_match() -> impl Strategy<Value = Step> {
    let places = vec![("a", "a.$"), ("b", "b.$"), ("a.x", "a.$"), ("b.x", "b.$.x"), ("b.y", "b.$.x")];
    let predicate = prop_oneof![
        scalar().prop_map(Predicate::Eq),
        scalar().prop_map(Predicate::Gte),
        vec(scalar(), 1..3).prop_map(Predicate::In),
    ];
    (prop::sample::select(places), predicate, scalar(), any::<bool>()).prop_map(
        |((path, place), predicate, value, many)| {
            let filter = Filter::Field(path.into(), predicate);
            Step::Update {
                filter,
                changes: vec![Change::Set(place.into(), value)],
                element: Filter::All,
                many,
            }
        },
    )
}

/// Paths into elements: all of them, and those that the update's one condition names.
fn elements() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a.$[]", "b.$[]", "a.$[e]", "b.$[e]", "c.$[e].x", "b.$[].x"])
}

fn push() -> impl Strategy<Value = PushOptions> {
    let sort = prop_oneof![
        any::<bool>().prop_map(|descending| PushSort::Values { descending }),
        any::<bool>().prop_map(|descending| PushSort::Paths(vec![SortKey { path: "x".into(), descending }])),
    ];
    (prop::option::of(-2..3_i64), prop::option::of(sort), prop::option::of(-2..3_i64))
        .prop_map(|(position, sort, slice)| PushOptions { position, sort, slice })
}

/// A condition on one element: on its fields, or on itself.
pub(super) fn condition() -> impl Strategy<Value = Filter> {
    prop_oneof![
        (prop::sample::select(vec!["x", "y"]), scalar()).prop_map(|(path, v)| Filter::eq(path, v)),
        scalar().prop_map(|v| Filter::Field("".into(), Predicate::Gt(v))),
        scalar().prop_map(|v| Filter::Field("".into(), Predicate::Lte(v))),
        vec(scalar(), 1..3).prop_map(|v| Filter::Field("".into(), Predicate::In(v))),
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
        6 => (filter(), vec(change(), 1..3), condition(), any::<bool>())
            .prop_map(|(filter, changes, element, many)| Step::Update { filter, changes, element, many }),
        1 => by_match(),
        1 => filter().prop_map(Step::Delete),
        4 => pipeline().prop_map(Step::Pipeline),
    ]
}
