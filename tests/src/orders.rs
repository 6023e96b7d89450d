//! Models for tests of writes.

#![allow(missing_docs, reason = "names of test models say what they are")]

use forge::prelude::*;

/// One field for every kind of change.
#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "orders", timestamps)]
pub struct Order {
    #[model(id)]
    pub id: Id<Order>,
    #[model(unique)]
    pub number: String,
    #[model(version)]
    pub version: i64,
    #[validate(range(min = 0, max = 1_000_000))]
    pub total: i32,
    pub note: Option<String>,
    #[validate(custom(function = civil))]
    pub remark: Option<String>,
    #[model(default)]
    pub flags: i32,
    #[model(default)]
    pub scores: Vec<i32>,
    #[model(embed_many, default)]
    pub items: Vec<Line>,
    #[model(embed)]
    pub parcel: Option<Parcel>,
    pub paid: Option<DateTime>,
    #[model(readonly, default)]
    pub reviewed: bool,
    #[model(private)]
    pub secret: Option<String>,
    pub updated_at: DateTime,
}

/// A rule that no schema can say.
fn civil(remark: &str) -> Result<(), validator::ValidationError> {
    if remark.contains('!') { Err(validator::ValidationError::new("civil")) } else { Ok(()) }
}

#[derive(Debug, Clone, PartialEq, Embed)]
pub struct Line {
    pub sku: String,
    pub qty: i32,
    pub marks: Vec<i32>,
    #[model(embed_many)]
    pub parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Embed)]
pub struct Part {
    pub name: String,
    pub count: i32,
}

#[derive(Debug, Clone, PartialEq, Embed)]
pub struct Parcel {
    pub weight: f64,
    pub labels: Vec<String>,
}

/// An order with nothing but what is required.
pub fn order(number: &str) -> NewOrder {
    NewOrder {
        id: None,
        number: number.to_owned(),
        total: 0,
        note: None,
        remark: None,
        flags: None,
        scores: None,
        items: None,
        parcel: None,
        paid: None,
        reviewed: None,
        secret: None,
    }
}

pub fn line(sku: &str, qty: i32) -> Line {
    Line { sku: sku.to_owned(), qty, marks: Vec::new(), parts: Vec::new() }
}

/// A team with members, one of whom leads it.
#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "teams")]
pub struct Team {
    #[model(id)]
    pub id: Id<Team>,
    #[validate(length(min = 1))]
    pub name: String,
    pub city_id: Option<String>,
    #[model(belongs_to(key = city_id, on_delete = set_null))]
    pub city: BelongsTo<Town>,
    #[model(has_many(key = team_id))]
    pub members: HasMany<Member>,
    #[model(has_many(key = team_id))]
    pub badges: HasMany<Badge>,
    #[model(has_one(key = leads_id))]
    pub leader: HasOne<Member>,
}

#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "towns")]
pub struct Town {
    #[model(id)]
    #[validate(length(equal = 3))]
    pub code: String,
}

#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "members", timestamps, soft_delete)]
pub struct Member {
    #[model(id)]
    pub id: i64,
    #[validate(length(min = 1))]
    pub name: String,
    #[model(version)]
    pub version: i32,
    pub team_id: Option<Id<Team>>,
    #[model(belongs_to(key = team_id, on_delete = set_null))]
    pub team: BelongsTo<Team>,
    pub leads_id: Option<Id<Team>>,
    #[model(belongs_to(key = leads_id, on_delete = set_null))]
    pub leads: BelongsTo<Team>,
}

/// Cannot be without a team.
#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "badges")]
pub struct Badge {
    #[model(id)]
    pub id: i64,
    pub team_id: Id<Team>,
    #[model(belongs_to(key = team_id, on_delete = cascade))]
    pub team: BelongsTo<Team>,
}

pub fn team(name: &str) -> NewTeam {
    NewTeam { id: None, name: name.to_owned(), city_id: None }
}

pub fn member(id: i64) -> NewMember {
    NewMember { id, name: format!("M{id}"), team_id: None, leads_id: None }
}

#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "songs")]
pub struct Song {
    #[model(id)]
    pub id: i64,
    #[validate(length(min = 1))]
    pub title: String,
    #[model(many_to_many(through = Like, key = song_id, other = listener_id))]
    pub listeners: HasMany<Listener>,
}

/// Forgets songs that go.
#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "playlists", timestamps)]
pub struct Playlist {
    #[model(id)]
    pub id: i64,
    #[model(version)]
    pub version: i64,
    #[model(default)]
    pub song_ids: Vec<i64>,
    #[model(references_many(key = song_ids, on_delete = set_null))]
    pub songs: HasMany<Song>,
}

/// Goes with the first of its songs that goes.
#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "medleys")]
pub struct Medley {
    #[model(id)]
    pub id: i64,
    pub song_ids: Vec<i64>,
    #[model(references_many(key = song_ids, on_delete = cascade))]
    pub songs: HasMany<Song>,
}

/// Keeps its songs from going.
#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "contracts")]
pub struct Contract {
    #[model(id)]
    pub id: i64,
    pub song_ids: Vec<i64>,
    #[model(references_many(key = song_ids, on_delete = restrict))]
    pub songs: HasMany<Song>,
}

#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "listeners")]
pub struct Listener {
    #[model(id)]
    pub id: i64,
    #[model(many_to_many(through = Like, key = listener_id, other = song_id))]
    pub songs: HasMany<Song>,
}

/// Links a listener with a song.
#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "likes", timestamps)]
pub struct Like {
    #[model(id)]
    pub id: Id<Like>,
    pub listener_id: i64,
    pub song_id: i64,
    #[model(belongs_to(key = listener_id, on_delete = cascade))]
    pub listener: BelongsTo<Listener>,
    #[model(belongs_to(key = song_id, on_delete = cascade))]
    pub song: BelongsTo<Song>,
}

pub fn song(id: i64) -> NewSong {
    NewSong { id, title: format!("S{id}") }
}
