//! An audit: every run of the plan as far as time goes, judged, told.

pub mod output;
mod plan;
mod progress;
pub mod table;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use hydra_schedule::Property;
use hydra_simulation::history::History;
use hydra_simulation::oracle::{self, Judgements};

use crate::adapter::Adapter;
use crate::scenario::{self, Fault, Scenario, World};
use progress::Progress;

/// How an audit is done.
#[derive(Debug, Clone)]
pub struct Options {
    /// Within three minutes.
    pub quick: bool,
    /// So many runs side by side.
    pub jobs: usize,
    /// No new run after this time.
    pub time: Duration,
}

/// One run that was judged.
pub struct Judged {
    /// What was run.
    pub scenario: Scenario,
    /// What was seen.
    pub history: History,
    /// Whether the fault struck.
    pub struck: bool,
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

/// Findings that hang on time: an overloaded machine may bring them about, so a repetition alone decides.
const HANG_ON_TIME: [Property; 9] = [
    Property::NothingStuck,
    Property::Terminates,
    Property::OrphansRecovered,
    Property::TimerNotLost,
    Property::LeaseKept,
    Property::LeaseExclusive,
    Property::BackoffBounded,
    Property::BudgetHonest,
    Property::CancelClean,
];

/// At most so many runs are repeated for each property.
const REPEATS_MAX: usize = 2;

/// Audits a subject. `stop` breaks it off: what was done until then is told.
pub fn audit(adapter: Adapter, folder: &Path, options: &Options, stop: Arc<AtomicBool>) -> anyhow::Result<Audited> {
    let started = Instant::now();
    let progress = Progress::new(&adapter.subject(), options.time);
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
    let calls = plan::calls(adapter, &counts, options.quick);
    let doors = plan::doors(adapter, options.quick);
    audited.placements = calls.placements + doors.len() as u64;
    audited.groups = calls.groups + doors.len() as u64;
    let mut queue = plan::plain(adapter, options.quick);
    queue.extend(doors);
    queue.extend(calls.runs);
    progress.total(queue.len() as u64);
    side_by_side(world, queue, options, started, progress, &mut audited);
    repeat(world, options, started, &mut audited);
    progress.finish();
    Ok(audited)
}

fn judged(audited: &mut Audited, adapter: &Adapter, scenario: Scenario, outcome: scenario::Outcome) {
    for problem in outcome.problems {
        if !audited.problems.contains(&problem) {
            audited.problems.push(problem);
        }
    }
    if scenario.strike.is_some() && !outcome.struck {
        audited.missed += 1;
    }
    let judgements = oracle::judge(&outcome.history, &adapter.contract);
    let (history, struck, deaths) = (outcome.history, outcome.struck, outcome.deaths);
    audited.runs.push(Judged { scenario, history, struck, deaths, judgements, repeated: None });
}

type Ran = (usize, Scenario, anyhow::Result<scenario::Outcome>);

/// Runs side by side: most of a run is waiting.
fn side_by_side(
    world: &World,
    queue: Vec<Scenario>,
    options: &Options,
    started: Instant,
    progress: &Progress,
    audited: &mut Audited,
) {
    let count = queue.len();
    let queue = Mutex::new(queue.into_iter().enumerate());
    let mut ran: Vec<Ran> = Vec::new();
    std::thread::scope(|scope| {
        let (send, receive) = mpsc::channel::<Ran>();
        for _ in 0..options.jobs.max(1) {
            let (send, queue) = (send.clone(), &queue);
            scope.spawn(move || {
                while started.elapsed() < options.time && !world.is_stopping() {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some((index, scenario)) = next else { break };
                    let outcome = scenario::run(world, &scenario);
                    if send.send((index, scenario, outcome)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(send);
        let mut findings = 0;
        for (index, scenario, outcome) in receive {
            if let Ok(outcome) = &outcome {
                let found = oracle::findings(&outcome.history, &world.adapter.contract.settings);
                let promised = |property| world.adapter.contract.promise(property).is_some();
                findings += u64::from(found.iter().any(|finding| promised(finding.property)));
            }
            progress.ran(&scenario.name, findings);
            ran.push((index, scenario, outcome));
        }
    });
    audited.left = (count - ran.len()) as u64;
    ran.sort_by_key(|(index, _, _)| *index);
    for (_, scenario, outcome) in ran {
        match outcome {
            // What was cut short by us has not been watched to its end.
            Ok(outcome) if outcome.cut => audited.left += 1,
            Ok(outcome) => judged(audited, &world.adapter, scenario, outcome),
            Err(error) => audited.failed.push((scenario.name, format!("{error:#}"))),
        }
    }
}

/// Runs whose findings hang on time, alone; the repetition is what counts. Other findings are repeated to say how often
/// they come.
fn repeat(world: &World, options: &Options, started: Instant, audited: &mut Audited) {
    let mut repeats: BTreeMap<Property, usize> = BTreeMap::new();
    // A third of the time again, so that a verdict is not left to an overloaded machine.
    let until = options.time + options.time / 3;
    for run in &mut audited.runs {
        let fell: Vec<Property> = run.judgements.broken().map(|finding| finding.property).collect();
        let timed = fell.iter().any(|property| HANG_ON_TIME.contains(property));
        let wanted = fell.iter().any(|property| repeats.get(property).copied().unwrap_or(0) < REPEATS_MAX);
        if fell.is_empty() || world.is_stopping() || started.elapsed() > until || !(wanted || timed) {
            continue;
        }
        for property in &fell {
            *repeats.entry(*property).or_default() += 1;
        }
        let Ok(outcome) = scenario::run(world, &run.scenario) else { continue };
        let again = oracle::judge(&outcome.history, &world.adapter.contract);
        let still: Vec<Property> = again.broken().map(|finding| finding.property).collect();
        run.repeated = Some((1, u32::from(fell.iter().any(|property| still.contains(property)))));
        let only_timed = fell.iter().all(|property| HANG_ON_TIME.contains(property));
        if only_timed {
            run.history = outcome.history;
            run.judgements = again;
            run.struck = outcome.struck;
        }
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
        for run in self.runs.iter().filter(|run| run.struck) {
            let word = match run.scenario.strike.as_ref().map(|strike| strike.fault) {
                None => continue,
                Some(Fault::Crash) => "SIGKILL",
                Some(Fault::Zombie | Fault::LateZombie) => "paused past the lease",
                Some(Fault::CallFails(_)) => "failed system call",
                Some(Fault::DisconnectBefore) => "connection lost before the request",
                Some(Fault::ReplyLost) => "reply lost",
                Some(Fault::Partition) => "partition",
            };
            *counts.entry(word).or_default() += 1;
        }
        counts
    }
}
