//! The harness of the benches: one row a figure, as a table or as JSON lines.

// A bench speaks by printing.
#![allow(clippy::print_stdout)]

use std::time::{Duration, Instant};

use cpu_time::ProcessTime;
use serde::Serialize;

pub mod client;
pub mod models;
pub mod process;
pub mod replay;
pub mod turns;

/// What every bench accepts.
#[derive(Debug, Clone, clap::Parser)]
pub struct Options {
    /// One JSON object a line in place of a table.
    #[arg(long)]
    pub json: bool,
    /// The server of benches that compare against one.
    #[arg(long)]
    pub uri: Option<String>,
    /// Only figures whose name contains this.
    #[arg(long, default_value = "")]
    pub only: String,
    /// Rounds of each measurement; the median counts.
    #[arg(long, default_value_t = 15)]
    pub rounds: usize,
}

impl Options {
    /// Whether the figure `name` was asked for.
    pub fn wants(&self, name: &str) -> bool {
        name.contains(&self.only)
    }
}

/// One figure.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    /// What was measured.
    pub name: String,
    /// The figure.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// The figure asked for; of ratios, the largest one.
    pub bar: Option<f64>,
    /// Whether the bar is met; true without one.
    pub ok: bool,
    /// What it is compared with, in the same run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<f64>,
    /// Value by peer, as the median of the rounds' own ratios.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
}

/// Collects figures and prints them.
#[derive(Debug)]
pub struct Report {
    json: bool,
    title: &'static str,
    figures: Vec<Figure>,
}

impl Report {
    /// A report under `title`.
    pub fn new(options: &Options, title: &'static str) -> Self {
        Self { json: options.json, title, figures: Vec::new() }
    }

    /// Adds a figure without a peer. `bar` is the largest good value, or with `at_least` the smallest.
    pub fn figure(&mut self, name: &str, value: f64, unit: &'static str, bar: Option<Bar>) {
        let ok = bar.is_none_or(|bar| bar.holds(value));
        self.push(Figure {
            name: name.to_owned(),
            value,
            unit,
            bar: bar.map(Bar::value),
            ok,
            peer: None,
            ratio: None,
        });
    }

    /// Adds a comparison whose ratio must not exceed `bar`.
    pub fn compare(&mut self, name: &str, pairs: &Pairs, unit: &'static str, bar: f64) {
        let ratio = pairs.ratio();
        self.push(Figure {
            name: name.to_owned(),
            value: median(&pairs.ours),
            unit,
            bar: Some(bar),
            ok: ratio <= bar,
            peer: Some(median(&pairs.peer)),
            ratio: Some(ratio),
        });
    }

    fn push(&mut self, figure: Figure) {
        if self.json {
            println!("{}", serde_json::to_string(&figure).unwrap_or_default());
        }
        self.figures.push(figure);
    }

    /// Prints the table, unless JSON was asked for.
    pub fn finish(self) {
        if self.json {
            return;
        }
        println!("\n{}\n", self.title);
        println!(
            "{:<44} {:>12} {:<10} {:>12} {:>7} {:>9}",
            "figure", "value", "unit", "peer", "ratio", "bar"
        );
        for figure in &self.figures {
            let shown = |value: Option<f64>| value.map_or_else(String::new, |v| format!("{v:.2}"));
            println!(
                "{:<44} {:>12.2} {:<10} {:>12} {:>7} {:>9} {}",
                figure.name,
                figure.value,
                figure.unit,
                shown(figure.peer),
                shown(figure.ratio),
                shown(figure.bar),
                if figure.ok { "" } else { "MISSED" }
            );
        }
    }
}

/// Which side of a figure is good.
#[derive(Debug, Clone, Copy)]
pub enum Bar {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
}

impl Bar {
    fn value(self) -> f64 {
        match self {
            Bar::AtMost(bar) | Bar::AtLeast(bar) => bar,
        }
    }

    fn holds(self, value: f64) -> bool {
        match self {
            Bar::AtMost(bar) => value <= bar,
            Bar::AtLeast(bar) => value >= bar,
        }
    }
}

/// Ours and a peer's, measured in turn.
#[derive(Debug, Default)]
pub struct Pairs {
    ours: Vec<f64>,
    peer: Vec<f64>,
}

impl Pairs {
    /// One round.
    pub fn of(ours: f64, peer: f64) -> Self {
        Self { ours: vec![ours], peer: vec![peer] }
    }

    /// Adds one round.
    pub fn push(&mut self, ours: f64, peer: f64) {
        self.ours.push(ours);
        self.peer.push(peer);
    }

    /// Adds a round, unless it is the first: that one only warms up.
    pub fn warm(&mut self, round: usize, ours: f64, peer: f64) {
        if round > 0 {
            self.push(ours, peer);
        }
    }

    /// The median of the rounds' ratios: drift of the machine's speed cancels out.
    pub fn ratio(&self) -> f64 {
        let ratios: Vec<_> =
            self.ours.iter().zip(&self.peer).map(|(ours, peer)| ours / peer.max(f64::EPSILON)).collect();
        median(&ratios)
    }
}

/// The middle value; 0 of none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// A stretch of work: time by the clock, and processor time of this whole process.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    wall: Instant,
    cpu: ProcessTime,
}

impl Span {
    /// Starts now.
    pub fn start() -> Self {
        Self { wall: Instant::now(), cpu: ProcessTime::now() }
    }

    /// Microseconds of processor time for each of `n` units of work.
    pub fn cpu_micros_each(self, n: usize) -> f64 {
        self.cpu.elapsed().as_secs_f64() * 1e6 / n as f64
    }

    /// Units of work a second.
    pub fn rate(self, n: usize) -> f64 {
        n as f64 / self.wall.elapsed().as_secs_f64().max(1e-9)
    }

    /// Microseconds by the clock for each of `n` units of work.
    pub fn wall_micros_each(self, n: usize) -> f64 {
        self.wall.elapsed().as_secs_f64() * 1e6 / n as f64
    }

    /// Time by the clock.
    pub fn wall(self) -> Duration {
        self.wall.elapsed()
    }
}
