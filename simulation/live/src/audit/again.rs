//! Findings once more: alone, to say how often they come; and with less, to say what they take.

use std::collections::BTreeMap;
use std::time::Instant;

use hydra_schedule::{Property, Schedule};
use hydra_simulation::history::History;
use hydra_simulation::oracle::{self, Judgements};
use hydra_simulation::shrink::{self, Case, End};

use super::{Audited, Judged};
use crate::scenario::{self, Outcome, Scenario, World};
use crate::strain::is_strained;

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
/// A finding that hangs on time must be seen so often alone.
const TIMED_REPEATS: u32 = 2;
/// How many runs may be spent on making one finding short.
const SHORTEN_MAX: u32 = 12;

/// Runs whose findings hang on time, alone; the repetition is what counts. Other findings are repeated to say how often
/// they come.
pub(super) fn repeat(world: &World, until: Instant, audited: &mut Audited) {
    let mut repeats: BTreeMap<Property, usize> = BTreeMap::new();
    for run in &mut audited.runs {
        let fell: Vec<Property> = run.judgements.broken().map(|finding| finding.property).collect();
        // On a machine that keeps workers from their leases, nothing counts that is not seen again.
        let strained = is_strained();
        let hangs = |property: &Property| strained || HANG_ON_TIME.contains(property);
        let timed = fell.iter().any(hangs);
        let wanted = fell.iter().any(|property| repeats.get(property).copied().unwrap_or(0) < REPEATS_MAX);
        if fell.is_empty() || world.is_stopping() || Instant::now() > until || !(wanted || timed) {
            continue;
        }
        for property in &fell {
            *repeats.entry(*property).or_default() += 1;
        }
        let only_timed = fell.iter().all(hangs);
        let (mut times, mut seen) = (0, 0);
        while times < if only_timed { TIMED_REPEATS } else { 1 } {
            let Ok((outcome, again)) = once_more(world, &run.scenario) else { break };
            times += 1;
            let falls = again.broken().any(|finding| fell.contains(&finding.property));
            seen += u32::from(falls);
            if only_timed && !falls {
                (run.history, run.judgements, run.struck) = (outcome.history, again, outcome.struck);
                break;
            }
        }
        run.repeated = (times > 0).then_some((times, seen));
    }
}

fn once_more(world: &World, scenario: &Scenario) -> anyhow::Result<(Outcome, Judgements)> {
    let outcome = scenario::run(world, scenario)?;
    let judgements = oracle::judge(&outcome.history, &world.adapter.contract);
    Ok((outcome, judgements))
}

/// Of a promise that only ever fell under several faults, the shortest run is made shorter still, as far as time goes.
pub(super) fn shorten(world: &World, until: Instant, audited: &mut Audited) {
    let mut simplest: BTreeMap<Property, usize> = BTreeMap::new();
    let size = |run: &Judged| (run.scenario.strikes.len(), run.scenario.workload.programs.len());
    for (index, run) in audited.runs.iter().enumerate() {
        for finding in run.judgements.broken() {
            let best = simplest.entry(finding.property).or_insert(index);
            if size(run) < size(&audited.runs[*best]) {
                *best = index;
            }
        }
    }
    for (property, index) in simplest {
        let short = size(&audited.runs[index]) <= (1, 1);
        if short || world.is_stopping() || Instant::now() > until {
            continue;
        }
        if let Some(found) = shorter(world, until, property, &audited.runs[index].scenario) {
            audited.runs.push(found);
        }
    }
}

/// A shorter scenario in which the same promise falls, with what was seen of it.
pub(crate) fn shorter(world: &World, until: Instant, property: Property, scenario: &Scenario) -> Option<Judged> {
    let adapter = &world.adapter;
    let schedule = scenario.schedule(&adapter.subject(), adapter.pause_ms());
    let case = Case { schedule, workload: scenario.workload.clone() };
    let mut found: Option<(Scenario, History, Judgements, usize)> = None;
    let shrunk = shrink::shrink(&case, SHORTEN_MAX, |case| {
        let Some(scenario) = of_case(case, &scenario.name) else { return false };
        if world.is_stopping() || Instant::now() > until {
            return false;
        }
        let Ok((outcome, judgements)) = once_more(world, &scenario) else { return false };
        let falls = !outcome.cut && judgements.broken().any(|finding| finding.property == property);
        if falls {
            found = Some((scenario, outcome.history, judgements, outcome.struck));
        }
        falls
    });
    if shrunk.end == End::NotReproduced {
        return None;
    }
    let (mut scenario, history, judgements, struck) = found?;
    scenario.name = format!("{}, made shorter in {} runs", scenario.name, shrunk.tries);
    Some(Judged { scenario, history, struck, deaths: Vec::new(), judgements, repeated: None })
}

fn of_case(case: &Case, name: &str) -> Option<Scenario> {
    let schedule = Schedule { programs: case.workload.to_lines(), ..case.schedule.clone() };
    Scenario::of_schedule(name, &schedule).ok()
}
