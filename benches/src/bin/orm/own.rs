//! Forge's own part: how many commands it sends, and its processor time where the answers are there at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bson::RawDocumentBuf;
use forge::adapter::{Adapter, Exec};
use forge::ir::{Operation, Outcome, Select};
use forge::{Db, Id, ir};
use forge_benches::models::{Comment, NewComment, NewPost, Post, User, new_user};
use forge_benches::replay::Replay;
use forge_benches::turns::{Failure, nanos_each};
use forge_benches::{Bar, Options, Report, Span, median};
use forge_mongo::{MongoAdapter, Reply, compile};
use futures_util::TryStreamExt;
use mongodb::Client;

use super::{DATABASE, SCRATCH};

/// Every figure of this file that was asked for.
pub(super) async fn report(
    options: &Options,
    report: &mut Report,
    db: Db,
    raw: &Client,
) -> Result<(), Failure> {
    compiling(options, report, &db)?;
    calls(options, report, &db).await?;
    hydration(options, report, &db.database(DATABASE), raw).await?;
    cascade(options, report, &db.database(SCRATCH)).await
}

fn find_by_id(db: &Db) -> forge::Result<Select> {
    db.find::<User>().filter(|f| f.id.eq(Id::from_object_id(bson::oid::ObjectId::new()))).limit(1).to_ir()
}

fn find_50(db: &Db) -> forge::Result<Select> {
    let find = db.find::<User>().filter(|f| f.age.gte(10) & f.visits.gt(0));
    find.sort(|f| (f.age.asc(), f.id.asc())).limit(50).to_ir()
}

fn compiling(options: &Options, report: &mut Report, db: &Db) -> Result<(), Failure> {
    let figures = [
        ("compile find by id", find_by_id(db)?, 0.5),
        ("compile find 50, filtered and sorted", find_50(db)?, 3.0),
    ];
    for (name, select, bar) in figures {
        if options.wants(name) {
            let micros = nanos_each(|| compile::select(&select)) / 1e3;
            report.figure(name, micros, "us", Some(Bar::AtMost(bar)));
        }
    }
    Ok(())
}

/// A database without a database, and the driver to give it answers.
fn instant(db: &Db) -> (Db, Arc<Replay>, MongoAdapter) {
    let replay = Arc::new(Replay::default());
    let adapter = || MongoAdapter::new(replay.clone(), db.catalog().clone());
    (Db::new(Arc::new(adapter()), db.catalog().clone(), db.env().clone()), replay.clone(), adapter())
}

/// Whole calls, from the builder to the model: compiling, encoding and decoding.
async fn calls(options: &Options, report: &mut Report, db: &Db) -> Result<(), Failure> {
    const CALLS: usize = 2_000;
    let stored = forge_core::codec::encode(&forge_benches::models::raw_user(1))?;
    let id: Id<User> = bson::oid::ObjectId::new().into();
    let (db, replay, _) = instant(db);
    macro_rules! own {
        ($($name:literal, $reply:expr => $call:expr;)*) => {
            $(if options.wants($name) {
                let mut rounds = Vec::new();
                for _ in 0..=options.rounds {
                    (0..CALLS).for_each(|_| replay.push($reply));
                    let span = Span::start();
                    for _ in 0..CALLS {
                        std::hint::black_box($call.await?);
                    }
                    rounds.push(span.cpu_micros_each(CALLS));
                }
                report.figure($name, median(&rounds), "us", None);
            })*
        };
    }
    own! {
        "own part of find by id", Reply::Documents(vec![stored.clone()]) => db.get::<User>(id);
        "own part of insert one", Reply::Inserted { failures: Vec::new() } => db.insert(new_user(1));
        "own part of update one", Reply::Document(Some(stored.clone())) =>
            db.update::<User>(id).set(|f| f.score, 1.5).inc(|f| f.visits, 1_i64);
        "own part of find 50", Reply::Documents(vec![stored.clone(); 50]) =>
            db.find::<User>().filter(|f| f.age.gte(10) & f.visits.gt(0)).sort(|f| (f.age.asc(), f.id.asc())).limit(50);
    }
    Ok(())
}

async fn hydration(options: &Options, report: &mut Report, db: &Db, raw: &Client) -> Result<(), Failure> {
    let find = |db: &Db| db.find::<User>().include(|f| f.posts.include(|p| p.comments));
    let name = "commands for 100 users, 1,000 posts, 5,000 comments";
    if options.wants(name) {
        let counted = count_commands(db);
        find(db).await?;
        report.figure(name, counted.load(Ordering::Relaxed) as f64, "", Some(Bar::AtMost(3.0)));
    }
    let levels = ["bench_users", "bench_posts", "bench_comments"];
    let mut replies: Vec<Vec<RawDocumentBuf>> = Vec::new();
    for collection in levels {
        let all = raw.database(DATABASE).collection::<RawDocumentBuf>(collection).find(bson::doc! {}).await?;
        replies.push(all.try_collect().await?);
    }
    let (whole, replay, adapter) = instant(db);
    let answer = || replies.iter().for_each(|level| replay.push(Reply::Documents(level.clone())));
    let name = "own part of the hydration, without decoding";
    if options.wants(name) {
        let operation = Operation::Select(find(&whole).to_ir()?);
        let mut rounds = Vec::new();
        for _ in 0..=options.rounds {
            answer();
            let (exec, operation) = (Exec::default(), operation.clone());
            let span = Span::start();
            let outcome = adapter.execute(&exec, operation).await?;
            rounds.push(span.cpu_micros_each(1) / 1e3);
            let Outcome::Rows(ir::Rows { included, .. }) = outcome else { return Err("no rows".into()) };
            assert_eq!(included[0].rows.included[0].rows.documents.len(), 5_000);
        }
        report.figure(name, median(&rounds), "ms", Some(Bar::AtMost(2.0)));
    }
    let name = "own part of the hydration, with decoding";
    if options.wants(name) {
        let mut rounds = Vec::new();
        for _ in 0..=options.rounds {
            answer();
            let span = Span::start();
            std::hint::black_box(find(&whole).await?);
            rounds.push(span.cpu_micros_each(1) / 1e3);
        }
        report.figure(name, median(&rounds), "ms", None);
    }
    Ok(())
}

async fn cascade(options: &Options, report: &mut Report, db: &Db) -> Result<(), Failure> {
    let name = "commands of a cascade of 1 + 100 + 1,000";
    if !options.wants(name) {
        return Ok(());
    }
    let user = db.insert(new_user(0)).await?;
    let post =
        |likes| NewPost { id: None, user_id: user.id, title: String::new(), body: String::new(), likes };
    db.insert_many((0..100).map(post)).await?;
    let posts: Vec<Post> = db.find::<Post>().await?;
    let comments = posts.iter().flat_map(|post| {
        (0..10).map(|votes| NewComment { id: None, post_id: post.id, text: String::new(), votes })
    });
    db.insert_many(comments).await?;
    let counted = count_commands(db);
    db.delete::<User>(user.id).await?;
    let commands = counted.load(Ordering::Relaxed);
    assert_eq!(db.find::<Comment>().count().await?, 0);
    report.figure(name, commands as f64, "", Some(Bar::AtMost(5.0)));
    Ok(())
}

/// How many commands `db` sends from now on.
fn count_commands(db: &Db) -> Arc<AtomicUsize> {
    let counted = Arc::new(AtomicUsize::new(0));
    let counter = counted.clone();
    db.on_command(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
    });
    counted
}
