//! Every accumulator over groups and over windows, and every function and frame of windows.

use bson::{Bson, Document, bson, doc};
use forge::query::expr::{TimeUnit, path};
use forge::query::pipeline::{
    Frame, NamedWindow, Over, Windows, asc, dense_rank, derivative, desc, document_number, exp_moving_avg,
    last_known, rank, shift, windows,
};
use forge::query::{Agg, Expr, NamedAgg, accumulator, count};
use forge::{DateTime, ErrorCode};
use forge_tests::engine::skip;
use forge_tests::orders::Order;
use forge_tests::{Fixture, Result, conformance};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

fn n() -> Expr<Option<i32>> {
    path("n")
}

fn d() -> Expr<f64> {
    path("d")
}

fn s() -> Expr<String> {
    path("s")
}

/// The documents that a pipeline gives.
type Rows = BoxFuture<'static, Result<Vec<Document>>>;

/// Two groups, of three and of two; `n` is null once and absent once.
async fn seed(t: &Fixture) -> Result<()> {
    let day = |day: i64| bson::DateTime::from_millis(day * 86_400_000);
    t.seed(
        "orders",
        [
            doc! { "_id": 1, "g": "a", "n": 3, "d": 1.5, "s": "x", "at": day(0), "z": Bson::Null, "o": { "p": 1 } },
            doc! { "_id": 2, "g": "a", "n": 1, "d": 2.5, "s": "y", "at": day(1), "z": 8, "o": { "q": 2 } },
            doc! { "_id": 3, "g": "a", "n": Bson::Null, "d": 4.0, "s": "x", "at": day(3), "o": { "p": 3 } },
            doc! { "_id": 4, "g": "b", "n": 5, "d": 2.0, "s": "z", "at": day(0) },
            doc! { "_id": 5, "g": "b", "d": 2.0, "s": "z", "at": day(10), "z": 9 },
        ],
    )
    .await
}

/// Numbers by value, since servers choose types of sums as they like, and lists of sets in one order.
fn plain(value: Option<Bson>, is_set: bool) -> Bson {
    match value {
        Some(Bson::Int64(n)) => Bson::Int32(n as i32),
        Some(Bson::Array(mut list)) if is_set => {
            list.sort_by_key(Bson::to_string);
            Bson::Array(list)
        }
        Some(other) => other,
        None => Bson::Undefined,
    }
}

/// Runs one pipeline a row and compares the values of `v`.
async fn check<V>(
    t: &Fixture,
    rows: impl IntoIterator<Item = (&'static str, V, Bson)>,
    unlike: &[&str],
    run: impl Fn(V) -> Rows,
) -> Result<()> {
    seed(t).await?;
    let mut wrong = Vec::new();
    for (name, value, expected) in rows {
        if t.stand_in && unlike.contains(&name) {
            skip(&format!("the server computes {name} otherwise"));
            continue;
        }
        let is_set = name.starts_with("add_to_set");
        let found = run(value).await.map(|rows| {
            Bson::Array(rows.into_iter().map(|mut row| plain(row.remove("v"), is_set)).collect())
        });
        if !matches!(&found, Ok(found) if *found == expected) {
            wrong.push(format!("{name}: {found:?}, not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

fn group<T>(name: &'static str, value: Agg<T>, expected: Bson) -> (&'static str, NamedAgg, Bson) {
    (name, value.named("v"), expected)
}

fn named<T>(name: &'static str, value: Over<T>, expected: Bson) -> (&'static str, NamedWindow, Bson) {
    (name, value.named("v"), expected)
}

/// In the partition of the group, by id.
fn by_id(t: &Fixture, value: NamedWindow) -> Rows {
    over(t, windows().partition(path::<String>("g")).sort_by([asc("_id")]).value(value))
}

fn over(t: &Fixture, windows: Windows) -> Rows {
    t.db.pipeline::<Order>().window(|_| windows).sort_by([asc("_id")]).fetch().boxed()
}

conformance! {
    async fn groups_are_accumulated(t) {
        let rows = [
            group("count", count(), bson!([3, 2])),
            group("sum", n().sum(), bson!([4, 5])),
            group("sum of doubles", d().sum(), bson!([8.0, 4.0])),
            group("sum of texts", s().cast::<i32>().sum(), bson!([0, 0])),
            group("avg", n().avg(), bson!([2.0, 5.0])),
            group("avg of nothing", path::<i32>("absent").avg(), bson!([null, null])),
            group("smallest", n().smallest(), bson!([1, 5])),
            group("largest", s().largest(), bson!(["y", "z"])),
            group("largest of nothing", path::<i32>("absent").largest(), bson!([null, null])),
            group("first", n().first(), bson!([3, 5])),
            group("last", n().last(), bson!([null, null])),
            group("push", n().push(), bson!([[3, 1, null], [5]])),
            group("add_to_set", s().add_to_set(), bson!([["x", "y"], ["z"]])),
            group("count_distinct", n().count_distinct(), bson!([2, 1])),
            group("std_dev_pop", n().std_dev_pop(), bson!([1.0, 0.0])),
            group("std_dev_samp", n().std_dev_samp(), bson!([2_f64.sqrt(), null])),
            group("median", n().median(), bson!([1.0, 5.0])),
            group("percentile", n().percentile(1.0), bson!([3.0, 5.0])),
            group("percentiles", n().percentiles([0.0, 1.0]), bson!([[1.0, 3.0], [5.0, 5.0]])),
            group("top", n().top(2, [desc("d"), asc("_id")]), bson!([[null, 1], [5, null]])),
            group("top of few", s().top(9, [asc("_id")]), bson!([["x", "y", "x"], ["z", "z"]])),
            group("top_one", d().top_one([desc("_id")]), bson!([4.0, 2.0])),
            group("top_one of nothing", n().top_one([desc("_id")]), bson!([null, null])),
            group("accumulator", accumulator::<Document>(doc! { "$mergeObjects": "$o" }), bson!([{ "p": 3, "q": 2 }, {}])),
            group("sum of an expression", (n() + 1).sum(), bson!([6, 6])),
        ];
        check(t, rows, &["median", "percentile", "percentiles"], |value: NamedAgg| {
            let sorted = t.db.pipeline::<Order>().sort_by([asc("_id")]);
            sorted.group(|_| [path::<String>("g").named("g")], |_| [value]).sort_by([asc("g")]).fetch().boxed()
        }).await?;
        let none = t.db.pipeline::<Order>().group(|_| [path::<String>("g").named("g")], |_| [s().top(0, [asc("_id")]).named("v")]);
        assert!(none.fetch::<Document>().await.is_err(), "the first 0 are none");
        let unordered = t.db.pipeline::<Order>().group(|_| [path::<String>("g").named("g")], |_| [s().top_one([]).named("v")]);
        assert_eq!(unordered.fetch::<Document>().await.unwrap_err().code(), ErrorCode::BadRequest);
    }

    async fn accumulators_see_the_documents_of_their_frame(t) {
        let rows = [
            named("so_far", d().sum().over(Frame::so_far()), bson!([1.5, 4.0, 8.0, 2.0, 4.0])),
            named("from_here", d().sum().over(Frame::from_here()), bson!([8.0, 6.5, 4.0, 4.0, 2.0])),
            named("first from_here", n().first().over(Frame::from_here()), bson!([3, 1, null, 5, null])),
            named("last from_here", s().last().over(Frame::from_here()), bson!(["x", "x", "x", "z", "z"])),
            named("push", n().push().over(Frame::documents(-1, 0)), bson!([[3], [3, 1], [1, null], [5], [5]])),
            named("count of those after", count().over(Frame::documents(1, 2)), bson!([2, 1, 0, 1, 0])),
            named("smallest", d().smallest().over(Frame::documents(0, 1)), bson!([1.5, 2.5, 4.0, 2.0, 2.0])),
            named("largest of the next", d().largest().over(Frame::documents(1, 1)), bson!([2.5, 4.0, null, 2.0, null])),
            named("avg", n().avg().over(Frame::so_far()), bson!([3.0, 2.0, 2.0, 5.0, 5.0])),
            named("add_to_set", s().add_to_set().over(Frame::so_far()), bson!([["x"], ["x", "y"], ["x", "y"], ["z"], ["z"]])),
            named("std_dev_pop", n().std_dev_pop().over(Frame::so_far()), bson!([0.0, 1.0, 1.0, 0.0, 0.0])),
            named("std_dev_samp", n().std_dev_samp().over(Frame::so_far()), bson!([null, 2_f64.sqrt(), 2_f64.sqrt(), null, null])),
            named("median", n().median().over(Frame::so_far()), bson!([3.0, 1.0, 1.0, 5.0, 5.0])),
            named("top", s().top(1, [desc("d")]).over(Frame::so_far()), bson!([["x"], ["y"], ["x"], ["z"], ["z"]])),
            named("top_one", n().top_one([asc("d")]).over(Frame::from_here()), bson!([3, 1, null, 5, null])),
            named("last_known", last_known(n()), bson!([3, 1, 1, 5, 5])),
            named("last_known after nothing", last_known(path::<Option<i32>>("z")), bson!([null, 8, 8, null, 9])),
            named("shift back", shift(s(), -1), bson!([null, "x", "y", null, "z"])),
            named("shift ahead", shift(n(), 1), bson!([1, null, null, null, null])),
            named("document_number", document_number(), bson!([1, 2, 3, 1, 2])),
            named("exp_moving_avg", exp_moving_avg(d(), 3), bson!([1.5, 2.0, 3.0, 2.0, 2.0])),
        ];
        let unlike = ["median"];
        check(t, rows, &unlike, |value| by_id(t, value)).await?;
        let wrong = by_id(t, exp_moving_avg(d(), 0).named("v")).await.unwrap_err();
        assert_eq!(wrong.code(), ErrorCode::BadRequest);
    }

    async fn ranks_and_ranges_go_by_the_value_that_sorts(t) {
        let rows = [
            named("rank", rank(), bson!([1, 4, 5, 2, 2])),
            named("dense_rank", dense_rank(), bson!([1, 3, 4, 2, 2])),
            named("range", n().sum().over(Frame::range(-0.5, 0.5)), bson!([8, 6, 0, 9, 9])),
            named("range from here", count().over(Frame::range(0, "unbounded")), bson!([5, 2, 1, 4, 4])),
        ];
        check(t, rows, &[], |value| over(t, windows().sort_by([asc("d")]).value(value))).await?;
    }

    async fn frames_of_time_have_units(t) {
        let at = || path::<DateTime>("at");
        let rows = [
            named("time", count().over(Frame::time(-1, 0, TimeUnit::Day)), bson!([1, 2, 1, 1, 1])),
            named("time in hours", count().over(Frame::time(-48, 24, TimeUnit::Hour)), bson!([2, 2, 2, 1, 1])),
            named("derivative", derivative(d(), Frame::documents(-1, 0), Some(TimeUnit::Day)), bson!([null, 1.0, 0.75, null, 0.0])),
            named("shift", shift(at().type_name(), 1), bson!(["date", "date", null, "date", null])),
        ];
        check(t, rows, &[], |value| {
            over(t, windows().partition(path::<String>("g")).sort_by([asc("at")]).value(value))
        }).await?;
    }
}
