//! One fault at one place: every door and every counted call, alike ones in groups, the most telling first.

use std::collections::{BTreeMap, BTreeSet};

use hydra_schedule::Name;
use hydra_simulation::workload::{Ends, Item, StepKind, Workload};
use nix::errno::Errno;

use super::{line, mixed_line, program, usual};
use crate::adapter::{Adapter, Store, Takeover};
use crate::boundary::{Door, Place, Site};
use crate::process::clock;
use crate::scenario::{Fault, Scenario, Strike};

/// When a client cancels an execution whose worker stands still, in milliseconds.
const CANCEL_AT_MS: u64 = 1_500;

/// The boundaries that were counted, and the runs that are made of them.
pub struct Singles {
    /// The runs, the most telling first.
    pub runs: Vec<Scenario>,
    /// How many placements there are: each place with each fault that makes sense at it.
    pub placements: u64,
    /// How many groups of alike ones.
    pub groups: u64,
}

/// What was counted in a run without faults.
#[derive(Debug, Clone, Default)]
pub struct Counted {
    /// The calls of a worker at work.
    pub work: BTreeMap<Site, u32>,
    /// Those of one that has nothing to do.
    pub idle: BTreeMap<Site, u32>,
}

/// Every run with one fault. Doors and calls take turns, so that neither starves the other where time is short.
pub fn singles(adapter: &Adapter, counted: &Counted, quick: bool) -> Singles {
    let doors = doors(adapter, quick);
    let Singles { runs: calls, placements, groups } = calls(adapter, counted, quick);
    let at_doors = doors.len() as u64;
    let (mut doors, mut calls) = (doors.into_iter(), calls.into_iter());
    let mut runs = Vec::new();
    loop {
        let pair = (doors.next(), calls.next());
        if pair.0.is_none() && pair.1.is_none() {
            return Singles { runs, placements: placements + at_doors, groups: groups + at_doors };
        }
        runs.extend(pair.0);
        runs.extend(pair.1);
    }
}

/// One run for each door and fault.
fn doors(adapter: &Adapter, quick: bool) -> Vec<Scenario> {
    let supports = &adapter.supports;
    let over_network = adapter.store != Store::Sqlite;
    let clocks = !quick && clock::library().is_some();
    let mut runs = Vec::new();
    for kind in &supports.kinds {
        let is_usual = *kind == usual(supports);
        let body = line(supports, *kind);
        let steps: Vec<Name> = body.iter().flat_map(Item::steps).map(|step| step.id.clone()).collect();
        // Quick: the first step and the last; of other kinds than the usual one, the first.
        let wanted = |index: usize| match (quick, is_usual) {
            (false, _) => true,
            (true, true) => index == 0 || index + 1 == steps.len(),
            (true, false) => index == 0,
        };
        for (index, id) in steps.iter().enumerate().filter(|(index, _)| wanted(*index)) {
            // The effect of a transactional body comes after both of its doors.
            let after = (*kind != StepKind::Transactional).then_some(Door::After);
            for door in [Door::Before].into_iter().chain(after) {
                let mut faults = vec![Fault::Crash, Fault::Zombie, Fault::LateZombie];
                // Without a lease nothing lapses while it stands still.
                if adapter.takeover == Takeover::Another && (!quick || (index == 0 && door == Door::After)) {
                    faults.push(Fault::Stall);
                }
                if over_network && is_usual && !quick && door == Door::After {
                    faults.extend([Fault::Partition, Fault::HalfOpen, Fault::SlowStore, Fault::StoreRestart]);
                }
                if clocks && is_usual && door == Door::After {
                    let by_ms = i64::try_from(adapter.contract.settings.lease_ms * 2).unwrap_or(i64::MAX);
                    faults.extend([Fault::Clock(by_ms), Fault::Clock(-by_ms)]);
                }
                let at = Place::Door(door, id.clone(), 1);
                runs.extend(faults.into_iter().map(|fault| struck(adapter, body.clone(), fault, at.clone())));
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
    let strike = Strike { fault, worker: 0, at };
    let name = words(adapter, &strike);
    let workload = Workload { programs: vec![program(0, body)] };
    Scenario { name, workload, workers: 1, strikes: vec![strike], counts: false }
}

/// A fault at its place in a few words.
pub(super) fn words(adapter: &Adapter, strike: &Strike) -> String {
    let until = match strike.fault {
        Fault::LateZombie => " until all has ended",
        Fault::Stall => " alone, past its lease",
        _ => "",
    };
    format!("{}{until}", strike.event(adapter.pause_ms()).action)
}

/// One run for each call and fault. Alike ones (the same call with the same request to the same thing since the same
/// door) are a group: its first and last come first, the rest as far as time goes.
fn calls(adapter: &Adapter, counted: &Counted, quick: bool) -> Singles {
    let body = mixed_line(&adapter.supports);
    let steps: Vec<&Name> = body.iter().flat_map(Item::steps).map(|step| &step.id).collect();
    let anchors = Anchors {
        first: steps.first().map(|id| Door::After.anchor(id)).unwrap_or_default(),
        last: steps.last().map(|id| Door::After.anchor(id)).unwrap_or_default(),
    };
    // What an idle worker asks too is its polling, not its work.
    let idle: BTreeSet<_> = counted.idle.keys().map(asked).collect();
    let mut runs = Vec::new();
    let (mut placements, mut groups) = (0, 0);
    for (site, count) in &counted.work {
        // A lock does not say what it is taken for.
        let working = site.request.is_none() || site.locks() || !idle.contains(&asked(site));
        for fault in faults(adapter, site) {
            // Whoever stands still inside SQLite's files holds their lock as a rule, and nobody can take over.
            let inside = !site.is_network() && !site.locks();
            if quick && (fault == Fault::Zombie && inside || tier(fault, site) == 4) {
                continue;
            }
            groups += 1;
            placements += u64::from(*count);
            for nth in 1..=*count {
                let run = struck(adapter, body.clone(), fault, Place::Call(site.clone(), nth));
                // What matters follows soon after a door: the 1st, 2nd, 4th, 8th ... and the last of a group.
                let telling = nth.is_power_of_two() || nth == *count;
                let late = if telling { nth.ilog2() } else { nth };
                let turn = (!telling, !working, tier(fault, site), anchors.turn(site), !writes(site), late);
                // Of one place, each fault in its turn.
                runs.push(((turn, site, run.name.clone()), run));
            }
        }
    }
    runs.sort_by(|(one, _), (other, _)| one.cmp(other));
    Singles { runs: runs.into_iter().map(|(_, run)| run).collect(), placements, groups }
}

fn asked(site: &Site) -> (&'static str, &'static str, Option<&str>) {
    (site.call, site.target, site.request.as_deref())
}

/// Whether it is known to change something, or to be about to: before what only asks.
fn writes(site: &Site) -> bool {
    let Some(request) = &site.request else { return !site.receives() };
    ["insert", "update", "delete", "commit", "write"].iter().any(|verb| request.starts_with(verb))
}

struct Anchors {
    first: String,
    last: String,
}

impl Anchors {
    /// After the last body come its checkpoint and the end of the execution, after the first its checkpoint and the
    /// beginning of the next.
    fn turn(&self, site: &Site) -> u8 {
        match &site.anchor {
            anchor if *anchor == self.last => 0,
            anchor if *anchor == self.first => 1,
            anchor if anchor == "start" => 3,
            _ => 2,
        }
    }
}

/// The lower, the earlier a fault has its turn.
fn tier(fault: Fault, site: &Site) -> u8 {
    // Its open transaction holds locks, and nobody can take over.
    let in_transaction = site.request.as_deref().is_some_and(|request| request.starts_with("commit"));
    match fault {
        Fault::LateZombie if in_transaction => 3,
        // A crash repeats work at the most; who comes back late may overwrite it.
        Fault::LateZombie => 0,
        Fault::Crash => 1,
        Fault::ReplyLost | Fault::CallFails(_) => 2,
        Fault::DisconnectBefore | Fault::Partition | Fault::Zombie | Fault::Stall | Fault::Clock(_) => 3,
        Fault::ReplyLate | Fault::HalfOpen | Fault::SlowStore | Fault::StoreRestart => 4,
    }
}

/// The faults that make sense at a call.
fn faults(adapter: &Adapter, site: &Site) -> Vec<Fault> {
    // Nothing of the workload has reached this worker before its first door.
    let has_work = site.anchor != "start";
    let through_proxy = adapter.store != Store::Sqlite && site.target == "store";
    if site.receives() {
        return if through_proxy && has_work { vec![Fault::CallFails(Errno::ECONNRESET)] } else { Vec::new() };
    }
    if site.locks() {
        return if has_work { vec![Fault::LateZombie, Fault::Zombie] } else { Vec::new() };
    }
    let mut faults = vec![Fault::Crash];
    if has_work {
        faults.push(Fault::Zombie);
    }
    match site.target {
        "store" => {
            faults.extend([Fault::ReplyLost, Fault::DisconnectBefore, Fault::Partition]);
            if has_work {
                faults.extend([Fault::LateZombie, Fault::ReplyLate, Fault::HalfOpen, Fault::StoreRestart]);
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
