//! Models with indexes of every kind, a validator, views and a shard key.

#![allow(missing_docs, reason = "names of test models say what they are")]

use forge::prelude::*;

use forge::query::pipeline::{self, Stages};

use crate::courses::Enrolment;
use crate::models::Address;

/// One index of every kind that [`Indexed`](crate::models::Indexed) has not.
#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "kinds", shard_key(code = "hashed"))]
#[model(index("home.city"), index("home.country.code" = -1, name = "by_country"))]
#[model(index("past.city", code))]
#[model(index(code = "hashed"))]
#[model(index("$**", projection = r#"{ "secret": 0 }"#, name = "all"))]
#[model(index(rank, hidden))]
#[model(index(title, collation(locale = "en", strength = 2)))]
#[model(index(spot = "2d"))]
pub struct Kinds {
    #[model(id)]
    pub id: i64,
    #[model(default)]
    pub code: String,
    #[model(default)]
    pub rank: i32,
    #[model(default)]
    pub title: String,
    #[model(embed)]
    pub home: Option<Address>,
    #[model(embed_many, default)]
    pub past: Vec<Address>,
    pub spot: Option<Vec<f64>>,
    pub secret: Option<String>,
    pub more: Option<String>,
}

/// Its collection refuses what does not fit.
#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "checked", timestamps, json_schema(strict, error))]
pub struct Checked {
    #[model(id)]
    pub id: Id<Checked>,
    #[validate(length(min = 2, max = 10))]
    pub name: String,
    #[validate(range(min = 0, exclusive_max = 100))]
    pub rank: Option<i32>,
    pub at: Option<DateTime>,
    #[model(embed)]
    pub home: Option<Address>,
    #[model(embed_many, default)]
    pub past: Vec<Address>,
}

/// What views read.
#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "sales", index(region))]
pub struct Sale {
    #[model(id)]
    pub id: i64,
    pub region: String,
    pub amount: i32,
}

/// A view: computed by each read.
#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "region_totals", view(source = Sale, pipeline = totals))]
pub struct RegionTotal {
    #[model(id)]
    pub region: String,
    pub total: i64,
}

/// A view of a view.
#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "big_regions", view(source = RegionTotal, pipeline = big))]
pub struct BigRegion {
    #[model(id)]
    pub region: String,
    pub total: i64,
}

/// A stored view.
#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "stored_totals", view(source = Sale, pipeline = totals, materialized))]
pub struct StoredTotal {
    #[model(id)]
    pub region: String,
    #[model(index = -1)]
    pub total: i64,
}

/// A stored view that keeps what its pipeline does not name any more.
#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "merged_totals", view(source = Sale, pipeline = totals, materialized = merge))]
pub struct MergedTotal {
    #[model(id)]
    pub region: String,
    pub total: i64,
}

/// A view by a typed pipeline: how many students each course has, withdrawn enrolments left out.
#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "course_loads", view(source = Enrolment, pipeline = loads))]
pub struct CourseLoad {
    #[model(id)]
    pub course: String,
    pub hours: i32,
    pub students: i64,
}

fn loads() -> impl Stages {
    pipeline::of::<Enrolment>().lookup(|e| e.course).match_expr(|e| e.course.joined(|c| c.hours).gt(0)).group(
        |e| [e.course_id.named("_id")],
        |e| [e.course.joined(|c| c.hours).largest().named("hours"), count().named("students")],
    )
}

fn totals() -> &'static str {
    r#"[{ "$group": { "_id": "$region", "total": { "$sum": "$amount" } } }]"#
}

fn big() -> &'static str {
    r#"[{ "$match": { "total": { "$gte": 100 } } }]"#
}
