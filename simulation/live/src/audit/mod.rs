//! An audit: every run of the plan as far as time goes, judged, told.

mod again;
pub mod output;
mod plan;
mod progress;
pub mod table;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use hydra_simulation::history::History;
use hydra_simulation::oracle::{self, Judgements};

use crate::adapter::Adapter;
use crate::scenario::{self, Scenario, World};
use progress::Progress;

/// How an audit is done.
#[derive(Debug, Clone)]
pub struct Options {
    /// Within three minutes.
    pub quick: bool,
    /// So many runs side by side.
    pub jobs: usize,
    /// No new run of the plan after this time.
    pub time: Duration,
    /// What random schedules are drawn from.
    pub seed: u64,
    /// Random schedules for so long after the plan; if not given, a full audit draws them in what time is left.
    pub randomly: Option<Duration>,
}

/// Of the time of a full audit, so many percent are over when the single faults stop, and when the pairs stop.
const SINGLES_PERCENT: u32 = 65;
const PAIRS_PERCENT: u32 = 85;

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
    /// Placements of the plan: at doors and at calls.
    pub placements: u64,
    /// Groups of alike ones.
    pub groups: u64,
    /// Pairs of faults: how many there would be, and how many ran; and how many random schedules.
    pub pairs: (u64, u64),
    /// Random schedules that ran, and their seed.
    pub random: (u64, u64),
    /// Of the runs with a fault, how many never reached its place.
    pub missed: u64,
    /// Runs of the plan that there was no time for.
    pub left: u64,
    /// Why calls could not be counted.
    pub no_calls: Option<String>,
    /// Where calls were seen, and how many.
    pub calls: BTreeMap<String, u32>,
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
    let world = World::new(adapter, folder)?;
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
        no_calls: None,
        calls: BTreeMap::new(),
        elapsed: Duration::ZERO,
        broken_off: false,
        problems: Vec::new(),
    };
    // First of all, alone: it shows whether the subject runs here at all, and which boundaries it has.
    let first = plan::counting(adapter);
    let counts = match scenario::run(world, &first) {
        Ok(outcome) => {
            let counts = outcome.counts.lock().unwrap_or_else(PoisonError::into_inner).clone();
            judged(&mut audited, adapter, first, outcome);
            counts
        }
        Err(error) => {
            let why = format!("{error:#}");
            if !why.contains("ptrace") {
                return Err(error);
            }
            audited.no_calls = Some(why);
            BTreeMap::new()
        }
    };
    audited.calls = counts.iter().map(|(site, count)| (site.to_string(), *count)).collect();
    let singles = plan::singles(adapter, &counts, options.quick);
    (audited.placements, audited.groups) = (singles.placements, singles.groups);
    let mut queue = plan::plain(adapter, options.quick);
    queue.extend(singles.runs.iter().cloned());
    let share = |percent| started + if options.quick { options.time } else { options.time * percent / 100 };
    let runs = Runs { world, jobs: options.jobs.max(1), progress };

    progress.phase("single faults", queue.len() as u64, share(SINGLES_PERCENT));
    let count = queue.len();
    let mut queue = queue.into_iter();
    let ran = runs.side_by_side(|| queue.next(), share(SINGLES_PERCENT), &mut audited);
    audited.left += (count - ran) as u64;

    if !options.quick {
        let pairs = plan::pairs(adapter, &singles.runs);
        audited.pairs.0 = pairs.len() as u64;
        progress.phase("pairs of faults", pairs.len() as u64, share(PAIRS_PERCENT));
        let mut pairs = pairs.into_iter();
        audited.pairs.1 = runs.side_by_side(|| pairs.next(), share(PAIRS_PERCENT), &mut audited) as u64;
    }
    let until = match options.randomly {
        Some(time) => Some(Instant::now() + time),
        None => (!options.quick).then(|| started + options.time),
    };
    if let Some(until) = until {
        progress.phase("random schedules", 0, until);
        let mut random = plan::Randomly::new(options.seed, &singles.runs);
        audited.random = (runs.side_by_side(|| random.next(adapter), until, &mut audited) as u64, options.seed);
    }
    // A fifth of the time again, so that a verdict is not left to an overloaded machine.
    let until = Instant::now() + options.time / 5;
    progress.phase("findings once more", 0, until);
    again::repeat(world, until, &mut audited);
    again::shorten(world, until + options.time / 10, &mut audited);
    progress.finish();
    Ok(audited)
}

fn judged(audited: &mut Audited, adapter: &Adapter, scenario: Scenario, outcome: scenario::Outcome) {
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
    audited.runs.push(Judged { scenario, history, struck, deaths, judgements, repeated: None });
}

/// Where runs are made.
struct Runs<'a> {
    world: &'a World,
    jobs: usize,
    progress: &'a Progress,
}

type Ran = (usize, Scenario, anyhow::Result<scenario::Outcome>);

impl Runs<'_> {
    /// Runs side by side, for most of a run is waiting; none begins after `until`. Answers how many were made.
    fn side_by_side(
        &self,
        next: impl FnMut() -> Option<Scenario> + Send,
        until: Instant,
        audited: &mut Audited,
    ) -> usize {
        let queue = Mutex::new((0, next));
        let take = || {
            let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
            let scenario = (queue.1)()?;
            queue.0 += 1;
            Some((queue.0, scenario))
        };
        let mut ran: Vec<Ran> = Vec::new();
        std::thread::scope(|scope| {
            let (send, receive) = mpsc::channel::<Ran>();
            for _ in 0..self.jobs {
                let (send, take) = (send.clone(), &take);
                scope.spawn(move || {
                    while Instant::now() < until && !self.world.is_stopping() {
                        let Some((index, scenario)) = take() else { break };
                        let outcome = scenario::run(self.world, &scenario);
                        if send.send((index, scenario, outcome)).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(send);
            for (index, scenario, outcome) in receive {
                let contract = &self.world.adapter.contract;
                let found = outcome.as_ref().is_ok_and(|outcome| {
                    let found = oracle::findings(&outcome.history, &contract.settings);
                    found.iter().any(|finding| contract.promise(finding.property).is_some())
                });
                self.progress.ran(&scenario.name, found);
                ran.push((index, scenario, outcome));
            }
        });
        ran.sort_by_key(|(index, _, _)| *index);
        let count = ran.len();
        for (_, scenario, outcome) in ran {
            match outcome {
                // What was cut short by us has not been watched to its end.
                Ok(outcome) if outcome.cut => audited.left += 1,
                Ok(outcome) => judged(audited, &self.world.adapter, scenario, outcome),
                Err(error) => audited.failed.push((scenario.name, format!("{error:#}"))),
            }
        }
        count
    }
}

impl Audited {
    /// The verdicts over all runs.
    pub fn judgements(&self) -> Option<Judgements> {
        self.runs.iter().map(|run| run.judgements.clone()).reduce(Judgements::merge)
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
