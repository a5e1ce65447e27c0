//! SIGKILL of the engine's process at every boundary of a run with a step of each kind: before each write, sync,
//! truncation, creation or removal of a file, and before each word to the outside. Then another process goes on.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use hydra_live::process::seen::Seen;
use hydra_live::process::trace::Act;

use crate::judge;
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
    let t0 = std::time::Instant::now();
    let first = kill(&stage, at)?;
    let t1 = t0.elapsed();
    if let Some(again) = again {
        stage.plan.ahead_ms += 10 * stage.plan.lease_ms;
        kill(&stage, again)?;
    }
    judge::is_sound(&stage.file(), &stage.notes())?;
    let t2 = t0.elapsed();
    stage.recover()?;
    let t3 = t0.elapsed();
    judge::has_ended(&stage.file(), &stage.notes(), &stage.plan.ids)?;
    eprintln!("{at} {first:?} kill {t1:?} sound {t2:?} recovered {t3:?} judged {:?}", t0.elapsed());
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

/// A sample of the placements, spread over the run; of every kind of boundary the first.
pub fn no_promise_is_broken() {
    let all = boundaries(None).unwrap();
    let kind = |name: &Name| name.split('{').next().unwrap().to_owned();
    let mut sample: BTreeSet<usize> = (0..SAMPLE).map(|at| at * all.len() / SAMPLE).collect();
    for wanted in all.iter().map(kind).collect::<BTreeSet<_>>() {
        sample.extend(all.iter().position(|name| kind(name) == wanted));
    }
    let (asked, (kills, kinds)) = (sample.len(), run(sample.into_iter().map(|at| (at, None))));
    // The very last boundaries may not come: how the threads take turns differs from run to run.
    assert!(kills + 3 >= asked, "only {kills} of {asked} runs were killed");
    for wanted in ["pwrite64 wal", "fsync wal", "pwrite64 db", "unlink path", "sendto net"] {
        assert!(kinds.contains(wanted), "no {wanted} among {kinds:?}");
    }
}

const SAMPLE: usize = 24;

/// The same judge, over engines that are known to be wrong: killed just after an effect, before its checkpoint.
pub fn engines_known_to_be_wrong_are_found_out() {
    for (mutant, step) in [("key-per-attempt", "charge"), ("at-most-once-runs-again", "mail")] {
        let told = format!("\"Effect\":{{\"id\":\"only\",\"step\":\"{step}\"");
        let all = boundaries(Some(mutant)).unwrap();
        let effect = all.iter().position(|name| name.contains(&told)).unwrap();
        let found = (effect + 1..effect + 6).find_map(|at| killed_at(at, None, Some(mutant)).err());
        assert!(found.is_some(), "{mutant} went unnoticed");
    }
}

/// Every placement, and a second kill somewhere in each recovery.
pub fn campaign() -> Verdict {
    let all = boundaries(None)?;
    let count = all.len();
    println!("{count} boundaries in a run; each is run twice: killed there, and killed there and in the recovery");
    let mut dice = crate::Dice(count as u64);
    let (mut kills, mut kinds) = (0, BTreeSet::new());
    for (done, at) in (0..count).enumerate() {
        let again = usize::try_from(dice.below(count as u64)).unwrap_or(0);
        for again in [None, Some(again)] {
            let killed = killed_at(at, again, None).map_err(|why| format!("boundary {at}, then {again:?}: {why}"))?;
            kills += usize::from(killed.is_some());
            kinds.extend(killed);
        }
        if done % 50 == 0 {
            println!("{done} of {count}");
        }
    }
    println!(
        "{kills} of {} runs were killed at their place, at {} kinds of boundaries: {kinds:?}",
        2 * count,
        kinds.len()
    );
    println!("no promise was broken");
    Ok(())
}
