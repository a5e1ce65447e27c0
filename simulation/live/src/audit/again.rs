//! Findings once more: alone, to say how often they come; and with less, to say what they take.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use hydra_schedule::{Property, Schedule};
use hydra_simulation::history::History;
use hydra_simulation::oracle::{self, Judgements, Verdict};
use hydra_simulation::shrink::{self, Case, End};

use super::budget::Lengths;
use super::progress::Progress;
use super::{Audited, Judged};
use crate::scenario::{self, Outcome, Scenario, World};

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

/// A finding that hangs on time is to be seen so often alone, or once if there is no time for more.
const TIMED_REPEATS: u32 = 2;
/// How many runs may be spent on making one finding short.
const SHORTEN_MAX: u32 = 12;

/// On a machine that keeps workers from their leases, nothing counts that is not seen again.
fn hangs(run: &Judged, property: Property) -> bool {
    run.strained || HANG_ON_TIME.contains(&property)
}

fn fell(run: &Judged) -> BTreeSet<Property> {
    run.judgements.broken().map(|finding| finding.property).collect()
}

/// Repeats runs alone, the shortest of each property first: what hangs on time until it is confirmed or refuted, what
/// does not once, to say how often it comes. What hangs on time and could not be confirmed is no finding.
pub(super) fn repeat(world: &World, until: Instant, progress: &Progress, audited: &mut Audited) {
    let mut confirmed = BTreeSet::new();
    for property in order(&audited.runs) {
        let mut candidates: Vec<usize> =
            (0..audited.runs.len()).filter(|index| fell(&audited.runs[*index]).contains(&property)).collect();
        candidates.sort_by_key(|index| (audited.runs[*index].strained, audited.runs[*index].took));
        for index in candidates {
            let run = &mut audited.runs[index];
            // Another property's repetition may have answered already.
            if confirmed.contains(&property) || !fell(run).contains(&property) {
                continue;
            }
            let fits = |times: u32| !world.is_stopping() && Instant::now() + run.took * times <= until;
            let wanted = if HANG_ON_TIME.contains(&property) { TIMED_REPEATS } else { 1 };
            let Some(times) = (1..=wanted).rev().find(|times| fits(*times)) else { continue };
            confirmed.extend(alone(world, run, times));
            progress.ran(&run.scenario.name, true);
            if !hangs(&audited.runs[index], property) {
                break;
            }
        }
    }
    for run in &mut audited.runs {
        for property in fell(run) {
            if hangs(run, property) && !confirmed.contains(&property) {
                leave_open(run, property);
            }
        }
    }
}

/// The properties that fell, those that nothing else shows first.
fn order(runs: &[Judged]) -> Vec<Property> {
    let all: BTreeSet<Property> = runs.iter().flat_map(fell).collect();
    let sure = |property: &Property| runs.iter().any(|run| fell(run).contains(property) && !hangs(run, *property));
    let (sure, unsure): (Vec<Property>, Vec<Property>) = all.into_iter().partition(sure);
    unsure.into_iter().chain(sure).collect()
}

/// Repeats a run; answers what fell in it and each time again. What hangs on time and did not fall again is judged by
/// the repetition.
fn alone(world: &World, run: &mut Judged, times: u32) -> BTreeSet<Property> {
    let first = fell(run);
    let mut every_time = first.clone();
    let (mut made, mut seen) = (0, 0);
    while made < times && !every_time.is_empty() {
        let Ok((outcome, again)) = once_more(world, &run.scenario) else { break };
        if outcome.cut {
            break;
        }
        made += 1;
        let falls: BTreeSet<Property> = again.broken().map(|finding| finding.property).collect();
        seen += u32::from(!falls.is_disjoint(&first));
        for property in first.difference(&falls).filter(|property| hangs(run, **property)).copied().collect::<Vec<_>>()
        {
            judge_by(run, property, &again);
        }
        every_time.retain(|property| falls.contains(property));
    }
    if made > 0 {
        run.repeated = Some((made, seen));
    }
    if made == times { every_time } else { BTreeSet::new() }
}

fn judge_by(run: &mut Judged, property: Property, again: &Judgements) {
    let mine = run.judgements.judgements.iter_mut().find(|judgement| judgement.property == property);
    if let (Some(mine), Some(again)) = (mine, again.of(property)) {
        mine.verdict = again.verdict.clone();
    }
}

fn leave_open(run: &mut Judged, property: Property) {
    let mine = run.judgements.judgements.iter_mut().find(|judgement| judgement.property == property);
    if let Some(mine) = mine {
        let what = mine.verdict.findings().first().map(|finding| finding.explanation.clone()).unwrap_or_default();
        let why =
            format!("incomplete: it hangs on time and could not be seen again alone in the time there was: {what}");
        mine.verdict = Verdict::NotTested { why };
    }
}

fn once_more(world: &World, scenario: &Scenario) -> anyhow::Result<(Outcome, Judgements)> {
    let outcome = scenario::run(world, scenario)?;
    let judgements = oracle::judge(&outcome.history, &world.adapter.contract);
    Ok((outcome, judgements))
}

/// Of a promise that only ever fell under several faults, the shortest run is made shorter still, as far as time goes.
pub(super) fn shorten(world: &World, until: Instant, lengths: &Lengths, audited: &mut Audited) {
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
        if short || world.is_stopping() || !lengths.fits(&audited.runs[index].scenario, &world.adapter, until) {
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
    let began = Instant::now();
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
    let took = began.elapsed();
    let (deaths, strained) = (Vec::new(), false);
    Some(Judged { scenario, history, struck, deaths, judgements, took, strained, repeated: None })
}

fn of_case(case: &Case, name: &str) -> Option<Scenario> {
    let schedule = Schedule { programs: case.workload.to_lines(), ..case.schedule.clone() };
    Scenario::of_schedule(name, &schedule).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::Adapter;

    /// Started, and nothing ever came of it.
    const STUCK: &str = r#"{"hydra_history":1,"subject":"tiny 1.0","workers":["A"],"workload":{"programs":[{"id":"W1","body":[{"step":{"id":"1","kind":"keyed","attempts_max":3}}]}]}}
{"at_ms":0,"who":"A","what":"worker","up":true}
{"at_ms":1,"who":"client","what":"call","call":1,"op":"start","execution":"W1","phase":"invoked"}
{"at_ms":2,"who":"client","what":"call","call":1,"op":"start","execution":"W1","phase":"ok"}
{"at_ms":999999,"who":"nemesis","what":"ended"}
"#;

    #[test]
    fn what_hangs_on_time_and_was_not_seen_again_is_left_open() {
        let adapter = Adapter::find(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tiny")).unwrap();
        let history = History::read(STUCK.as_bytes()).unwrap();
        let judgements = oracle::judge(&history, &adapter.contract);
        let scenario = crate::audit::plan::counting(&adapter);
        let (took, deaths) = (std::time::Duration::ZERO, Vec::new());
        let mut run =
            Judged { scenario, history, struck: 0, deaths, judgements, took, strained: false, repeated: None };
        assert_eq!(fell(&run), BTreeSet::from([Property::NothingStuck]));
        assert!(hangs(&run, Property::NothingStuck) && !hangs(&run, Property::RowsConsistent));
        run.strained = true;
        assert!(hangs(&run, Property::RowsConsistent));
        leave_open(&mut run, Property::NothingStuck);
        let verdict = &run.judgements.of(Property::NothingStuck).unwrap().verdict;
        assert!(matches!(verdict, Verdict::NotTested { why } if why.starts_with("incomplete: ")), "{verdict:?}");
    }
}
