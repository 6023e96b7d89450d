//! How far the first run is: a bar on a terminal, a line now and then elsewhere.

use std::io::{IsTerminal as _, Write as _, stderr};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Documents between two lines where there is no terminal.
const LINE_EVERY: u64 = 5_000;

/// The progress of one piece of work.
pub struct Progress {
    what: &'static str,
    total: u64,
    done: u64,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Work of `total` steps on `what`.
    pub fn new(what: &'static str, total: u64) -> Self {
        let bar = stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("  {msg:10} [{bar:40}] {human_pos}/{human_len}");
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "))
                .with_message(what)
        });
        Self { what, total, done: 0, bar }
    }

    /// `n` steps more are done.
    pub fn advance(&mut self, n: u64) {
        let lines = self.done / LINE_EVERY;
        self.done += n;
        let complete = self.done >= self.total;
        match &self.bar {
            Some(bar) if complete => bar.finish_and_clear(),
            Some(bar) => return bar.set_position(self.done),
            None if complete || self.done / LINE_EVERY > lines => {}
            None => return,
        }
        // Nobody may be reading; that is no reason to stop.
        let _ = writeln!(stderr(), "loading {}: {} of {}", self.what, self.done, self.total);
    }
}
