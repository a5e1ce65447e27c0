//! An audit: every run of the plan as far as time goes, judged, told.

mod again;
mod budget;
pub mod output;
mod pace;
mod plan;
mod progress;
mod runs;
pub mod table;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use hydra_simulation::history::History;
use hydra_simulation::oracle::{self, Judgement, Judgements, Verdict};

use crate::adapter::Adapter;
use crate::boundary::Site;
use crate::scenario::{self, Scenario, World};
use crate::strain::is_strained;
use budget::Lengths;
use progress::Progress;
use runs::Runs;

/// How an audit is done.
#[derive(Debug, Clone)]
pub struct Options {
    /// Within three minutes.
    pub quick: bool,
    /// At most so many runs side by side; fewer where the machine has no room for them.
    pub jobs: usize,
    /// All is over within this time; what is under way then is cut.
    pub time: Duration,
    /// What random schedules are drawn from.
    pub seed: u64,
    /// Random schedules for so long besides; if not given, a full audit draws them in its own time.
    pub randomly: Option<Duration>,
}

/// Of the time, so many percent are over when the single faults stop: the rest is for seeing the findings once more.
const QUICK_SINGLES_PERCENT: u32 = 70;
/// The same in a full audit, and when its pairs stop and its random schedules.
const SINGLES_PERCENT: u32 = 50;
const PAIRS_PERCENT: u32 = 66;
const RANDOM_PERCENT: u32 = 80;

/// One run that was judged.
pub struct Judged {
    /// What was run.
    pub scenario: Scenario,
    /// What was seen.
    pub history: History,
    /// How many of its faults struck.
    pub struck: usize,
    /// Processes that ended by themselves.
    pub deaths: Vec<String>,
    /// What the oracle says of it.
    pub judgements: Judgements,
    /// How long it took.
    pub took: Duration,
    /// Whether the machine kept it from running at its speed.
    pub strained: bool,
    /// How often it was repeated alone, and how often the same fell again.
    pub repeated: Option<(u32, u32)>,
}

/// What came of an audit.
pub struct Audited {
    /// The subject.
    pub adapter: Adapter,
    /// The runs, in the order of the plan.
    pub runs: Vec<Judged>,
    /// Runs that could not be made: the adapter or the machine.
    pub failed: Vec<(String, String)>,
    /// Placements of the plan: at doors, at calls and at messages.
    pub placements: u64,
    /// Groups of alike ones.
    pub groups: u64,
    /// Pairs of faults: how many there would be, and how many ran; and how many random schedules.
    pub pairs: (u64, u64),
    /// Random schedules that ran, and their seed.
    pub random: (u64, u64),
    /// Of the runs with a fault, how many never reached its place.
    pub missed: u64,
    /// Runs of the plan that there was no time to begin.
    pub left: u64,
    /// Runs that were cut when the time was over: they say nothing.
    pub cut: u64,
    /// Why calls could not be counted.
    pub no_calls: Option<String>,
    /// Where calls were seen, and how many.
    pub calls: BTreeMap<Site, u32>,
    /// How long it took.
    pub elapsed: Duration,
    /// Whether it was broken off.
    pub broken_off: bool,
    /// What the adapter does wrong.
    pub problems: Vec<String>,
}

/// Audits a subject. `stop` breaks it off: what was done until then is told.
pub fn audit(adapter: Adapter, folder: &Path, options: &Options, stop: Arc<AtomicBool>) -> anyhow::Result<Audited> {
    let started = Instant::now();
    let progress = Progress::new(&adapter.subject());
    let mut world = World::new(adapter, folder)?;
    world.until = Some(started + options.time + options.randomly.unwrap_or_default());
    let watched = Arc::new(world);
    let done = Arc::new(AtomicBool::new(false));
    let (over, world, until_done) = (stop.clone(), watched.clone(), done.clone());
    let watcher = std::thread::spawn(move || {
        while !over.load(Ordering::Relaxed) && !until_done.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(50));
        }
        if over.load(Ordering::Relaxed) {
            world.stop.store(true, Ordering::Relaxed);
        }
    });
    let result = all_runs(&watched, options, started, &progress);
    done.store(true, Ordering::Relaxed);
    drop(watcher.join());
    let mut audited = result?;
    audited.elapsed = started.elapsed();
    audited.broken_off = stop.load(Ordering::Relaxed);
    Ok(audited)
}

fn all_runs(world: &World, options: &Options, started: Instant, progress: &Progress) -> anyhow::Result<Audited> {
    let adapter = &world.adapter;
    let mut audited = Audited {
        adapter: adapter.clone(),
        runs: Vec::new(),
        failed: Vec::new(),
        placements: 0,
        groups: 0,
        pairs: (0, 0),
        random: (0, 0),
        missed: 0,
        left: 0,
        cut: 0,
        no_calls: None,
        calls: BTreeMap::new(),
        elapsed: Duration::ZERO,
        broken_off: false,
        problems: Vec::new(),
    };
    // First of all, alone: it shows whether the subject runs here at all, and which boundaries it has.
    let first = plan::counting(adapter);
    let began = Instant::now();
    let counted = match scenario::run(world, &first) {
        Ok(outcome) => {
            let work = outcome.counts.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let counted = plan::Counted { work, idle: outcome.idle.clone() };
            judged(&mut audited, adapter, (first, began.elapsed(), is_strained()), outcome);
            counted
        }
        Err(error) => {
            let why = format!("{error:#}");
            if !why.contains("ptrace") {
                return Err(error);
            }
            audited.no_calls = Some(why);
            plan::Counted::default()
        }
    };
    let lengths = Lengths::new(began.elapsed());
    audited.calls = counted.work.clone();
    let singles = plan::singles(adapter, &counted, options.quick);
    (audited.placements, audited.groups) = (singles.placements, singles.groups);
    let queue = plan::in_turns(plan::plain(adapter, options.quick), &singles.runs);
    let share = |percent| started + options.time * percent / 100;
    let runs = Runs { world, jobs: options.jobs.max(1), progress, lengths: &lengths };

    let until = share(if options.quick { QUICK_SINGLES_PERCENT } else { SINGLES_PERCENT });
    progress.phase("single faults", queue.len() as u64, until);
    let planned = queue.len() as u64;
    let mut queue = queue.into_iter();
    let made = runs.side_by_side(|| queue.next(), until, &mut audited);
    audited.left = planned - made.whole - made.cut;
    audited.cut = made.cut;

    if !options.quick {
        let pairs = plan::pairs(adapter, &singles.runs);
        let until = share(PAIRS_PERCENT);
        progress.phase("pairs of faults", pairs.len() as u64, until);
        audited.pairs.0 = pairs.len() as u64;
        let mut pairs = pairs.into_iter();
        let made = runs.side_by_side(|| pairs.next(), until, &mut audited);
        audited.pairs.1 = made.whole;
        audited.cut += made.cut;
    }
    let until = match options.randomly {
        Some(time) => Some(Instant::now() + time),
        None => (!options.quick).then(|| share(RANDOM_PERCENT)),
    };
    if let Some(until) = until {
        progress.phase("random schedules", 0, until);
        let mut random = plan::Randomly::new(options.seed, &singles.runs);
        let made = runs.side_by_side(|| random.next(adapter), until, &mut audited);
        audited.random = (made.whole, options.seed);
        audited.cut += made.cut;
    }
    let until = world.until.unwrap_or(started + options.time);
    progress.phase("findings once more", 0, until);
    again::repeat(world, until, progress, &mut audited);
    again::shorten(world, until, &lengths, &mut audited);
    progress.finish();
    Ok(audited)
}

/// Judges a run that took so long, on a machine that was strained or not.
fn judged(
    audited: &mut Audited,
    adapter: &Adapter,
    (scenario, took, strained): (Scenario, Duration, bool),
    outcome: scenario::Outcome,
) {
    for problem in outcome.problems {
        if !audited.problems.contains(&problem) {
            audited.problems.push(problem);
        }
    }
    if !scenario.strikes.is_empty() && outcome.struck == 0 {
        audited.missed += 1;
    }
    let judgements = oracle::judge(&outcome.history, &adapter.contract);
    let (history, struck, deaths) = (outcome.history, outcome.struck, outcome.deaths);
    audited.runs.push(Judged { scenario, history, struck, deaths, judgements, took, strained, repeated: None });
}

impl Audited {
    /// The verdicts over all runs. Where no fault struck, nothing was shown that would not hold on a good day anyway.
    pub fn judgements(&self) -> Option<Judgements> {
        let mut all = self.runs.iter().map(|run| run.judgements.clone()).reduce(Judgements::merge)?;
        if self.runs.iter().all(|run| run.struck == 0) {
            all.judgements.iter_mut().for_each(leave_open_without_faults);
        }
        Some(all)
    }

    /// How many runs of each fault struck.
    pub fn struck(&self) -> BTreeMap<&'static str, u64> {
        let mut counts = BTreeMap::new();
        for run in &self.runs {
            // The faults of a schedule strike in its order.
            for strike in run.scenario.strikes.iter().take(run.struck) {
                *counts.entry(strike.fault.words()).or_default() += 1;
            }
        }
        counts
    }
}

fn leave_open_without_faults(judgement: &mut Judgement) {
    if let Verdict::Kept { over } = judgement.verdict {
        let why = format!("incomplete: held in {over} cases, and no fault struck in the time there was");
        judgement.verdict = Verdict::NotTested { why };
    }
}

#[cfg(test)]
mod tests {
    use hydra_schedule::Property;

    use super::*;

    #[test]
    fn what_held_without_any_fault_is_not_called_kept() {
        let judgement = |verdict| Judgement { property: Property::EffectOnceKeyed, promise: None, verdict };
        let mut kept = judgement(Verdict::Kept { over: 7 });
        leave_open_without_faults(&mut kept);
        let why = "incomplete: held in 7 cases, and no fault struck in the time there was".to_owned();
        assert_eq!(kept.verdict, Verdict::NotTested { why });
        let broken = judgement(Verdict::Broken { over: 7, findings: Vec::new() });
        let mut after = broken.clone();
        leave_open_without_faults(&mut after);
        assert_eq!(after, broken);
    }
}
