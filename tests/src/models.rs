//! The models of the conformance suite.

#![allow(missing_docs, reason = "names of test models say what they are")]

use forge::prelude::*;

/// Documents of any shape, read and written past the model.
#[derive(Debug, Clone, Model)]
#[model(collection = "items")]
pub struct Item {
    #[model(id)]
    pub id: i64,
}

/// One field of every kind.
#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "people", timestamps)]
#[model(index(age, name = -1))]
pub struct Person {
    #[model(id)]
    pub id: Id<Person>,
    #[model(unique)]
    #[validate(email)]
    pub email: String,
    #[validate(length(min = 1, max = 40))]
    pub name: String,
    #[validate(range(min = 0, max = 150))]
    pub age: Option<i32>,
    #[model(unique)]
    pub nickname: Option<String>,
    #[model(default)]
    pub tags: Vec<String>,
    #[model(default = 1.0)]
    pub score: f64,
    #[model(default)]
    pub visits: i64,
    #[model(default = "new")]
    pub status: String,
    #[model(embed)]
    pub address: Option<Address>,
    #[model(embed_many, default)]
    pub phones: Vec<Phone>,
    pub seen: Option<DateTime>,
    pub created_at: DateTime,
    pub updated_at: DateTime,
}

#[derive(Debug, Clone, PartialEq, Embed)]
pub struct Address {
    pub city: String,
    #[serde(rename = "postcode")]
    pub zip: Option<String>,
    #[model(embed)]
    pub country: Country,
}

#[derive(Debug, Clone, PartialEq, Embed)]
pub struct Country {
    pub code: String,
}

#[derive(Debug, Clone, PartialEq, Embed)]
pub struct Phone {
    pub kind: String,
    pub digits: String,
}

/// A person with nothing but what is required.
pub fn person(name: &str) -> NewPerson {
    NewPerson {
        id: None,
        email: format!("{}@example.org", name.to_lowercase()),
        name: name.to_owned(),
        age: None,
        nickname: None,
        tags: None,
        score: None,
        visits: None,
        status: None,
        address: None,
        phones: None,
        seen: None,
    }
}

#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "authors")]
pub struct Author {
    #[model(id)]
    pub id: i64,
    pub name: String,
    pub country: Option<String>,
    #[model(has_many(key = author_id))]
    pub books: HasMany<Book>,
    #[model(has_one(key = author_id))]
    pub bio: HasOne<Bio>,
}

#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "bios")]
pub struct Bio {
    #[model(id)]
    pub id: Uuid,
    pub text: String,
    pub author_id: i64,
    #[model(belongs_to(key = author_id, on_delete = cascade))]
    pub author: BelongsTo<Author>,
}

#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "publishers")]
pub struct Publisher {
    #[model(id)]
    pub name: String,
    pub city: Option<String>,
    #[model(has_many(key = publisher_id))]
    pub books: HasMany<Book>,
}

#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "books", timestamps, soft_delete)]
pub struct Book {
    #[model(id)]
    pub id: Id<Book>,
    pub title: String,
    pub year: i32,
    pub price: Option<f64>,
    pub author_id: Option<i64>,
    pub publisher_id: String,
    #[model(belongs_to(key = author_id, on_delete = set_null))]
    pub author: BelongsTo<Author>,
    #[model(belongs_to(key = publisher_id, on_delete = restrict))]
    pub publisher: BelongsTo<Publisher>,
    #[model(has_many(key = book_id))]
    pub reviews: HasMany<Review>,
    pub updated_at: DateTime,
    pub deleted_at: Option<DateTime>,
}

#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "reviews")]
pub struct Review {
    #[model(id)]
    pub id: i64,
    pub stars: i32,
    pub book_id: Id<Book>,
    #[model(belongs_to(key = book_id, on_delete = cascade))]
    pub book: BelongsTo<Book>,
}

/// Folders hold folders; a ring is possible.
#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "folders")]
pub struct Folder {
    #[model(id)]
    pub id: String,
    pub parent_id: Option<String>,
    #[model(belongs_to(key = parent_id, on_delete = cascade))]
    pub parent: BelongsTo<Folder>,
    #[model(has_many(key = parent_id))]
    pub children: HasMany<Folder>,
}

#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "files")]
pub struct File {
    #[model(id)]
    pub id: String,
    pub folder_id: String,
    #[model(belongs_to(key = folder_id, on_delete = cascade))]
    pub folder: BelongsTo<Folder>,
}

/// Keeps a file from going.
#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "locks")]
pub struct Lock {
    #[model(id)]
    pub id: String,
    pub file_id: String,
    #[model(belongs_to(key = file_id, on_delete = restrict))]
    pub file: BelongsTo<File>,
}

/// Does not care.
#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "bookmarks")]
pub struct Bookmark {
    #[model(id)]
    pub id: String,
    pub file_id: String,
    #[model(belongs_to(key = file_id, on_delete = no_action))]
    pub file: BelongsTo<File>,
}

#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "places")]
pub struct Place {
    #[model(id)]
    pub id: String,
    #[model(index = "2dsphere")]
    pub location: GeoPoint,
    pub open: bool,
}

/// One index of every kind.
#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "indexed")]
#[model(index(group, rank = -1))]
#[model(index(group, code, unique, name = "by_code"))]
#[model(index(rank, partial = r#"{ "rank": { "$gt": 5 } }"#, name = "high"))]
pub struct Indexed {
    #[model(id)]
    pub id: i64,
    pub group: String,
    pub code: String,
    pub rank: i32,
    #[model(index(sparse))]
    pub note: Option<String>,
    #[model(index(ttl = "7d"))]
    pub expires: Option<DateTime>,
}

/// Names in storage and JSON that are not those of Rust.
#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "renamed", timestamps)]
#[serde(rename_all = "camelCase")]
pub struct Renamed {
    #[model(id)]
    pub short_code: String,
    pub first_name: String,
    #[serde(rename = "mail")]
    pub email_address: Option<String>,
    #[model(embed)]
    pub home_base: HomeBase,
    pub parent_code: Option<String>,
    #[model(belongs_to(key = parent_code))]
    pub parent_of_it: BelongsTo<Renamed>,
}

#[derive(Debug, Clone, PartialEq, Embed)]
#[serde(rename_all = "camelCase")]
pub struct HomeBase {
    pub street_name: String,
    #[serde(rename = "no")]
    pub number: i32,
}
