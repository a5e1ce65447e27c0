//! The museum, engine by engine: how soon each known-wrong engine is found out, and how short the story of it is.

use std::time::Duration;

use hydra_schedule::Property;

use super::cpu::Cpu;
use super::shortest::{Known, acts_of, acts_until};
use super::{Case, Failure, Outcome, Plan, Seeds, run};
use crate::oracle;
use crate::subjects::{self, Entry};

/// The goal: within so many runs, or within so much time on the processor.
pub const RUNS_MAX: u64 = 10_000;
/// See [`RUNS_MAX`].
pub const CPU_MAX: Duration = Duration::from_secs(30);
/// The goal: a story at most so much longer than the model's shortest, in percent.
pub const LONGER_MAX_PERCENT: usize = 150;

/// What came of one engine.
#[derive(Clone, Debug)]
pub struct Visit {
    /// The engine.
    pub name: &'static str,
    /// Runs until it was found out, that one included; all of them if it was not.
    pub runs: u64,
    /// Time on the processor until then.
    pub cpu: Duration,
    /// How it was found out.
    pub found: Option<Found>,
}

/// How an engine was found out.
#[derive(Clone, Debug)]
pub struct Found {
    /// What fell, of what it is there to break if any of that fell.
    pub property: Property,
    /// The seed.
    pub seed: u64,
    /// Acts of the story made small, and faults among them.
    pub acts: usize,
    /// See `acts`.
    pub faults: usize,
    /// The acts of the model's shortest story for the same property, where the model breaks it too, and its faults.
    pub shortest: Option<(usize, usize)>,
}

impl Visit {
    /// Whether it was found soon enough.
    pub fn is_soon(&self) -> bool {
        self.found.is_some() && (self.runs <= RUNS_MAX || self.cpu <= CPU_MAX)
    }

    /// Whether the story is short enough, where there is a shortest to compare it with.
    pub fn is_short(&self) -> bool {
        self.found.as_ref().is_none_or(|found| {
            found.shortest.is_none_or(|(shortest, _)| found.acts * 100 <= shortest * LONGER_MAX_PERCENT)
        })
    }
}

/// Runs an engine until something falls, but no further than the goal. With the time on the processor that it took.
pub fn search(entry: &Entry) -> (Outcome, Duration) {
    let plan = Plan {
        seeds: Seeds::Range(0, RUNS_MAX),
        part: 1,
        of: 1,
        workers: Vec::new(),
        check_determinism: false,
        broken_max: 1,
    };
    let started = Cpu::now();
    let outcome = run(entry, &plan, |_| {});
    (outcome, started.elapsed())
}

/// Searches, and makes short what it finds.
pub fn visit(entry: &Entry) -> Visit {
    let (outcome, cpu) = search(entry);
    let wanted = outcome.first.iter().find(|(property, _)| entry.breaks.contains(property));
    let first = wanted.or(outcome.first.iter().next());
    let found = first.and_then(|(property, seed)| shortened(entry, *property, *seed));
    Visit { name: entry.name, runs: outcome.runs, cpu, found }
}

fn shortened(entry: &Entry, property: Property, seed: u64) -> Option<Found> {
    let failure = Failure::of(entry, &Case::of_seed(seed, &[]), property, "")?;
    let small = Case::of_schedule(&failure.shrunk).ok()?;
    let findings = oracle::findings(&failure.history, &subjects::settings(&small.config));
    let finding = findings.into_iter().find(|finding| finding.property == property)?;
    let known = Known::of(entry.name).and_then(|known| known.shortest(property));
    Some(Found {
        property,
        seed,
        acts: acts_until(&failure.history, &finding),
        faults: failure.shrunk.faults(),
        shortest: known.map(|shortest| (acts_of(&shortest), shortest.schedule.faults())),
    })
}
