//! The models that the examples of the guide use, and the examples themselves, as doctests.

#![allow(missing_docs, clippy::unimplemented, reason = "the guide says what they are; its blocks do not run")]

use forge::prelude::*;

/// An airport, keyed by its IATA code.
#[derive(Debug, Clone, Model)]
#[model(collection = "airports", timestamps, client(iata, name, city, state, location))]
#[model(index(state, city))]
pub struct Airport {
    #[model(id)]
    #[validate(length(equal = 3))]
    pub iata: String,
    #[model(text(weight = 10))]
    pub name: String,
    pub city: Option<String>,
    pub state: Option<String>,
    #[model(index = "2dsphere")]
    pub location: GeoPoint,
    #[model(has_many(key = origin_id))]
    pub departures: HasMany<Flight>,
}

#[derive(Debug, Clone, Model)]
#[model(collection = "flights", timestamps, soft_delete)]
#[model(index(origin_id, date = -1))]
pub struct Flight {
    #[model(id)]
    pub id: Id<Flight>,
    pub date: DateTime,
    pub delay: i32,
    pub distance: i32,
    pub gate: Option<String>,
    #[model(default)]
    pub changes: i32,
    pub origin_id: String,
    pub destination_id: String,
    #[model(belongs_to(key = origin_id, on_delete = cascade))]
    pub origin: BelongsTo<Airport>,
    #[model(belongs_to(key = destination_id, on_delete = restrict))]
    pub destination: BelongsTo<Airport>,
}

/// Land in one piece or in several.
#[derive(Debug, Clone, Model)]
pub struct Region {
    #[model(id)]
    pub id: Id<Region>,
    #[model(index = "2dsphere")]
    pub outline: GeoMultiPolygon,
}

/// Work that one of several takes.
#[derive(Debug, Clone, Model)]
pub struct Job {
    #[model(id)]
    pub id: Id<Job>,
    pub owner: Option<String>,
}

/// Who is signed in, by their token.
#[derive(Debug, Clone, Model)]
pub struct Session {
    #[model(id)]
    pub token: String,
    pub user: String,
    pub role: String,
    pub until: DateTime,
}

/// Money, so that it can be moved.
#[derive(Debug, Clone, Model)]
pub struct Account {
    #[model(id)]
    pub id: Id<Account>,
    pub balance: i64,
}

/// Goods, with a list of embeds and a version.
#[derive(Debug, Clone, Model)]
pub struct Order {
    #[model(id)]
    pub id: Id<Order>,
    #[model(version)]
    pub version: i64,
    pub price: i64,
    pub count: i64,
    pub total: i64,
    pub note: Option<String>,
    pub scores: Vec<i32>,
    #[model(embed_many)]
    pub items: Vec<Item>,
}

#[derive(Debug, Clone, PartialEq, Embed)]
pub struct Item {
    pub sku: String,
    pub qty: i32,
    pub discount: Option<f64>,
}

/// Something that is looked for by another key than its id.
#[derive(Debug, Clone, Model)]
pub struct Page {
    #[model(id)]
    pub id: Id<Page>,
    #[model(unique)]
    pub url: String,
    #[model(default)]
    pub hits: i64,
}

#[derive(Debug, Clone, Model)]
pub struct Author {
    #[model(id)]
    pub id: Id<Author>,
    pub name: String,
    #[model(has_many(key = author_id))]
    pub books: HasMany<Book>,
}

#[derive(Debug, Clone, Model)]
pub struct Book {
    #[model(id)]
    pub id: Id<Book>,
    pub title: String,
    pub author_id: Option<Id<Author>>,
    #[model(belongs_to(key = author_id, on_delete = set_null))]
    pub author: BelongsTo<Author>,
}

/// Something to search.
#[derive(Debug, Clone, Model)]
pub struct Post {
    #[model(id)]
    pub id: Id<Post>,
    #[model(text(weight = 10))]
    pub title: String,
    #[model(text)]
    pub body: String,
    pub topic: String,
    pub published: DateTime,
    #[model(vector(dims = 384, similarity = cosine, filter(topic)))]
    pub embedding: Vec<f32>,
}

/// Tells somebody.
///
/// # Errors
/// Where the mail does not go out.
pub async fn send_receipt(_account: Id<Account>) -> Result<()> {
    Ok(())
}

/// Tells somebody.
///
/// # Errors
/// Where the mail does not go out.
pub async fn send_invoice(_order: Id<Order>) -> Result<()> {
    Ok(())
}

/// A token for who knows the password.
///
/// # Errors
/// For everybody else.
pub async fn token_for(_db: &Db, _sent: Option<serde_json::Value>) -> Result<String> {
    Err(forge::Error::unauthorized("nobody has a password"))
}

/// A value that a block takes as given. Blocks are compiled, not run.
///
/// # Panics
/// Always.
pub fn given<T>() -> T {
    unimplemented!("blocks of the guide do not run")
}

#[cfg(doctest)]
mod pages {
    include!(concat!(env!("OUT_DIR"), "/pages.rs"));
}
