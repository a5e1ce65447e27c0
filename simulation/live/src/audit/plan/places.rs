//! One fault at one place: every door and every counted call, alike ones in groups, the most telling first.

use std::collections::{BTreeMap, BTreeSet};

use hydra_schedule::Name;
use hydra_simulation::workload::{Ends, Item, StepKind, Workload};
use nix::errno::Errno;

use super::{line, mixed_line, program, usual};
use crate::adapter::{Adapter, Store, Takeover};
use crate::boundary::{Door, Place, Site};
use crate::scenario::{Fault, Scenario, Strike};
use crate::store::wire::messages::{self, Side};

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

/// Every run with one fault. Doors, calls and messages take turns, so that none starves the others where time is short.
pub fn singles(adapter: &Adapter, counted: &Counted, quick: bool) -> Singles {
    let doors = doors(adapter, quick);
    let Singles { runs, placements, groups } = calls(adapter, counted, quick);
    let at_doors = doors.len() as u64;
    let (messages, calls): (Vec<_>, Vec<_>) = runs.into_iter().partition(|run| run.strikes[0].at.is_message());
    let mut queues = [doors, calls, messages].map(Vec::into_iter);
    let mut runs = Vec::new();
    while queues.iter().any(|queue| queue.len() > 0) {
        runs.extend(queues.iter_mut().filter_map(Iterator::next));
    }
    Singles { runs, placements: placements + at_doors, groups: groups + at_doors }
}

/// One run for each door and fault.
fn doors(adapter: &Adapter, quick: bool) -> Vec<Scenario> {
    let supports = &adapter.supports;
    let over_network = adapter.store != Store::Sqlite;
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
                if !quick && is_usual && door == Door::After {
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
                // Of a transaction's messages those that change something come first, whatever befalls them.
                let is_message = site.message().is_some();
                let telling = telling && (!is_message || messages::is_telling(site.call));
                let asks = is_message && !writes(site);
                let turn = (!telling, !working, asks, tier(fault, site), anchors.turn(site), !writes(site), late);
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
    let Some(request) = &site.request else { return !site.receives() && site.message().is_none() };
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
    if site.message().is_some() {
        return match fault {
            // What is lost between two messages of one piece is the worker's to find out.
            Fault::DisconnectBefore | Fault::ReplyLost => 0,
            Fault::Partition | Fault::ReplyLate => 1,
            Fault::Crash => 2,
            Fault::StoreRestart => 4,
            _ => 3,
        };
    }
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

/// The faults that make sense at a message: what happens to it, to the connection, and to who waits for the other.
fn at_message(side: Side, has_work: bool) -> Vec<Fault> {
    let mut faults = vec![Fault::Crash];
    match side {
        Side::Request => faults.extend([Fault::DisconnectBefore, Fault::Partition]),
        Side::Reply => faults.push(Fault::ReplyLost),
    }
    if has_work {
        let late = (side == Side::Reply).then_some(Fault::ReplyLate);
        faults.extend(late.into_iter().chain([Fault::HalfOpen, Fault::StoreRestart]));
    }
    faults
}

/// The faults that make sense at a call.
fn faults(adapter: &Adapter, site: &Site) -> Vec<Fault> {
    // Nothing of the workload has reached this worker before its first door.
    let has_work = site.anchor != "start";
    if let Some(side) = site.message() {
        return at_message(side, has_work);
    }
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
        // What the network does comes at each message.
        "store" if adapter.store == Store::Postgres => faults.extend(has_work.then_some(Fault::LateZombie)),
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

#[cfg(test)]
mod tests {
    use super::*;

    const ADAPTER: &str = include_str!("../../../../../adapters/hydra-engine-postgres/adapter.toml");

    #[test]
    fn whatever_a_network_does_is_done_at_each_message_and_not_at_the_call_that_sends_several() {
        let adapter = Adapter::parse("adapters/x".into(), "adapter.toml", ADAPTER, None).unwrap();
        let site = |call| Site {
            call,
            target: "store",
            anchor: "after-1".to_owned(),
            request: Some("commit-after-3fa2".to_owned()),
        };
        let work = BTreeMap::from([(site("sendto"), 1), (site("query"), 2), (site("command-complete"), 1)]);
        let runs = singles(&adapter, &Counted { work, idle: BTreeMap::new() }, false).runs;
        let at = |call, nth| {
            let place = Place::Call(site(call), nth);
            let strikes = runs.iter().flat_map(|run| &run.strikes).filter(|strike| strike.at == place);
            strikes.map(|strike| strike.fault.words()).collect::<BTreeSet<_>>()
        };
        let asked = [Fault::Crash, Fault::DisconnectBefore, Fault::Partition, Fault::HalfOpen, Fault::StoreRestart];
        let told = [Fault::Crash, Fault::ReplyLost, Fault::ReplyLate, Fault::HalfOpen, Fault::StoreRestart];
        assert_eq!(at("query", 1), asked.map(Fault::words).into());
        assert_eq!(at("query", 2), asked.map(Fault::words).into());
        assert_eq!(at("command-complete", 1), told.map(Fault::words).into());
        assert_eq!(at("sendto", 1), [Fault::Crash, Fault::Zombie].map(Fault::words).into());
        // Those at messages are not left to the end.
        let first = runs.iter().position(|run| run.strikes[0].at.is_message());
        assert!(first.is_some_and(|first| first < 3), "{first:?}");
    }
}
