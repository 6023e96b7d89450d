//! The numbers of `$rand`.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use forge_core::{Env, Error, Result};

/// What the state moves on by: the odd number nearest to 2⁶⁴ divided by the golden ratio, as SplitMix64 has it.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Numbers from a random start, which is drawn when the first of them is asked for.
pub(super) struct Dice {
    env: Option<Env>,
    start: OnceLock<u64>,
    state: AtomicU64,
}

impl Dice {
    /// Dice that start where `env` says; without one, none are there.
    pub(super) fn of(env: Option<&Env>) -> Self {
        Self { env: env.cloned(), start: OnceLock::new(), state: AtomicU64::new(0) }
    }

    /// A number from 0 up to, and without, 1.
    ///
    /// # Errors
    /// `bad_request` where a condition has to answer the same for a document always: in indexes and validators.
    pub(super) fn roll(&self) -> Result<f64> {
        let env = self.env.as_ref().ok_or_else(|| {
            Error::bad_request(
                "`$rand` stands in queries, pipelines and updates, not in indexes and validators",
            )
        })?;
        let start = *self.start.get_or_init(|| seed(env));
        let step = self.state.fetch_add(STEP, Ordering::Relaxed);
        Ok(fraction(mixed(start.wrapping_add(step))))
    }
}

/// An unpredictable number.
pub(crate) fn seed(env: &Env) -> u64 {
    env.uuid().bytes().iter().fold(0, |number: u64, byte| number.rotate_left(8) ^ u64::from(*byte))
}

/// The finishing mix of SplitMix64.
fn mixed(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// The upper 53 bits, as many as a double holds, below 1.
fn fraction(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spread_over_the_whole_range() {
        let mut counts = [0_u32; 10];
        for step in 0..10_000_u64 {
            let number = fraction(mixed(step.wrapping_mul(STEP)));
            assert!((0.0..1.0).contains(&number));
            counts[(number * 10.0) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (900..1_100).contains(count)), "{counts:?}");
        assert!(fraction(u64::MAX) < 1.0);
    }
}
