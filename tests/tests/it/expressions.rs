//! Every expression, over one document, as a stage of a pipeline computes it.

use bson::{Bson, Decimal128, Document, bson, doc};
use forge::query::expr::{TimeUnit, array, cond, lit, now, object, path, raw, removed, root, switch};
use forge::query::{Expr, NamedExpr};
use forge::{DateTime, Decimal, ErrorCode};
use forge_tests::engine::skip;
use forge_tests::orders::Order;
use forge_tests::{Fixture, Result, conformance};

/// Stands for no value at all.
const NOTHING: Bson = Bson::Undefined;

/// 2024-02-29T13:45:30.123Z, a Thursday.
const MOMENT: &str = "2024-02-29T13:45:30.123Z";

fn date(text: &str) -> Bson {
    bson::DateTime::parse_rfc3339_str(text).unwrap().into()
}

fn decimal(text: &str) -> Bson {
    text.parse::<Decimal128>().unwrap().into()
}

/// An expression, and what it is.
type Row = (&'static str, NamedExpr, Bson);

fn row<T>(name: &'static str, expr: Expr<T>, expected: impl Into<Bson>) -> Row {
    (name, expr.named("v"), expected.into())
}

fn int(name: &str) -> Expr<i32> {
    path(name)
}

fn double() -> Expr<f64> {
    path("double")
}

fn exact() -> Expr<Decimal> {
    path("exact")
}

fn text(name: &str) -> Expr<String> {
    path(name)
}

fn list(name: &str) -> Expr<Vec<i32>> {
    path(name)
}

fn moment() -> Expr<DateTime> {
    path("moment")
}

fn absent() -> Expr<Option<i32>> {
    path("absent")
}

async fn seed(t: &Fixture) -> Result<()> {
    t.seed(
        "orders",
        [doc! {
            "_id": 1, "seven": 7, "minus": -7, "zero": 0, "long": 5_000_000_000_i64, "double": 2.5, "exact": decimal("12.345"),
            "word": "Grüße", "csv": "a,b,,a", "padded": " \tAb\n ", "number": "42", "day": "2018-03-20", "none": Bson::Null,
            "list": [3, 1, 2, 3], "other": [2, 3, 9], "empty": [], "moment": date(MOMENT), "yes": true,
            "object": { "x": 1, "y": { "z": 2 } }, "objects": [{ "x": 1 }, { "x": 2 }],
        }],
    )
    .await
}

/// What one expression is; none where it is nothing.
async fn value(t: &Fixture, expr: NamedExpr) -> Result<Option<Bson>> {
    let mut rows: Vec<Document> = t.db.pipeline::<Order>().project(|_| [expr]).fetch().await?;
    Ok(rows.remove(0).remove("v"))
}

async fn check(t: &Fixture, rows: impl IntoIterator<Item = Row>, unlike: &[&str]) -> Result<()> {
    seed(t).await?;
    let mut wrong = Vec::new();
    for (name, expr, expected) in rows {
        if t.stand_in && unlike.contains(&name) {
            skip(&format!("the server computes {name} otherwise"));
            continue;
        }
        match value(t, expr).await {
            Ok(found) if found.clone().unwrap_or(NOTHING) == expected => {}
            found => wrong.push(format!("{name}: {found:?}, not {expected:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

conformance! {
    async fn numbers_are_computed(t) {
        let (seven, minus) = (|| int("seven"), || int("minus"));
        check(t, [
            row("sum", seven() + 1, 8),
            row("sum beyond 32 bits", seven() + i32::MAX, 2_147_483_654_i64),
            row("sum of decimals", exact() + exact(), decimal("24.690")),
            row("difference", seven() - 9, -2),
            row("product", minus() * 3, -21),
            row("quotient", seven() / 2, 3.5),
            row("whole quotient", seven() / 7, 1.0),
            row("remainder", minus() % 3, -1),
            row("negation", -seven(), -7),
            row("nothing to add", absent() + 1, Bson::Null),
            row("abs", minus().abs(), 7),
            row("floor", double().floor(), 2.0),
            row("floor below 0", (-double()).floor(), -3.0),
            row("floor of a whole number", seven().floor(), 7),
            row("ceil", double().ceil(), 3.0),
            row("ceil of a decimal", exact().ceil(), decimal("13")),
            row("round to even", double().round(0), 2.0),
            row("round of tens", seven().round(-1), 10),
            row("round of a decimal", exact().round(2), decimal("12.34")),
            row("trunc_to", double().trunc_to(0), 2.0),
            row("trunc_to below 0", (-double()).trunc_to(0), -2.0),
            row("trunc_to of tens", seven().trunc_to(-1), 0),
            row("trunc_to of a decimal", exact().trunc_to(2), decimal("12.34")),
            row("pow", seven().pow(2), 49),
            row("pow beyond 32 bits", seven().pow(12), 13_841_287_201_i64),
            row("pow of 0", int("zero").pow(0) + seven().pow(0), 2),
            row("pow of a negative exponent", lit(2).pow(-1), 0.5),
            row("pow of a double", double().pow(2.0), 6.25),
            row("pow of nothing", absent().pow(2), Bson::Null),
            row("sqrt", lit(49).sqrt(), 7.0),
            row("ln", lit(1.0).ln(), 0.0),
            row("bin", lit(37).bin(10), 30),
            row("bin below 0", minus().bin(5), -10),
        ], &[]).await?;
    }

    async fn texts_are_computed(t) {
        let (word, csv) = (|| text("word"), || text("csv"));
        let none = || path::<Option<String>>("none");
        check(t, [
            row("lower", text("padded").trim().lower(), "ab"),
            row("upper", csv().upper(), "A,B,,A"),
            row("upper beyond ASCII", word().upper(), "GRüßE"),
            row("lower of null", none().lower(), ""),
            row("concat", word().concat("!"), "Grüße!"),
            row("concat of null", none().concat("!"), Bson::Null),
            row("trim", text("padded").trim(), "Ab"),
            row("chars", word().chars(), 5),
            row("substr", word().substr(2, 2), "üß"),
            row("substr beyond the end", word().substr(4, 9), "e"),
            row("split", csv().split(","), bson!(["a", "b", "", "a"])),
            row("split of null", none().split(","), Bson::Null),
            row("replace", csv().replace("a", "cc"), "cc,b,,cc"),
            row("is_match", word().is_match("^gr.+E$", "i"), true),
            row("is_match of capitals", word().is_match("^gr", ""), false),
            row("is_match over lines", lit("a\nb".to_owned()).is_match("^b$", "m"), true),
            row("is_match of dots", lit("a\nb".to_owned()).is_match("a.b", "s"), true),
            row("is_match with spaces", word().is_match("G r # begins", "x"), true),
            row("is_match of null", none().is_match("a", ""), false),
            row("is_match of dollars", lit("$seven".to_owned()).is_match("^.seven$", ""), true),
            row("position", word().position("ß"), 3),
            row("position of nothing", word().position("x"), -1),
            row("position in null", none().position("x"), Bson::Null),
        ], &[]).await?;
    }

    async fn lists_are_computed(t) {
        let (items, other, empty) = (|| list("list"), || list("other"), || list("empty"));
        let sorted = |list: Expr<Vec<i32>>| raw::<Vec<i32>>(doc! { "$sortArray": { "input": list.into_bson().unwrap(), "sortBy": 1 } });
        check(t, [
            row("len", items().len(), 4),
            row("first_item", items().first_item(), 3),
            row("first_item of none", empty().first_item(), NOTHING),
            row("first_item of nothing", list("absent").first_item(), Bson::Null),
            row("last_item", other().last_item(), 9),
            row("last_item of none", empty().last_item(), NOTHING),
            row("at", items().at(1), 1),
            row("at from the end", other().at(-3), 2),
            row("at beyond the end", items().at(4), NOTHING),
            row("take", items().take(2), bson!([3, 1])),
            row("take from the end", items().take(-3), bson!([1, 2, 3])),
            row("holds", items().holds(2), true),
            row("holds nothing", empty().holds(2), false),
            row("reverse", other().reverse(), bson!([9, 3, 2])),
            row("reverse of nothing", list("none").reverse(), Bson::Null),
            row("chain", empty().chain(other()), bson!([2, 3, 9])),
            row("chain with nothing", items().chain(list("absent")), Bson::Null),
            row("union", sorted(items().union(other())), bson!([1, 2, 3, 9])),
            row("union with nothing", items().union(list("none")), Bson::Null),
            row("intersection", sorted(items().intersection(other())), bson!([2, 3])),
            row("intersection with none", items().intersection(empty()), bson!([])),
            row("difference", sorted(items().difference(other())), bson!([1])),
            row("difference from none", empty().difference(other()), bson!([])),
            row("keep", items().keep(|x| x.gt(1)), bson!([3, 2, 3])),
            row("keep of nothing", list("none").keep(|x| x.gt(1)), Bson::Null),
            row("map", items().map(|x| x * 10), bson!([30, 10, 20, 30])),
            row("map in map", items().map(|x| other().keep(|y| y.lt(x)).len()), bson!([1, 0, 0, 1])),
            row("fold", items().fold(100, |sum, x| sum - x), 91),
            row("total", items().total(), 9),
            row("total of none", empty().total(), 0),
            row("mean", items().mean(), 2.25),
            row("mean of none", empty().mean(), Bson::Null),
            row("min_item", items().min_item(), 1),
            row("min_item of none", empty().min_item(), Bson::Null),
            row("max_item", other().max_item(), 9),
            row("max_item of texts", path::<Vec<Option<i32>>>("none").max_item(), Bson::Null),
            row("is_in", int("seven").is_in(vec![1, 7]), true),
            row("is_in a field", int("seven").is_in(items()), false),
        // What has no elements has no first one; SecantusDB takes null for it.
        ], &["first_item of none", "last_item of none"]).await?;
    }

    async fn dates_are_computed(t) {
        let (end, zoned) = (date("2024-03-04T00:00:00Z"), |zone: &str| moment().in_zone(zone));
        let end = || raw::<DateTime>(doc! { "$literal": end.clone() });
        check(t, [
            row("year", moment().year(), 2024),
            row("month", moment().month(), 2),
            row("day", moment().day(), 29),
            row("day_of_year", moment().day_of_year(), 60),
            row("weekday", moment().weekday(), 4),
            row("iso_week", moment().iso_week(), 9),
            row("hour", moment().hour(), 13),
            row("minute", moment().minute(), 45),
            row("year of nothing", path::<Option<DateTime>>("absent").year(), Bson::Null),
            row("hour in a zone", moment().in_zone("Europe/Vienna").hour(), 14),
            row("minute at an offset", zoned("+05:30").minute(), 15),
            row("day in a zone", zoned("Pacific/Auckland").day(), 1),
            row("later", moment().later(90_i64, TimeUnit::Second), date("2024-02-29T13:47:00.123Z")),
            row("later by a year", moment().later(1_i64, TimeUnit::Year), date("2025-02-28T13:45:30.123Z")),
            row("later by quarters", moment().later(-1_i64, TimeUnit::Quarter), date("2023-11-29T13:45:30.123Z")),
            row("until, in days", moment().until(end(), TimeUnit::Day), 4_i64),
            row("until, in weeks", moment().until(end(), TimeUnit::Week), 1_i64),
            row("until, in ISO weeks", moment().until(end(), TimeUnit::IsoWeek), 1_i64),
            row("until, in months", moment().until(end(), TimeUnit::Month), 1_i64),
            row("until, in hours", moment().until(end(), TimeUnit::Hour), 83_i64),
            row("until, backwards", end().until(moment(), TimeUnit::Day), -4_i64),
        ], &[]).await?;
    }

    async fn dates_are_cut(t) {
        check(t, [
            row("trunc to years", moment().trunc(TimeUnit::Year), date("2024-01-01T00:00:00Z")),
            row("trunc to quarters", moment().trunc(TimeUnit::Quarter), date("2024-01-01T00:00:00Z")),
            row("trunc to months", moment().trunc(TimeUnit::Month), date("2024-02-01T00:00:00Z")),
            row("trunc to weeks", moment().trunc(TimeUnit::Week), date("2024-02-25T00:00:00Z")),
            row("trunc to ISO weeks", moment().trunc(TimeUnit::IsoWeek), date("2024-02-26T00:00:00Z")),
            row("trunc to days", moment().trunc(TimeUnit::Day), date("2024-02-29T00:00:00Z")),
            row("trunc to seconds", moment().trunc(TimeUnit::Second), date("2024-02-29T13:45:30Z")),
            row("trunc_by years", moment().trunc_by(10, TimeUnit::Year), date("2020-01-01T00:00:00Z")),
            row("trunc_by months", moment().trunc_by(5, TimeUnit::Month), date("2023-10-01T00:00:00Z")),
            row("trunc_by ISO weeks", moment().trunc_by(8, TimeUnit::IsoWeek), date("2024-01-29T00:00:00Z")),
            row("trunc_by days", moment().trunc_by(7, TimeUnit::Day), date("2024-02-24T00:00:00Z")),
            row("trunc_by hours", moment().trunc_by(2, TimeUnit::Hour), date("2024-02-29T12:00:00Z")),
            row("trunc_by minutes", moment().trunc_by(20, TimeUnit::Minute), date("2024-02-29T13:40:00Z")),
            row("trunc_by milliseconds", moment().trunc_by(50, TimeUnit::Millisecond), date("2024-02-29T13:45:30.100Z")),
            row("trunc in a zone", moment().in_zone("Europe/Vienna").trunc(TimeUnit::Day), date("2024-02-28T23:00:00Z")),
            row("trunc_by in a zone", moment().in_zone("Europe/Vienna").trunc_by(6, TimeUnit::Hour), date("2024-02-29T11:00:00Z")),
            row("format", moment().format("%Y-%m-%d %H:%M:%S.%L"), "2024-02-29 13:45:30.123"),
            row("format of names and numbers", moment().format("%j %u %V %G %b %B %z %%"), "060 4 09 2024 Feb February +0000 %"),
            row("format in a zone", moment().in_zone("Europe/Vienna").format("%H %z"), "14 +0100"),
            row("format of nothing", path::<Option<DateTime>>("none").format("%Y"), Bson::Null),
        ], &[]).await?;
    }

    async fn values_are_converted(t) {
        check(t, [
            row("to_text of a whole number", int("seven").to_text(), "7"),
            row("to_text of a double", double().to_text(), "2.5"),
            row("to_text of a decimal", exact().to_text(), "12.345"),
            row("to_text of a truth", path::<bool>("yes").to_text(), "true"),
            row("to_text of a date", moment().to_text(), MOMENT),
            row("to_text of null", int("none").to_text(), Bson::Null),
            row("to_i32 of a double", (-double()).to_i32(), -2),
            row("to_i32 of a decimal", exact().to_i32(), 12),
            row("to_i32 of a text", text("number").to_i32(), 42),
            row("to_i32 of a truth", path::<bool>("yes").to_i32(), 1),
            row("to_i32 of null", absent().to_i32(), Bson::Null),
            row("to_i64 of a whole number", int("seven").to_i64(), 7_i64),
            row("to_i64 of a date", moment().to_i64(), 1_709_214_330_123_i64),
            row("to_i64 of a text", text("number").to_i64(), 42_i64),
            row("to_f64 of a whole number", int("seven").to_f64(), 7.0),
            row("to_f64 of a decimal", exact().to_f64(), 12.345),
            row("to_f64 of a text", lit("-1.5e3".to_owned()).to_f64(), -1500.0),
            row("to_f64 of a date", moment().to_f64(), 1_709_214_330_123.0),
            row("to_decimal of a whole number", int("seven").to_decimal(), decimal("7")),
            row("to_decimal of a double", double().to_decimal(), decimal("2.50000000000000")),
            row("to_decimal of a text", lit("1.50".to_owned()).to_decimal(), decimal("1.50")),
            row("to_date of milliseconds", path::<i64>("long").to_date(), date("1970-02-27T20:53:20Z")),
            row("to_date of a day", text("day").to_date(), date("2018-03-20T00:00:00Z")),
            row("to_date of a text", lit("2018-03-20T11:00:06.5+02:00".to_owned()).to_date(), date("2018-03-20T09:00:06.5Z")),
            row("to_date of null", int("none").to_date(), Bson::Null),
            row("type_name of a whole number", int("seven").type_name(), "int"),
            row("type_name of a long one", path::<i64>("long").type_name(), "long"),
            row("type_name of a double", double().type_name(), "double"),
            row("type_name of a decimal", exact().type_name(), "decimal"),
            row("type_name of a list", list("list").type_name(), "array"),
            row("type_name of a document", int("object").type_name(), "object"),
            row("type_name of a date", moment().type_name(), "date"),
            row("type_name of a truth", path::<bool>("yes").type_name(), "bool"),
            row("type_name of null", int("none").type_name(), "null"),
            row("type_name of nothing", absent().type_name(), "missing"),
        ], &[]).await?;
    }

    async fn values_are_chosen_compared_and_put_together(t) {
        let (seven, zero) = (|| int("seven"), || int("zero"));
        let both = |a: bool, b: bool| lit(a) & lit(b);
        let inner = || path::<Document>("object");
        let merged = || inner().merge(object::<Document>([lit(5).named("x")]));
        check(t, [
            row("lit", lit("$seven".to_owned()), "$seven"),
            row("path", int("object.y.z"), 2),
            row("path through documents", path::<Vec<i32>>("objects.x"), bson!([1, 2])),
            row("root", root::<Document>().get::<i32>("seven"), 7),
            row("now", now().type_name(), "date"),
            row("removed", cond(lit(true), removed::<i32>(), 1), NOTHING),
            row("raw", raw::<i32>(doc! { "$add": ["$seven", 1] }), 8),
            row("cond", cond(seven().gt(zero()), "more", "less"), "more"),
            row("cond of nothing", cond(absent().is_null(), 1, 2), 1),
            row("switch", switch().case(seven().lt(5), "small").case(seven().lt(10), "middle").otherwise("large"), "middle"),
            row("switch without a case", switch().case(seven().lt(5), "small").otherwise("large"), "large"),
            row("object", object::<Document>([seven().named("a"), absent().named("b")]), bson!({ "a": 7 })),
            row("array", array([seven(), zero()]), bson!([7, 0])),
            row("array of nothing", array([absent()]), bson!([null])),
            row("get", merged().get::<i32>("x"), 5),
            row("get nothing", merged().get::<i32>("absent"), NOTHING),
            row("merge", merged(), bson!({ "x": 5, "y": { "z": 2 } })),
            row("merge of nothing", path::<Document>("none").merge(inner()), bson!({ "x": 1, "y": { "z": 2 } })),
            row("or", absent().or(4), 4),
            row("or of null", path::<Option<i32>>("none").or(4), 4),
            row("or of a value", seven().optional().or(4), 7),
            row("eq", seven().eq(7), true),
            row("eq of another type", double().eq(2.0), false),
            row("ne", seven().ne(7), false),
            row("gt", seven().gt(7), false),
            row("gte", seven().gte(7), true),
            row("lt", seven().lt(8), true),
            row("lte", seven().lte(6), false),
            row("gt by type", text("word").gt(seven().cast::<String>()), true),
            row("is_null", int("none").is_null(), true),
            row("is_null of 0", zero().is_null(), false),
            row("and", both(true, false), false),
            row("or of truths", lit(false) | lit(false) | lit(true), true),
            row("not", !both(true, true), false),
        // SecantusDB does not go through lists in expressions.
        ], &["path through documents"]).await?;
    }

    async fn what_cannot_be_computed_is_an_error(t) {
        seed(t).await?;
        let failing = [
            ("division by 0", (int("seven") / 0).named("v")),
            ("remainder of 0", (int("seven") % 0).named("v")),
            ("sum of texts", (text("word").cast::<i32>() + 1).named("v")),
            ("sqrt below 0", int("minus").sqrt().named("v")),
            ("ln of 0", int("zero").ln().named("v")),
            ("pow of 0 below 0", int("zero").pow(-1).named("v")),
            ("chars of null", path::<Option<String>>("none").chars().named("v")),
            ("concat of a number", int("seven").cast::<String>().concat("!").named("v")),
            ("is_match of a number", int("seven").cast::<String>().is_match("7", "").named("v")),
            ("is_match of a broken pattern", text("word").is_match("(", "").named("v")),
            ("len of a text", text("word").cast::<Vec<i32>>().len().named("v")),
            ("len of nothing", list("absent").len().named("v")),
            ("holds in nothing", list("none").holds(1).named("v")),
            ("reverse of a number", int("seven").cast::<Vec<i32>>().reverse().named("v")),
            ("union with a number", list("list").union(int("seven").cast::<Vec<i32>>()).named("v")),
            ("to_i32 of a word", text("word").to_i32().named("v")),
            ("to_i32 of a broken number", lit("1.5".to_owned()).to_i32().named("v")),
            ("to_i32 of a long one", path::<i64>("long").to_i32().named("v")),
            ("to_f64 of a list", list("list").to_f64().named("v")),
            ("to_decimal of a word", text("word").to_decimal().named("v")),
            ("to_date of a word", text("word").to_date().named("v")),
            ("to_date of 32 bits", int("seven").to_date().named("v")),
            ("to_text of a list", list("list").to_text().named("v")),
            ("year of a number", int("seven").cast::<DateTime>().year().named("v")),
            ("a zone that is none", moment().in_zone("Atlantis/Capital").hour().named("v")),
            ("bins of nothing", moment().trunc_by(0, TimeUnit::Day).named("v")),
        ];
        let lenient: &[&str] = &[];
        let mut wrong = Vec::new();
        for (name, expr) in failing {
            match value(t, expr).await {
                Err(error) if error.code() != ErrorCode::Internal || t.engine == forge_tests::Engine::Server => {}
                _ if t.stand_in && lenient.contains(&name) => skip(&format!("the server takes {name}")),
                found => wrong.push(format!("{name}: {found:?}")),
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert_eq!(value(t, path::<i32>("$seven").named("v")).await.unwrap_err().code(), ErrorCode::BadRequest);
    }
}
