//! What Forge adds to the raw driver: processor time of this process for the same work on the same server, in turn.

use std::collections::HashMap;
use std::sync::Arc;

use bson::doc;
use bson::oid::ObjectId;
use clap::Parser;
use forge::{Catalog, Db, Id};
use forge_benches::models::{
    NewComment, NewPost, Post, RawComment, RawPost, RawUser, User, new_user, raw_user,
};
use forge_benches::{Options, Pairs, Report, Span};
use futures_util::TryStreamExt;
use mongodb::{Client, Collection, Database};

/// How much more processor time than the raw driver Forge may take.
const BAR: f64 = 1.10;
const DATABASE: &str = "forge_bench_orm";

type Failure = Box<dyn std::error::Error>;

struct Bench {
    db: Db,
    raw: Database,
    rounds: usize,
    ids: Vec<Id<User>>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let uri =
        options.uri.clone().ok_or("orm compares on a server: give --uri, or run `cargo xtask bench orm`")?;
    let env = forge::system_env();
    let catalog = Arc::new(Catalog::collect()?);
    let adapter = forge::connect(&uri, catalog.clone(), &env).await?;
    adapter.push(DATABASE, &catalog, true).await?;
    let db = Db::new(adapter, catalog, env).database(DATABASE);
    let raw = Client::with_uri_str(&uri).await?.database(DATABASE);
    raw.collection::<RawUser>("bench_users").delete_many(doc! {}).await?;

    let mut bench = Bench { db, raw, rounds: options.rounds, ids: Vec::new() };
    let mut report = Report::new(&options, "Forge and the raw driver: processor time of the client");
    bench.fill().await?;
    let wanted = |name: &str| name.contains(&options.only);
    macro_rules! compare {
        ($($name:literal => $measure:ident;)*) => {
            $(if wanted($name) {
                report.compare($name, &bench.$measure().await?, "us", BAR);
            })*
        };
    }
    compare! {
        "find by id" => find_by_id;
        "find 50, filtered and sorted" => find_50;
        "insert one" => insert_one;
        "insert_many 10,000, each" => insert_many;
        "100 users, 1,000 posts, 5,000 comments" => hydrate;
    }
    report.finish();
    bench.raw.drop().await?;
    Ok(())
}

impl Bench {
    fn users(&self) -> Collection<RawUser> {
        self.raw.collection("bench_users")
    }

    async fn fill(&mut self) -> forge::Result<()> {
        for n in 0..100 {
            let user = self.db.insert(new_user(n)).await?;
            self.ids.push(user.id);
            let posts: Vec<_> = (0..10).map(|p| new_post(user.id, p)).collect();
            self.db.insert_many(posts).await?;
        }
        let posts: Vec<Post> = self.db.find::<Post>().await?;
        let comments = posts.iter().flat_map(|post| {
            (0..5).map(|n| NewComment { id: None, post_id: post.id, text: format!("Comment {n}"), votes: n })
        });
        self.db.insert_many(comments).await.map(|_| ())
    }

    async fn find_by_id(&self) -> Result<Pairs, Failure> {
        let users = self.users();
        let ours = async |i: usize| {
            self.db.get::<User>(self.ids[i % self.ids.len()]).await?.ok_or("lost")?;
            Ok(())
        };
        let peer = async |i: usize| {
            let id = self.ids[i % self.ids.len()].object_id();
            users.find_one(doc! { "_id": id }).await?.ok_or("lost")?;
            Ok(())
        };
        in_turn(self.rounds, 300, ours, peer).await
    }

    async fn find_50(&self) -> Result<Pairs, Failure> {
        let users = self.users();
        let ours = async |_| {
            let find = self.db.find::<User>().filter(|f| f.age.gte(10) & f.visits.gt(0));
            assert_eq!(find.sort(|f| (f.age.asc(), f.id.asc())).limit(50).await?.len(), 50);
            Ok(())
        };
        let peer = async |_| {
            let find = users.find(doc! { "age": { "$gte": 10 }, "visits": { "$gt": 0_i64 } });
            let cursor = find.sort(doc! { "age": 1, "_id": 1 }).limit(50).await?;
            assert_eq!(cursor.try_collect::<Vec<RawUser>>().await?.len(), 50);
            Ok(())
        };
        in_turn(self.rounds, 40, ours, peer).await
    }

    async fn insert_one(&self) -> Result<Pairs, Failure> {
        let users = self.users();
        let ours = async |i: usize| {
            self.db.insert(new_user(1000 + i)).await?;
            Ok(())
        };
        let peer = async |i: usize| {
            users.insert_one(raw_user(1000 + i)).await?;
            Ok(())
        };
        let pairs = in_turn(self.rounds, 200, ours, peer).await;
        self.remove_extra().await?;
        pairs
    }

    async fn insert_many(&self) -> Result<Pairs, Failure> {
        const DOCUMENTS: usize = 10_000;
        let users = self.users();
        let ours = async |_| {
            self.db.insert_many((0..DOCUMENTS).map(|i| new_user(1000 + i))).await?;
            Ok(())
        };
        let peer = async |_| {
            users.insert_many((0..DOCUMENTS).map(|i| raw_user(1000 + i))).await?;
            Ok(())
        };
        let mut pairs = Pairs::default();
        // A server that is slow at inserts would make every round take long.
        for round in 0..=self.rounds.min(5) {
            let once = in_turn(0, 1, &ours, &peer).await?;
            self.remove_extra().await?;
            let (ours, peer) = once.last();
            pairs.warm(round, ours / DOCUMENTS as f64, peer / DOCUMENTS as f64);
        }
        Ok(pairs)
    }

    async fn hydrate(&self) -> Result<Pairs, Failure> {
        let ours = async |_| {
            let users = self.db.find::<User>().include(|f| f.posts.include(|p| p.comments)).await?;
            assert_eq!(comments_of(&users), 5000);
            Ok(())
        };
        let peer = async |_| {
            let users = self.hydrate_by_hand().await?;
            assert_eq!(
                users.iter().flat_map(|user| &user.posts).map(|post| post.comments.len()).sum::<usize>(),
                5000
            );
            Ok(())
        };
        in_turn(self.rounds, 1, ours, peer).await
    }

    async fn hydrate_by_hand(&self) -> mongodb::error::Result<Vec<RawUser>> {
        let mut users: Vec<RawUser> = self.users().find(doc! {}).await?.try_collect().await?;
        let ids: Vec<_> = users.iter().map(|user| user.id).collect();
        let posts: Collection<RawPost> = self.raw.collection("bench_posts");
        let posts: Vec<RawPost> = posts.find(doc! { "user_id": { "$in": ids } }).await?.try_collect().await?;
        let ids: Vec<_> = posts.iter().map(|post| post.id).collect();
        let comments: Collection<RawComment> = self.raw.collection("bench_comments");
        let comments: Vec<RawComment> =
            comments.find(doc! { "post_id": { "$in": ids } }).await?.try_collect().await?;
        let mut by_post: HashMap<ObjectId, Vec<RawComment>> = HashMap::new();
        for comment in comments {
            by_post.entry(comment.post_id).or_default().push(comment);
        }
        let mut by_user: HashMap<ObjectId, Vec<RawPost>> = HashMap::new();
        for mut post in posts {
            post.comments = by_post.remove(&post.id).unwrap_or_default();
            by_user.entry(post.user_id).or_default().push(post);
        }
        for user in &mut users {
            user.posts = by_user.remove(&user.id).unwrap_or_default();
        }
        Ok(users)
    }

    async fn remove_extra(&self) -> mongodb::error::Result<()> {
        let kept: Vec<_> = self.ids.iter().map(|id| id.object_id()).collect();
        self.users().delete_many(doc! { "_id": { "$nin": kept } }).await.map(|_| ())
    }
}

/// Measures both sides in turn; who goes first changes from round to round. The first round only warms up.
async fn in_turn(
    rounds: usize,
    n: usize,
    ours: impl AsyncFn(usize) -> Result<(), Failure>,
    peer: impl AsyncFn(usize) -> Result<(), Failure>,
) -> Result<Pairs, Failure> {
    let mut pairs = Pairs::default();
    for round in 0..=rounds {
        let (a, b) = if round.is_multiple_of(2) {
            let a = measure(n, &ours).await?;
            (a, measure(n, &peer).await?)
        } else {
            let b = measure(n, &peer).await?;
            (measure(n, &ours).await?, b)
        };
        if rounds == 0 {
            pairs.push(a, b);
        } else {
            pairs.warm(round, a, b);
        }
    }
    Ok(pairs)
}

/// Processor time of each of `n` units of work, in microseconds.
async fn measure(n: usize, work: &impl AsyncFn(usize) -> Result<(), Failure>) -> Result<f64, Failure> {
    let span = Span::start();
    for i in 0..n {
        work(i).await?;
    }
    Ok(span.cpu_micros_each(n))
}

fn comments_of(users: &[User]) -> usize {
    users.iter().flat_map(|user| user.posts.iter()).map(|post| post.comments.get().len()).sum()
}

fn new_post(user_id: Id<User>, n: i32) -> NewPost {
    NewPost { id: None, user_id, title: format!("Post {n}"), body: "Some text. ".repeat(10), likes: n }
}
