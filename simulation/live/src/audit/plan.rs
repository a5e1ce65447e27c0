//! Which runs make an audit: plain ones first, then every boundary with every fault, alike ones in groups.

use std::collections::BTreeMap;

use hydra_schedule::Name;
use hydra_simulation::workload::{Ends, Item, Program, Sleep, StartAgain, Step, StepKind, Workload};
use nix::errno::Errno;

use crate::adapter::{Adapter, Store, Supports};
use crate::boundary::{Door, Place, Site};
use crate::scenario::{Fault, Scenario, Strike};

/// The sleep of the workloads, in milliseconds.
const SLEEP_MS: u64 = 300;
/// When a client cancels an execution whose worker stands still, in milliseconds.
const CANCEL_AT_MS: u64 = 1_500;
/// Executions of the crowd: quick, and full.
const CROWD: (usize, usize) = (40, 300);

/// A name that is known to be one.
fn name(text: &str) -> Name {
    Name::new(text).expect("the plan's own names are names")
}

fn step(id: &str, kind: StepKind) -> Step {
    Step { attempts_max: Some(5), ..Step::new(name(id), kind) }
}

fn scenario(name: &str, programs: Vec<Program>, workers: usize) -> Scenario {
    Scenario { name: name.to_owned(), workload: Workload { programs }, workers, strike: None, counts: false }
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

/// The run that counts the boundaries: one worker, one execution, no fault.
pub fn counting(adapter: &Adapter) -> Scenario {
    let body = mixed_line(&adapter.supports);
    Scenario { counts: true, ..scenario("no fault, every boundary counted", vec![program(0, body)], 1) }
}

/// Runs without faults: a crowd, poisoned results, failing steps, starts twice, cancellations, long bodies.
pub fn plain(adapter: &Adapter, quick: bool) -> Vec<Scenario> {
    let supports = &adapter.supports;
    let kind = usual(supports);
    let lease_ms = adapter.contract.settings.lease_ms;
    let mut runs = Vec::new();
    let one = |ends: Ends, caught: bool| {
        let body = vec![Item::Step(Step { ends, caught, ..step("1", kind) })];
        vec![program(0, body)]
    };
    runs.push(scenario("no fault, one execution", vec![program(0, line(supports, kind))], 1));
    let crowd = if quick { CROWD.0 } else { CROWD.1 };
    let many = (0..crowd).map(|index| program(index, line(supports, kind))).collect();
    runs.push(scenario("no fault, two workers, many executions", many, 2));
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

/// One run for each door and fault.
pub fn doors(adapter: &Adapter, quick: bool) -> Vec<Scenario> {
    let supports = &adapter.supports;
    let mut runs = Vec::new();
    for kind in &supports.kinds {
        let body = line(supports, *kind);
        let steps: Vec<Name> = body.iter().flat_map(Item::steps).map(|step| step.id.clone()).collect();
        // Quick: the first step and the last; of other kinds than the usual one, the first.
        let wanted = |index: usize| match (quick, *kind == usual(supports)) {
            (false, _) => true,
            (true, true) => index == 0 || index + 1 == steps.len(),
            (true, false) => index == 0,
        };
        for (_, id) in steps.iter().enumerate().filter(|(index, _)| wanted(*index)) {
            // The effect of a transactional body comes after both of its doors.
            let after = (*kind != StepKind::Transactional).then_some(Door::After);
            for door in [Door::Before].into_iter().chain(after) {
                for fault in [Fault::Crash, Fault::Zombie, Fault::LateZombie] {
                    let at = Place::Door(door, id.clone(), 1);
                    runs.push(struck(adapter, body.clone(), fault, at));
                }
            }
        }
        if supports.cancels
            && let Some(id) = steps.last()
        {
            let at = Place::Door(Door::After, id.clone(), 1);
            let mut run = struck(adapter, body.clone(), Fault::LateZombie, at);
            run.name += ", and a client cancels meanwhile";
            run.workload.programs[0].cancel_at_ms = Some(CANCEL_AT_MS);
            runs.push(run);
        }
        // The zombie's own attempt fails, long after its heir has succeeded.
        if let Some(id) = steps.last() {
            let mut body = body.clone();
            if let Some(Item::Step(last)) = body.last_mut() {
                last.ends = Ends::Fails { times: 1 };
            }
            let mut run = struck(adapter, body, Fault::LateZombie, Place::Door(Door::Before, id.clone(), 1));
            run.name += ", then fails";
            runs.push(run);
        }
    }
    runs
}

fn struck(adapter: &Adapter, body: Vec<Item>, fault: Fault, at: Place) -> Scenario {
    let strike = Strike { fault, at };
    let until = if fault == Fault::LateZombie { " until all has ended" } else { "" };
    let name = format!("{}{until}", strike.event(adapter.pause_ms()).action);
    let workload = Workload { programs: vec![program(0, body)] };
    Scenario { name, workload, workers: 1, strike: Some(strike), counts: false }
}

/// The boundaries that were counted, and the runs that are made of them.
pub struct Calls {
    /// The runs, the most telling first.
    pub runs: Vec<Scenario>,
    /// How many placements there are: each call with each fault that makes sense at it.
    pub placements: u64,
    /// How many groups of alike ones.
    pub groups: u64,
}

/// One run for each call and fault. Alike ones (the same call to the same thing since the same door) are a group: its
/// first and last come first, the rest as far as time goes.
pub fn calls(adapter: &Adapter, counts: &BTreeMap<Site, u32>, quick: bool) -> Calls {
    let body = mixed_line(&adapter.supports);
    let mut runs = Vec::new();
    let (mut placements, mut groups) = (0, 0);
    for (site, count) in counts {
        for fault in faults(adapter, site) {
            // Whoever stands still inside SQLite's files holds their lock as a rule, and nobody can take over.
            if quick && fault == Fault::Zombie && !site.is_network() {
                continue;
            }
            groups += 1;
            placements += u64::from(*count);
            for nth in 1..=*count {
                let run = struck(adapter, body.clone(), fault, Place::Call(site.clone(), nth));
                runs.push((turn(fault, nth, *count), run.name.clone(), run));
            }
        }
    }
    runs.sort_by(|(one, name, _), (other, of, _)| (one, name).cmp(&(other, of)));
    Calls { runs: runs.into_iter().map(|(_, _, run)| run).collect(), placements, groups }
}

/// When a placement has its turn, the lower the earlier. What matters follows soon after a door: the 1st, 2nd, 4th, 8th
/// ... and the last call of a group come before the rest of it; crashes and late zombies before other faults.
fn turn(fault: Fault, nth: u32, count: u32) -> (bool, u8, u32) {
    let tier = match fault {
        Fault::Crash | Fault::LateZombie => 0,
        Fault::ReplyLost | Fault::CallFails(_) => 1,
        Fault::DisconnectBefore | Fault::Partition | Fault::Zombie => 2,
    };
    let telling = nth.is_power_of_two() || nth == count;
    (!telling, tier, if telling { nth.ilog2() } else { nth })
}

/// The faults that make sense at a call.
fn faults(adapter: &Adapter, site: &Site) -> Vec<Fault> {
    // Nothing of the workload has reached this worker before its first door.
    let has_work = site.anchor != "start";
    let through_proxy = adapter.store != Store::Sqlite && site.target == "store";
    if site.receives() {
        return if through_proxy && has_work { vec![Fault::CallFails(Errno::ECONNRESET)] } else { Vec::new() };
    }
    let mut faults = vec![Fault::Crash];
    if has_work {
        faults.push(Fault::Zombie);
    }
    match site.target {
        "store" => {
            faults.extend([Fault::ReplyLost, Fault::DisconnectBefore, Fault::Partition]);
            if has_work {
                faults.push(Fault::LateZombie);
            }
        }
        "net" => faults.push(Fault::CallFails(Errno::ECONNRESET)),
        _ if matches!(site.call, "fsync" | "fdatasync" | "sync_file_range") => {
            faults.push(Fault::CallFails(Errno::EIO));
        }
        _ => faults.extend([Fault::CallFails(Errno::ENOSPC), Fault::CallFails(Errno::EIO)]),
    }
    faults
}
