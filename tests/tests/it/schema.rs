//! Kinds of indexes, validators, pruning and doctor.

use bson::{Bson, Document, doc};
use forge::adapter::{PushAction, PushKind, PushPlan, PushSettings, Severity};
use forge::{Catalog, ErrorCode};
use forge_mongo::Driver as _;
use forge_tests::engine::{catalog, skip};
use forge_tests::models::{Address, Country};
use forge_tests::schema_models::{Checked, Kinds, NewChecked, NewKinds};
use forge_tests::{Engine, Fixture, Result, conformance};

async fn push(t: &Fixture, settings: PushSettings) -> Result<PushPlan> {
    t.adapter.push_with(t.name(), &catalog(), &settings).await
}

fn action(plan: &PushPlan, collection: &str, index: &str) -> Option<PushAction> {
    let step = plan.steps.iter().find(|step| step.collection == collection && step.index == index);
    step.map(|step| step.action)
}

fn pruning() -> PushSettings {
    let mut settings = PushSettings::apply();
    settings.prune = true;
    settings
}

fn kinds(id: i64, city: &str) -> NewKinds {
    let home = Address { city: city.into(), zip: None, country: Country { code: "US".into() } };
    NewKinds {
        id,
        code: None,
        rank: None,
        title: None,
        past: Some(vec![home.clone()]),
        home: Some(home),
        spot: Some(vec![1.0, 2.0]),
        secret: Some("s".into()),
        more: Some(format!("m{id}")),
    }
}

fn checked(name: &str) -> NewChecked {
    NewChecked { id: None, name: name.into(), rank: Some(5), at: None, home: None, past: None }
}

conformance! {
    async fn every_kind_of_index_is_made_or_skipped_by_name_and_kept(t) {
        let first = push(t, PushSettings::apply()).await?;
        for step in first.steps.iter().filter(|step| step.collection == "kinds") {
            match step.action {
                PushAction::Create => {}
                PushAction::Skip => {
                    let note = step.note.clone().unwrap_or_default();
                    assert!(!note.is_empty(), "{step:?}");
                    skip(&format!("{}: {note}", step.index));
                }
                _ => panic!("{step:?}"),
            }
        }
        if t.engine != Engine::Server {
            for index in ["home.city_1", "by_country", "past.city_1_code_1", "code_hashed", "all", "rank_1", "spot_2d"] {
                assert_eq!(action(&first, "kinds", index), Some(PushAction::Create), "{index}");
            }
        }
        let again = push(t, PushSettings::apply()).await?;
        let unsettled: Vec<_> = again.steps.iter().filter(|step| !matches!(step.action, PushAction::Keep | PushAction::Skip)).collect();
        assert!(unsettled.is_empty(), "{unsettled:?}");
    }

    async fn indexes_inside_embeds_are_used(t) {
        push(t, PushSettings::apply()).await?;
        t.db.insert_many((0..20).map(|id| kinds(id, if id < 2 { "Salem" } else { "Bend" }))).await?;
        let explained = t.db.find::<Kinds>().filter(|k| k.home.city.eq("Salem")).explain().await?;
        assert_eq!(explained.steps[0].index.as_deref(), Some("home.city_1"), "{explained:?}");
        let found = t.db.find::<Kinds>().filter(|k| k.past.some(|a| a.city.eq("Salem"))).await?;
        assert_eq!(found.len(), 2);
    }

    async fn a_wildcard_index_serves_every_path_but_those_left_out(t) {
        if t.engine == Engine::Server {
            return Ok(());
        }
        push(t, PushSettings::apply()).await?;
        t.db.insert_many((0..20).map(|id| kinds(id, "Salem"))).await?;
        let more = t.db.find::<Kinds>().filter(|k| k.more.eq("m7")).explain().await?;
        assert_eq!(more.steps[0].index.as_deref(), Some("all"), "{more:?}");
        assert_eq!(t.db.find::<Kinds>().filter(|k| k.more.eq("m7")).await?.len(), 1);
        let range = t.db.find::<Kinds>().filter(|k| k.more.gte("m5") & k.more.lt("m7")).await?;
        assert_eq!(range.len(), 2);
        let secret = t.db.find::<Kinds>().filter(|k| k.secret.eq("s")).explain().await?;
        assert_eq!(secret.steps[0].index, None, "it is left out of the index: {secret:?}");
        t.db.update::<Kinds>(7).set(|k| k.more, "new".to_owned()).await?;
        assert_eq!(t.db.find::<Kinds>().filter(|k| k.more.eq("m7")).await?.len(), 0);
        assert_eq!(t.db.find::<Kinds>().filter(|k| k.more.eq("new")).await?.len(), 1);
    }

    async fn hidden_indexes_are_kept_and_not_used(t) {
        push(t, PushSettings::apply()).await?;
        t.db.insert_many((0..20).map(|id| kinds(id, "Salem"))).await?;
        let hidden = t.db.find::<Kinds>().sort(|k| k.rank.asc()).explain().await?;
        if t.engine != Engine::Server {
            assert!(hidden.steps[0].sorts_in_memory, "{hidden:?}");
        }
        let listed = t.driver.list_indexes(t.name(), "kinds").await?;
        assert!(listed.iter().any(|index| index.get_str("name").ok() == Some("rank_1")), "{listed:?}");
    }

    async fn what_nobody_declared_is_hidden_first_and_dropped_later(t) {
        push(t, PushSettings::apply()).await?;
        t.driver.create_index(t.name(), "sales", &doc! { "key": { "other": 1 }, "name": "mine" }).await?;
        assert_eq!(action(&push(t, PushSettings::apply()).await?, "sales", "mine"), Some(PushAction::Extra));
        let first = push(t, pruning()).await?;
        if action(&first, "sales", "mine") == Some(PushAction::Extra) {
            skip("the server cannot hide indexes");
            return Ok(());
        }
        assert_eq!(action(&first, "sales", "mine"), Some(PushAction::Hide));
        if t.stand_in {
            skip("the stand-in server takes `hidden`, and forgets it");
            return Ok(());
        }
        assert_eq!(action(&push(t, pruning()).await?, "sales", "mine"), Some(PushAction::Drop));
        assert_eq!(action(&push(t, pruning()).await?, "sales", "mine"), None);
        assert_eq!(action(&push(t, pruning()).await?, "sales", "region_1"), Some(PushAction::Keep));
    }

    async fn a_validator_checks_documents_whoever_writes_them(t) {
        let first = push(t, PushSettings::apply()).await?;
        assert_eq!(action(&first, "checked", "validator"), Some(PushAction::Create), "{first:?}");
        let again = push(t, PushSettings::plan()).await?;
        assert_eq!(action(&again, "checked", "validator"), Some(PushAction::Keep), "{again:?}");
        let stored = t.db.insert(checked("good")).await?;
        let wrong = [
            doc! { "_id": 1, "name": "good" },
            doc! { "name": "x", "createdAt": Bson::Null },
            doc! { "name": "good", "rank": 100 },
            doc! { "name": "good", "rank": "5" },
            doc! { "name": "good", "home": { "city": "Salem" } },
            doc! { "name": "good", "past": [{ "city": 5, "country": { "code": "US" } }] },
        ];
        for mut document in wrong {
            document.entry("_id".to_owned()).or_insert_with(|| bson::oid::ObjectId::from_bytes([9; 12]).into());
            document.entry("past".to_owned()).or_insert_with(|| Bson::Array(Vec::new()));
            let shown = document.to_string();
            assert!(t.seed("checked", [document]).await.is_err(), "{shown} is accepted");
        }
        let outside = doc! { "_id": bson::oid::ObjectId::from_bytes([8; 12]), "name": "good", "past": [], "more": true };
        t.seed("checked", [outside]).await?;
        let error = t.db.update::<Checked>(stored.id).set(|c| c.rank, Some(7)).await.map(|_| ());
        assert!(error.is_ok(), "{error:?}");
        assert_eq!(t.db.find::<Checked>().count().await?, 2);
    }

    async fn a_validator_that_differs_is_changed_and_a_foreign_one_is_left(t) {
        push(t, PushSettings::apply()).await?;
        let other = doc! { "collMod": "checked", "validator": { "$jsonSchema": { "required": ["other"] } } };
        t.driver.admin(t.name(), &other).await?;
        assert_eq!(action(&push(t, PushSettings::apply()).await?, "checked", "validator"), Some(PushAction::Modify));
        assert_eq!(action(&push(t, PushSettings::apply()).await?, "checked", "validator"), Some(PushAction::Keep));
        let foreign = doc! { "collMod": "checked", "validator": { "name": { "$gt": "" } } };
        t.driver.admin(t.name(), &foreign).await?;
        assert_eq!(action(&push(t, PushSettings::apply()).await?, "checked", "validator"), Some(PushAction::Conflict));
    }

    async fn a_shard_key_is_skipped_where_there_is_no_cluster(t) {
        let mut settings = PushSettings::plan();
        settings.shard = true;
        let plan = push(t, settings).await?;
        let step = plan.steps.iter().find(|step| step.kind == PushKind::ShardKey).unwrap();
        assert_eq!((step.collection.as_str(), step.action), ("kinds", PushAction::Skip));
        assert!(step.note.as_ref().unwrap().contains("mongos"), "{step:?}");
    }

    async fn doctor_names_what_is_missing_redundant_and_out_of_time(t) {
        let now = forge::system_env().now();
        let before = t.adapter.examine(t.name(), &catalog(), now).await?;
        assert!(before.iter().any(|f| f.severity == Severity::Warning && f.message.contains("sales region_1 is declared and missing")), "{before:?}");
        push(t, PushSettings::apply()).await?;
        t.driver.create_index(t.name(), "sales", &doc! { "key": { "region": 1, "amount": 1 }, "name": "longer" }).await?;
        let after = t.adapter.examine(t.name(), &catalog(), now).await?;
        // A plan does not try what the stand-in server would refuse.
        assert!(after.iter().all(|f| !f.message.contains("missing") || t.stand_in && f.message.contains("kinds")), "{after:?}");
        assert!(after.iter().any(|f| f.message.contains("sales region_1 is the beginning of longer")), "{after:?}");
        assert!(after.iter().any(|f| f.message.contains("sales longer is declared by no model")), "{after:?}");
        assert!(after.iter().any(|f| f.topic == "sharding"), "{after:?}");
        let skewed = forge::DateTime::from_millis(t.clock.now().millis() - 3_600_000);
        let skewed = t.adapter.examine(t.name(), &catalog(), skewed).await?;
        assert!(skewed.iter().any(|f| f.topic == "clock" && f.severity == Severity::Error), "{skewed:?}");
    }

    async fn queries_without_an_index_are_remembered_without_their_values(t) {
        push(t, PushSettings::apply()).await?;
        let adapter = forge_mongo::MongoAdapter::new(t.driver.clone(), catalog()).log_scans(forge_mongo::ScanLogging::Database);
        let db = forge::Db::new(std::sync::Arc::new(adapter), catalog(), forge::system_env());
        db.insert_many((0..5).map(|id| forge_tests::schema_models::NewSale { id, region: "w".into(), amount: 7 })).await?;
        for amount in [7, 8] {
            db.find::<forge_tests::schema_models::Sale>().filter(|s| s.amount.eq(amount)).await?;
        }
        db.find::<forge_tests::schema_models::Sale>().filter(|s| s.region.eq("w")).await?;
        db.find::<Kinds>().filter(|k| k.home.city.eq("x")).await?;
        let now = forge::system_env().now();
        // Another process finds what this one has left.
        let found = t.adapter.examine(t.name(), &catalog(), now).await?;
        let queries: Vec<_> = found.iter().filter(|finding| finding.topic == "queries").collect();
        assert_eq!(queries.len(), 2, "{queries:?}");
        assert!(queries.iter().any(|f| f.message.contains("sales is read from end to end") && f.message.contains('?') && !f.message.contains('7')), "{queries:?}");
        assert!(queries.iter().any(|f| f.message.contains("kinds is asked on every shard")), "{queries:?}");
        let own = db.adapter().examine(t.name(), &catalog(), now).await?;
        assert_eq!(own.iter().filter(|finding| finding.topic == "queries").count(), 2, "each is told once");
    }
}

#[test]
fn bounds_of_rules_are_in_the_schemas_of_clients() {
    let mut generator = schemas();
    let schema =
        forge::__private::shape_schema(<NewChecked as forge::__private::Record>::shape(), &mut generator)
            .to_value();
    let property = |name: &str| schema["properties"][name].clone();
    assert_eq!(
        (property("name")["minLength"].as_u64(), property("name")["maxLength"].as_u64()),
        (Some(2), Some(10))
    );
    assert_eq!(
        (property("rank")["minimum"].as_i64(), property("rank")["exclusiveMaximum"].as_i64()),
        (Some(0), Some(100))
    );
}

fn schemas() -> forge::__private::schemars::SchemaGenerator {
    forge::__private::schemars::SchemaGenerator::default()
}

#[test]
fn paths_that_no_embed_has_are_told_at_start_up() {
    use forge::model::{IndexDef, IndexKey, ModelDef};
    let fields = <Kinds as forge::Model>::def().fields;
    let wrong = |keys: &'static [(&'static str, IndexKey)]| {
        let indexes: &'static [IndexDef] = Box::leak(Box::new([IndexDef::new(keys)]));
        let model = Box::leak(Box::new(ModelDef { indexes, ..ModelDef::new("Wrong", "wrong", fields, 0) }));
        Catalog::new([&*model]).unwrap_err()
    };
    let cases: [(&'static [(&'static str, IndexKey)], &str); 4] = [
        (
            &[("home.town", IndexKey::Ascending)],
            r#"Address has no field "town"; it has "city", "postcode", "country""#,
        ),
        (&[("home.zip", IndexKey::Ascending)], r#"Address.zip is stored as "postcode""#),
        (&[("home.country.code.x", IndexKey::Ascending)], r#""code" is no embed: it has no field "x""#),
        (&[("nowhere.x", IndexKey::Ascending)], r#"Wrong has no field "nowhere""#),
    ];
    for (keys, said) in cases {
        let error = wrong(keys);
        assert_eq!(error.code(), ErrorCode::Internal);
        assert!(error.to_string().contains(said), "{error}");
    }
}

/// The document form, for readers of the plan.
#[test]
fn a_plan_is_plain_json() {
    let json = serde_json::to_value(PushPlan::default()).unwrap();
    assert_eq!(json, serde_json::json!({ "steps": [] }));
    let _: Document = doc! {};
}
