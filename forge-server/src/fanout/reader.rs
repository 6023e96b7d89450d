//! What a process makes of the records that it reads: no IO.

use std::sync::Arc;

use forge_core::Error;
use forge_core::feed::News;

use super::Record;

/// A reader of the log.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    /// The number of the last record that it has seen; none before any.
    seq: Option<u64>,
    /// Whether it has ever told that the feed is open.
    opened: bool,
    /// Whether the log was out of reach since the last news.
    away: bool,
}

impl Reader {
    /// The log is in reach, and stands at `seq` with the feed of the leader `up`. Answers with what there is to tell, and
    /// whether the reader goes on after its own last record (or else after `seq`).
    pub(crate) fn connected(&mut self, seq: Option<u64>, up: bool) -> (Option<News>, bool) {
        // Without a number it has been told of something that it could not place.
        let first = self.seq.is_none() && !self.opened;
        let away = std::mem::replace(&mut self.away, false);
        match seq {
            // It is behind: the records in between tell all, or show that some of them are gone.
            Some(seq) if self.seq.is_some_and(|own| own < seq) => {
                self.away = away;
                (None, true)
            }
            Some(seq) if self.seq == Some(seq) => ((away && up).then(|| self.up()), true),
            Some(seq) => {
                self.seq = Some(seq);
                let news = if first { up.then(|| self.up()) } else { Some(self.afresh()) };
                (news, false)
            }
            None if first => (None, true),
            None => {
                // The log is gone; the next record shows that by its number.
                self.away = away;
                (None, false)
            }
        }
    }

    /// The log is out of reach.
    pub(crate) fn broken(&mut self, error: Error) -> News {
        self.away = true;
        News::Down(Arc::new(error))
    }

    /// A record came that cannot be read, of another version or by somebody else: whatever it told is read afresh. Its
    /// number is taken for the next, where that cannot be read either.
    pub(crate) fn hear_nothing(&mut self, seq: Option<u64>) -> News {
        self.seq = seq.or_else(|| self.seq.map(|seq| seq.saturating_add(1)));
        self.away = false;
        self.afresh()
    }

    /// A record came.
    pub(crate) fn hear(&mut self, seq: u64, record: Record) -> Vec<News> {
        let before = self.seq.replace(seq);
        let away = std::mem::replace(&mut self.away, false);
        let mut news = Vec::new();
        if before.map_or(self.opened, |before| before.checked_add(1) != Some(seq)) {
            news.push(self.afresh());
        } else if (away || !self.opened) && matches!(record, Record::Commit(_)) {
            news.push(self.up());
        }
        match record {
            Record::Afresh if self.opened => news.push(News::Afresh),
            Record::Up | Record::Afresh => news.push(self.up()),
            Record::Down(why) => news.push(News::Down(Arc::new(Error::unavailable(why.to_string())))),
            Record::Commit(commit) => news.push(News::Commit(commit)),
        }
        news
    }

    fn up(&mut self) -> News {
        self.opened = true;
        News::Up
    }

    fn afresh(&mut self) -> News {
        if std::mem::replace(&mut self.opened, true) { News::Afresh } else { News::Up }
    }
}
