//! Jobs that are due and that this program cannot run: of another version of it, or of nobody any more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use forge_core::{DateTime, Db};

use super::store::{self, Names};

/// How soon the same name is warned of again.
const AGAIN: Duration = Duration::from_secs(30 * 60);

/// The names that were warned of, and when. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Strangers(Arc<Mutex<HashMap<String, DateTime>>>);

impl Strangers {
    /// Looks for such jobs in a database, and warns of them.
    pub(super) async fn ask(&self, db: &Db, known: &Names) {
        let found = match store::strangers(db, known).await {
            Ok(found) => found,
            Err(error) => {
                tracing::debug!(%error, "the jobs that nobody here runs could not be counted");
                return;
            }
        };
        for stranger in found {
            if self.is_news(&stranger.handler, db.env().now()) {
                tracing::warn!(
                    database = db.name(),
                    handler = stranger.handler,
                    jobs = stranger.jobs,
                    oldest = %stranger.oldest,
                    "jobs are due of a mutation that this program does not have: they wait for a version of it that does; \
                     delete them from forge_jobs where there will be none"
                );
            }
        }
    }

    /// Whether this name was not warned of lately.
    fn is_news(&self, handler: &str, now: DateTime) -> bool {
        let mut warned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        warned.retain(|_, at| now < at.saturating_add(AGAIN));
        let news = !warned.contains_key(handler);
        if news {
            warned.insert(handler.to_owned(), now);
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_warned_of_once_in_a_while() {
        let strangers = Strangers::default();
        let at = |minutes: i64| DateTime::from_millis(minutes * 60_000);
        assert!(strangers.is_news("a", at(0)) && !strangers.is_news("a", at(29)));
        assert!(strangers.is_news("b", at(29)) && strangers.is_news("a", at(30)));
        assert!(!strangers.is_news("b", at(58)));
    }
}
