//! Campaigns: seed after seed, until something breaks or the seeds or the time are used up.

mod case;
mod cpu;
mod folder;
mod judge;
pub mod museum;
mod script;
mod shortest;
mod small;
mod summary;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hydra_schedule::Property;

use crate::cluster::Tally;
use crate::oracle::{self, Judgements};
use crate::subjects::{self, Entry, Subject};
pub use case::{BREAKS, Case, CaseError};
pub use cpu::Cpu;
pub use folder::{Failure, Files, keep};
pub use judge::{ReplayError, Replayed, read, replay};
pub use shortest::{Known, is_same};
pub use summary::{Broken, FILE, Summary, SummaryError};

/// Which seeds are run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seeds {
    /// From the first to before the last.
    Range(u64, u64),
    /// From this one on, for so long.
    For(u64, Duration),
}

/// A campaign.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which seeds.
    pub seeds: Seeds,
    /// Only each `of`-th seed, from the `part`-th (from 1): a campaign is split over machines in this way.
    pub part: u64,
    /// See `part`. At least 1.
    pub of: u64,
    /// Sizes of cluster to choose from; empty for all.
    pub workers: Vec<u32>,
    /// Every run is done twice and compared; otherwise each [`TWICE_EVERY`]-th.
    pub check_determinism: bool,
    /// No more runs after so many broken ones.
    pub broken_max: u64,
}

/// Without `check_determinism` each so-manieth run is done twice.
pub const TWICE_EVERY: u64 = 1_000;
/// Each so-manieth run that looks plainly right is judged by the oracle all the same.
pub const JUDGED_EVERY: u64 = 1_000;

/// How a campaign stands.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Runs so far.
    pub runs: u64,
    /// The seed that comes next.
    pub seed: u64,
    /// Time since the beginning.
    pub elapsed: Duration,
    /// What was reached.
    pub tally: Tally,
    /// Runs in which something fell.
    pub broken: u64,
}

/// What came of a campaign.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The subject.
    pub subject: &'static str,
    /// Runs.
    pub runs: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// What was reached.
    pub tally: Tally,
    /// Runs that the oracle judged, and what it says of them all.
    pub judged: u64,
    /// Why: how often each was the reason.
    pub strange: BTreeMap<&'static str, u64>,
    /// The judgements over those runs.
    pub judgements: Option<Judgements>,
    /// How often each property fell.
    pub fell: BTreeMap<Property, u64>,
    /// The first case in which each fell.
    pub first: BTreeMap<Property, u64>,
    /// The first few of them.
    pub seeds: BTreeMap<Property, Vec<u64>>,
    /// Runs in which something fell.
    pub broken: u64,
    /// A seed that did not give the same twice.
    pub nondeterministic: Option<u64>,
}

/// Between two looks at the clock, runs.
const BATCH: u64 = 64;
/// So many cases of each property are remembered.
const SEEDS_KEPT: usize = 24;
/// The oracle's verdicts are added up over so many runs at most: each finding of them is kept in memory.
const FINDINGS_MAX: usize = 1_000;

/// Runs a campaign. `tell` is told how it stands every few runs.
pub fn run(entry: &Entry, plan: &Plan, mut tell: impl FnMut(&Progress)) -> Outcome {
    let started = Instant::now();
    let mut subject = entry.make();
    let mut outcome = Outcome {
        subject: entry.name,
        runs: 0,
        elapsed: Duration::ZERO,
        tally: Tally::default(),
        judged: 0,
        strange: BTreeMap::new(),
        judgements: None,
        fell: BTreeMap::new(),
        first: BTreeMap::new(),
        seeds: BTreeMap::new(),
        broken: 0,
        nondeterministic: None,
    };
    let (mut seed, last, until) = match plan.seeds {
        Seeds::Range(first, last) => (first, last, None),
        Seeds::For(first, time) => (first, u64::MAX, Some(started + time)),
    };
    let of = plan.of.max(1);
    // The part's first seed: seed numbers, and not positions, belong to a part.
    while seed < last && seed % of != (plan.part.max(1) - 1) % of {
        seed += 1;
    }
    let mut case = Case::of_seed(seed, &plan.workers);
    while seed < last && outcome.broken < plan.broken_max {
        if outcome.runs.is_multiple_of(BATCH) {
            outcome.elapsed = started.elapsed();
            if until.is_some_and(|until| Instant::now() >= until) {
                break;
            }
            tell(&Progress {
                runs: outcome.runs,
                seed,
                elapsed: outcome.elapsed,
                tally: subject.tally(),
                broken: outcome.broken,
            });
        }
        case.reseed(seed, &plan.workers);
        subject.run(case.run());
        judge(subject.as_mut(), &case, &mut outcome);
        let twice = plan.check_determinism || outcome.runs.is_multiple_of(TWICE_EVERY);
        if twice && !same_again(subject.as_mut(), entry, &case) {
            outcome.nondeterministic = Some(seed);
            break;
        }
        outcome.runs += 1;
        seed = seed.saturating_add(of);
    }
    outcome.tally = subject.tally();
    outcome.elapsed = started.elapsed();
    outcome
}

/// Whether a fresh subject shows the same, and this very one too: nothing of a run may linger.
fn same_again(subject: &mut dyn Subject, entry: &Entry, case: &Case) -> bool {
    let before = subject.fingerprint();
    let mut fresh = entry.make();
    fresh.run(case.run());
    before == fresh.fingerprint()
}

fn judge(subject: &mut dyn Subject, case: &Case, outcome: &mut Outcome) {
    let sample = outcome.runs.is_multiple_of(JUDGED_EVERY);
    match subject.strange() {
        Some(why) => *outcome.strange.entry(why).or_default() += 1,
        None if sample => {}
        None => return,
    }
    let history = subject.history(&case.workload);
    outcome.judged += 1;
    let findings = oracle::findings(&history, &subjects::settings(&case.config));
    let mut properties: Vec<Property> = findings.iter().map(|finding| finding.property).collect();
    properties.sort();
    properties.dedup();
    for property in &properties {
        *outcome.fell.entry(*property).or_default() += 1;
        outcome.first.entry(*property).or_insert(case.seed);
        let seeds = outcome.seeds.entry(*property).or_default();
        if seeds.len() < SEEDS_KEPT {
            seeds.push(case.seed);
        }
    }
    outcome.broken += u64::from(!properties.is_empty());
    let many = outcome.judgements.as_ref().is_some_and(|judgements| judgements.broken().count() > FINDINGS_MAX);
    if sample || (!properties.is_empty() && !many) {
        let judgements = oracle::judge(&history, &subjects::contract(&case.config));
        outcome.judgements = Some(match outcome.judgements.take() {
            None => judgements,
            Some(before) => before.merge(judgements),
        });
    }
}
