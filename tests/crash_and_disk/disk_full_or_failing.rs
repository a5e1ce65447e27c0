//! Every call that changes a file fails in turn: no room, over quota, read-only, an I/O error. Once, or for a while,
//! as a disk that is full until somebody makes room. Callers are given errors that say that it will pass, the process
//! goes on by itself, and what it was told before and does after is as if nothing had been.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hydra_live::process::seen::Seen;
use hydra_live::process::trace::Act;
use nix::errno::Errno;

use crate::judge;
use crate::process::outside::Note;
use crate::stage::{Stage, Verdict, is_boundary};

const IDS: [&str; 1] = ["only"];

/// What a disk answers when it cannot.
const ERRORS: [Errno; 4] = [Errno::ENOSPC, Errno::EIO, Errno::EROFS, Errno::EDQUOT];

/// How long it cannot: for one call, or for some time, in which leases end that it cannot renew.
const OUTAGES: [Duration; 2] = [Duration::ZERO, Duration::from_millis(300)];

/// At which call the disk begins to fail, how, and for how long.
#[derive(Clone, Copy, Debug)]
struct Outage {
    at: usize,
    error: Errno,
    lasts: Duration,
}

/// Whether the call changes a file: those fail, and not what is told to the outside.
fn changes_a_file(seen: &Seen) -> bool {
    is_boundary(seen) && seen.target != "net"
}

/// How many calls change a file in a run that nobody disturbs.
fn calls() -> Result<usize, String> {
    let (stage, count) = (Stage::new(&IDS), Arc::new(Mutex::new(0)));
    let counted = count.clone();
    stage.run(move |seen| {
        *counted.lock().unwrap() += usize::from(changes_a_file(seen));
        None
    })?;
    let count = *count.lock().unwrap();
    Ok(count)
}

/// One run; what callers were told, and how many calls failed.
fn run(outage: Outage, mutant: Option<&str>) -> Result<(BTreeSet<String>, usize), String> {
    let (mut stage, failed) = (Stage::new(&IDS), Arc::new(Mutex::new(0)));
    stage.plan.mutant = mutant.map(str::to_owned);
    if !outage.lasts.is_zero() {
        stage.plan.lease_ms = 200;
    }
    let (counted, mut count, mut since) = (failed.clone(), 0, None);
    let end = stage.run(move |seen| {
        if !changes_a_file(seen) {
            return None;
        }
        if count == outage.at {
            since = Some(Instant::now());
        }
        let fails = count == outage.at || since.is_some_and(|since: Instant| since.elapsed() < outage.lasts);
        count += 1;
        fails.then(|| {
            *counted.lock().unwrap() += 1;
            Act::Fail(outage.error)
        })
    });
    let notes = stage.notes();
    let end = end.map_err(|why| format!("{why}; the last notes: {:?}", &notes[notes.len().saturating_sub(5)..]))?;
    let (mut told, folder) =
        (BTreeSet::new(), stage.file().parent().map_or(String::new(), |at| at.display().to_string()));
    for note in &notes {
        if let Note::Trouble { doing, error, passing } = note {
            // Who opens a file that is read-only at that moment is told so, and decides.
            if !passing && doing != "open" {
                return Err(format!("{doing} was told that it will not pass: {error}"));
            }
            told.insert(format!("{doing}: {}", error.replace(&folder, "FOLDER")));
        }
    }
    if end != "exit code 0" {
        return Err(format!("the process ended with {end}; callers were told {told:?}"));
    }
    judge::has_ended(&stage.file(), &notes, &stage.plan.ids)
        .map_err(|why| format!("{why}; callers were told {told:?}"))?;
    let failed = *failed.lock().unwrap();
    Ok((told, failed))
}

fn all(calls: usize) -> Vec<Outage> {
    let outages = ERRORS.into_iter().flat_map(|error| OUTAGES.map(|lasts| (error, lasts)));
    outages.flat_map(|(error, lasts)| (0..calls).map(move |at| Outage { at, error, lasts })).collect()
}

/// A sample, spread over places, errors and lengths.
pub fn errors_are_typed_and_work_resumes() {
    let all = all(calls().unwrap());
    let (mut told, mut failed) = (BTreeSet::new(), 0);
    for outage in all.iter().step_by((all.len() / SAMPLE).max(1)) {
        let (errors, calls) = run(*outage, None).unwrap_or_else(|why| panic!("{outage:?}: {why}"));
        told.extend(errors);
        failed += calls;
    }
    assert!(failed > SAMPLE && told.len() >= 3, "{failed} calls failed, and callers were told {told:?}");
}

const SAMPLE: usize = 24;

/// An engine whose worker takes an answer that it did not get for a failure of the step.
pub fn an_engine_known_to_be_wrong_is_found_out() {
    let calls = calls().unwrap();
    let mut outages = (calls / 2..calls).map(|at| Outage { at, error: Errno::EIO, lasts: Duration::ZERO });
    let found = outages.find_map(|outage| run(outage, Some("lost-reply-is-failure")).err());
    assert!(found.is_some(), "it went unnoticed");
}

pub fn campaign() -> Verdict {
    let calls = calls()?;
    let all = all(calls);
    println!("{calls} calls change a file; {} runs", all.len());
    let (mut told, mut failed) = (BTreeSet::new(), 0);
    for (done, outage) in all.iter().enumerate() {
        let (errors, calls) = run(*outage, None).map_err(|why| format!("{outage:?}: {why}"))?;
        told.extend(errors);
        failed += calls;
        if done % 200 == 0 {
            println!("{done} of {}", all.len());
        }
    }
    println!("{failed} calls failed. What callers were told:");
    told.iter().for_each(|told| println!("  {told}"));
    println!("nothing was lost, nothing was done twice, and every run came to its end by itself");
    Ok(())
}
