use bson::doc;
use forge_core::ir::{
    Area, Compound, Filter, IndexSearch, Path, RangeEnd, RankedBy, Ranking, SCORE, Search, SearchOperator,
    Select, SortKey, TextQuery, VectorSearch,
};
use forge_core::model::{ModelDef, ModelRef, Similarity, VectorDef};
use forge_core::{ErrorCode, GeoPoint, GeoPolygon};

use crate::artifact::Command;
use crate::compile::{self, Joined, Lookup};

static POST: ModelDef = ModelDef {
    soft_delete: true,
    vectors: &[VectorDef { path: "embedding", dims: 2, similarity: Similarity::Cosine, filters: &["topic"] }],
    ..ModelDef::new("Post", "posts", &[], 0)
};

fn select(search: Search) -> Select {
    Select { search: Some(Box::new(search)), ..Select::new(ModelRef(&POST)) }
}

fn near() -> VectorSearch {
    VectorSearch {
        path: "embedding".into(),
        vector: vec![1.0, 0.5],
        limit: 10,
        candidates: None,
        exact: false,
    }
}

fn text(query: &str) -> SearchOperator {
    SearchOperator::Text { query: query.into(), paths: vec![Path::Borrowed("title")], fuzzy: 1 }
}

fn json(op: &Select) -> String {
    match compile::select(op).unwrap().command {
        Command::Aggregate { pipeline } => serde_json::to_string(&pipeline).unwrap(),
        Command::Find { filter, projection, sort, .. } => {
            serde_json::to_string(&doc! { "filter": filter, "projection": projection, "sort": sort }).unwrap()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn vectors_are_searched_with_the_filter_inside() {
    let mut op = select(Search::Vector(near()));
    op.filter = Filter::eq("topic", "x").and(compile::not_deleted());
    (op.limit, op.skip, op.score) = (Some(5), Some(2), true);
    insta::assert_snapshot!(json(&op), @r#"[{"$vectorSearch":{"index":"embedding_vector_index","path":"embedding","queryVector":[1.0,0.5],"numCandidates":100,"limit":7,"filter":{"topic":"x","deletedAt":null}}},{"$set":{"__forge_score":{"$meta":"vectorSearchScore"}}},{"$skip":2},{"$limit":5}]"#);
    let exact = select(Search::Vector(VectorSearch { exact: true, ..near() }));
    insta::assert_snapshot!(json(&exact), @r#"[{"$vectorSearch":{"index":"embedding_vector_index","path":"embedding","queryVector":[1.0,0.5],"exact":true,"limit":10}}]"#);
}

#[test]
fn what_a_vector_index_does_not_know_is_refused() {
    let other = Select { filter: Filter::eq("title", "x"), ..select(Search::Vector(near())) };
    let longer = select(Search::Vector(VectorSearch { vector: vec![1.0; 3], ..near() }));
    let elsewhere = select(Search::Vector(VectorSearch { path: "title".into(), ..near() }));
    for op in [other, longer, elsewhere] {
        assert_eq!(compile::select(&op).unwrap_err().code(), ErrorCode::BadRequest, "{op:?}");
    }
}

#[test]
fn search_operators_are_spelt_as_atlas_does() {
    let compound = SearchOperator::Compound(Box::new(Compound {
        must: vec![text("cofee")],
        should: vec![SearchOperator::Boost {
            operator: Box::new(SearchOperator::Phrase { query: "a b".into(), paths: vec![], slop: 2 }),
            factor: 3.0,
        }],
        must_not: vec![SearchOperator::Equals { path: "topic".into(), value: "tea".into() }],
        filter: vec![SearchOperator::Exists { path: "body".into() }],
        minimum_should_match: Some(1),
    }));
    let mut op = select(Search::Index(IndexSearch { index: None, operator: compound }));
    op.filter = Filter::eq("year", 2000);
    op.sort = vec![
        SortKey { path: SCORE.into(), descending: true },
        SortKey { path: "year".into(), descending: false },
    ];
    insta::assert_snapshot!(json(&op), @r#"[{"$search":{"index":"forge_posts_search","compound":{"must":[{"text":{"query":"cofee","path":"title","fuzzy":{"maxEdits":1}}}],"mustNot":[{"equals":{"path":"topic","value":"tea"}}],"should":[{"phrase":{"query":"a b","path":{"wildcard":"*"},"slop":2,"score":{"boost":{"value":3.0}}}}],"filter":[{"exists":{"path":"body"}}],"minimumShouldMatch":1}}},{"$match":{"year":2000}},{"$set":{"__forge_score":{"$meta":"searchScore"}}},{"$sort":{"__forge_score":-1,"year":1}},{"$unset":"__forge_score"}]"#);
    let typed = SearchOperator::Autocomplete { query: "cof".into(), path: "title".into(), fuzzy: 0 };
    let op = select(Search::Index(IndexSearch { index: Some("own".into()), operator: typed }));
    insta::assert_snapshot!(json(&op), @r#"[{"$search":{"index":"own","autocomplete":{"query":"cof","path":"title"}}}]"#);
}

#[test]
fn values_are_searched_as_atlas_does() {
    let end = |value: i32, included| Some(Box::new(RangeEnd { value: value.into(), included }));
    let corner = |longitude, latitude| GeoPoint::new(longitude, latitude).unwrap();
    let path = || Path::Borrowed("at");
    let all = [
        SearchOperator::In { path: path(), values: vec!["a".into(), "b".into()] },
        SearchOperator::In { path: path(), values: vec![] },
        SearchOperator::Range { path: path(), low: end(1, true), high: end(5, false) },
        SearchOperator::Range { path: path(), low: end(1, false), high: None },
        SearchOperator::Near { path: path(), origin: corner(16.0, 48.0).into(), pivot: 500.0 },
        SearchOperator::WithinCircle { path: path(), centre: [16.0, 48.0], metres: 500.0 },
        SearchOperator::Within {
            path: path(),
            area: Area::Box { west: 1.0, south: 2.0, east: 3.0, north: 4.0 },
        },
        SearchOperator::Within {
            path: path(),
            area: Area::Polygon(
                GeoPolygon::new(vec![corner(0.0, 0.0), corner(1.0, 0.0), corner(1.0, 1.0)]).unwrap(),
            ),
        },
        SearchOperator::Pattern { query: "cof*".into(), paths: vec![], regex: false },
        SearchOperator::Pattern { query: "cof.*".into(), paths: vec![path()], regex: true },
        SearchOperator::Constant { operator: Box::new(text("x")), score: 2.0 },
        SearchOperator::Boost {
            operator: Box::new(SearchOperator::Constant { operator: Box::new(text("x")), score: 2.0 }),
            factor: 3.0,
        },
    ];
    let should = SearchOperator::Compound(Box::new(Compound { should: all.into(), ..Compound::default() }));
    let op = select(Search::Index(IndexSearch { index: None, operator: should }));
    insta::assert_snapshot!(json(&op), @r#"[{"$search":{"index":"forge_posts_search","compound":{"should":[{"in":{"path":"at","value":["a","b"]}},{"exists":{"path":"__forge_nowhere"}},{"range":{"path":"at","gte":1,"lt":5}},{"range":{"path":"at","gt":1}},{"near":{"path":"at","origin":{"type":"Point","coordinates":[16.0,48.0]},"pivot":500.0}},{"geoWithin":{"path":"at","circle":{"center":{"type":"Point","coordinates":[16.0,48.0]},"radius":500.0}}},{"geoWithin":{"path":"at","box":{"bottomLeft":{"type":"Point","coordinates":[1.0,2.0]},"topRight":{"type":"Point","coordinates":[3.0,4.0]}}}},{"geoWithin":{"path":"at","geometry":{"type":"Polygon","coordinates":[[[0.0,0.0],[1.0,0.0],[1.0,1.0],[0.0,0.0]]]}}},{"wildcard":{"query":"cof*","path":{"wildcard":"*"},"allowAnalyzedField":true}},{"regex":{"query":"cof.*","path":"at","allowAnalyzedField":true}},{"text":{"query":"x","path":"title","fuzzy":{"maxEdits":1},"score":{"constant":{"value":2.0}}}},{"compound":{"must":[{"text":{"query":"x","path":"title","fuzzy":{"maxEdits":1},"score":{"constant":{"value":2.0}}}}],"score":{"boost":{"value":3.0}}}}]}}}]"#);
    let across = Area::Box { west: 170.0, south: 2.0, east: -170.0, north: 4.0 };
    let across = SearchOperator::Within { path: path(), area: across };
    let op = select(Search::Index(IndexSearch { index: None, operator: across }));
    assert_eq!(compile::select(&op).unwrap_err().code(), ErrorCode::Unsupported);
}

#[test]
fn rankings_are_fused_each_with_the_filter() {
    let ranking = |name: &str, weight, by| Ranking { name: name.into(), weight, limit: 50, by };
    let mut op = select(Search::Fusion(vec![
        ranking("text", 0.4, RankedBy::Text(TextQuery { query: "coffee".into(), ..TextQuery::default() })),
        ranking("vector", 0.6, RankedBy::Vector(near())),
        ranking("search", 1.0, RankedBy::Index(IndexSearch { index: None, operator: text("coffee") })),
    ]));
    op.filter = Filter::eq("topic", "x");
    (op.limit, op.score) = (Some(3), true);
    insta::assert_snapshot!(json(&op), @r#"[{"$rankFusion":{"input":{"pipelines":{"text":[{"$match":{"topic":"x","$text":{"$search":"coffee"}}},{"$sort":{"__forge_score":{"$meta":"textScore"}}},{"$limit":50}],"vector":[{"$vectorSearch":{"index":"embedding_vector_index","path":"embedding","queryVector":[1.0,0.5],"numCandidates":500,"limit":50,"filter":{"topic":"x"}}}],"search":[{"$search":{"index":"forge_posts_search","text":{"query":"coffee","path":"title","fuzzy":{"maxEdits":1}}}},{"$match":{"topic":"x"}},{"$limit":50}]}},"combination":{"weights":{"text":0.4,"vector":0.6,"search":1.0}}}},{"$set":{"__forge_score":{"$meta":"score"}}},{"$limit":3}]"#);
}

#[test]
fn a_text_score_is_projected_and_sorted_by_where_it_is_asked_for() {
    let mut op = Select::new(ModelRef(&POST));
    op.sort = vec![SortKey { path: SCORE.into(), descending: true }];
    assert_eq!(compile::select(&op).unwrap_err().code(), ErrorCode::BadRequest);
    op.filter = Filter::Text(TextQuery { query: "x".into(), ..TextQuery::default() });
    op.score = true;
    insta::assert_snapshot!(json(&op), @r#"{"filter":{"$text":{"$search":"x"}},"projection":{"__forge_score":{"$meta":"textScore"}},"sort":{"__forge_score":{"$meta":"textScore"}}}"#);
}

#[test]
fn joins_of_the_server_begin_with_what_needs_no_join() {
    let mut inner = Joined { filter: Some(Filter::eq("name", "Ann")), ..Joined::default() };
    let reviewer =
        Lookup { from: "reviews", local: "_id", foreign: "author_id", condition: Joined::default() };
    let reviewed = inner.relate(reviewer);
    inner.filter = inner.filter.map(|filter| filter.and(reviewed));
    let mut joined = Joined::default();
    let related =
        joined.relate(Lookup { from: "authors", local: "author_id", foreign: "_id", condition: inner });
    joined.filter = Some(Filter::eq("year", 2000).and(related.negate()));
    assert_eq!(joined.own(), Filter::eq("year", 2000));
    let op = Select { limit: Some(5), ..Select::new(ModelRef(&POST)) };
    let Command::Aggregate { pipeline } = compile::select_joined(&op, &joined).unwrap().command else {
        panic!()
    };
    insta::assert_snapshot!(serde_json::to_string(&pipeline).unwrap(), @r#"[{"$match":{"year":2000}},{"$lookup":{"from":"authors","localField":"author_id","foreignField":"_id","pipeline":[{"$match":{"name":"Ann"}},{"$lookup":{"from":"reviews","localField":"_id","foreignField":"author_id","pipeline":[{"$limit":1},{"$project":{"_id":1}}],"as":"__forge_r0"}},{"$match":{"__forge_r0":{"$not":{"$size":0}}}},{"$unset":["__forge_r0"]},{"$limit":1},{"$project":{"_id":1}}],"as":"__forge_r0"}},{"$match":{"__forge_r0":{"$size":0}}},{"$unset":["__forge_r0"]},{"$limit":5}]"#);
}
