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

    async fn any_case_of_letters_is_literal_too(t) {
        fill(t).await?;
        let names = async |filter: fn(&'static <Person as forge::Model>::Fields) -> forge::query::Filter<Person>| {
            let found = t.db.find::<Person>().filter(filter).sort(|p| p.name.asc()).await?;
            forge_tests::engine::done(found.into_iter().map(|p| p.name).collect::<Vec<_>>())
        };
        assert_eq!(names(|p| p.name.eq_ignore_case("a.B")).await?, ["A.B", "a.b"]);
        assert_eq!(names(|p| p.name.eq_ignore_case("a.")).await?, [""; 0]);
        assert_eq!(names(|p| p.name.ends_with_ignore_case(".B")).await?, ["A.B", "a.b"]);
        assert_eq!(names(|p| p.name.starts_with_ignore_case("A.")).await?, ["A.B", "a.b"]);
        assert_eq!(names(|p| p.name.is_in_ignore_case(["AXB", "(X)+"])).await?, ["(x)+", "axb"]);
        assert_eq!(names(|p| p.name.is_in_ignore_case([""; 0])).await?, [""; 0]);
        assert_eq!(names(|p| p.name.ne_ignore_case("A.B")).await?.len(), NAMES.len() - 2);
        assert_eq!(names(|p| p.name.regex_with("^A . B $", "ix")).await?, ["A.B", "a.b", "axb"]);
    }
}
