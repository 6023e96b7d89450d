//! The same work through Forge and through the raw driver with hand-written serde structs.

use std::collections::HashMap;

use bson::oid::ObjectId;
use bson::{RawDocumentBuf, doc};
use forge::{Db, Id};
use forge_benches::models::{
    NewComment, NewPost, Post, RawComment, RawPost, RawUser, User, new_user, raw_user,
};
use forge_benches::turns::{Failure, in_turn, measure};
use forge_benches::{Options, Pairs, Report};
use forge_core::codec;
use futures_util::TryStreamExt;
use mongodb::options::ReturnDocument;
use mongodb::{Client, Collection, Database};

use super::{DATABASE, SCRATCH};

/// How much more processor time than the raw driver Forge may take: for single operations, for many documents at once,
/// and for reading documents that have arrived.
const SINGLE: f64 = 1.05;
const MANY: f64 = 1.10;
const DECODING: f64 = 1.02;

/// Single operations of a round.
const OPERATIONS: usize = 320;

/// Both sides, with the same documents.
pub(super) struct Bench {
    db: Db,
    raw: Database,
    scratch: (Db, Database),
    rounds: usize,
    ids: Vec<Id<User>>,
}

impl Bench {
    /// Puts 100 users with 1,000 posts and 5,000 comments into the database.
    pub(super) async fn fill(db: Db, raw: Client, rounds: usize) -> forge::Result<Self> {
        let scratch = (db.database(SCRATCH), raw.database(SCRATCH));
        let db = db.database(DATABASE);
        let mut bench = Self { db, raw: raw.database(DATABASE), scratch, rounds, ids: Vec::new() };
        for n in 0..100 {
            let user = bench.db.insert(new_user(n)).await?;
            bench.ids.push(user.id);
            let posts: Vec<_> = (0..10).map(|p| new_post(user.id, p)).collect();
            bench.db.insert_many(posts).await?;
        }
        let posts: Vec<Post> = bench.db.find::<Post>().await?;
        let comments = posts.iter().flat_map(|post| {
            (0..5).map(|n| NewComment { id: None, post_id: post.id, text: format!("Comment {n}"), votes: n })
        });
        bench.db.insert_many(comments).await?;
        Ok(bench)
    }

    /// Measures every figure that was asked for.
    pub(super) async fn report(&self, options: &Options, report: &mut Report) -> Result<(), Failure> {
        macro_rules! compare {
            ($($name:literal, $bar:ident => $measure:ident($($callers:expr)?);)*) => {
                $(if options.wants($name) {
                    report.compare($name, &self.$measure($($callers)?).await?, "us", $bar);
                })*
            };
        }
        compare! {
            "find by id", SINGLE => find_by_id(1);
            "find by id, 16 callers", SINGLE => find_by_id(16);
            "find 50, filtered and sorted", SINGLE => find_50();
            "insert one", SINGLE => insert_one(1);
            "insert one, 16 callers", SINGLE => insert_one(16);
            "update one, answered with the document", SINGLE => update_one(1);
            "update one, 16 callers", SINGLE => update_one(16);
            "insert_many 10,000, each", MANY => insert_many();
            "decode 10,000 documents, each", DECODING => decode();
            "100 users, 1,000 posts, 5,000 comments", MANY => hydrate();
        }
        Ok(())
    }

    fn users(&self) -> Collection<RawUser> {
        self.raw.collection("bench_users")
    }

    async fn find_by_id(&self, callers: usize) -> Result<Pairs, Failure> {
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
        in_turn(self.rounds, OPERATIONS, callers, ours, peer).await
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
        in_turn(self.rounds, 40, 1, ours, peer).await
    }

    async fn insert_one(&self, callers: usize) -> Result<Pairs, Failure> {
        let (db, raw) = &self.scratch;
        let users: Collection<RawUser> = raw.collection("bench_users");
        let ours = async |i: usize| {
            db.insert(new_user(i)).await?;
            Ok(())
        };
        let peer = async |i: usize| {
            users.insert_one(raw_user(i)).await?;
            Ok(())
        };
        let pairs = in_turn(self.rounds, OPERATIONS, callers, ours, peer).await;
        users.drop().await?;
        pairs
    }

    async fn update_one(&self, callers: usize) -> Result<Pairs, Failure> {
        let users = self.users();
        let ours = async |i: usize| {
            let id = self.ids[i % self.ids.len()];
            let user = self.db.update::<User>(id).set(|f| f.score, i as f64).inc(|f| f.visits, 1_i64).await?;
            // Not its score: a fast server may answer with what another caller has set since.
            assert_eq!(user.id, id);
            Ok(())
        };
        let peer = async |i: usize| {
            let id = self.ids[i % self.ids.len()].object_id();
            let change = doc! { "$set": { "score": i as f64 }, "$inc": { "visits": 1_i64 } };
            let update = users.find_one_and_update(doc! { "_id": id }, change);
            let user = update.return_document(ReturnDocument::After).await?.ok_or("lost")?;
            assert_eq!(user.id, id);
            Ok(())
        };
        in_turn(self.rounds, OPERATIONS, callers, ours, peer).await
    }

    async fn insert_many(&self) -> Result<Pairs, Failure> {
        const DOCUMENTS: usize = 10_000;
        let (db, raw) = &self.scratch;
        let users: Collection<RawUser> = raw.collection("bench_users");
        let ours = async |_| {
            db.insert_many((0..DOCUMENTS).map(new_user)).await?;
            Ok(())
        };
        let peer = async |_| {
            users.insert_many((0..DOCUMENTS).map(raw_user)).await?;
            Ok(())
        };
        let mut pairs = Pairs::default();
        // A server that is slow at inserts would make every round take long.
        for round in 0..=self.rounds.min(9) {
            let mut each = [0.0; 2];
            for turn in 0..2 {
                let first = (round + turn).is_multiple_of(2);
                let took = if first { measure(1, &ours).await } else { measure(1, &peer).await };
                each[usize::from(!first)] = took? / DOCUMENTS as f64;
                users.drop().await?;
            }
            pairs.warm(round, each[0], each[1]);
        }
        Ok(pairs)
    }

    async fn decode(&self) -> Result<Pairs, Failure> {
        const DOCUMENTS: usize = 10_000;
        let users = (0..DOCUMENTS).map(raw_user);
        let stored: Vec<RawDocumentBuf> =
            users.map(|user| bson::serialize_to_raw_document_buf(&user)).collect::<Result<_, _>>()?;
        let ours = async |i: usize| {
            std::hint::black_box(codec::decode::<User>(&stored[i])?);
            Ok(())
        };
        let peer = async |i: usize| {
            std::hint::black_box(bson::deserialize_from_slice::<RawUser>(stored[i].as_bytes())?);
            Ok(())
        };
        in_turn(self.rounds, DOCUMENTS, 1, ours, peer).await
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
        in_turn(self.rounds, 1, 1, ours, peer).await
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
}

fn comments_of(users: &[User]) -> usize {
    users.iter().flat_map(|user| user.posts.iter()).map(|post| post.comments.get().len()).sum()
}

fn new_post(user_id: Id<User>, n: i32) -> NewPost {
    NewPost { id: None, user_id, title: format!("Post {n}"), body: "Some text. ".repeat(10), likes: n }
}
