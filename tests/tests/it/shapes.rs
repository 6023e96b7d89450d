//! Ids of every type, embeds, and what filters see of them.

use bson::{Bson, doc};
use forge::{Id, Uuid};
use forge_tests::models::{
    Address, Author, Bio, Country, NewAuthor, NewBio, NewPerson, NewPublisher, Person, Phone, Publisher,
    person,
};
use forge_tests::{Fixture, Result, conformance};

fn phone(kind: &str, digits: &str) -> Phone {
    Phone { kind: kind.into(), digits: digits.into() }
}

fn address(city: &str, zip: Option<&str>, code: &str) -> Address {
    Address { city: city.into(), zip: zip.map(Into::into), country: Country { code: code.into() } }
}

async fn fill(t: &Fixture) -> Result<()> {
    let at = |address| Some(address);
    t.db.insert_many([
        NewPerson {
            address: at(address("Graz", Some("8010"), "at")),
            phones: Some(vec![phone("home", "1"), phone("work", "2")]),
            ..person("Ann")
        },
        NewPerson {
            address: at(address("Linz", None, "at")),
            phones: Some(vec![phone("home", "2")]),
            ..person("Bob")
        },
        NewPerson { address: at(address("Bern", Some("3000"), "ch")), phones: Some(vec![]), ..person("Cid") },
        person("Dan"),
    ])
    .await?;
    Ok(())
}

type PersonFilter = fn(&'static <Person as forge::Model>::Fields) -> forge::query::Filter<Person>;

async fn check(t: &Fixture, filter: PersonFilter, wanted: &str) -> Result<()> {
    let found = t.db.find::<Person>().filter(filter).sort(|p| p.name.asc()).await?;
    let names: String = found.iter().map(|p| p.name.as_str()).collect::<Vec<_>>().join(" ");
    assert_eq!(names, wanted, "{:?}", filter(<Person as forge::Model>::FIELDS));
    Ok(())
}

conformance! {
    async fn ids_of_every_type_are_stored_as_themselves(t) {
        let publisher = t.db.insert(NewPublisher { name: "P.$x".into(), city: None }).await?;
        let author = t.db.insert(NewAuthor { id: i64::MIN, name: "A".into(), country: None }).await?;
        let bio = t.db.insert(NewBio { id: None, text: "x".into(), author_id: author.id }).await?;
        let ann = t.db.insert(person("Ann")).await?;
        for (collection, wanted) in [
            ("publishers", Bson::String("P.$x".into())),
            ("authors", Bson::Int64(i64::MIN)),
            ("bios", Bson::from(bio.id)),
            ("people", Bson::ObjectId(ann.id.object_id())),
        ] {
            assert_eq!(t.stored(collection).await?[0].get("_id"), Some(&wanted), "{collection}");
        }
        assert_eq!(t.db.get::<Publisher>("P.$x").await?, Some(publisher));
        assert_eq!(t.db.get::<Author>(i64::MIN).await?, Some(author));
        assert_eq!(t.db.get::<Bio>(bio.id).await?.as_ref(), Some(&bio));
        assert_eq!(t.db.update::<Bio>(bio.id).set(|b| b.text, "y").await?.text, "y");
        assert_eq!(t.db.delete::<Bio>(bio.id).await?.text, "y");
        assert_eq!(t.db.get::<Bio>(Uuid::from_bytes([1; 16])).await?, None);
    }

    async fn ids_travel_as_text(t) {
        let ann = t.db.insert(person("Ann")).await?;
        let json = serde_json::to_value(&ann).unwrap();
        assert_eq!(json["id"], ann.id.to_hex());
        assert_eq!(json["id"].as_str().unwrap().parse::<Id<Person>>().unwrap(), ann.id);
        assert_eq!(json["createdAt"], t.clock.now().to_string());
        assert!(json["createdAt"].as_str().unwrap().ends_with(".000Z"));
        let bio = t.db.insert(NewBio { id: None, text: "x".into(), author_id: 1 }).await?;
        assert_eq!(serde_json::to_value(&bio).unwrap()["id"], bio.id.to_string());
    }

    async fn ids_are_filtered_by_like_any_field(t) {
        let mut ids = Vec::new();
        for name in ["Ann", "Bob", "Cid"] {
            ids.push(t.db.insert(person(name)).await?.id);
        }
        assert_eq!(t.db.find::<Person>().filter(|p| p.id.is_in([ids[0], ids[2]])).count().await?, 2);
        assert_eq!(t.db.find::<Person>().filter(|p| p.id.ne(ids[0])).count().await?, 2);
        assert_eq!(t.db.find::<Person>().sort(|p| p.id.asc()).distinct(|p| p.id).await?, ids);
    }

    async fn embeds_are_stored_as_documents_with_their_own_names(t) {
        fill(t).await?;
        let stored = t.stored("people").await?.into_iter().find(|d| d.get_str("name").ok() == Some("Ann")).unwrap();
        assert_eq!(stored.get_document("address").unwrap(), &doc! { "city": "Graz", "postcode": "8010", "country": { "code": "at" } });
        assert_eq!(stored.get_array("phones").unwrap().len(), 2);
        let ann = t.db.find::<Person>().filter(|p| p.name.eq("Ann")).one().await?;
        assert_eq!(ann.address, Some(address("Graz", Some("8010"), "at")));
    }

    async fn paths_lead_into_embeds(t) {
        fill(t).await?;
        check(t, |p| p.address.city.eq("Graz"), "Ann").await?;
        check(t, |p| p.address.country.code.eq("at"), "Ann Bob").await?;
        check(t, |p| p.address.country.code.ne("at"), "Cid Dan").await?;
        check(t, |p| p.address.zip.is_null(), "Bob Dan").await?;
        check(t, |p| p.address.zip.exists(true), "Ann Cid").await?;
        check(t, |p| p.address.city.starts_with("B") | p.address.zip.eq("8010"), "Ann Cid").await?;
        let sorted = t.db.find::<Person>().filter(|p| p.address.city.exists(true)).sort(|p| p.address.city.desc()).await?;
        assert_eq!(sorted.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["Bob", "Ann", "Cid"]);
        let bob = t.db.find::<Person>().filter(|p| p.name.eq("Bob")).one().await?;
        let moved = t.db.update::<Person>(bob.id).set(|p| p.address.city, "Wels").await?;
        assert_eq!(moved.address, Some(address("Wels", None, "at")), "the rest of the embed stays");
    }

    async fn elements_of_lists_match_as_a_whole(t) {
        fill(t).await?;
        check(t, |p| p.phones.some(|n| n.kind.eq("home") & n.digits.eq("2")), "Bob").await?;
        check(t, |p| p.phones.some(|n| n.kind.eq("home")), "Ann Bob").await?;
        check(t, |p| p.phones.every(|n| n.kind.eq("home")), "Bob Cid Dan").await?;
        check(t, |p| p.phones.none(|n| n.kind.eq("work")), "Bob Cid Dan").await?;
        check(t, |p| p.phones.none(|n| n.digits.eq("2")), "Cid Dan").await?;
    }

    async fn lists_of_scalars_have_their_own_filters(t) {
        for (name, tags) in [("Ann", &["a", "b"][..]), ("Bob", &["b"]), ("Cid", &[])] {
            t.db.insert(NewPerson { tags: Some(tags.iter().map(|t| (*t).to_owned()).collect()), ..person(name) }).await?;
        }
        check(t, |p| p.tags.has("b"), "Ann Bob").await?;
        check(t, |p| p.tags.has_some(["a", "c"]), "Ann").await?;
        check(t, |p| p.tags.has_every(["a", "b"]), "Ann").await?;
        check(t, |p| p.tags.has_every([""; 0]), "Ann Bob Cid").await?;
        check(t, |p| p.tags.has_some([""; 0]), "").await?;
        check(t, |p| p.tags.is_empty(), "Cid").await?;
        check(t, |p| p.tags.size(2), "Ann").await?;
        check(t, |p| !p.tags.has("a"), "Bob Cid").await?;
    }
}
