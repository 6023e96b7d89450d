//! Explanations of every kind of read, as people read them.

use forge::Result;
use forge::adapter::Explanation;
use forge::ir::Collation;
use forge::query::{Page, count};
use forge_tests::models::{Indexed, NewIndexed, Person, person};
use forge_tests::{Engine, Fixture, conformance};

async fn fill(t: &Fixture) -> Result<()> {
    t.push().await?;
    for n in 0..6_i32 {
        t.db.insert(forge_tests::models::NewPerson { age: Some(n % 3), ..person(&format!("P{n}")) }).await?;
        let (group, code) = (format!("g{}", n % 2), format!("c{n}"));
        t.db.insert(NewIndexed { id: n.into(), group, code, rank: n, note: None, expires: None }).await?;
    }
    Ok(())
}

/// Servers count and name otherwise than the embedded engine: of theirs the commands are compared.
fn reads_as(t: &Fixture, explained: &Explanation, lines: &[&str]) {
    let text = explained.to_string();
    let found: Vec<&str> = text.lines().collect();
    match t.engine {
        Engine::Server => {
            let is_command = |line: &&&str| line.contains(" {");
            let (of, wanted) = (found.iter().filter(is_command), lines.iter().filter(is_command));
            assert!(of.eq(wanted), "{text}");
        }
        _ => assert_eq!(found, lines, "{text}"),
    }
}

const SCAN: &str = "warning: people is read from end to end: no index fits the condition; declare one over the fields it compares";

conformance! {
    async fn counts_are_explained(t) {
        fill(t).await?;
        let scan = t.db.find::<Person>().filter(|p| p.visits.eq(0)).limit(4).count().explain().await?;
        reads_as(t, &scan, &[r#"people: count {"filter":{"visits":0},"limit":4}"#, "  no index: reads all of people, examined 4", SCAN]);
        let indexed = t.db.find::<Indexed>().filter(|i| i.group.eq("g1")).count().explain().await?;
        reads_as(t, &indexed, &[r#"indexed: count {"filter":{"group":"g1"}}"#, "  index group_1_rank_-1, examined 0"]);
        let all = t.db.find::<Person>().count().explain().await?;
        reads_as(t, &all, &[r#"people: count {"filter":{}}"#, "  index (number that is kept), examined 0"]);
    }

    async fn distinct_values_are_explained(t) {
        fill(t).await?;
        let scan = t.db.find::<Person>().distinct(|p| p.visits).explain().await?;
        reads_as(t, &scan, &[r#"people: distinct {"filter":{},"key":"visits"}"#, "  no index: reads all of people, examined 6, returned 1", SCAN]);
        let indexed = t.db.find::<Indexed>().filter(|i| i.group.eq("g1")).distinct(|i| i.code).explain().await?;
        reads_as(t, &indexed, &[r#"indexed: distinct {"filter":{"group":"g1"},"key":"code"}"#, "  index group_1_rank_-1, examined 3, returned 3"]);
    }

    async fn groups_are_explained(t) {
        fill(t).await?;
        let scan = t.db.group_by::<Person, _>(|p| p.age).filter(|p| p.visits.eq(0)).select(|_| count()).explain().await?;
        assert_eq!(scan.steps.len(), 1);
        assert_eq!(scan.warnings, [SCAN.trim_start_matches("warning: ")]);
        let text = scan.to_string();
        assert!(text.starts_with(r#"people: aggregate {"pipeline":[{"$match":{"visits":0}},{"$group":"#), "{text}");
    }

    async fn pages_are_explained(t) {
        fill(t).await?;
        let find = || t.db.find::<Indexed>().filter(|i| i.group.eq("g1")).sort(|i| i.rank.desc());
        let first = find().page(Page::first(2).with_total()).explain().await?;
        reads_as(t, &first, &[
            r#"indexed: count {"filter":{"group":"g1"}}"#,
            "  index group_1_rank_-1, examined 0",
            r#"indexed: find {"filter":{"group":"g1"},"limit":3,"sort":{"_id":1,"rank":-1}}"#,
            "  index group_1_rank_-1, examined 3, returned 3",
        ]);
        let next = find().page(Page::first(2)).await?.next.unwrap();
        let last = find().page(Page::first(2).after(next)).explain().await?;
        assert_eq!(last.steps.len(), 2, "the last page costs a second command: {last}");
        let people = t.db.find::<Person>().sort(|p| p.visits.asc()).page(Page::first(2)).explain().await?;
        assert!(people.warnings.contains(&SCAN.trim_start_matches("warning: ").to_owned()), "{people}");
        let none = t.db.find::<Person>().page(Page::first(0)).explain().await?;
        reads_as(t, &none, &["no command: nothing can be found"]);
        assert!(t.db.find::<Person>().limit(2).page(Page::first(2)).explain().await.is_err());
    }

    async fn what_is_explained_has_the_options_of_the_read(t) {
        fill(t).await?;
        if t.stand_in {
            return forge_tests::engine::unsupported(t, "hints");
        }
        let find = || t.db.find::<Person>().filter(|p| p.email.eq("x"));
        assert_eq!(find().count().explain().await?.steps[0].index.as_deref(), Some("email_1"));
        assert_eq!(find().hint("age_1_name_-1").count().explain().await?.steps[0].index.as_deref(), Some("age_1_name_-1"));
        let collated = find().collation(Collation::letters("en")).explain().await?;
        assert_eq!(collated.steps[0].index, None, "the index compares bytes: {collated}");
    }

    async fn disk_use_is_allowed_where_it_is_asked_for(t) {
        fill(t).await?;
        t.driver.take();
        let find = || t.db.find::<Person>().sort(|p| p.name.desc()).allow_disk_use();
        assert_eq!(find().await?.len(), 6);
        assert_eq!(find().stream().next().await.unwrap()?.name, "P5");
        assert_eq!(find().first().await?.unwrap().name, "P5");
        assert_eq!(t.db.group_by::<Person, _>(|p| p.age).allow_disk_use().select(|_| count()).await?.len(), 3);
        let commands = t.driver.take();
        assert_eq!(commands.len(), 4);
        assert!(commands.iter().all(|command| command.options.allow_disk_use), "{commands:?}");
    }
}
