//! What the feed under the live queries tells.

use forge_core::adapter::history_lost;
use forge_core::feed::News;
use forge_core::{Catalog, Db, Error};

use crate::testing::{FakeAdapter, commit, env};
use std::sync::Arc;

/// What a feed told, up to the commit with version `last`.
async fn told(adapter: FakeAdapter, last: u64) -> Vec<String> {
    let mut feed = Db::new(Arc::new(adapter), Arc::new(Catalog::collect().unwrap()), env()).feed();
    let mut told = Vec::new();
    while let Some(news) = feed.next().await {
        let (text, over) = match news {
            News::Commit(commit) => (commit.version.to_string(), commit.version >= last),
            News::Up => ("up".into(), false),
            News::Afresh => ("afresh".into(), false),
            News::Down(_) => ("down".into(), false),
            News::Never(_) => ("never".into(), false),
        };
        told.push(text);
        if over {
            break;
        }
    }
    told
}

#[tokio::test(start_paused = true)]
async fn a_broken_feed_is_resumed_by_its_last_token() {
    let adapter = FakeAdapter::default();
    adapter.next_watch(vec![Ok(commit(1)), Err(Error::unavailable("reset"))]);
    adapter.next_watch(vec![Ok(commit(2))]);
    let tokens = adapter.tokens.clone();
    assert_eq!(told(adapter, 2).await, ["up", "1", "down", "up", "2"]);
    assert_eq!(*tokens.lock().unwrap(), [None, Some(commit(1).token)]);
}

#[tokio::test(start_paused = true)]
async fn lost_history_means_one_fresh_start() {
    let adapter = FakeAdapter::default();
    adapter.next_watch(vec![Ok(commit(1)), Err(history_lost())]);
    adapter.next_watch(vec![Ok(commit(9))]);
    let tokens = adapter.tokens.clone();
    assert_eq!(told(adapter, 9).await, ["up", "1", "afresh", "9"]);
    assert_eq!(*tokens.lock().unwrap(), [None, None]);
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_broke_before_its_first_commit_missed_something() {
    let adapter = FakeAdapter::default();
    adapter.next_watch(vec![Err(Error::unavailable("reset"))]);
    adapter.next_watch(vec![Ok(commit(3))]);
    assert_eq!(told(adapter, 3).await, ["up", "down", "afresh", "3"]);
}

#[tokio::test(start_paused = true)]
async fn an_engine_without_feeds_is_asked_once() {
    let adapter = FakeAdapter::default();
    adapter.fail_watch(Error::unsupported("no change streams on a standalone server"));
    assert_eq!(told(adapter, 1).await, ["never"]);
}
