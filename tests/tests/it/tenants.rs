//! Tenants: what is one's is never another's, through whichever door.

use forge::ErrorCode;
use forge::adapter::Exec;
use forge::prelude::*;
use forge_tests::models::{Person, person};
use forge_tests::tenants::{AllStanding, Comment, NewComment, Project, Standing, Task, project, task};
use forge_tests::{Engine, Fixture, Result, conformance};

/// What must never leave its tenant.
const CANARY: &str = "canary";

/// Two tenants with the same data; the names of the second one's are canaries.
async fn two(t: &Fixture) -> Result<(Db, Db)> {
    t.push().await?;
    let (a, b) = (t.db.tenant("a"), t.db.tenant("b"));
    for (db, mark) in [(&a, "fine"), (&b, CANARY)] {
        for n in 0..3 {
            let project = db.insert(project(&format!("{mark} {n}"))).await?;
            let task = db.insert(task(project.id, &format!("{mark} task {n}"))).await?;
            db.insert(NewComment { id: None, text: format!("{mark} comment"), task_id: task.id }).await?;
        }
    }
    Ok((a, b))
}

/// Everything of the second tenant, as it is stored.
async fn theirs(t: &Fixture) -> Result<String> {
    let mut all = String::new();
    for collection in ["projects", "tasks"] {
        for document in
            t.stored(collection).await?.iter().filter(|d| d.get_str("org").is_ok_and(|org| org == "b"))
        {
            all.push_str(&document.to_string());
        }
    }
    Ok(all)
}

fn clean(what: &impl std::fmt::Debug) {
    let text = format!("{what:?}");
    assert!(!text.contains(CANARY), "{text}");
}

conformance! {
    async fn a_stored_view_is_refreshed_for_one_tenant(t) {
        let (a, b) = two(t).await?;
        a.refresh::<Standing>().await?;
        assert_eq!((a.find::<Standing>().count().await?, b.find::<Standing>().count().await?), (3, 0));
        let all = t.stored("standings").await?;
        assert!(all.len() == 3 && all.iter().all(|one| one.get_str("org").is_ok_and(|org| org == "a")), "{all:?}");
        let error = a.refresh::<AllStanding>().await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::BadRequest, "{error}");
        assert!(error.message().contains("across_tenants"), "{error}");
        assert_eq!(t.db.refresh::<AllStanding>().await.unwrap_err().code(), ErrorCode::Internal, "nobody is named");
        t.db.across_tenants().refresh::<AllStanding>().await?;
        t.db.across_tenants().refresh::<Standing>().await?;
        assert_eq!((b.find::<AllStanding>().count().await?, b.find::<Standing>().count().await?), (3, 3));
    }

    async fn reads_find_the_tenants_own(t) {
        let (a, b) = two(t).await?;
        let own = a.find::<Project>().include(|p| p.tasks.include(|t| t.comments)).await?;
        assert_eq!(own.len(), 3);
        assert!(own.iter().all(|project| project.org == "a" && project.tasks.get().len() == 1));
        clean(&own);
        let other = b.find::<Project>().sort(|p| p.name.asc()).first().await?.unwrap();
        assert_eq!(a.get::<Project>(other.id).await?, None);
        assert_eq!(a.find::<Project>().filter(|p| p.org.eq("b")).count().await?, 0);
        assert_eq!(a.find::<Project>().filter(|p| p.org.eq("b") | p.org.eq("a")).count().await?, 3);
        assert_eq!(a.find::<Project>().with_deleted().count().await?, 3);
        assert!(!a.find::<Project>().filter(|p| p.name.contains(CANARY)).exists().await?);
        clean(&a.find::<Project>().distinct(|p| p.name).await?);
        clean(&a.group_by::<Task, _>(|t| t.title).select(|t| t.points.sum()).await?);
        assert_eq!(b.find::<Task>().count().await?, 3);
    }

    async fn relation_filters_look_at_the_tenants_own(t) {
        let (a, _) = two(t).await?;
        let found = a.find::<Project>().filter(|p| p.tasks.some(|t| t.title.contains("task"))).await?;
        assert_eq!(found.len(), 3);
        clean(&found);
        assert_eq!(a.find::<Project>().filter(|p| p.tasks.some(|t| t.title.contains(CANARY))).count().await?, 0);
        assert_eq!(a.find::<Project>().filter(|p| p.tasks.none(|t| t.title.contains(CANARY))).count().await?, 3);
        // A relation from a model that belongs to nobody leads to the tenant's own only.
        let comments = a.find::<Comment>().filter(|c| c.task.is(|t| t.title.contains("task"))).await?;
        assert_eq!(comments.len(), 3);
        clean(&comments);
        let all = a.find::<Comment>().filter(|c| c.text.contains(CANARY)).include(|c| c.task).await?;
        assert!(!all.is_empty() && all.iter().all(|comment| comment.task.get().is_none()));
    }

    async fn writes_change_the_tenants_own(t) {
        let (a, b) = two(t).await?;
        let before = theirs(t).await?;
        let other = b.find::<Task>().first().await?.unwrap();
        for error in [
            a.update::<Task>(other.id).set(|t| t.points, 9).await.unwrap_err(),
            a.delete::<Task>(other.id).await.unwrap_err(),
        ] {
            assert_eq!(error.code(), ErrorCode::NotFound, "as if it were not there: {error:?}");
        }
        assert_eq!(a.update_many::<Task>().all().inc(|t| t.points, 1).await?, 3);
        assert_eq!(a.delete_many::<Task>().filter(|t| t.title.contains(CANARY)).await?, 0);
        assert_eq!(a.delete_many::<Project>().all().purge().await?, 3, "with its tasks");
        assert_eq!(a.find::<Task>().count().await?, 0);
        assert_eq!(theirs(t).await?, before);
    }

    async fn nothing_changes_hands(t) {
        let (a, b) = two(t).await?;
        let (own, other) = (a.find::<Task>().first().await?.unwrap(), b.find::<Project>().first().await?.unwrap());
        let before = theirs(t).await?;
        let mut new = task(own.project_id, "x");
        new.org = Some("b".to_owned());
        let error = a.insert(new).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Forbidden, "{error:?}");
        let error = a.update::<Task>(own.id).set(|t| t.org, "b").await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Forbidden, "{error:?}");
        let moved = a.update_many::<Task>().all().set(|t| t.project_id, other.id).await?;
        assert_eq!(moved, 3, "a key may name anything, and leads nowhere");
        let led = a.find::<Task>().include(|t| t.project).await?;
        assert!(led.iter().all(|task| task.project.get().is_none()));
        assert_eq!(theirs(t).await?, before);
    }

    async fn unique_rules_hold_for_each_tenant(t) {
        t.push().await?;
        let (a, b) = (t.db.tenant("a"), t.db.tenant("b"));
        for db in [&a, &b] {
            db.insert(project("one")).await?;
            db.insert(project("no slug either")).await?;
            let mut with_slug = project("two");
            with_slug.slug = Some("s".to_owned());
            db.insert(with_slug).await?;
        }
        let error = a.insert(project("one")).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::UniqueViolation);
        assert_eq!(error.message(), "another Project already has this name");
        let mut with_slug = project("three");
        with_slug.slug = Some("s".to_owned());
        assert_eq!(a.insert(with_slug).await.unwrap_err().code(), ErrorCode::UniqueViolation);
    }

    async fn a_handle_without_a_tenant_says_so(t) {
        let (_, _) = two(t).await?;
        for error in [
            t.db.find::<Project>().await.unwrap_err(),
            t.db.find::<Comment>().filter(|c| c.task.is(|t| t.points.gt(0))).await.unwrap_err(),
            t.db.insert(project("x")).await.unwrap_err(),
            t.db.update_many::<Task>().all().inc(|t| t.points, 1).await.unwrap_err(),
            t.db.delete_many::<Task>().all().await.unwrap_err(),
            t.db.tenant(None::<String>).find::<Project>().await.unwrap_err(),
        ] {
            assert_eq!(error.code(), ErrorCode::Internal);
            assert!(error.message().contains("belongs to tenants"), "{error}");
        }
        t.db.find::<Person>().await?;
        t.db.insert(person("Ann")).await?;
    }

    async fn across_tenants_is_asked_for_by_name(t) {
        let (_, _) = two(t).await?;
        let everybody = t.db.across_tenants();
        assert_eq!(everybody.find::<Project>().count().await?, 6);
        let orgs = everybody.group_by::<Task, _>(|t| t.org).select(|_| count()).await?;
        assert_eq!(orgs.len(), 2);
        let error = everybody.insert(project("nobody's")).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Validation, "{error:?}");
        let mut new = project("x");
        new.org = Some("c".to_owned());
        everybody.insert(new).await?;
        assert_eq!(t.db.tenant("c").find::<Project>().count().await?, 1);
    }

    async fn tenants_race_and_stay_apart(t) {
        t.push().await?;
        let work = |name: &'static str| {
            let db = t.db.tenant(name);
            async move {
                for n in 0..15 {
                    let made = db.insert(project(&format!("p{n}"))).await?;
                    db.insert(task(made.id, name)).await?;
                    db.update_many::<Task>().all().inc(|t| t.points, 1).await?;
                    if n % 3 == 0 {
                        db.delete::<Project>(made.id).purge().await?;
                    }
                }
                let (projects, tasks) = (db.find::<Project>().await?, db.find::<Task>().await?);
                assert!(projects.iter().all(|p| p.org == name) && tasks.iter().all(|t| t.title == name));
                Ok::<_, forge::Error>((projects.len(), tasks.len()))
            }
        };
        let counts = futures_util::future::try_join_all(["a", "b", "c"].map(work)).await?;
        assert_eq!(counts, [(10, 10); 3]);
    }

    async fn a_watch_tells_of_the_tenants_own(t) {
        if !t.adapter.capabilities().change_streams || !t.adapter.capabilities().pre_images {
            return forge_tests::engine::unsupported(t, "before-images");
        }
        let (a, b) = two(t).await?;
        let mut changes = a.watch::<Task>().await?;
        let (ours, other) = (a.find::<Task>().first().await?.unwrap(), b.find::<Task>().first().await?.unwrap());
        b.update::<Task>(other.id).set(|t| t.points, 5).await?;
        b.delete::<Task>(other.id).await?;
        a.update::<Task>(ours.id).set(|t| t.points, 5).await?;
        a.delete::<Task>(ours.id).await?;
        for _ in 0..2 {
            let next = tokio::time::timeout(std::time::Duration::from_secs(10), changes.next()).await;
            clean(&next.expect("a change").unwrap()?);
        }
    }

    async fn a_live_read_is_about_the_tenants_own(t) {
        let (_, _) = two(t).await?;
        let reads = std::sync::Arc::new(forge::adapter::ReadLog::default());
        let tenant = t.db.tenant("a").tenant_scope().clone();
        let exec = Exec { reads: Some(reads.clone()), tenant, ..Exec::default() };
        let select = forge::ir::Select::new(forge::model::ModelRef(<Task as forge::Model>::def()));
        t.adapter.execute(&exec, forge::ir::Operation::Select(select)).await?;
        let filter = reads.take().remove(0).filter;
        assert_eq!(filter, forge::ir::Filter::eq("org", "a"));
    }

    async fn indexes_are_made_when_a_database_is_first_written_to(t) {
        let other = t.db.database(&format!("{}_c", t.name()));
        t.db.make_indexes_lazily(true);
        other.find::<Person>().await?;
        let listed = async || forge_mongo::Driver::list_indexes(&*t.driver, other.name(), "people").await;
        assert!(listed().await?.len() <= 1, "reads make nothing");
        let writes = (0..4).map(|n| {
            let other = other.clone();
            async move { other.insert(person(&format!("p{n}"))).await }
        });
        futures_util::future::try_join_all(writes).await?;
        assert!(listed().await?.len() > 3);
        let error = other.insert(person("p1")).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::UniqueViolation);
        forge_mongo::Driver::drop_database(&*t.driver, other.name()).await?;
        let last = t.db.database(&format!("{}_d", t.name()));
        if t.adapter.capabilities().transactions {
            last.transaction(async |tx| tx.insert(person("Last")).await).await?;
            forge_mongo::Driver::drop_database(&*t.driver, last.name()).await?;
        }
        t.db.make_indexes_lazily(false);
        assert!(t.engine == Engine::Server || t.stored("people").await?.is_empty());
    }
}

#[test]
fn a_tenant_key_is_not_for_clients() {
    let field = <Project as forge::Model>::def().stored_field("org").unwrap();
    assert_eq!(field.access, forge::model::Access::ReadOnly);
    let json = serde_json::json!({ "name": "x", "org": "b" }).to_string();
    let error = serde_json::from_str::<forge_tests::tenants::NewProject>(&json).unwrap_err();
    assert!(error.to_string().contains("org"), "{error}");
    let error = serde_json::from_str::<forge_tests::tenants::ProjectPatch>("{\"org\":\"b\"}").unwrap_err();
    assert!(error.to_string().contains("org"), "{error}");
    let keys: Vec<_> = <Project as forge::Model>::def().indexes.iter().map(|i| i.keys[0].0).collect();
    assert!(keys.iter().all(|first| *first == "org"), "{keys:?}");
}

#[tokio::test]
async fn clusters_are_found_by_name_and_pooled_by_url() -> Result<()> {
    let clusters = forge::Clusters::new(forge_tests::engine::catalog(), forge::system_env());
    let orders = clusters.connect("orders", "memory:one").await?;
    let same = clusters.connect("reports", "memory:one").await?;
    let archive = clusters.connect("archive", "memory:two").await?;
    orders.insert(person("Ann")).await?;
    assert_eq!((same.find::<Person>().count().await?, archive.find::<Person>().count().await?), (1, 0));
    assert_eq!(clusters.get("orders")?.find::<Person>().count().await?, 1);
    assert_eq!(clusters.connect("orders", "memory:two").await.unwrap_err().code(), ErrorCode::Conflict);
    let error = clusters.get("nothing").unwrap_err();
    assert!(error.message().contains("archive, orders, reports"), "{error}");
    clusters.close().await;
    assert_eq!(orders.find::<Person>().await.unwrap_err().code(), ErrorCode::Unavailable);
    Ok(())
}
