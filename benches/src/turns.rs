//! Two sides, measured in turn.

use crate::{Pairs, Span};

/// What a bench can fail with.
pub type Failure = Box<dyn std::error::Error>;

/// Measures both sides `rounds` times, `n` units of work each; who goes first changes from round to round. One more
/// round before them only warms up.
///
/// # Errors
/// What either side answers.
pub async fn in_turn(
    rounds: usize,
    n: usize,
    ours: impl AsyncFn(usize) -> Result<(), Failure>,
    peer: impl AsyncFn(usize) -> Result<(), Failure>,
) -> Result<Pairs, Failure> {
    let mut pairs = Pairs::default();
    for round in 0..=rounds {
        let (a, b) = if round.is_multiple_of(2) {
            let a = measure(n, &ours).await?;
            (a, measure(n, &peer).await?)
        } else {
            let b = measure(n, &peer).await?;
            (measure(n, &ours).await?, b)
        };
        pairs.warm(round, a, b);
    }
    Ok(pairs)
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
