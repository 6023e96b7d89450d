//! Text filters take their input literally.

use forge_tests::models::{Person, person};
use forge_tests::{Fixture, Result, conformance};

const NAMES: [&str; 9] = ["a.b", "axb", "A.B", "(x)+", "50%_off", "back\\slash", "$gt", "caret^", "Ünïcode"];

async fn fill(t: &Fixture) -> Result<()> {
    let people = NAMES.iter().enumerate().map(|(i, name)| {
        let mut person = person(name);
        person.email = format!("p{i}@example.org");
        person
    });
    t.db.insert_many(people).await?;
    Ok(())
}

conformance! {
    async fn every_metacharacter_is_a_plain_character(t) {
        fill(t).await?;
        for name in NAMES {
            let inner: String = name.chars().skip(1).collect();
            let found = t.db.find::<Person>().filter(|p| p.name.contains(&inner)).await?;
            assert!(found.iter().all(|p| p.name.contains(&inner)), "contains {inner}: {found:?}");
            assert!(found.iter().any(|p| p.name == name), "contains {inner}");
            let found = t.db.find::<Person>().filter(|p| p.name.starts_with(name)).await?;
            assert_eq!(found.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), [name]);
            let found = t.db.find::<Person>().filter(|p| p.name.ends_with(name)).await?;
            assert_eq!(found.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), [name]);
            assert_eq!(t.db.find::<Person>().filter(|p| p.name.eq(name)).count().await?, 1);
        }
    }

    async fn case_is_ignored_only_where_asked(t) {
        fill(t).await?;
        let names = async |ignore: bool| {
            let find = t.db.find::<Person>().sort(|p| p.name.asc());
            let find = find.filter(|p| if ignore { p.name.starts_with_ignore_case("a.") } else { p.name.starts_with("a.") });
            forge_tests::engine::done(find.await?.into_iter().map(|p| p.name).collect::<Vec<_>>())
        };
        assert_eq!(names(false).await?, ["a.b"]);
        assert_eq!(names(true).await?, ["A.B", "a.b"]);
        assert_eq!(t.db.find::<Person>().filter(|p| p.name.contains_ignore_case("nïCODE")).count().await?, 1);
    }

    async fn a_pattern_is_a_pattern_only_by_name(t) {
        fill(t).await?;
        assert_eq!(t.db.find::<Person>().filter(|p| p.name.regex("^a.b$")).count().await?, 2);
        assert_eq!(t.db.find::<Person>().filter(|p| !p.name.regex("^a.b$")).count().await?, 7);
    }
}
