//! The other database of the simulation, whose feed is opened when somebody reads it.

use std::sync::Arc;

use bson::{Bson, rawdoc};
use forge_core::Error;
use forge_core::adapter::{ChangeEvent, ChangeKind, Commit, ResumeToken};

use super::{BOUND, DOWN, Happening, OPENING, World};
use crate::live::event::Event;

/// The other database and its feed.
#[derive(Default)]
pub(super) struct Abroad {
    /// The values after each commit.
    history: Vec<Vec<i32>>,
    state: Feed,
    /// How often its feed was opened.
    feed: u64,
    has_failed: bool,
    delivered_until: u64,
}

#[derive(Default, PartialEq)]
enum Feed {
    #[default]
    Closed,
    Opening,
    Open,
}

impl Abroad {
    /// Whether its feed ever failed to open.
    pub(super) fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// Whether a value was this one after commit number `from` or later.
    pub(super) fn had(&self, from: usize, id: usize, value: &str) -> bool {
        let first = [vec![0; 3]];
        let mut all = first.iter().chain(&self.history).skip(from);
        all.any(|values| values[id].to_string() == value)
    }
}

impl World {
    pub(super) fn open_feed(&mut self, database: &str) {
        assert_eq!(database, "abroad", "the feed of {database} is open");
        assert!(self.abroad.state == Feed::Closed, "it was asked for already");
        self.abroad.state = Feed::Opening;
        self.abroad.feed += 1;
        let (feed, mut time) = (self.abroad.feed, self.now + self.below(OPENING));
        if self.below(3) == 0 {
            self.at(time, Happening::Failed { feed });
            time += self.below(OPENING);
        }
        self.at(time, Happening::Opened { feed });
    }

    pub(super) fn failed(&mut self, feed: u64) {
        if self.abroad.state != Feed::Opening || self.abroad.feed != feed {
            return;
        }
        self.abroad.has_failed = true;
        let (database, error) = ("abroad".into(), Arc::new(Error::unavailable(DOWN)));
        self.feed(Event::FeedFailed { database, error });
    }

    pub(super) fn close_feed(&mut self, database: &str) {
        assert_eq!(database, "abroad", "the feed of {database} stays open");
        assert!(self.abroad.state != Feed::Closed, "it is closed already");
        self.abroad.state = Feed::Closed;
    }

    pub(super) fn opened(&mut self, feed: u64) {
        if self.abroad.state != Feed::Opening || self.abroad.feed != feed {
            return;
        }
        self.abroad.state = Feed::Open;
        self.feed(Event::FeedUp { database: "abroad".into() });
    }

    pub(super) fn write_abroad(&mut self, id: usize, value: i32) {
        let values = &mut self.history.last_mut().unwrap().abroad;
        let before = std::mem::replace(&mut values[id], value);
        self.abroad.history.push(values.clone());
        if self.abroad.state != Feed::Open {
            return;
        }
        let document = |value: i32| Some(rawdoc! { "_id": id as i32, "value": value });
        let change = ChangeEvent {
            collection: "items".into(),
            kind: ChangeKind::Update,
            id: Bson::Int32(id as i32),
            before: document(before),
            after: document(value),
            touched: None,
            updated: None,
        };
        let version = self.abroad.history.len() as u64;
        let commit = Commit { version, token: ResumeToken(Bson::Null), changes: vec![change] };
        self.abroad.delivered_until = self.abroad.delivered_until.max(self.now + self.below(30));
        self.at(
            self.abroad.delivered_until,
            Happening::DeliverAbroad { feed: self.abroad.feed, commit: Arc::new(commit) },
        );
    }

    pub(super) fn deliver_abroad(&mut self, feed: u64, commit: Arc<Commit>) {
        if self.abroad.state != Feed::Open || self.abroad.feed != feed {
            return;
        }
        let abroad = commit.version as usize;
        self.feed(Event::Commit { database: "abroad".into(), commit });
        self.at(self.now + BOUND, Happening::Check { version: 0, abroad, since: self.now });
    }
}
