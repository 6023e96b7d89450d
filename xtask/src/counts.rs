//! Reading how many tests passed from what test runners print.

use std::fmt;
use std::iter::Sum;
use std::ops::AddAssign;

/// How many tests did what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    /// Ran and held.
    pub(crate) passed: u64,
    /// Ran and did not hold.
    pub(crate) failed: u64,
    /// Did not run: ignored, or what they need was missing.
    pub(crate) skipped: u64,
}

impl Counts {
    /// At least one failure: for a runner that failed without counting one, say by a crash.
    pub(crate) fn or_failed(mut self, succeeded: bool) -> Self {
        if !succeeded {
            self.failed = self.failed.max(1);
        }
        self
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |mut sum, next| {
            sum += next;
            sum
        })
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// The counts in libtest's closing line: `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
pub(crate) fn libtest(line: &str) -> Option<Counts> {
    let (_, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut counts = Counts::default();
    for part in numbers.split(';') {
        let Some((number, word)) = part.trim().split_once(' ') else { continue };
        let Ok(number) = number.parse() else { continue };
        match word {
            "passed" => counts.passed = number,
            "failed" => counts.failed = number,
            "ignored" => counts.skipped = number,
            _ => {}
        }
    }
    Some(counts)
}

/// The counts in a line of what JavaScript runners print at their end.
///
/// node's runner gives each number its own line (`ℹ pass 3` or `# pass 3`), vitest all in one
/// (`Tests  1 failed | 5 passed (6)`).
pub(crate) fn javascript(line: &str) -> Option<Counts> {
    let line = line.trim();
    match line.strip_prefix("Tests ") {
        Some(numbers) => vitest(numbers),
        None => node(line.strip_prefix("ℹ ").or_else(|| line.strip_prefix("# "))?),
    }
}

fn node(line: &str) -> Option<Counts> {
    let (word, number) = line.split_once(' ')?;
    let number = number.parse().ok()?;
    match word {
        "pass" => Some(Counts { passed: number, ..Counts::default() }),
        "fail" | "cancelled" => Some(Counts { failed: number, ..Counts::default() }),
        "skipped" | "todo" => Some(Counts { skipped: number, ..Counts::default() }),
        _ => None,
    }
}

fn vitest(numbers: &str) -> Option<Counts> {
    let mut counts = Counts::default();
    for part in numbers.split('|') {
        let mut words = part.split_whitespace();
        let number: u64 = words.next()?.parse().ok()?;
        match words.next()? {
            "passed" => counts.passed = number,
            "failed" => counts.failed = number,
            "skipped" | "todo" => counts.skipped += number,
            _ => return None,
        }
    }
    Some(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(passed: u64, failed: u64, skipped: u64) -> Counts {
        Counts { passed, failed, skipped }
    }

    #[test]
    fn libtest_lines_count_and_others_do_not() {
        let cases = [
            (
                "test result: ok. 12 passed; 0 failed; 2 ignored; 0 measured; 7 filtered out; finished in 0.03s",
                Some(counts(12, 0, 2)),
            ),
            (
                "test result: FAILED. 1 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s",
                Some(counts(1, 3, 0)),
            ),
            ("test types::id::tests::parses ... ok", None),
            ("    test result: ok. 1 passed; 0 failed", None),
            ("running 3 tests", None),
            ("", None),
        ];
        for (line, expected) in cases {
            assert_eq!(libtest(line), expected, "{line}");
        }
    }

    #[test]
    fn javascript_runners_count() {
        let cases = [
            ("ℹ pass 4", Some(counts(4, 0, 0))),
            ("# fail 1", Some(counts(0, 1, 0))),
            ("ℹ skipped 2", Some(counts(0, 0, 2))),
            ("ℹ duration_ms 120.5", None),
            ("ℹ tests 4", None),
            ("      Tests  1 failed | 5 passed | 2 skipped (8)", Some(counts(5, 1, 2))),
            ("      Tests  5 passed (5)", Some(counts(5, 0, 0))),
            (" Test Files  1 passed (1)", None),
        ];
        for (line, expected) in cases {
            assert_eq!(javascript(line), expected, "{line}");
        }
    }

    #[test]
    fn a_failed_run_without_a_failed_test_counts_one() {
        assert_eq!(counts(3, 0, 0).or_failed(false), counts(3, 1, 0));
        assert_eq!(counts(3, 2, 0).or_failed(false), counts(3, 2, 0));
        assert_eq!(counts(3, 0, 0).or_failed(true), counts(3, 0, 0));
    }

    #[test]
    fn the_closing_line_has_the_plain_form() {
        assert_eq!(
            [counts(1, 0, 2), counts(2, 1, 0)].into_iter().sum::<Counts>().to_string(),
            "3 passed, 1 failed, 2 skipped"
        );
    }
}
