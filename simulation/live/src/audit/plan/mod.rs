//! Which runs make an audit: plain ones first, then every boundary with every fault, then pairs of faults, then random
//! schedules.

mod beyond;
mod places;

use hydra_schedule::Name;
use hydra_simulation::workload::{Ends, Item, Program, Sleep, StartAgain, Step, StepKind, Workload};

use crate::adapter::{Adapter, Supports};
use crate::scenario::Scenario;
pub use beyond::{Randomly, pairs};
pub use places::{Counted, singles};

/// The sleep of the workloads, in milliseconds.
const SLEEP_MS: u64 = 300;
/// How long a worker is watched before it has any work: what it asks then is its polling.
const IDLE_MS: u64 = 1_500;
/// Executions of the crowd, and the workers that share them: quick, and full.
const CROWD: [(usize, usize); 2] = [(40, 2), (300, 3)];

/// A name that is known to be one.
fn name(text: &str) -> Name {
    Name::new(text).expect("the plan's own names are names")
}

fn step(id: &str, kind: StepKind) -> Step {
    Step { attempts_max: Some(5), ..Step::new(name(id), kind) }
}

fn scenario(name: &str, programs: Vec<Program>, workers: usize) -> Scenario {
    Scenario { name: name.to_owned(), workload: Workload { programs }, workers, strikes: Vec::new(), counts: false }
}

fn program(index: usize, body: Vec<Item>) -> Program {
    Program::new(Name::execution(index), body)
}

/// The kind that stands for all where any will do.
fn usual(supports: &Supports) -> StepKind {
    if supports.kinds.contains(&StepKind::Keyed) { StepKind::Keyed } else { supports.kinds[0] }
}

/// Steps one after the other, a sleep between them.
fn line(supports: &Supports, kind: StepKind) -> Vec<Item> {
    let steps = supports.steps_max.min(3);
    let mut body: Vec<Item> = (1..=steps).map(|id| Item::Step(step(&id.to_string(), kind))).collect();
    if supports.sleeps && steps == 3 {
        body.insert(2, Item::Sleep(Sleep { id: name("nap"), ms: SLEEP_MS }));
    }
    body
}

/// The same, the last step transactional where there are such: whose system calls are struck.
fn mixed_line(supports: &Supports) -> Vec<Item> {
    let mut body = line(supports, usual(supports));
    if let (true, Some(Item::Step(last))) = (supports.kinds.contains(&StepKind::Transactional), body.last_mut()) {
        last.kind = StepKind::Transactional;
    }
    body
}

/// All of both: one without a fault, then two with one, and so on. On a slow machine those without faults would otherwise
/// be all that there is time for.
pub fn in_turns(plain: Vec<Scenario>, singles: &[Scenario]) -> Vec<Scenario> {
    let mut singles = singles.iter().cloned();
    let mut runs = Vec::new();
    for run in plain {
        runs.push(run);
        runs.extend(singles.by_ref().take(2));
    }
    runs.extend(singles);
    runs
}

/// The run that counts the boundaries: one worker, one execution, no fault.
pub fn counting(adapter: &Adapter) -> Scenario {
    let mut one = program(0, mixed_line(&adapter.supports));
    one.start_at_ms = IDLE_MS;
    Scenario { counts: true, ..scenario("no fault, every boundary counted", vec![one], 1) }
}

/// Runs without faults: a crowd, poisoned results, failing steps, starts twice, cancellations, long bodies.
pub fn plain(adapter: &Adapter, quick: bool) -> Vec<Scenario> {
    let supports = &adapter.supports;
    let kind = usual(supports);
    let lease_ms = adapter.contract.settings.lease_ms;
    // Some engines break here already.
    let (crowd, workers) = CROWD[usize::from(!quick)];
    let many = (0..crowd).map(|index| program(index, line(supports, kind))).collect();
    let mut runs = vec![scenario(&format!("no fault, {workers} workers, {crowd} executions"), many, workers)];
    let one = |ends: Ends, caught: bool| {
        let body = vec![Item::Step(Step { ends, caught, ..step("1", kind) })];
        vec![program(0, body)]
    };
    runs.push(scenario("no fault, one execution", vec![program(0, line(supports, kind))], 1));
    if supports.unencodable {
        runs.push(scenario("a result that cannot be encoded", one(Ends::Unencodable, false), 1));
    }
    runs.push(scenario("a step that fails once", one(Ends::Fails { times: 1 }, false), 1));
    if supports.attempts {
        runs.push(scenario("a step that always fails", one(Ends::FailsForEver, false), 1));
    }
    if supports.parallel && supports.steps_max >= 3 {
        let group = Item::Parallel(vec![step("1", kind), step("2", kind), step("3", kind)]);
        runs.push(scenario("steps in parallel", vec![program(0, vec![group, Item::Step(step("4", kind))])], 1));
    }
    if !supports.no_start_ids.contains(&adapter.version) {
        let mut twice = program(0, line(supports, kind));
        let again = |at_ms| StartAgain { at_ms, other_input: false };
        twice.starts_again = vec![again(0), again(400)];
        runs.push(scenario("started three times under one id", vec![twice], 2));
    }
    if supports.conflicts {
        let mut other = program(0, line(supports, kind));
        other.starts_again = vec![StartAgain { at_ms: 200, other_input: true }];
        runs.push(scenario("started again with another input", vec![other], 2));
    }
    if supports.cancels {
        let mut body = line(supports, kind);
        body[0] = Item::Step(Step { lasts_ms: 600, ..step("1", kind) });
        let mut cancelled = program(0, body);
        cancelled.cancel_at_ms = Some(300);
        runs.push(scenario("cancelled in the first step", vec![cancelled], 1));
    }
    if supports.long_bodies {
        let long = Item::Step(Step { lasts_ms: lease_ms * 2, ..step("1", kind) });
        runs.push(scenario("a body of two leases, two workers", vec![program(0, vec![long])], 2));
    }
    runs
}
