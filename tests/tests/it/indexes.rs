//! Index push: a plan first, and nothing silently.

use bson::{Document, doc};
use forge::adapter::{PushAction, PushPlan};
use forge::{ErrorCode, Model};
use forge_mongo::Driver as _;
use forge_tests::engine::catalog;
use forge_tests::models::{Indexed, NewIndexed, Person, Place};
use forge_tests::{Fixture, Result, conformance};

/// What a push does about the indexes of [`Indexed`], by name.
async fn plan(t: &Fixture, apply: bool) -> Result<Vec<(String, PushAction)>> {
    let PushPlan { steps, .. } = t.adapter.push(t.name(), &catalog(), apply).await?;
    let ours = steps.into_iter().filter(|step| step.collection == "indexed");
    Ok(ours.map(|step| (step.index, step.action)).collect())
}

fn of(plan: &[(String, PushAction)], action: PushAction) -> Vec<&str> {
    plan.iter().filter(|(_, a)| *a == action).map(|(name, _)| name.as_str()).collect()
}

async fn present(t: &Fixture) -> Result<Vec<Document>> {
    let mut indexes = t.driver.list_indexes(t.name(), "indexed").await?;
    indexes.sort_by_key(|index| index.get_str("name").unwrap_or_default().to_owned());
    Ok(indexes)
}

async fn replace(t: &Fixture, name: &str, spec: Document) -> Result<()> {
    t.driver.drop_index(t.name(), "indexed", name).await?;
    t.driver.create_index(t.name(), "indexed", &spec).await
}

fn new(id: i64, code: &str, rank: i32) -> NewIndexed {
    NewIndexed { id, group: "g".into(), code: code.into(), rank, note: None, expires: None }
}

const ALL: [&str; 5] = ["by_code", "expires_1", "group_1_rank_-1", "high", "note_1"];

conformance! {
    async fn a_dry_run_says_what_a_push_does(t) {
        let dry = plan(t, false).await?;
        assert_eq!(present(t).await?.len(), 0, "a plan changes nothing");
        assert_eq!(plan(t, true).await?, dry);
        let mut created = of(&dry, PushAction::Create);
        created.sort_unstable();
        assert_eq!(created, ALL);
        assert_eq!(present(t).await?.iter().filter_map(|i| i.get_str("name").ok()).filter(|n| *n != "_id_").collect::<Vec<_>>(), ALL);
    }

    async fn pushing_again_changes_nothing(t) {
        plan(t, true).await?;
        let before = present(t).await?;
        let again = plan(t, true).await?;
        assert_eq!(of(&again, PushAction::Keep).len(), ALL.len(), "{again:?}");
        assert_eq!(present(t).await?, before);
    }

    async fn an_index_that_differs_is_rebuilt(t) {
        plan(t, true).await?;
        replace(t, "group_1_rank_-1", doc! { "key": { "group": 1, "rank": 1 }, "name": "group_1_rank_-1" }).await?;
        let drifted = plan(t, false).await?;
        assert_eq!(of(&drifted, PushAction::Rebuild), ["group_1_rank_-1"]);
        plan(t, true).await?;
        let index = present(t).await?.into_iter().find(|i| i.get_str("name").ok() == Some("group_1_rank_-1")).unwrap();
        let direction = index.get_document("key").unwrap().get("rank").unwrap();
        assert!(direction.as_i32() == Some(-1) || direction.as_i64() == Some(-1) || direction.as_f64() == Some(-1.0), "{index}");
        assert_eq!(of(&plan(t, true).await?, PushAction::Rebuild), [""; 0]);
    }

    async fn a_unique_index_that_differs_is_left_to_a_person(t) {
        plan(t, true).await?;
        replace(t, "by_code", doc! { "key": { "group": 1, "code": 1 }, "name": "by_code" }).await?;
        let before = present(t).await?;
        assert_eq!(of(&plan(t, true).await?, PushAction::Conflict), ["by_code"]);
        assert_eq!(present(t).await?, before);
    }

    async fn doubles_that_are_there_already_are_a_conflict(t) {
        t.seed("indexed", [1, 2].map(|id| doc! { "_id": id, "group": "g", "code": "same", "rank": 1 })).await?;
        let pushed = plan(t, true).await?;
        assert_eq!(of(&pushed, PushAction::Conflict), ["by_code"]);
        assert_eq!(of(&pushed, PushAction::Create).len(), ALL.len() - 1, "the others are made all the same");
    }

    async fn indexes_that_nobody_declared_stay(t) {
        plan(t, true).await?;
        t.driver.create_index(t.name(), "indexed", &doc! { "key": { "other": 1 }, "name": "mine" }).await?;
        assert_eq!(of(&plan(t, true).await?, PushAction::Extra), ["mine"]);
        assert!(present(t).await?.iter().any(|i| i.get_str("name").ok() == Some("mine")));
    }

    async fn a_compound_unique_index_counts_all_of_its_fields(t) {
        plan(t, true).await?;
        t.db.insert(new(1, "a", 1)).await?;
        t.db.insert(new(2, "b", 1)).await?;
        let error = t.db.insert(new(3, "a", 2)).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::UniqueViolation);
        assert_eq!(error.to_body().fields.unwrap(), ["group", "code"]);
        t.db.insert(NewIndexed { group: "h".into(), ..new(4, "a", 1) }).await?;
    }

    async fn explain_names_the_index(t) {
        t.push().await?;
        for id in 0..200 {
            t.db.insert(new(id, &format!("c{id}"), (id % 10) as i32)).await?;
        }
        let one = t.db.find::<Indexed>().filter(|i| i.group.eq("g") & i.code.eq("c5")).explain().await?;
        assert_eq!(one.steps.len(), 1);
        assert!(one.steps[0].index.is_some(), "{one:?}");
        let id = t.db.find::<Indexed>().filter(|i| i.id.eq(7)).explain().await?;
        assert!(id.steps[0].index.is_some(), "{id:?}");
        let none = t.db.find::<Person>().filter(|p| p.visits.eq(7)).explain().await?;
        assert_eq!(none.steps[0].index, None);
        assert!(none.warnings.iter().any(|warning| warning.contains("people")), "{none:?}");
    }

    async fn explain_tells_a_sort_by_index_from_one_in_memory(t) {
        t.push().await?;
        t.seed("indexed", (0..50).map(|id| doc! { "_id": id, "group": "g", "code": id.to_string(), "rank": id })).await?;
        let by_index = t.db.find::<Indexed>().filter(|i| i.group.eq("g")).sort(|i| i.rank.desc()).explain().await?;
        let in_memory = t.db.find::<Indexed>().filter(|i| i.group.eq("g")).sort(|i| i.note.desc()).explain().await?;
        assert!(in_memory.steps[0].sorts_in_memory, "{in_memory:?}");
        if t.engine != forge_tests::Engine::Server {
            assert!(!by_index.steps[0].sorts_in_memory, "{by_index:?}");
            assert_eq!(by_index.steps[0].index.as_deref(), Some("group_1_rank_-1"));
        }
    }

    async fn explain_shows_each_command_of_a_relation_filter(t) {
        t.push().await?;
        let explained = t.db.find::<forge_tests::models::Book>().filter(|b| b.author.is(|a| a.name.eq("x"))).include(|b| b.reviews).explain().await?;
        assert_eq!(explained.steps[0].collection, "authors", "{explained:?}");
    }

    async fn results_are_the_same_with_and_without_indexes(t) {
        t.seed("indexed", (0..60).map(|id| doc! { "_id": id, "group": if id % 2 == 0 { "a" } else { "b" }, "code": id.to_string(), "rank": id % 7 })).await?;
        let all = async || {
            let find = || t.db.find::<Indexed>();
            let mut answers = vec![
                find().filter(|i| i.group.eq("a") & i.rank.gt(3)).sort(|i| (i.rank.asc(), i.id.asc())).await?,
                find().filter(|i| i.rank.gt(5)).sort(|i| i.id.desc()).await?,
                find().filter(|i| i.group.gt("a") | i.rank.eq(1)).sort(|i| (i.group.desc(), i.id.asc())).limit(9).await?,
                find().filter(|i| i.group.is_in(["b", "c"])).sort(|i| (i.rank.desc(), i.id.asc())).skip(3).limit(5).await?,
            ];
            answers.push(find().filter(|i| !i.group.eq("a") & i.note.is_null()).sort(|i| i.id.asc()).await?);
            forge_tests::engine::done(answers)
        };
        let before = all().await?;
        assert!(before.iter().all(|answer| !answer.is_empty()));
        plan(t, true).await?;
        assert_eq!(all().await?, before);
        assert_eq!(Place::def().indexes.len(), 1);
    }
}
