//! Parts of documents: tuples, projection structs, fields left out, counts.

use bson::doc;
use forge::__private::schemars::{self, JsonSchema};
use forge::Model;
use forge::ir::Projection;
use forge::prelude::whole;
use forge::query::Page;
use forge_tests::courses::{
    CourseCard, Enrolment, EnrolmentCard, Memo, NewCourse, NewEnrolment, NewMemo, NewStudent, NewTag,
    NoteCard, Place, Tag, TagName,
};
use forge_tests::models::{
    Address, Author, Book, Country, NewAuthor, NewBook, NewPerson, NewPublisher, Person, person,
};
use forge_tests::schema_models::{Kinds, NewKinds};
use forge_tests::{Fixture, Result, conformance};

async fn notes(t: &Fixture) -> Result<()> {
    for (id, name) in [(1, "red"), (2, "green"), (3, "blue")] {
        t.db.insert(NewTag { id, name: name.into(), weight: (id == 2).then_some(7) }).await?;
    }
    let place = |room: &str, shelf| Some(Place { room: room.into(), shelf });
    for (id, tags, place) in [
        (1, vec![3, 1, 3], place("hall", Some(4))),
        (2, vec![2, 99], place("attic", None)),
        (3, vec![], None),
    ] {
        let title = format!("n{id}");
        let secret = Some("s3cret".to_owned());
        t.db.insert(NewMemo { id, title, secret, tag_ids: Some(tags), place }).await?;
    }
    Ok(())
}

conformance! {
    async fn a_tuple_holds_what_was_asked_for(t) {
        notes(t).await?;
        let rows = t.db.find::<Memo>().sort(|n| n.id.asc())
            .select(|n| (n.id, n.title, n.place.shelf.optional(), n.place.optional(), n.tag_ids)).await?;
        assert_eq!(rows[0], (1, "n1".to_owned(), Some(Some(4)), Some(Place { room: "hall".into(), shelf: Some(4) }), vec![3, 1, 3]));
        assert_eq!(rows[2], (3, "n3".to_owned(), None, None, vec![]));
        let titles = t.db.find::<Memo>().sort(|n| n.id.desc()).select(|n| n.title).limit(2).await?;
        assert_eq!(titles, ["n3", "n2"]);
        assert_eq!(t.db.find::<Memo>().filter(|n| n.id.eq(2)).select(|n| n.place.room).one().await?, "attic");
        assert_eq!(t.db.find::<Memo>().select(|n| n.id).last().await?, Some(3));
        assert_eq!(t.db.find::<Memo>().select(|n| n.id).limit(0).await?, [0; 0]);
    }

    async fn parts_of_relations_come_beside_whole_documents(t) {
        notes(t).await?;
        let rows: Vec<(Memo, Vec<String>, u64, String)> = t.db.find::<Memo>().sort(|n| n.id.asc())
            .select(|n| (whole(), n.tags.filter(|g| g.id.gt(1)).select(|g| g.name), n.tags.count(), n.title)).await?;
        assert_eq!((rows[0].0.id, rows[0].0.tag_ids.clone()), (1, vec![3, 1, 3]));
        assert_eq!((rows[0].1.as_slice(), rows[0].2, rows[0].3.as_str()), (&["blue".to_owned()][..], 2, "n1"));
        assert!(!rows[0].0.tags.is_loaded());
        assert_eq!((rows[2].0.place.clone(), rows[2].1.len()), (None, 0));
        let alone = t.db.find::<Memo>().omit(|n| n.secret).sort(|n| n.id.asc()).select(|_| whole()).one().await?;
        assert_eq!((alone.title.as_str(), alone.secret), ("n1", None));
    }

    async fn only_the_paths_that_were_asked_for_are_sent(t) {
        let paths = |projection: Projection| match projection {
            Projection::Only(paths) => paths.into_iter().map(std::borrow::Cow::into_owned).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        let select = t.db.find::<Memo>().select(|n| (n.title, n.place.room, n.tags.select(|g| g.name))).to_ir()?;
        assert_eq!(paths(select.projection), ["title", "place.room"]);
        assert_eq!(paths(select.include[0].select.projection.clone()), ["name"]);
        let select = t.db.find::<Memo>().project::<NoteCard>().to_ir()?;
        assert_eq!(paths(select.projection), ["_id", "title", "secret", "place.room"]);
        assert_eq!(paths(select.include[0].select.projection.clone()), ["name"]);
        assert!(select.include[1].count);
    }

    async fn a_selected_value_that_is_absent_says_which(t) {
        notes(t).await?;
        let error = t.db.find::<Memo>().filter(|n| n.id.eq(3)).select(|n| n.place.room).await.unwrap_err();
        assert!(error.message().contains("`place.room` is nothing"), "{error}");
        assert!(error.message().contains("the document 3 of memos is not a Memo"), "{error}");
    }

    async fn relations_are_part_of_a_select_and_keep_their_join_keys(t) {
        notes(t).await?;
        let rows = t.db.find::<Memo>().sort(|n| n.id.asc())
            .select(|n| (n.title, n.tags.sort(|g| g.name.asc()).select(|g| (g.name, g.weight)), n.tags.count())).await?;
        let tag = |name: &str, weight| (name.to_owned(), weight);
        assert_eq!(rows, [
            ("n1".to_owned(), vec![tag("blue", None), tag("red", None)], 2),
            ("n2".to_owned(), vec![tag("green", Some(7))], 1),
            ("n3".to_owned(), vec![], 0),
        ]);
        let author = t.db.insert(NewAuthor { id: 1, name: "Ann".into(), country: None }).await?;
        t.db.insert(NewPublisher { name: "P".into(), city: None }).await?;
        t.db.insert(NewBook { id: None, title: "B".into(), year: 1, price: None, author_id: Some(author.id), publisher_id: "P".into() }).await?;
        let rows = t.db.find::<Book>().select(|b| (b.title, b.author.select(|a| a.name), b.publisher)).await?;
        assert_eq!(rows[0].0, "B");
        assert_eq!(rows[0].1, Some("Ann".to_owned()));
        assert_eq!(rows[0].2.as_ref().map(|p| p.name.as_str()), Some("P"));
    }

    async fn a_projection_struct_reads_fields_paths_relations_and_counts(t) {
        notes(t).await?;
        let cards = t.db.find::<Memo>().sort(|n| n.id.asc()).project::<NoteCard>().await?;
        let name = |name: &str| TagName { name: name.into() };
        assert_eq!(cards[0], NoteCard {
            id: 1, title: "n1".into(), secret: Some("s3cret".into()), room_name: Some("hall".into()),
            tags: vec![name("blue"), name("red")], tag_count: 2,
        });
        assert_eq!((cards[2].room_name.as_deref(), cards[2].tag_count), (None, 0));
        let first = t.db.find::<Memo>().sort(|n| n.id.asc())
            .include(|n| n.tags.filter(|g| g.name.ne("blue")).limit(1)).project::<NoteCard>().one().await?;
        assert_eq!((first.tags, first.tag_count), (vec![name("red")], 2), "the include's conditions are kept");
    }

    async fn clients_see_a_projection_by_its_names_and_without_private_fields(t) {
        notes(t).await?;
        let card = t.db.find::<Memo>().filter(|n| n.id.eq(1)).project::<NoteCard>().one().await?;
        let json = serde_json::to_value(&card).unwrap();
        assert_eq!(json, serde_json::json!({
            "id": 1, "title": "n1", "roomName": "hall", "tags": [{ "name": "blue" }, { "name": "red" }], "tagCount": 2,
        }));
        let mut generator = schemars::SchemaGenerator::default();
        let schema = NoteCard::json_schema(&mut generator).to_value();
        assert!(schema["properties"].get("secret").is_none());
        assert_eq!(schema["properties"]["title"]["description"], "What it is called.");
        assert_eq!(schema["required"], serde_json::json!(["id", "title", "roomName", "tags", "tagCount"]));
    }

    async fn projections_nest(t) {
        t.db.insert_many([NewStudent { id: 1, name: "Ann".into() }, NewStudent { id: 2, name: "Bob".into() }]).await?;
        t.db.insert(NewCourse { id: "art".into(), hours: 3 }).await?;
        for id in [1, 2] {
            t.db.insert(NewEnrolment { id, student_id: id, course_id: "art".into(), grade: Some(id as i32) }).await?;
        }
        let cards = t.db.find::<Enrolment>().sort(|e| e.id.asc()).project::<EnrolmentCard>().await?;
        assert_eq!(cards[1].student.as_ref().map(|s| s.name.as_str()), Some("Bob"));
        assert_eq!(cards[1].course, Some(CourseCard { id: "art".into(), students: 2 }));
        assert_eq!(serde_json::to_value(&cards[1].course).unwrap(), serde_json::json!({ "name": "art", "students": 2 }));
    }

    async fn fields_are_left_out(t) {
        t.db.insert(NewPerson { age: Some(4), nickname: Some("x".into()), ..person("Ann") }).await?;
        t.driver.take();
        let ann = t.db.find::<Person>().omit(|p| (p.age, p.nickname)).one().await?;
        assert_eq!((ann.age, ann.nickname, ann.name.as_str()), (None, None, "Ann"));
        notes(t).await?;
        let note = t.db.find::<Memo>().filter(|n| n.id.eq(2)).omit(|n| n.secret)
            .include(|n| n.tags.omit(|g| g.weight)).one().await?;
        assert_eq!(note.secret, None);
        assert_eq!((note.tags.get()[0].weight, note.tags.get()[0].name.as_str()), (None, "green"));
    }

    async fn fields_of_embedded_structs_are_left_out(t) {
        let address = |city: &str| Address { city: city.into(), zip: Some("97201".into()), country: Country { code: "US".into() } };
        let kinds = |id| NewKinds {
            id, code: None, rank: None, title: None, home: Some(address("Salem")),
            past: Some(vec![address("Bend"), address("Eugene")]), spot: None, secret: Some("s".into()), more: None,
        };
        t.db.insert_many([kinds(1), kinds(2)]).await?;
        let find = || t.db.find::<Kinds>().sort(|k| k.id.asc());
        let sent = find().omit(|k| k.home.zip).one().await?;
        assert_eq!(sent.home.as_ref().map(|home| (home.city.as_str(), home.zip.as_deref())), Some(("Salem", None)));
        assert_eq!(sent.past[1].zip.as_deref(), Some("97201"), "that of others stays");
        let without = find().omit(|k| (k.past.omit(|past| past.zip), k.secret)).await?;
        for found in &without {
            assert!(found.past.iter().all(|past| past.zip.is_none() && !past.city.is_empty()), "{found:?}");
            assert_eq!((found.past.len(), &found.secret), (2, &None));
            assert!(found.home.as_ref().is_some_and(|home| home.zip.is_some()));
        }
        let none = find().omit(|k| (k.home, k.home.zip)).one().await?;
        assert_eq!((none.home, none.past.len()), (None, 2), "all of it");
        let page = t.db.find::<Kinds>().omit(|k| k.home).sort(|k| k.home.city.asc()).page(Page::first(1)).await?;
        assert_eq!(page.items[0].home.as_ref().map(|home| home.city.as_str()), Some("Salem"), "what a page goes by is read");
        let error = find().omit(|k| k.past).await.unwrap_err();
        assert_eq!(error.code(), forge::ErrorCode::BadRequest);
        assert!(error.message().contains("`past`"), "{error}");
        let error = find().omit(|k| k.home.country).await.unwrap_err();
        assert!(error.message().contains("`home.country`"), "{error}");
    }

    async fn a_field_that_joins_is_not_left_out(t) {
        t.db.insert(NewAuthor { id: 1, name: "Ann".into(), country: None }).await?;
        t.db.insert(NewPublisher { name: "P".into(), city: None }).await?;
        t.db.insert(NewBook { id: None, title: "B".into(), year: 1, price: Some(2.0), author_id: Some(1), publisher_id: "P".into() }).await?;
        let book = t.db.find::<Book>().omit(|b| (b.author_id, b.price)).include(|b| b.author).one().await?;
        assert_eq!(book.author.get().map(|a| a.name.as_str()), Some("Ann"));
        assert_eq!(book.price, None);
        let author = t.db.find::<Author>()
            .include(|a| a.books.omit(|b| (b.author_id, b.price)).limit(3)).one().await?;
        assert_eq!(author.books.get().len(), 1);
        assert_eq!(author.books.get()[0].price, None);
    }

    async fn counts_come_beside_documents_and_reach_json(t) {
        t.db.insert_many([NewAuthor { id: 1, name: "Ann".into(), country: None }, NewAuthor { id: 2, name: "Bob".into(), country: None }]).await?;
        t.db.insert(NewPublisher { name: "P".into(), city: None }).await?;
        for year in 1..=4 {
            t.db.insert(NewBook { id: None, title: format!("B{year}"), year, price: None, author_id: Some(1), publisher_id: "P".into() }).await?;
        }
        let gone = t.db.find::<Book>().filter(|b| b.year.eq(1)).one().await?;
        t.db.delete::<Book>(gone.id).await?;
        t.driver.take();
        let authors = t.db.find::<Author>().sort(|a| a.id.asc())
            .include(|a| (a.books.sort(|b| b.year.desc()).limit(1), a.books.filter(|b| b.year.gt(2)).count())).await?;
        assert_eq!(t.driver.take().len(), 3, "one command for the documents, one for the counts");
        assert_eq!((authors[0].books.get().len(), authors[0].books.count()), (1, Some(2)));
        assert_eq!((authors[1].books.get().len(), authors[1].books.count()), (0, Some(0)));
        let json = serde_json::to_value(&authors[0]).unwrap();
        assert_eq!(json["_count"], serde_json::json!({ "books": 2 }));
        let only = t.db.find::<Author>().sort(|a| a.id.asc()).include(|a| a.books.count()).await?;
        assert_eq!((only[0].books.count(), only[0].books.is_loaded()), (Some(3), false), "deleted ones do not count");
        assert!(serde_json::to_value(&only[0]).unwrap().get("books").is_none());
        let all = t.db.find::<Author>().include(|a| a.books.with_deleted().count()).sort(|a| a.id.asc()).await?;
        assert_eq!(all[0].books.count(), Some(4));
        assert_eq!(t.db.find::<Author>().one().await?.books.count(), None);
    }

    async fn a_path_of_another_shape_is_no_panic(t) {
        t.seed("memos", [doc! { "_id": 1_i64, "title": "x", "tag_ids": 5, "place": "nowhere" }]).await?;
        let error = t.db.find::<Memo>().select(|n| n.tag_ids).await.unwrap_err();
        assert!(error.message().contains("`tag_ids`"), "{error}");
        let rooms = t.db.find::<Memo>().select(|n| n.place.room.optional()).await?;
        assert_eq!(rooms, [None]);
        assert_eq!(Memo::def().access_at("secret"), forge::model::Access::Private);
        assert_eq!(Tag::def().access_at("name"), forge::model::Access::Public);
    }
}
