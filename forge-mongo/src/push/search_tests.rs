//! The commands of search indexes, as they are recorded: no free server takes them.

use std::sync::Arc;

use bson::{Document, doc};
use forge_core::adapter::{Adapter, PushAction, PushKind, PushPlan, PushSettings};
use forge_core::model::{ModelDef, SearchDef, SearchKind, Similarity, VectorDef};
use forge_core::{Catalog, ErrorCode};

use crate::testing::{AIRPORT, Fake};

static POST: ModelDef = ModelDef {
    soft_delete: true,
    vectors: &[VectorDef { path: "embedding", dims: 2, similarity: Similarity::Cosine, filters: &["topic"] }],
    search: Some(SearchDef {
        dynamic: false,
        analyzer: Some("lucene.german"),
        fields: &[
            ("title", SearchKind::Words),
            ("title", SearchKind::Autocomplete),
            ("home", SearchKind::Documents),
            ("year", SearchKind::Numbers),
        ],
    }),
    ..ModelDef::new("Post", "posts", AIRPORT.fields, 0)
};

fn words() -> Document {
    doc! {
        "analyzer": "lucene.german",
        "mappings": { "dynamic": false, "fields": {
            "title": [{ "type": "string" }, { "type": "autocomplete" }],
            "home": [{ "type": "document", "dynamic": true }],
            "year": [{ "type": "number" }],
        } },
    }
}

fn vectors() -> Document {
    doc! { "fields": [
        { "type": "vector", "path": "embedding", "numDimensions": 2_i64, "similarity": "cosine" },
        { "type": "filter", "path": "topic" },
        { "type": "filter", "path": "deletedAt" },
    ] }
}

/// Pushes to a server with search indexes, of which these are there.
async fn push(listed: Vec<Document>, settings: &PushSettings) -> (PushPlan, Vec<Document>) {
    let mut fake = Fake::new([("posts", listed)]);
    (fake.capabilities.search, fake.capabilities.index_search) = (true, true);
    push_to(fake, settings).await
}

async fn push_to(fake: Fake, settings: &PushSettings) -> (PushPlan, Vec<Document>) {
    let fake = Arc::new(fake);
    let catalog = Arc::new(Catalog::new([&POST]).unwrap());
    let adapter = crate::MongoAdapter::new(fake.clone(), catalog.clone());
    let plan = adapter.push_with("test", &catalog, settings).await.unwrap();
    let sent = fake.admin.lock().unwrap().iter().map(|(_, command)| command.clone()).collect();
    (plan, sent)
}

fn actions(plan: &PushPlan) -> Vec<(&str, PushAction)> {
    let steps = plan.steps.iter().filter(|step| step.kind == PushKind::SearchIndex);
    steps.map(|step| (step.index.as_str(), step.action)).collect()
}

const VECTORS: &str = "embedding_vector_index";
const WORDS: &str = "forge_posts_search";

#[tokio::test]
async fn missing_indexes_are_created_on_a_collection_that_exists() {
    let (plan, sent) = push(Vec::new(), &PushSettings::apply()).await;
    assert_eq!(actions(&plan), [(VECTORS, PushAction::Create), (WORDS, PushAction::Create)]);
    let vectors = doc! { "name": VECTORS, "type": "vectorSearch", "definition": vectors() };
    let words = doc! { "name": WORDS, "type": "search", "definition": words() };
    for wanted in [vectors, words] {
        assert!(sent.contains(&doc! { "createSearchIndexes": "posts", "indexes": [wanted] }), "{sent:?}");
    }
    let (plan, sent) = push(Vec::new(), &PushSettings::plan()).await;
    assert_eq!(plan.count(PushAction::Create), 3, "the index of the soft delete, too");
    assert!(!sent.iter().any(|command| command.contains_key("createSearchIndexes")), "{sent:?}");
}

#[tokio::test]
async fn what_servers_add_to_a_definition_makes_no_difference() {
    // One kind without a list, options in their full form, other numbers.
    let words = doc! {
        "analyzer": "lucene.german", "searchAnalyzer": "lucene.german", "storedSource": false,
        "mappings": { "dynamic": false, "fields": {
            "year": { "type": "number", "indexIntegers": true },
            "title": [{ "type": "autocomplete", "minGrams": 2 }, { "type": "string", "indexOptions": "offsets" }],
            "home": { "type": "document", "dynamic": true, "fields": {} },
        } },
    };
    let mut vectors = vectors();
    vectors.get_array_mut("fields").unwrap()[0].as_document_mut().unwrap().insert("numDimensions", 2);
    vectors.get_array_mut("fields").unwrap().reverse();
    let listed = vec![
        doc! { "name": VECTORS, "type": "vectorSearch", "status": "READY", "latestDefinition": vectors },
        doc! { "name": WORDS, "type": "search", "status": "BUILDING", "latestDefinition": words },
        doc! { "name": "by_hand", "type": "search", "status": "READY", "latestDefinition": {} },
    ];
    let (plan, _) = push(listed, &PushSettings::apply()).await;
    let expected = [(VECTORS, PushAction::Keep), (WORDS, PushAction::Keep), ("by_hand", PushAction::Extra)];
    assert_eq!(actions(&plan), expected);
    let building = plan.steps.iter().find(|step| step.index == WORDS).unwrap();
    assert!(building.note.as_ref().is_some_and(|note| note.contains("building")), "{building:?}");
}

#[tokio::test]
async fn other_definitions_are_updated_and_other_types_left_to_a_person() {
    let mut other = words();
    other.get_document_mut("mappings").unwrap().insert("dynamic", true);
    let listed = vec![
        doc! { "name": WORDS, "type": "search", "status": "READY", "latestDefinition": other },
        doc! { "name": VECTORS, "type": "search", "status": "READY", "latestDefinition": {} },
    ];
    let (plan, sent) = push(listed, &PushSettings::apply()).await;
    assert_eq!(actions(&plan), [(VECTORS, PushAction::Conflict), (WORDS, PushAction::Modify)]);
    let update = doc! { "updateSearchIndex": "posts", "name": WORDS, "definition": words() };
    assert!(sent.contains(&update), "{sent:?}");
    let failed = doc! { "name": WORDS, "type": "search", "status": "FAILED", "latestDefinition": words() };
    let (plan, _) = push(vec![failed], &PushSettings::apply()).await;
    assert_eq!(actions(&plan)[1], (WORDS, PushAction::Conflict));
}

#[tokio::test]
async fn a_server_without_them_is_told_of_as_a_skip() {
    let (plan, sent) = push_to(Fake::new([]), &PushSettings::apply()).await;
    assert_eq!(actions(&plan), [(VECTORS, PushAction::Skip), (WORDS, PushAction::Skip)]);
    let steps = plan.steps.iter().filter(|step| step.kind == PushKind::SearchIndex);
    assert!(steps.into_iter().all(|step| step.note.as_ref().is_some_and(|note| note.contains("Atlas"))));
    assert!(!sent.iter().any(|command| command.contains_key("createSearchIndexes")), "{sent:?}");
    let mut vectors_alone = Fake::new([]);
    vectors_alone.capabilities.search = true;
    let (plan, _) = push_to(vectors_alone, &PushSettings::plan()).await;
    let mut found = actions(&plan);
    found.sort_by_key(|(name, _)| *name);
    assert_eq!(found, [(VECTORS, PushAction::Create), (WORDS, PushAction::Skip)]);
}

#[test]
fn what_the_index_does_not_keep_is_refused() {
    use forge_core::ir::{IndexSearch, Search, SearchOperator, Select};
    use forge_core::model::ModelRef;
    let run = |operator: SearchOperator, index: Option<&str>| {
        let search = Search::Index(IndexSearch { index: index.map(str::to_owned), operator });
        let select = Select { search: Some(Box::new(search)), ..Select::new(ModelRef(&POST)) };
        crate::compile::select(&select).map(|_| ()).map_err(|error| (error.code(), error.to_string()))
    };
    let text =
        |path: &'static str| SearchOperator::Text { query: "x".into(), paths: vec![path.into()], fuzzy: 0 };
    let typed =
        |path: &'static str| SearchOperator::Autocomplete { query: "x".into(), path: path.into(), fuzzy: 0 };
    let equals = |path: &'static str, value: bson::Bson| SearchOperator::Equals { path: path.into(), value };
    let range = |path: &'static str, value: bson::Bson| SearchOperator::Range {
        path: path.into(),
        low: Some(Box::new(forge_core::ir::RangeEnd { value, included: true })),
        high: None,
    };
    let circle = |path: &'static str| SearchOperator::WithinCircle {
        path: path.into(),
        centre: [16.0, 48.0],
        metres: 5.0,
    };
    for (operator, needed) in [
        (text("body"), Some("search(string)")),
        (text("title"), None),
        (text("home.city"), None),
        (text("homes"), Some("search(string)")),
        (typed("title"), None),
        (typed("home.city"), Some("search(autocomplete)")),
        (equals("year", 5.into()), None),
        (equals("title", "x".into()), Some("search(token)")),
        (range("year", 5.into()), None),
        (range("title", "x".into()), Some("search(token)")),
        (SearchOperator::In { path: "title".into(), values: vec!["x".into()] }, Some("search(token)")),
        (SearchOperator::Near { path: "year".into(), origin: 5.into(), pivot: 1.0 }, None),
        (circle("year"), Some("as a place")),
        (circle("home.at"), Some("as a place")),
        (SearchOperator::Exists { path: "body".into() }, Some("#[model(search)]")),
        (SearchOperator::Boost { operator: Box::new(text("body")), factor: 2.0 }, Some("search(string)")),
    ] {
        match (run(operator.clone(), None), needed) {
            (Ok(()), None) => {}
            (Err((ErrorCode::BadRequest, message)), Some(needed)) => {
                assert!(message.contains(needed), "{message}");
            }
            (answer, _) => panic!("{operator:?}: {answer:?}"),
        }
        assert!(run(operator, Some("by_hand")).is_ok(), "another index is not known");
    }
}
