//! Related documents written along with their own: all or nothing, and never those of others.

use forge::{ErrorCode, Id, NewRecord as _, Result};
use forge_tests::engine::unsupported;
use forge_tests::models::{Author, Book, NewAuthor, NewBook, NewPublisher, NewReview};
use forge_tests::orders::{
    Badge, Like, Listener, Member, NewBadge, NewListener, NewMember, NewPlaylist, NewTown, Playlist, Song,
    Team, Town, member, song, team,
};
use forge_tests::{Fixture, conformance};

fn lacks(t: &Fixture) -> bool {
    !t.adapter.capabilities().transactions
}

/// Collections must exist before a transaction of an older server writes to them.
async fn ready(t: &Fixture) -> Result<()> {
    t.push().await.map(|_| ())
}

async fn of(t: &Fixture, team: &Team) -> Result<Vec<i64>> {
    let id = team.id;
    let members = t.db.find::<Member>().filter(|m| m.team_id.eq(id)).sort(|m| m.id.asc()).await?;
    Ok(members.iter().map(|m| m.id).collect())
}

fn badge(id: i64) -> NewBadge {
    NewBadge { id, team_id: forge::Id::from_object_id(bson::oid::ObjectId::from_bytes([0; 12])) }
}

conformance! {
    async fn children_are_created_with_their_parent(t) {
        if lacks(t) {
            return unsupported(t, "transactions");
        }
        ready(t).await?;
        let red = t.db.insert(team("red")).with(|f| (f.members.create([member(1), member(2)]), f.badges.create([badge(7)]))).await?;
        assert_eq!(of(t, &red).await?, [1, 2]);
        let badge = t.db.get::<Badge>(7).await?.unwrap();
        assert_eq!(badge.team_id, red.id, "the key is the parent's, whatever was said");
        assert_eq!(t.db.get::<Member>(1).await?.unwrap().version, 1);
    }

    async fn one_bad_child_undoes_everything(t) {
        if lacks(t) {
            return unsupported(t, "transactions");
        }
        ready(t).await?;
        let bad = NewMember { name: String::new(), ..member(2) };
        let error = t.db.insert(team("red")).with(|f| f.members.create([member(1), bad])).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Validation, "{error:?}");
        let error = t.db.insert(team("red")).with(|f| f.members.create([member(1), member(1)])).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::UniqueViolation, "{error:?}");
        let error = t.db.insert(team("red")).with(|f| f.members.connect([5])).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::NotFound, "{error:?}");
        assert!(error.message().contains("Member") && error.message().contains("members"), "{error}");
        assert_eq!((t.db.find::<Team>().count().await?, t.db.find::<Member>().count().await?), (0, 0));
    }

    async fn children_are_connected_and_disconnected(t) {
        if lacks(t) {
            return unsupported(t, "transactions");
        }
        ready(t).await?;
        t.db.insert_many((1..=6).map(member)).await?;
        let red = t.db.insert(team("red")).with(|f| f.members.connect([1, 2, 3])).await?;
        let blue = t.db.insert(team("blue")).with(|f| f.members.connect([4, 5])).await?;
        t.db.update::<Team>(red.id).with(|f| f.members.disconnect([1, 4, 99])).await?;
        assert_eq!((of(t, &red).await?, of(t, &blue).await?), (vec![2, 3], vec![4, 5]), "others' children stay theirs");
        let renamed = t.db.update::<Team>(red.id).set(|f| f.name, "RED").with(|f| f.members.set([3, 6])).await?;
        assert_eq!((renamed.name.as_str(), of(t, &red).await?), ("RED", vec![3, 6]));
        t.db.update::<Team>(red.id).with(|f| f.members.connect([4])).await?;
        assert_eq!((of(t, &red).await?, of(t, &blue).await?), (vec![3, 4, 6], vec![5]));
        assert_eq!(t.stored("members").await?.iter().filter(|m| m.contains_key("team_id")).count(), 4, "a cleared key is absent");
        assert!(t.db.get::<Member>(4).await?.unwrap().version > 2, "children are changed as by any update");
        t.db.update::<Team>(red.id).with(|f| f.members.set([0; 0])).await?;
        assert_eq!((of(t, &red).await?, of(t, &blue).await?), (vec![], vec![5]));
    }

    async fn what_is_created_along_creates_more(t) {
        if lacks(t) {
            return unsupported(t, "transactions");
        }
        t.push().await?;
        let book = |title: &str| NewBook {
            id: None, title: title.into(), year: 2000, price: None, author_id: None, publisher_id: "?".into(),
        };
        let review = |id| NewReview { id, stars: 5, book_id: Id::from_object_id(bson::oid::ObjectId::from_bytes([0; 12])) };
        let publisher = |name: &str| NewPublisher { name: name.into(), city: None };
        t.db.insert(publisher("Q")).await?;
        let ann = NewAuthor { id: 1, name: "Ann".into(), country: None };
        t.db.insert(ann.clone()).with(|a| a.books.create([
            book("a").with(|b| (b.publisher.create(publisher("P")), b.reviews.create([review(1), review(2)]))),
            book("b").with(|b| b.publisher.connect("Q")).with(|b| b.reviews.create([review(3)])),
        ])).await?;
        let books = t.db.find::<Book>().sort(|b| b.title.asc()).include(|b| (b.reviews.sort(|r| r.id.asc()), b.publisher)).await?;
        let seen = books.iter().map(|b| (
            b.title.as_str(), b.author_id, b.publisher_id.as_str(), b.reviews.iter().map(|r| r.id).collect::<Vec<_>>(),
        ));
        assert_eq!(seen.collect::<Vec<_>>(), [("a", Some(1), "P", vec![1, 2]), ("b", Some(1), "Q", vec![3])]);
        let failing = t.db.insert(NewAuthor { id: 2, ..ann }).with(|a| a.books.create([
            book("c").with(|b| (b.publisher.connect("Q"), b.reviews.create([review(1)]))),
        ]));
        assert_eq!(failing.await.unwrap_err().code(), ErrorCode::UniqueViolation);
        assert_eq!((t.db.find::<Author>().count().await?, t.db.find::<Book>().count().await?), (1, 2), "all or nothing");
    }

    async fn only_ones_own_children_are_deleted(t) {
        if lacks(t) {
            return unsupported(t, "transactions");
        }
        ready(t).await?;
        let red = t.db.insert(team("red")).with(|f| f.members.create([member(1), member(2)])).await?;
        let blue = t.db.insert(team("blue")).with(|f| f.members.create([member(3)])).await?;
        t.db.update::<Team>(red.id).with(|f| f.members.delete([1, 3])).await?;
        assert_eq!((of(t, &red).await?, of(t, &blue).await?), (vec![2], vec![3]));
        assert_eq!(t.stored("members").await?.len(), 3, "it is a soft delete");
    }

    async fn a_required_key_cannot_be_taken_away(t) {
        if lacks(t) {
            return unsupported(t, "transactions");
        }
        ready(t).await?;
        let red = t.db.insert(team("red")).with(|f| f.badges.create([badge(1), badge(2)])).await?;
        for links in [
            t.db.update::<Team>(red.id).set(|f| f.name, "x").with(|f| f.badges.disconnect([1])),
            t.db.update::<Team>(red.id).set(|f| f.name, "x").with(|f| f.badges.set([2])),
        ] {
            let error = links.await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::BadRequest);
            assert!(error.message().contains("team_id"), "{error}");
        }
        assert_eq!(t.db.get::<Team>(red.id).await?.unwrap().name, "red");
        t.db.update::<Team>(red.id).with(|f| f.badges.set([1, 2])).await?;
    }

    async fn the_document_on_the_other_side_of_its_own_key(t) {
        if lacks(t) {
            return unsupported(t, "transactions");
        }
        ready(t).await?;
        let red = t.db.insert(team("red")).with(|f| f.city.create(NewTown { code: "PDX".into() })).await?;
        assert_eq!(red.city_id.as_deref(), Some("PDX"));
        t.db.insert(NewTown { code: "SFO".into() }).await?;
        let moved = t.db.update::<Team>(red.id).with(|f| f.city.connect("SFO")).await?;
        assert_eq!(moved.city_id.as_deref(), Some("SFO"));
        let error = t.db.update::<Team>(red.id).with(|f| f.city.connect("XXX")).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::NotFound);
        let error = t.db.insert(team("blue")).with(|f| f.city.create(NewTown { code: "TOO LONG".into() })).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Validation);
        assert_eq!(t.db.update::<Team>(red.id).with(|f| f.city.disconnect()).await?.city_id, None);
        assert_eq!(t.db.find::<Town>().count().await?, 2);
    }

    async fn the_one_document_that_holds_the_key(t) {
        if lacks(t) {
            return unsupported(t, "transactions");
        }
        ready(t).await?;
        t.db.insert_many([member(2), member(3)]).await?;
        let red = t.db.insert(team("red")).with(|f| f.leader.create(member(1))).await?;
        let leads = async || Ok::<_, forge::Error>(t.db.find::<Member>().filter(|m| m.leads_id.eq(red.id)).await?.iter().map(|m| m.id).collect::<Vec<_>>());
        assert_eq!(leads().await?, [1]);
        t.db.update::<Team>(red.id).with(|f| f.leader.connect(2)).await?;
        assert_eq!(leads().await?, [2], "there is one");
        t.db.update::<Team>(red.id).with(|f| f.leader.create(member(4))).await?;
        assert_eq!(leads().await?, [4]);
        t.db.update::<Team>(red.id).with(|f| f.leader.disconnect()).await?;
        assert_eq!(leads().await?, [0; 0]);
        assert_eq!(t.db.find::<Member>().count().await?, 4);
    }

    async fn a_list_of_keys_grows_and_shrinks(t) {
        if lacks(t) {
            return unsupported(t, "transactions");
        }
        ready(t).await?;
        t.db.insert_many((1..=4).map(song)).await?;
        let new = NewPlaylist { id: 1, song_ids: None };
        let list = t.db.insert(new).with(|p| (p.songs.connect([2, 1]), p.songs.create([song(9)]))).await?;
        let mut ids = list.song_ids.clone();
        ids.sort_unstable();
        assert_eq!(ids, [1, 2, 9]);
        let list = t.db.update::<Playlist>(1).with(|p| p.songs.connect([3, 1])).await?;
        assert_eq!(list.song_ids.len(), 4, "each song once: {list:?}");
        let list = t.db.update::<Playlist>(1).with(|p| p.songs.disconnect([9, 2])).await?;
        assert_eq!(list.song_ids.len(), 2);
        let list = t.db.update::<Playlist>(1).with(|p| p.songs.set([4])).await?;
        assert_eq!((list.song_ids, t.db.find::<Song>().count().await?), (vec![4], 5));
        let error = t.db.update::<Playlist>(1).with(|p| p.songs.connect([77])).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::NotFound);
    }

    async fn documents_between_are_made_and_removed(t) {
        if lacks(t) {
            return unsupported(t, "transactions");
        }
        ready(t).await?;
        t.db.insert_many((1..=4).map(song)).await?;
        t.db.insert(NewListener { id: 1 }).with(|l| (l.songs.connect([1, 2]), l.songs.create([song(9)]))).await?;
        t.db.insert(NewListener { id: 2 }).with(|l| l.songs.connect([1])).await?;
        let liked = async |listener: i64| {
            let likes = t.db.find::<Like>().filter(|l| l.listener_id.eq(listener)).sort(|l| l.song_id.asc()).await?;
            Ok::<_, forge::Error>(likes.iter().map(|l| l.song_id).collect::<Vec<_>>())
        };
        assert_eq!((liked(1).await?, liked(2).await?), (vec![1, 2, 9], vec![1]));
        t.db.update::<Listener>(1).with(|l| l.songs.connect([2, 3])).await?;
        assert_eq!(liked(1).await?, [1, 2, 3, 9], "what is linked is not linked again");
        t.db.update::<Listener>(1).with(|l| l.songs.disconnect([1])).await?;
        assert_eq!((liked(1).await?, liked(2).await?), (vec![2, 3, 9], vec![1]));
        t.db.update::<Listener>(1).with(|l| l.songs.set([4, 2])).await?;
        assert_eq!(liked(1).await?, [2, 4]);
        t.db.update::<Listener>(2).with(|l| l.songs.delete([1, 4])).await?;
        assert_eq!((liked(1).await?, liked(2).await?), (vec![2, 4], vec![]), "song 4 is not theirs");
        assert_eq!(t.db.get::<Song>(1).await?, None);
        assert!(t.db.get::<Song>(4).await?.is_some());
    }

    async fn a_nested_write_joins_the_transaction_around_it(t) {
        if lacks(t) {
            return unsupported(t, "transactions");
        }
        ready(t).await?;
        let error = t.db.transaction(async |tx| {
            tx.insert(team("red")).with(|f| f.members.create([member(1)])).await?;
            assert_eq!(tx.find::<Member>().count().await?, 1);
            Err::<(), _>(forge::Error::conflict("no"))
        }).await.unwrap_err();
        assert_eq!(error.message(), "no");
        assert_eq!((t.db.find::<Team>().count().await?, t.db.find::<Member>().count().await?), (0, 0));
    }

    async fn a_stale_document_links_nothing(t) {
        if lacks(t) {
            return unsupported(t, "transactions");
        }
        ready(t).await?;
        let nobody = forge::Id::from_object_id(bson::oid::ObjectId::from_bytes([9; 12]));
        let error = t.db.update::<Team>(nobody).with(|f| f.members.create([member(1)])).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::NotFound);
        assert_eq!(t.db.find::<Member>().count().await?, 0);
    }
}
