//! Models with words and vectors to search by.

#![allow(missing_docs, reason = "names of test models say what they are")]

use forge::prelude::*;

#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "articles", soft_delete)]
pub struct Article {
    #[model(id)]
    pub id: i64,
    #[model(text(weight = 10), search(string, autocomplete))]
    pub title: String,
    #[model(text)]
    pub body: Option<String>,
    #[model(text(weight = 2))]
    pub tags: Vec<String>,
    #[model(search)]
    pub year: i32,
    #[model(search(token))]
    pub topic: Option<String>,
    #[model(search)]
    pub published: Option<DateTime>,
    #[model(search)]
    pub written_at: Option<GeoPoint>,
    #[model(vector(dims = 3, similarity = cosine, filter(year)))]
    pub embedding: Option<Vec<f32>>,
    #[model(vector(dims = 2, similarity = euclidean))]
    pub place: Option<Vec<f32>>,
}

pub fn article(id: i64, title: &str, body: &str) -> NewArticle {
    NewArticle {
        id,
        title: title.to_owned(),
        body: Some(body.to_owned()),
        tags: Vec::new(),
        year: 2000,
        topic: None,
        published: None,
        written_at: None,
        embedding: None,
        place: None,
    }
}

/// An area that is served, with fields to compare.
#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "zones")]
pub struct Zone {
    #[model(id)]
    pub id: String,
    #[model(index = "2dsphere")]
    pub area: GeoPolygon,
    pub centre: Option<GeoPoint>,
    pub open_from: i32,
    pub open_until: Option<i32>,
    pub last_seen: Option<i32>,
    pub scores: Vec<i32>,
    pub names: Vec<String>,
}

pub fn zone(id: &str, area: GeoPolygon) -> NewZone {
    NewZone {
        id: id.to_owned(),
        area,
        centre: None,
        open_from: 8,
        open_until: None,
        last_seen: None,
        scores: Vec::new(),
        names: Vec::new(),
    }
}
