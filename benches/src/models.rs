//! The documents that benches use: Forge's models, and the same by hand for the raw driver.

use bson::oid::ObjectId;
use forge::prelude::*;
use serde::{Deserialize, Serialize};

/// Ten fields of the usual kinds.
#[derive(Debug, Clone, Model)]
#[model(collection = "bench_users")]
pub struct User {
    /// The id.
    #[model(id)]
    pub id: Id<User>,
    /// A name.
    pub name: String,
    /// An address.
    #[model(index)]
    pub email: String,
    /// Years.
    pub age: i32,
    /// A place.
    pub city: Option<String>,
    /// A flag.
    pub active: bool,
    /// A number.
    pub score: f64,
    /// A larger number.
    pub visits: i64,
    /// A moment.
    pub joined: DateTime,
    /// Words.
    pub tags: Vec<String>,
    /// What the user wrote.
    #[model(has_many(key = user_id))]
    pub posts: HasMany<Post>,
}

/// Something that a user wrote.
#[derive(Debug, Clone, Model)]
#[model(collection = "bench_posts")]
pub struct Post {
    /// The id.
    #[model(id)]
    pub id: Id<Post>,
    /// Who wrote it.
    pub user_id: Id<User>,
    /// A line.
    pub title: String,
    /// Some lines.
    pub body: String,
    /// A count.
    pub likes: i32,
    /// The author.
    #[model(belongs_to(key = user_id, on_delete = cascade))]
    pub user: BelongsTo<User>,
    /// What others said.
    #[model(has_many(key = post_id))]
    pub comments: HasMany<Comment>,
}

/// What somebody said of a post.
#[derive(Debug, Clone, Model)]
#[model(collection = "bench_comments")]
pub struct Comment {
    /// The id.
    #[model(id)]
    pub id: Id<Comment>,
    /// Of what.
    pub post_id: Id<Post>,
    /// A line.
    pub text: String,
    /// A count.
    pub votes: i32,
    /// The post.
    #[model(belongs_to(key = post_id, on_delete = cascade))]
    pub post: BelongsTo<Post>,
}

/// [`User`] by hand.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields of User")]
pub struct RawUser {
    #[serde(rename = "_id")]
    pub id: ObjectId,
    pub name: String,
    pub email: String,
    pub age: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
    pub active: bool,
    pub score: f64,
    pub visits: i64,
    pub joined: bson::DateTime,
    pub tags: Vec<String>,
    #[serde(skip)]
    pub posts: Vec<RawPost>,
}

/// [`Post`] by hand.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields of Post")]
pub struct RawPost {
    #[serde(rename = "_id")]
    pub id: ObjectId,
    pub user_id: ObjectId,
    pub title: String,
    pub body: String,
    pub likes: i32,
    #[serde(skip)]
    pub comments: Vec<RawComment>,
}

/// [`Comment`] by hand.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields of Comment")]
pub struct RawComment {
    #[serde(rename = "_id")]
    pub id: ObjectId,
    pub post_id: ObjectId,
    pub text: String,
    pub votes: i32,
}

/// The `n`th user.
pub fn new_user(n: usize) -> NewUser {
    NewUser {
        id: None,
        name: format!("User number {n}"),
        email: format!("user{n}@example.org"),
        age: (n % 90) as i32,
        city: Some(format!("City {}", n % 50)),
        active: n.is_multiple_of(2),
        score: n as f64 / 3.0,
        visits: n as i64 * 7,
        joined: DateTime::from_millis(1_600_000_000_000 + n as i64 * 1000),
        tags: vec!["a".to_owned(), format!("t{}", n % 10)],
    }
}

/// The `n`th user by hand.
pub fn raw_user(n: usize) -> RawUser {
    RawUser {
        id: ObjectId::new(),
        name: format!("User number {n}"),
        email: format!("user{n}@example.org"),
        age: (n % 90) as i32,
        city: Some(format!("City {}", n % 50)),
        active: n.is_multiple_of(2),
        score: n as f64 / 3.0,
        visits: n as i64 * 7,
        joined: bson::DateTime::from_millis(1_600_000_000_000 + n as i64 * 1000),
        tags: vec!["a".to_owned(), format!("t{}", n % 10)],
        posts: Vec::new(),
    }
}
