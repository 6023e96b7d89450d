//! Random operations, run side by side: indexed and not, on the embedded engine and on a server. All must agree.
//!
//! `FORGE_TEST_CASES` says how many (300), `FORGE_TEST_SEED` repeats a run: a failure names its seed and the smallest case.

mod allowed;
mod stages;
mod strategy;

use bson::{Bson, Document, RawDocumentBuf, doc};
use forge::ir::{Count, Distinct, ElementFilter, Filter, Group, Select, SortKey, Update};
use forge::model::ModelRef;
use forge::{Model, Result};
use forge_core::matcher::Matcher;
use forge_embedded::EmbeddedDriver;
use forge_mongo::{Command, Driver, MongoArtifact, OfficialDriver, Reply, compile};
use forge_tests::engine::{URI_VARIABLE, is_stand_in, random, seed, send, skip_without_server};
use forge_tests::models::Item;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};
use strategy::{Case, Step, case};

const DATABASE: &str = "generated";
const INDEXES: [(&str, i32); 6] = [("a", 1), ("b", -1), ("c", 1), ("n", 1), ("a.x", 1), ("b.x", -1)];

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

fn run(test: impl Fn(&Case) -> std::result::Result<(), String>) {
    let rng = setting("FORGE_TEST_SEED", random());
    let cases = setting("FORGE_TEST_CASES", 300) as u32;
    let config = Config {
        cases,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(rng),
        max_shrink_iters: 2_000,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&case(), |case| test(&case).map_err(TestCaseError::fail));
    if let Err(error) = outcome {
        panic!("FORGE_TEST_SEED={rng}: {error}");
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Empties the collection and fills it with the documents of a case.
async fn reset(driver: &dyn Driver, database: &str, case: &Case) -> Result<()> {
    send(driver, database, "items", Command::Delete { filter: doc! {}, many: true }).await?;
    seed(driver, database, "items", case.documents.clone()).await
}

async fn index(driver: &dyn Driver, database: &str) -> Result<()> {
    for (path, direction) in INDEXES {
        let spec = doc! { "key": { path: direction }, "name": format!("{path}_{direction}") };
        driver.create_index(database, "items", &spec).await?;
    }
    driver.create_index(database, "items", &doc! { "key": { "n": 1, "a": -1 }, "name": "n_a" }).await?;
    driver.create_index(database, "items", &doc! { "key": { "p": "2d" }, "name": "p_2d" }).await?;
    driver
        .create_index(database, "items", &doc! { "key": { "b": 1 }, "name": "sparse", "sparse": true })
        .await
}

fn artifact(step: &Step) -> Result<MongoArtifact> {
    let model = ModelRef(Item::def());
    match step.clone() {
        Step::Find { filter, mut sort, skip, limit } => {
            // Ties would be a matter of taste.
            sort.push(SortKey { path: "_id".into(), descending: false });
            compile::select(&Select { filter, sort, skip, limit, ..Select::new(model) })
        }
        Step::Count(filter) => compile::count(&Count::new(model, filter)),
        Step::Distinct(path, filter) => compile::distinct(&Distinct { filter, ..Distinct::new(model, path) }),
        Step::Group { filter, keys, aggregates } => {
            let sort = (0..keys.len())
                .map(|i| SortKey { path: format!("k{i}").into(), descending: false })
                .collect();
            let keys = keys.into_iter().map(Into::into).collect();
            compile::group(&Group { filter, keys, aggregates, sort, ..Group::new(model) })
        }
        Step::Update { filter, changes, element, many } => {
            // Which one of several is changed would be a matter of taste.
            let filter = if many { filter } else { filter.and(Filter::eq("_id", 1)) };
            // A server refuses conditions that no path names.
            let named = changes.iter().any(|change| change.path().contains("$[e]"));
            let elements = named.then(|| ElementFilter { name: "e".to_owned(), filter: element });
            let elements = elements.into_iter().collect();
            compile::update(&Update { changes, elements, many, ..Update::new(model, filter) })
        }
        Step::Delete(filter) => compile::delete(model.0, &filter, true, false),
        Step::Pipeline(pipeline) => Ok(MongoArtifact::new("items", Command::Aggregate { pipeline })),
    }
}

/// What can be compared: documents as they are, numbers by value in computed ones.
fn normal(reply: Reply) -> Vec<Bson> {
    match reply {
        Reply::Documents(documents) => {
            documents.iter().map(|d| Bson::Document(Document::try_from(d).unwrap())).collect()
        }
        Reply::Values(values) => sorted(values),
        Reply::Count(count) | Reply::Deleted(count) => vec![Bson::Int64(count as i64)],
        Reply::Updated { matched, modified, .. } => {
            vec![Bson::Int64(matched as i64), Bson::Int64(modified as i64)]
        }
        other => vec![Bson::String(format!("{other:?}"))],
    }
}

fn sorted(mut values: Vec<Bson>) -> Vec<Bson> {
    values.sort_by(|a, b| {
        let wrapped =
            [a, b].map(|value| bson::rawdoc! { "v": bson::RawBson::try_from(value.clone()).unwrap() });
        let [a, b] = wrapped.each_ref().map(|document| document.get("v").unwrap().unwrap());
        forge_core::order::compare(a, b)
    });
    // Which one of equal numbers stands for all of them is the engine's choice.
    values.into_iter().map(by_value).collect()
}

fn by_value(value: Bson) -> Bson {
    match value {
        Bson::Int32(n) => Bson::Double(f64::from(n)),
        Bson::Int64(n) => Bson::Double(n as f64),
        // The last bits of means and deviations depend on the order of the additions.
        Bson::Double(n) if n.is_finite() => Bson::Double(format!("{n:.11e}").parse().unwrap_or(n)),
        Bson::Array(list) => Bson::Array(list.into_iter().map(by_value).collect()),
        Bson::Document(document) => {
            Bson::Document(document.into_iter().map(|(k, v)| (k, by_value(v))).collect())
        }
        other => other,
    }
}

async fn everything(driver: &dyn Driver, database: &str) -> Result<Vec<Bson>> {
    let sort = Some(doc! { "_id": 1 });
    let find = Command::Find { filter: doc! {}, projection: None, sort, skip: None, limit: None };
    Ok(normal(send(driver, database, "items", find).await?))
}

/// Runs a case on two drivers, step by step.
async fn compare(
    case: &Case,
    left: (&dyn Driver, &str),
    right: (&dyn Driver, &str),
    may_differ: bool,
) -> std::result::Result<(), String> {
    let shown = |error: forge::Error| format!("{error:?}");
    reset(left.0, left.1, case).await.map_err(shown)?;
    reset(right.0, right.1, case).await.map_err(shown)?;
    for step in &case.steps {
        let Ok(artifact) = artifact(step) else { continue };
        let a = left.0.run(left.1, artifact.clone().into(), None).await;
        let b = right.0.run(right.1, artifact.clone().into(), None).await;
        let computed = matches!(step, Step::Group { .. } | Step::Pipeline(_));
        let show = |x: Vec<Bson>| if computed { x.into_iter().map(by_value).collect() } else { x };
        let before = || format!("{step:?}\n  as {artifact:?}");
        match (a, b) {
            (Ok((a, _)), Ok((b, _))) => {
                let (a, b) = (show(normal(a)), show(normal(b)));
                if a != b && !(may_differ && allowed::differs(case, step, &a, &b)) {
                    return Err(format!("{}\n  left  {a:?}\n  right {b:?}", before()));
                }
            }
            // What a failing update of many left behind is not promised.
            (Err(_), Err(_)) => return Ok(()),
            (Err(_), _) | (_, Err(_)) if may_differ && allowed::fails(step) => return Ok(()),
            (Err(_), _) if may_differ && allowed::takes_more(step) => return Ok(()),
            (a, b) => return Err(format!("{}\n  left  {a:?}\n  right {b:?}", before())),
        }
        let (a, b) = (
            everything(left.0, left.1).await.map_err(shown)?,
            everything(right.0, right.1).await.map_err(shown)?,
        );
        if a != b {
            if may_differ && allowed::differs(case, step, &a, &b) {
                return Ok(());
            }
            return Err(format!("{}\n  leaves left  {a:?}\n  leaves right {b:?}", before()));
        }
    }
    Ok(())
}

#[test]
fn indexes_change_nothing_but_the_way() {
    let runtime = runtime();
    let plain = EmbeddedDriver::memory(forge::system_env()).unwrap();
    let indexed = EmbeddedDriver::memory(forge::system_env()).unwrap();
    runtime.block_on(index(&indexed, DATABASE)).unwrap();
    run(|case| runtime.block_on(compare(case, (&plain, DATABASE), (&indexed, DATABASE), false)));
}

#[test]
fn the_matcher_of_live_queries_agrees_with_the_engine() {
    let runtime = runtime();
    let driver = EmbeddedDriver::memory(forge::system_env()).unwrap();
    runtime.block_on(index(&driver, DATABASE)).unwrap();
    run(|case| runtime.block_on(matched(case, &driver)));
}

async fn matched(case: &Case, driver: &dyn Driver) -> std::result::Result<(), String> {
    reset(driver, DATABASE, case).await.map_err(|e| format!("{e:?}"))?;
    for step in &case.steps {
        let (Step::Find { filter, .. } | Step::Count(filter) | Step::Delete(filter)) = step else { continue };
        let Ok(matcher) = Matcher::new(filter) else { continue };
        let find = Step::Find { filter: filter.clone(), sort: vec![], skip: None, limit: None };
        let Ok(artifact) = artifact(&find) else { continue };
        let found = match driver.run(DATABASE, artifact.into(), None).await {
            Ok((reply, _)) => normal(reply),
            Err(error) => return Err(format!("{filter:?}: {error:?}")),
        };
        let expected: Vec<Bson> = case
            .documents
            .iter()
            .filter(|document| matcher.matches(&RawDocumentBuf::try_from(*document).unwrap()))
            .map(|document| Bson::Document(document.clone()))
            .collect();
        if found != expected {
            return Err(format!("{filter:?}\n  engine  {found:?}\n  matcher {expected:?}"));
        }
    }
    Ok(())
}

#[test]
fn the_embedded_engine_answers_as_a_server_does() {
    let Ok(uri) = std::env::var(URI_VARIABLE) else {
        return skip_without_server();
    };
    let runtime = runtime();
    let server = runtime.block_on(OfficialDriver::connect(&uri)).unwrap();
    let stand_in = runtime.block_on(is_stand_in(&server)).unwrap();
    let embedded = EmbeddedDriver::memory(forge::system_env()).unwrap();
    runtime.block_on(index(&embedded, DATABASE)).unwrap();
    let database = format!("tgenerated_{:08x}", random() as u32);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        run(|case| runtime.block_on(compare(case, (&embedded, DATABASE), (&server, &database), stand_in)));
    }));
    runtime.block_on(server.drop_database(&database)).unwrap();
    outcome.unwrap();
}
