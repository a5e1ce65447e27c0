//! The museum, engine by engine: how soon each known-wrong engine is found out, and how short the story of it is.

use std::time::Duration;

use hydra_schedule::Property;

use super::cpu::Cpu;
use super::shortest::{Known, acts_of};
use super::{Case, Failure, Outcome, Plan, Seeds, run};
use crate::subjects::Entry;

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
    /// Acts of the model's shortest story for the same property, where the model breaks it too.
    pub shortest: Option<usize>,
    /// Acts of that story followed in the simulator, where the oracle sees the same fall: the model sees in the rows what
    /// a history has to be shown, by a body or by another claim.
    pub followed: Option<usize>,
}

impl Found {
    /// The acts that the story is measured by: those of the model's shortest, up to where the oracle sees it fall if it
    /// does, for then both are counted by the same rule.
    pub fn measure(&self) -> Option<usize> {
        self.followed.or(self.shortest)
    }
}

/// Whether a story of so many acts is short enough beside the shortest.
pub fn is_short(acts: usize, shortest: usize) -> bool {
    acts * 100 <= shortest * LONGER_MAX_PERCENT
}

impl Visit {
    /// Whether it was found soon enough.
    pub fn is_soon(&self) -> bool {
        self.found.is_some() && (self.runs <= RUNS_MAX || self.cpu <= CPU_MAX)
    }

    /// Whether the story is short enough, where there is a shortest to compare it with.
    pub fn is_short(&self) -> bool {
        self.found.as_ref().is_none_or(|found| found.measure().is_none_or(|shortest| is_short(found.acts, shortest)))
    }
}

/// Runs an engine until something falls, but no further than the goal. With the time on the processor that it took.
pub fn search(entry: &Entry) -> (Outcome, Duration) {
    let started = Cpu::now();
    let outcome = run(entry, &plan(), |_| {});
    (outcome, started.elapsed())
}

/// Searches, goes on for a few more of the same, and makes short what it finds: the shortest of them counts.
pub fn visit(entry: &Entry) -> Visit {
    let (outcome, cpu) = search(entry);
    let plan = Plan { broken_max: CASES, ..plan() };
    let more = run(entry, &plan, |_| {});
    let known = Known::of(entry.name);
    let covered = |property: &Property| known.as_ref().is_some_and(|known| known.shortest(*property).is_some());
    // What it is there to break, and what the model can be asked about, if any of that fell.
    let rank = |property: &Property| (!entry.breaks.contains(property), !covered(property));
    let property = more.seeds.keys().min_by_key(|property| rank(property));
    let found = property.and_then(|property| {
        let seeds = more.seeds[property].iter();
        let all = seeds.filter_map(|seed| shortened(entry, *property, *seed, known.as_ref()));
        all.min_by_key(|found| found.acts)
    });
    Visit { name: entry.name, runs: outcome.runs, cpu, found }
}

/// Of so many broken runs the shortest story is told.
const CASES: u64 = 24;

fn plan() -> Plan {
    Plan {
        seeds: Seeds::Range(0, RUNS_MAX),
        part: 1,
        of: 1,
        workers: Vec::new(),
        check_determinism: false,
        broken_max: 1,
    }
}

fn shortened(entry: &Entry, property: Property, seed: u64, known: Option<&Known>) -> Option<Found> {
    let mut failure = Failure::of(entry, &Case::of_seed(seed, &[]), property, "")?;
    if let Some(known) = known {
        failure.compare(known);
    }
    Some(Found {
        property,
        seed,
        acts: failure.acts,
        faults: failure.shrunk.faults(),
        shortest: failure.shortest.as_ref().map(acts_of),
        followed: failure.followed,
    })
}
