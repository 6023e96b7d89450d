//! The other ends of a read: streams, lenient reads, the last one, distinct values, options, explanations.

use std::time::Duration;

use bson::doc;
use forge::ErrorCode;
use forge::ir::{Collation, ReadConcern};
use forge::query::{Page, Paged, count};
use forge_tests::courses::{Memo, NewMemo, NewTag, Tag};
use forge_tests::engine::done;
use forge_tests::models::{Author, Item, NewAuthor, NewBook, NewPerson, NewPublisher, Person, person};
use forge_tests::{Fixture, Result, conformance};
use futures_util::TryStreamExt;

async fn authors(t: &Fixture, n: i64) -> Result<()> {
    let new = |id| NewAuthor { id, name: format!("A{}", id % 7), country: None };
    t.db.insert_many((1..=n).map(new)).await?;
    t.db.insert(NewPublisher { name: "P".into(), city: None }).await?;
    let book = |id| NewBook {
        id: None,
        title: format!("B{id}"),
        year: 1,
        price: None,
        author_id: Some(id),
        publisher_id: "P".into(),
    };
    t.db.insert_many((1..=n).step_by(2).map(book)).await?;
    t.driver.take();
    Ok(())
}

conformance! {
    async fn a_stream_gives_everything_in_order_with_its_relations(t) {
        authors(t, 2_500).await?;
        let find = || t.db.find::<Author>().include(|a| a.books);
        let all: Vec<Author> = find().sort(|a| a.id.asc()).stream().try_collect().await?;
        assert_eq!(all.iter().map(|a| a.id).collect::<Vec<_>>(), (1..=2_500).collect::<Vec<_>>());
        assert!(all.iter().all(|a| a.books.get().len() == (a.id % 2) as usize));
        let commands = t.driver.take();
        assert_eq!(commands.iter().filter(|c| c.collection == "authors").count(), 1);
        assert!(commands.iter().filter(|c| c.collection == "books").count() >= 2, "included batch by batch");
        for descending in [false, true] {
            let sorted = || t.db.find::<Author>().filter(|a| a.id.gt(10)).sort(|a| (if descending { a.name.desc() } else { a.name.asc() }, a.id.asc())).skip(5).limit(1_200);
            let streamed: Vec<Author> = sorted().stream().try_collect().await?;
            assert_eq!(streamed, sorted().await?);
        }
        let reversed: Vec<Author> = t.db.find::<Author>().sort(|a| a.id.desc()).skip(3).limit(1_500).stream().try_collect().await?;
        assert_eq!((reversed.len(), reversed[0].id, reversed[1_499].id), (1_500, 2_497, 998));
        assert!(t.db.find::<Author>().limit(0).stream().next().await.is_none());
        let names: Vec<String> = t.db.find::<Author>().select(|a| a.name).limit(3).stream().try_collect().await?;
        assert_eq!(names.len(), 3);
    }

    async fn a_stream_can_be_left_early_and_ends_with_its_error(t) {
        authors(t, 1_500).await?;
        let mut stream = t.db.find::<Author>().sort(|a| a.id.asc()).stream();
        assert_eq!(stream.next().await.unwrap()?.id, 1);
        drop(stream);
        assert_eq!(t.db.find::<Author>().count().await?, 1_500);
        t.seed("authors", [doc! { "_id": 0_i64, "name": 5 }]).await?;
        let mut stream = t.db.find::<Author>().sort(|a| a.id.asc()).stream();
        let error = stream.next().await.unwrap().unwrap_err();
        assert!(error.message().contains("the document 0 of authors"), "{error}");
        assert!(stream.next().await.is_none());
    }

    async fn a_stream_inside_a_transaction_sees_its_writes(t) {
        if !t.adapter.capabilities().transactions {
            return forge_tests::engine::unsupported(t, "transactions");
        }
        authors(t, 3).await?;
        t.db.transaction(async |tx| {
            tx.insert(NewAuthor { id: 9, name: "new".into(), country: None }).await?;
            let all: Vec<Author> = tx.find::<Author>().stream().try_collect().await?;
            assert_eq!(all.len(), 4);
            done(())
        }).await?;
    }

    async fn a_dirty_document_is_named_and_can_be_set_aside(t) {
        t.db.insert(NewTag { id: 1, name: "ok".into(), weight: None }).await?;
        t.db.insert(NewMemo { id: 1, title: "good".into(), secret: None, tag_ids: Some(vec![1, 2]), place: None }).await?;
        t.seed("tags", [doc! { "_id": 2_i64, "name": true }]).await?;
        t.seed("memos", [
            doc! { "_id": 2_i64, "title": 5, "tag_ids": [2_i64] },
            doc! { "_id": 3_i64, "title": "x", "tag_ids": [2_i64], "place": { "room": null } },
            doc! { "_id": 4_i64, "tag_ids": [] },
            doc! { "_id": 5_i64, "title": "fine", "tag_ids": [2_i64, 1_i64] },
        ]).await?;
        let error = t.db.find::<Memo>().filter(|n| n.id.eq(3)).one().await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Internal);
        for part in ["the document 3 of memos is not a Memo", "`place.room` is null"] {
            assert!(error.message().contains(part), "{error}");
        }
        let found = t.db.find::<Memo>().sort(|n| n.id.asc()).include(|n| n.tags).lenient().await?;
        assert_eq!(found.items.iter().map(|n| n.id).collect::<Vec<_>>(), [1, 5]);
        assert!(found.items.iter().all(|n| n.tags.get().len() == 1), "the dirty tag is left out");
        let dirty: Vec<_> = found.dirty.iter().map(|d| (d.model, d.path.as_str(), d.found.as_str())).collect();
        assert_eq!(dirty, [
            ("Tag", "name", "bool"), ("Memo", "title", "int"), ("Memo", "place.room", "null"), ("Memo", "title", "nothing"),
        ]);
        assert_eq!(found.dirty[1].id, bson::Bson::Int64(2));
        assert!(found.dirty[1].expected.contains("string"), "{:?}", found.dirty[1]);
        let selected = t.db.find::<Memo>().sort(|n| n.id.asc()).select(|n| (n.id, n.title)).lenient().await?;
        assert_eq!(selected.items.len(), 3);
        assert_eq!(selected.dirty.len(), 2, "only what is read can be dirty");
        let clean = t.db.find::<Tag>().filter(|g| g.id.eq(1)).lenient().await?;
        assert!(clean.dirty.is_empty());
    }

    async fn a_lenient_stream_passes_over_dirty_documents_and_tells_of_them(t) {
        authors(t, 2_500).await?;
        t.seed("authors", [doc! { "_id": 0_i64, "name": 5 }, doc! { "_id": 9_999_i64 }]).await?;
        t.seed("bios", [doc! { "_id": 1_i64, "author_id": 1_i64 }]).await?;
        let found = || t.db.find::<Author>().sort(|a| a.id.asc()).include(|a| (a.books, a.bio));
        let mut stream = found().stream().lenient();
        let first = stream.next().await.unwrap()?;
        assert_eq!((first.id, first.bio.get(), first.books.get().len()), (1, None, 1));
        let told: Vec<_> = stream.dirty().into_iter().map(|d| (d.collection, d.id, d.path, d.found)).collect();
        assert_eq!(told, [
            ("authors", 0_i64.into(), "name".to_owned(), "int".to_owned()),
            ("bios", 1_i64.into(), "_id".to_owned(), "long".to_owned()),
        ]);
        assert!(stream.dirty().is_empty(), "each is told once");
        let rest: Vec<Author> = (&mut stream).try_collect().await?;
        assert_eq!((rest.len(), rest[2_498].id), (2_499, 2_500));
        let told = stream.dirty();
        assert_eq!(told.len(), 1);
        assert_eq!((&told[0].id, told[0].path.as_str(), told[0].expected.as_str()), (&bson::Bson::Int64(9_999), "name", "a value"));
        assert!(stream.next().await.is_none());
        let names: Vec<String> = t.db.find::<Author>().select(|a| a.name).stream().lenient().try_collect().await?;
        assert_eq!(names.len(), 2_500);
    }

    async fn a_stream_gives_what_comes_before_a_dirty_document(t) {
        authors(t, 3).await?;
        t.seed("authors", [doc! { "_id": 4_i64, "name": 5 }]).await?;
        let mut stream = t.db.find::<Author>().sort(|a| a.id.asc()).stream();
        for id in 1..=3 {
            assert_eq!(stream.next().await.unwrap()?.id, id);
        }
        assert!(stream.next().await.unwrap().is_err());
        assert!(stream.next().await.is_none());
    }

    async fn a_lenient_page_sets_dirty_documents_aside_and_leads_on(t) {
        authors(t, 5).await?;
        t.seed("authors", [doc! { "_id": 2_500_i64, "name": 5 }, doc! { "_id": 2_501_i64, "name": 6 }]).await?;
        let find = || t.db.find::<Author>().sort(|a| a.id.desc());
        assert_eq!(find().page(Page::first(3)).await.unwrap_err().code(), ErrorCode::Internal);
        let first = find().page(Page::first(3).with_total()).lenient().await?;
        let ids = |page: &Paged<Author>| page.items.iter().map(|a| a.id).collect::<Vec<_>>();
        assert_eq!((ids(&first.page), first.page.total), (vec![5], Some(7)));
        let told: Vec<_> = first.dirty.iter().map(|d| (d.collection, d.id.clone(), d.path.as_str(), d.found.as_str())).collect();
        assert_eq!(told, [("authors", 2_501_i64.into(), "name", "int"), ("authors", 2_500_i64.into(), "name", "int")]);
        assert!(first.dirty[0].expected.contains("string"), "{first:?}");
        let second = find().page(Page::first(3).after(first.page.next.unwrap())).lenient().await?;
        assert_eq!((ids(&second.page), second.dirty.len()), (vec![4, 3, 2], 0));
        let back = find().page(Page::first(3).before(second.page.previous.unwrap())).lenient().await?;
        assert_eq!((ids(&back.page), back.dirty.len()), (vec![5], 2));
    }

    async fn the_last_is_the_first_of_the_opposite_order(t) {
        authors(t, 9).await?;
        let id = |author: Option<Author>| author.map(|a| a.id);
        assert_eq!(id(t.db.find::<Author>().last().await?), Some(9));
        assert_eq!(id(t.db.find::<Author>().sort(|a| a.name.asc()).last().await?), Some(6));
        assert_eq!(id(t.db.find::<Author>().sort(|a| a.name.desc()).last().await?), Some(7));
        assert_eq!(id(t.db.find::<Author>().sort(|a| a.id.asc()).skip(2).limit(3).last().await?), Some(5));
        assert_eq!(id(t.db.find::<Author>().limit(0).last().await?), None);
        assert_eq!(id(t.db.find::<Author>().filter(|a| a.id.gt(99)).last().await?), None);
    }

    async fn counts_and_existence_honour_skip_and_limit(t) {
        authors(t, 9).await?;
        let find = || t.db.find::<Author>();
        assert_eq!(find().limit(4).count().await?, 4);
        assert_eq!(find().skip(7).count().await?, 2);
        assert_eq!(find().skip(7).limit(1).count().await?, 1);
        assert_eq!(find().skip(20).limit(5).count().await?, 0);
        assert_eq!(find().limit(0).count().await?, 0);
        assert!(find().skip(8).exists().await?);
        assert!(!find().skip(9).exists().await?);
        assert!(!find().limit(0).exists().await?);
        assert_eq!(find().limit(0).first().await?, None);
    }

    async fn values_are_distinct_before_they_are_limited(t) {
        authors(t, 70).await?;
        let find = || t.db.find::<Author>();
        assert_eq!(find().limit(3).distinct(|a| a.name).await?, ["A0", "A1", "A2"]);
        assert_eq!(find().distinct(|a| a.name).skip(5).limit(9).await?, ["A5", "A6"]);
        assert_eq!(find().sort(|a| a.name.desc()).distinct(|a| a.name).limit(2).await?, ["A6", "A5"]);
        assert_eq!(find().distinct(|a| a.name).count().await?, 7);
        assert_eq!(find().filter(|a| a.id.lte(3)).distinct(|a| a.name).count().await?, 3);
        assert_eq!(find().distinct(|a| a.name).skip(4).limit(2).count().await?, 2);
        assert_eq!(find().distinct(|a| a.name).limit(0).count().await?, 0);
        assert_eq!(find().distinct(|a| a.name).limit(0).await?, [""; 0]);
        let error = find().sort(|a| a.id.asc()).distinct(|a| a.name).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::BadRequest);
    }

    async fn letters_compare_as_the_collation_says(t) {
        if t.stand_in {
            return Ok(());
        }
        for name in ["resume", "Résumé", "RESUME", "résumé", "Zoe", "apple", "Äpfel"] {
            let email = format!("{}@example.org", name.len() * 1000 + name.bytes().map(usize::from).sum::<usize>());
            t.db.insert(NewPerson { email, ..person(name) }).await?;
        }
        let found = async |collation: Collation| {
            t.db.find::<Person>().filter(|p| p.name.eq("resume")).collation(collation).count().await
        };
        assert_eq!(t.db.find::<Person>().filter(|p| p.name.eq("resume")).count().await?, 1);
        assert_eq!(found(Collation::letters("en")).await?, 4);
        assert_eq!(found(Collation::ignore_case("en")).await?, 2);
        let sorted = t.db.find::<Person>().sort(|p| p.name.asc()).collation(Collation::letters("en")).select(|p| p.name).await?;
        assert_eq!((sorted[0].as_str(), sorted[1].as_str(), sorted[6].as_str()), ("Äpfel", "apple", "Zoe"));
        let error = t.db.find::<Person>().collation(Collation { locale: "en".into(), strength: 9 }).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::BadRequest);
        let third = || Collation { locale: "en".into(), strength: 3 };
        assert_eq!(found(third()).await?, 1);
        let sorted = t.db.find::<Person>().filter(|p| p.name.ne("Zoe")).sort(|p| p.name.asc()).collation(third());
        let sorted = sorted.select(|p| p.name).await?;
        assert_eq!(sorted, ["Äpfel", "apple", "resume", "RESUME", "résumé", "Résumé"]);
        let simple = Collation { locale: "simple".into(), strength: 3 };
        assert_eq!(found(simple).await?, 1);
    }

    async fn a_hint_is_followed_and_an_unknown_one_refused(t) {
        if t.stand_in {
            return Ok(());
        }
        t.push().await?;
        for n in 0..20 {
            t.db.insert(NewPerson { age: Some(n), ..person(&format!("P{n}")) }).await?;
        }
        let hinted = t.db.find::<Person>().filter(|p| p.age.gt(3)).hint("email_1").explain().await?;
        assert_eq!(hinted.steps[0].index.as_deref(), Some("email_1"));
        assert_eq!(t.db.find::<Person>().filter(|p| p.age.gt(3)).sort(|p| p.age.asc()).hint("email_1").await?.len(), 16);
        assert_eq!(t.db.find::<Person>().filter(|p| p.age.gt(3)).hint("_id_").count().await?, 16);
        let error = t.db.find::<Person>().hint("nonsense").await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::BadRequest, "{error}");
    }

    async fn groups_and_pipelines_take_the_options_of_reads(t) {
        authors(t, 3).await?;
        let seconds = Duration::from_secs(9);
        let groups = t.db.group_by::<Author, _>(|a| a.country).max_time(seconds).hint("_id_").comment("why").read_concern(ReadConcern::Local);
        assert_eq!(groups.select(|_| count()).await?.len(), 1);
        let pipeline = t.db.pipeline::<Author>().limit(2).max_time(seconds).hint("_id_").comment("why").read_concern(ReadConcern::Local);
        assert_eq!(pipeline.await?.len(), 2);
        let commands = t.driver.take();
        assert_eq!(commands.len(), 2);
        for options in commands.iter().map(|command| &command.options) {
            assert_eq!((options.hint.as_deref(), options.comment.as_deref()), (Some("_id_"), Some("why")));
            assert_eq!((options.max_time, options.read_concern), (Some(seconds), Some(ReadConcern::Local)));
        }
        let error = t.db.group_by::<Author, _>(|a| a.country).hint("nonsense").select(|_| count()).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::BadRequest, "{error}");
    }

    async fn options_reach_every_command_but_hints_only_the_first(t) {
        authors(t, 3).await?;
        let find = t.db.find::<Author>().include(|a| a.books).comment("why").max_time(Duration::from_secs(9)).read_concern(ReadConcern::Local).hint("_id_");
        find.await?;
        let commands = t.driver.take();
        assert!(commands.iter().all(|c| c.options.comment.as_deref() == Some("why") && c.options.max_time.is_some()));
        assert_eq!(commands.iter().map(|c| c.options.hint.as_deref()).collect::<Vec<_>>(), [Some("_id_"), None]);
    }

    async fn an_explanation_reads_as_a_tree(t) {
        authors(t, 30).await?;
        t.push().await?;
        let explained = t.db.find::<Author>().filter(|a| a.name.eq("A1") & a.books.some(|b| b.year.gt(0)))
            .sort(|a| a.name.asc()).include(|a| a.books.limit(2)).explain().await?;
        let text = explained.to_string();
        for part in ["authors: find", "filter books", "include books", "no index", "examined", "warning: "] {
            assert!(text.contains(part), "{part} is missing in:\n{text}");
        }
        assert!(!explained.warnings.is_empty());
        assert!(serde_json::to_value(&explained).unwrap()["steps"][0]["collection"].is_string());
        let good = t.db.find::<Author>().filter(|a| a.id.eq(3)).explain().await?;
        assert!(good.warnings.is_empty(), "{good}");
        assert!(good.to_string().contains("_id_"), "{good}");
    }

    async fn nothing_is_found_with_a_limit_of_zero_at_any_level(t) {
        authors(t, 5).await?;
        let find = || t.db.find::<Author>().sort(|a| a.id.asc());
        assert!(find().limit(0).await?.is_empty());
        let authors = find().include(|a| a.books.limit(0)).await?;
        assert!(authors.iter().all(|a| a.books.is_loaded() && a.books.get().is_empty()));
        let deep = find().include(|a| a.books.include(|b| b.reviews.limit(0))).await?;
        assert_eq!(deep[0].books.get().len(), 1);
        assert!(find().select(|a| (a.id, a.books.limit(0).select(|b| b.title))).await?.iter().all(|(_, books)| books.is_empty()));
        assert!(t.db.find::<Item>().limit(0).stream().next().await.is_none());
    }
}
