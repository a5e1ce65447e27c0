//! SIGKILL of the engine's process at every boundary of a run with a step of each kind: before each write, sync,
//! truncation, creation or removal of a file, and before each word to the outside. Then another process goes on.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use hydra_live::placed::Act;
use hydra_live::process::seen::Seen;

use crate::judge;
use crate::side_by_side::side_by_side;
use crate::stage::{Stage, Verdict, is_boundary};

const IDS: [&str; 1] = ["only"];

/// A boundary, for people: `pwrite64 wal`.
type Name = String;

fn name(seen: &Seen) -> Name {
    format!("{} {}", seen.call, seen.target)
}

fn stage(mutant: Option<&str>) -> Stage {
    let mut stage = Stage::new(&IDS);
    stage.plan.mutant = mutant.map(str::to_owned);
    stage
}

/// All boundaries of a run that nobody disturbs, in their order. What the outside is told is named as well.
fn boundaries(mutant: Option<&str>) -> Result<Vec<Name>, String> {
    let (stage, seen) = (stage(mutant), Arc::new(Mutex::new(Vec::new())));
    let list = seen.clone();
    let end = stage.run(move |call| {
        if is_boundary(call) {
            let told = (call.target == "net").then(|| call.bytes()).flatten().unwrap_or_default();
            list.lock().unwrap().push(name(call) + &String::from_utf8_lossy(&told));
        }
        None
    })?;
    if end != "exit code 0" {
        return Err(format!("a run that nobody disturbs ended with {end}"));
    }
    judge::has_ended(&stage.file(), &stage.notes(), &stage.plan.ids)?;
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    Ok(seen)
}

/// One run that is killed at its `at`th boundary (from 0), and one that goes on from there, killed in turn at its own
/// `again`th; at last one that nobody disturbs. Where it was killed first; none: it was over before.
fn killed_at(at: usize, again: Option<usize>, mutant: Option<&str>) -> Result<Option<Name>, String> {
    let mut stage = stage(mutant);
    let first = kill(&stage, at)?;
    if let Some(again) = again {
        stage.plan.ahead_ms += 10 * stage.plan.lease_ms;
        kill(&stage, again)?;
    }
    judge::is_sound(&stage.file(), &stage.notes())?;
    stage.recover()?;
    judge::has_ended(&stage.file(), &stage.notes(), &stage.plan.ids)?;
    Ok(first)
}

fn kill(stage: &Stage, at: usize) -> Result<Option<Name>, String> {
    let (mut count, killed) = (0, Arc::new(Mutex::new(None)));
    let place = killed.clone();
    stage.run(move |seen| {
        if !is_boundary(seen) {
            return None;
        }
        count += 1;
        (count == at + 1).then(|| {
            *place.lock().unwrap() = Some(name(seen));
            Act::Kill
        })
    })?;
    let killed = killed.lock().unwrap().take();
    Ok(killed)
}

/// Runs these placements; how many processes were killed, and at how many kinds of boundaries.
fn run(placements: impl Iterator<Item = (usize, Option<usize>)>) -> (usize, BTreeSet<Name>) {
    let (mut kills, mut kinds) = (0, BTreeSet::new());
    for (at, again) in placements {
        match killed_at(at, again, None) {
            Ok(killed) => {
                kills += usize::from(killed.is_some());
                kinds.extend(killed);
            }
            Err(why) => panic!("killed at boundary {at}, then at {again:?}: {why}"),
        }
    }
    (kills, kinds)
}

/// Every placement.
pub fn no_promise_is_broken() {
    let count = boundaries(None).unwrap().len();
    let (kills, kinds) = run((0..count).map(|at| (at, None)));
    // The very last boundaries may not come: how the threads take turns differs from run to run.
    assert!(kills * 10 > count * 9, "only {kills} of {count} runs were killed");
    for wanted in ["pwrite64 wal", "fsync wal", "pwrite64 db", "unlink path", "sendto net"] {
        assert!(kinds.contains(wanted), "no {wanted} among {kinds:?}");
    }
}

/// The same judge, over engines that are known to be wrong: killed just after an effect, before its checkpoint.
pub fn engines_known_to_be_wrong_are_found_out() {
    for (mutant, step) in [("key-per-attempt", "charge"), ("in-doubt-is-called-failed", "mail")] {
        let told = format!("\"Effect\":{{\"id\":\"only\",\"step\":\"{step}\"");
        let all = boundaries(Some(mutant)).unwrap();
        let effect = all.iter().position(|name| name.contains(&told)).unwrap();
        let found = (effect + 1..effect + 6).find_map(|at| killed_at(at, None, Some(mutant)).err());
        assert!(found.is_some(), "{mutant} went unnoticed");
    }
}

/// Every placement, and after each a second kill at ten places of the recovery.
pub fn campaign() -> Verdict {
    let count = boundaries(None)?.len();
    println!("{count} boundaries in a run; killed at each, and in the recovery at {AGAIN} that dice choose");
    let mut dice = crate::Dice(count as u64);
    // What is left to do is less, the later the first was killed.
    let places = (0..count * AGAIN).map(|number| number / AGAIN);
    let placements: Vec<_> = places.map(|at| (at, dice.below((count - at / 2) as u64) as usize)).collect();
    let seen = Mutex::new((0, BTreeSet::new()));
    side_by_side(&placements, |number, &(at, again)| {
        let killed = killed_at(at, Some(again), None);
        let killed = killed.map_err(|why| format!("killed at boundary {at}, then at {again}: {why}"))?;
        let mut seen = seen.lock().unwrap();
        seen.0 += usize::from(killed.is_some());
        seen.1.extend(killed);
        if number % (20 * AGAIN) == 0 {
            println!("{at} of {count}");
        }
        Ok(())
    })?;
    let (kills, kinds) = seen.into_inner().unwrap();
    println!(
        "{kills} of {} runs were killed at their place, at {} kinds of boundaries: {kinds:?}",
        placements.len(),
        kinds.len()
    );
    println!("no promise was broken");
    Ok(())
}

const AGAIN: usize = 10;
