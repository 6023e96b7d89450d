//! Pages by cursor: both ways, over ties, nulls, lists and values of all types.

use bson::{Bson, Document, bson, doc};
use forge::ErrorCode;
use forge::query::{Field, Order, Page, Paged};
use forge_mongo::Driver as _;
use forge_tests::courses::{Memo, NewMemo, NewTag};
use forge_tests::models::{Author, Item, NewAuthor, Person, person};
use forge_tests::{Fixture, Result, conformance};

type Key = (&'static str, bool);

fn order(key: Key) -> Order<Item> {
    let field = Field::<Item, i32>::new(key.0);
    if key.1 { field.desc() } else { field.asc() }
}

fn find(t: &Fixture, keys: &[Key]) -> forge::query::Find<Item> {
    keys.iter().fold(t.db.find::<Item>(), |find, key| find.sort(|_| order(*key)))
}

fn ids(page: &Paged<Item>) -> Vec<i64> {
    page.items.iter().map(|item| item.id).collect()
}

/// The ids of all pages from the first to the last, and from the last back to the first.
async fn walk(t: &Fixture, keys: &[Key], size: u64) -> Result<(Vec<i64>, Vec<i64>)> {
    let (mut forwards, mut backwards) = (Vec::new(), Vec::new());
    let mut page = find(t, keys).page(Page::first(size)).await?;
    assert_eq!(page.previous, None, "nothing is before the first page");
    loop {
        forwards.extend(ids(&page));
        let Some(next) = page.next.clone() else { break };
        page = find(t, keys).page(Page::first(size).after(next)).await?;
        assert!(!page.items.is_empty(), "a cursor leads to something");
    }
    loop {
        backwards.splice(0..0, ids(&page));
        let Some(previous) = page.previous.clone() else { break };
        page = find(t, keys).page(Page::first(size).before(previous)).await?;
        assert!(!page.items.is_empty(), "a cursor leads to something");
    }
    Ok((forwards, backwards))
}

/// Small numbers that are the same in every run of a seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    /// Few values, so that many are the same.
    fn value(&mut self, lists: bool) -> Option<Bson> {
        Some(match self.below(if lists { 15 } else { 12 }) {
            0 => return None,
            1 => Bson::Null,
            2 => bson!(1),
            3 => bson!(1_i64),
            4 => bson!(1.5),
            5 => bson!(-3),
            6 => bson!("a"),
            7 => bson!("b"),
            8 => bson!(true),
            9 => Bson::DateTime(bson::DateTime::from_millis(self.below(2) as i64)),
            10 => bson!({ "x": self.below(2) as i32 }),
            11 => Bson::ObjectId(bson::oid::ObjectId::from_bytes([self.below(2) as u8; 12])),
            12 => bson!([]),
            13 => bson!([self.below(3) as i32, 7]),
            _ => bson!(["a", self.below(3) as i32, null]),
        })
    }

    fn document(&mut self, id: i64, lists: bool) -> Document {
        let mut document = doc! { "_id": id };
        for path in ["a", "b"] {
            if let Some(value) = self.value(lists) {
                document.insert(path, value);
            }
        }
        document
    }
}

async fn check(t: &Fixture, seed: u64, lists: bool, keys: &[Key], size: u64) -> Result<()> {
    let whole: Vec<i64> = find(t, keys).limit(1_000).await?.iter().map(|item| item.id).collect();
    let (forwards, backwards) = walk(t, keys, size).await?;
    assert_eq!(forwards, whole, "forwards: seed {seed}, lists {lists}, {keys:?} by {size}");
    assert_eq!(backwards, whole, "backwards: seed {seed}, lists {lists}, {keys:?} by {size}");
    Ok(())
}

conformance! {
    async fn pages_together_are_the_whole_result_both_ways(t) {
        const ORDERS: [&[Key]; 7] = [
            &[], &[("a", false)], &[("a", true)], &[("a", false), ("b", true)], &[("b", true), ("a", true)],
            &[("a", true), ("_id", true)], &[("_id", true)],
        ];
        let rounds = if t.engine == forge_tests::Engine::Server { 1 } else { 6 };
        for seed in 0..rounds {
            for lists in [false, true] {
                if lists && t.stand_in {
                    continue;
                }
                t.driver.inner().drop_database(t.name()).await?;
                let mut numbers = Numbers(seed);
                t.seed("items", (1..=40).map(|id| numbers.document(id, lists)).collect::<Vec<_>>()).await?;
                for keys in ORDERS {
                    check(t, seed, lists, keys, 1 + numbers.below(7)).await?;
                }
            }
        }
    }

    async fn pages_over_indexes_are_the_same(t) {
        t.push().await?;
        for index in [doc! { "key": { "a": 1 }, "name": "a_1" }, doc! { "key": { "b": -1, "a": -1 }, "name": "ba" }] {
            t.driver.create_index(t.name(), "items", &index).await?;
        }
        let mut numbers = Numbers(42);
        t.seed("items", (1..=40).map(|id| numbers.document(id, false)).collect::<Vec<_>>()).await?;
        for keys in [&[("a", false)][..], &[("a", true)], &[("b", true), ("a", true)], &[("b", false), ("a", true)]] {
            check(t, 42, false, keys, 7).await?;
        }
    }

    async fn a_page_in_the_middle_reads_no_more_than_itself(t) {
        t.push().await?;
        for n in 0..60 {
            t.db.insert(forge_tests::models::NewPerson { age: Some(n / 3), ..person(&format!("P{n:02}")) }).await?;
        }
        let by_age = || t.db.find::<Person>().sort(|p| (p.age.asc(), p.name.desc()));
        let first = by_age().page(Page::first(30)).await?;
        t.driver.take();
        let second = by_age().page(Page::first(5).after(first.next.unwrap())).await?;
        assert_eq!(second.items[0].name, "P32");
        let commands = t.driver.take();
        assert_eq!(commands.len(), 1, "one command for a page that is not the last");
        let step = t.driver.explain(t.name(), &commands[0]).await?;
        if t.engine != forge_tests::Engine::Server {
            assert_eq!(step.index.as_deref(), Some("age_1_name_-1"), "{commands:?}");
            assert!(!step.sorts_in_memory || step.documents_examined.unwrap() < 40, "{step:?}");
        }
    }

    async fn a_total_counts_everything_that_matches(t) {
        t.seed("items", (1..=9).map(|id| doc! { "_id": id })).await?;
        let page = t.db.find::<Item>().filter(|i| i.id.gt(2)).page(Page::first(3).with_total()).await?;
        assert_eq!((ids(&page), page.total), (vec![3, 4, 5], Some(7)));
        let next = t.db.find::<Item>().filter(|i| i.id.gt(2)).page(Page::first(9).after(page.next.unwrap())).await?;
        assert_eq!((ids(&next), next.total, next.next), (vec![6, 7, 8, 9], None, None));
    }

    async fn a_page_of_size_zero_is_empty(t) {
        t.seed("items", (1..=3).map(|id| doc! { "_id": id })).await?;
        let page = t.db.find::<Item>().page(Page::first(0).with_total()).await?;
        assert_eq!((ids(&page), page.total), (vec![], Some(3)));
    }

    async fn a_cursor_stays_good_while_documents_come_and_go(t) {
        t.seed("items", (1..=9).map(|id| doc! { "_id": id })).await?;
        let first = t.db.find::<Item>().page(Page::first(3)).await?;
        t.db.delete::<Item>(3).await?;
        t.seed("items", [doc! { "_id": 0 }]).await?;
        let second = t.db.find::<Item>().page(Page::first(3).after(first.next.unwrap())).await?;
        assert_eq!(ids(&second), [4, 5, 6]);
        t.db.delete_many::<Item>().filter(|i| i.id.gt(6)).await?;
        let third = t.db.find::<Item>().page(Page::first(3).after(second.next.unwrap())).await?;
        assert_eq!(ids(&third), [0; 0]);
        let back = t.db.find::<Item>().page(Page::first(2).before(third.previous.unwrap())).await?;
        assert_eq!(ids(&back), [4, 5], "6, where the cursor stands, is not before it");
    }

    async fn what_is_no_cursor_of_the_order_is_refused(t) {
        t.seed("items", (1..=9).map(|id| doc! { "_id": id })).await?;
        let cursor = find(t, &[("a", false)]).page(Page::first(3)).await?.next.unwrap();
        let refused = async |keys: &[Key], page: Page| find(t, keys).page(page).await.unwrap_err();
        let error = refused(&[("a", true)], Page::first(3).after(&cursor)).await;
        assert_eq!(error.code(), ErrorCode::BadRequest);
        assert!(error.message().contains("another order"), "{error}");
        for bad in ["", "x", "AAAA", &cursor[1..]] {
            assert_eq!(refused(&[("a", false)], Page::first(3).after(bad)).await.code(), ErrorCode::BadRequest, "{bad}");
        }
        assert_eq!(refused(&[("a", false)], Page::first(3).after(&cursor).before(&cursor)).await.code(), ErrorCode::BadRequest);
        let error = find(t, &[]).limit(5).page(Page::first(3)).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::BadRequest);
    }

    async fn private_fields_are_no_order_for_pages(t) {
        let error = t.db.find::<Memo>().sort(|n| n.secret.asc()).page(Page::first(3)).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Internal);
        assert!(error.message().contains("Memo.secret is private"), "{error}");
    }

    async fn pages_hold_relations_and_selections(t) {
        for id in 1..=5 {
            t.db.insert(NewTag { id, name: format!("t{id}"), weight: None }).await?;
            t.db.insert(NewMemo { id, title: "same".into(), secret: None, tag_ids: Some((1..=id).collect()), place: None }).await?;
        }
        let find = || t.db.find::<Memo>().sort(|n| n.title.asc()).include(|n| n.tags.sort(|g| g.id.desc()).limit(2));
        let first = find().page(Page::first(2)).await?;
        let second = find().page(Page::first(2).after(first.next.unwrap())).await?;
        let tags: Vec<Vec<i64>> = second.items.iter().map(|n| n.tags.get().iter().map(|g| g.id).collect()).collect();
        assert_eq!(tags, [[3, 2], [4, 3]]);
        let back = find().page(Page::first(1).before(second.previous.unwrap())).await?;
        assert_eq!(back.items[0].tags.get().len(), 2);
        let selected = || t.db.find::<Memo>().sort(|n| n.title.asc()).select(|n| (n.tags.count(), n.id));
        let first = selected().page(Page::first(3)).await?;
        assert_eq!(first.items, [(1, 1), (2, 2), (3, 3)]);
        let second = selected().page(Page::first(3).after(first.next.unwrap())).await?;
        assert_eq!(second.items, [(4, 4), (5, 5)]);
    }

    async fn pages_travel_as_json(t) {
        t.db.insert(NewAuthor { id: 1, name: "Ann".into(), country: None }).await?;
        let page: Page = serde_json::from_str(r#"{ "size": 5, "total": true }"#).unwrap();
        let json = serde_json::to_value(t.db.find::<Author>().page(page).await?).unwrap();
        assert_eq!(json, serde_json::json!({ "items": [{ "id": 1, "name": "Ann", "country": null }], "next": null, "previous": null, "total": 1 }));
        assert!(serde_json::from_str::<Page>(r#"{ "size": 5, "offset": 3 }"#).is_err());
    }
}
