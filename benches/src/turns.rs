//! Two sides, measured in turn.

use std::ops::Range;

use futures_util::{TryStreamExt as _, stream};

use crate::{Pairs, Span};

/// What a bench can fail with.
pub type Failure = Box<dyn std::error::Error>;

/// Measures both sides `rounds` times, `n` units of work each, `callers` at the same time, in turns of some units; who
/// goes first changes from turn to turn. One more round before them only warms up.
///
/// # Errors
/// What either side answers.
pub async fn in_turn(
    rounds: usize,
    n: usize,
    callers: usize,
    ours: impl AsyncFn(usize) -> Result<(), Failure>,
    peer: impl AsyncFn(usize) -> Result<(), Failure>,
) -> Result<Pairs, Failure> {
    let mut pairs = Pairs::default();
    for round in 0..=rounds {
        let (mut a, mut b) = (0.0, 0.0);
        let each = TURN * callers;
        for (turn, first) in (0..n).step_by(each).enumerate() {
            let units = first..n.min(first + each);
            if (round + turn).is_multiple_of(2) {
                a += spent(units.clone(), callers, &ours).await?;
                b += spent(units, callers, &peer).await?;
            } else {
                b += spent(units.clone(), callers, &peer).await?;
                a += spent(units, callers, &ours).await?;
            }
        }
        pairs.warm(round, a / n as f64, b / n as f64);
    }
    Ok(pairs)
}

/// Units of work of each caller in one turn: few, so that a machine whose speed drifts drifts for both sides.
const TURN: usize = 20;

/// Processor time of these units of work together, in microseconds.
async fn spent(
    units: Range<usize>,
    callers: usize,
    work: &impl AsyncFn(usize) -> Result<(), Failure>,
) -> Result<f64, Failure> {
    let span = Span::start();
    if callers == 1 {
        for i in units {
            work(i).await?;
        }
    } else {
        stream::iter(units.map(Ok)).try_for_each_concurrent(callers, |i| work(i)).await?;
    }
    Ok(span.cpu_micros_each(1))
}

/// Processor time of each of `n` units of work, in microseconds.
///
/// # Errors
/// What the work answers.
pub async fn measure(n: usize, work: &impl AsyncFn(usize) -> Result<(), Failure>) -> Result<f64, Failure> {
    let span = Span::start();
    for i in 0..n {
        work(i).await?;
    }
    Ok(span.cpu_micros_each(n))
}

/// Nanoseconds of processor time of each call, the median of some rounds.
pub fn nanos_each<T>(mut call: impl FnMut() -> T) -> f64 {
    const CALLS: usize = 20_000;
    let rounds: Vec<f64> = (0..11)
        .map(|_| {
            let span = Span::start();
            for _ in 0..CALLS {
                std::hint::black_box(call());
            }
            span.cpu_micros_each(CALLS) * 1e3
        })
        .collect();
    crate::median(&rounds)
}
