//! Every call that changes a file fails in turn: no room, over quota, read-only, an I/O error. Every call that reads the
//! file or its log fails in turn: an I/O error. Once, or for a while, as a disk that is full until somebody makes room.
//! Callers are given errors that say that it will pass, or that the file cannot be read; the process goes on by itself,
//! and what it was told before and does after is as if nothing had been.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hydra_live::placed::Act;
use hydra_live::process::seen::Seen;
use nix::errno::Errno;

use crate::judge;
use crate::process::outside::Note;
use crate::side_by_side::side_by_side;
use crate::stage::{Stage, Verdict, is_boundary, reads_the_store};

const IDS: [&str; 1] = ["only"];

/// What a disk answers when it cannot write.
const WRITE_ERRORS: [Errno; 4] = [Errno::ENOSPC, Errno::EIO, Errno::EROFS, Errno::EDQUOT];
/// What it answers when it cannot read.
const READ_ERRORS: [Errno; 1] = [Errno::EIO];

/// How long it cannot: for one call, or for some time, in which leases end that it cannot renew.
const OUTAGES: [Duration; 2] = [Duration::ZERO, Duration::from_millis(300)];

/// What the disk cannot do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fails {
    /// Change a file. What is told to the outside does not fail.
    Changes,
    /// Read the store's file or its log.
    Reads,
}

impl Fails {
    fn hits(self, seen: &Seen) -> bool {
        match self {
            Fails::Changes => is_boundary(seen) && seen.target != "net",
            Fails::Reads => reads_the_store(seen),
        }
    }

    fn errors(self) -> &'static [Errno] {
        match self {
            Fails::Changes => &WRITE_ERRORS,
            Fails::Reads => &READ_ERRORS,
        }
    }
}

/// What the engine's process finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finds {
    /// An empty folder.
    Nothing,
    /// What a process left that was killed half-way: a log to recover, an execution to go on with.
    Leftovers,
}

/// At which call the disk begins to fail, how, and for how long.
#[derive(Clone, Copy, Debug)]
struct Outage {
    finds: Finds,
    fails: Fails,
    at: usize,
    error: Errno,
    lasts: Duration,
}

/// An engine that is known to be wrong.
#[derive(Clone, Copy, Default)]
struct Wrong {
    /// It goes by a mutant's rules.
    rules: Option<&'static str>,
    /// Its store calls what it could not read not there.
    blind: bool,
}

fn stage(finds: Finds, wrong: Wrong) -> Result<Stage, String> {
    let mut stage = Stage::new(&IDS);
    stage.plan.mutant = wrong.rules.map(str::to_owned);
    if finds == Finds::Leftovers {
        let half_way = boundaries()? / 2;
        let mut count = 0;
        stage.run(move |seen| {
            count += usize::from(is_boundary(seen));
            (count > half_way).then_some(Act::Kill)
        })?;
        // By its clock the lease of the one before is over.
        stage.plan.ahead_ms += 10 * stage.plan.lease_ms;
    }
    stage.plan.blind = wrong.blind;
    Ok(stage)
}

/// How many boundaries a run has that nobody disturbs.
fn boundaries() -> Result<usize, String> {
    static COUNT: std::sync::OnceLock<Result<usize, String>> = std::sync::OnceLock::new();
    COUNT.get_or_init(|| count(&Stage::new(&IDS), is_boundary)).clone()
}

/// How many calls of a run are such.
fn count(stage: &Stage, is_such: impl Fn(&Seen) -> bool + Send + 'static) -> Result<usize, String> {
    let count = Arc::new(Mutex::new(0));
    let counted = count.clone();
    stage.run(move |seen| {
        *counted.lock().unwrap() += usize::from(is_such(seen));
        None
    })?;
    let count = *count.lock().unwrap();
    Ok(count)
}

/// How many calls there are to fail.
fn calls(finds: Finds, fails: Fails) -> Result<usize, String> {
    count(&stage(finds, Wrong::default())?, move |seen| fails.hits(seen))
}

/// One run; what callers were told, and how many calls failed.
fn run(outage: Outage, wrong: Wrong) -> Result<(BTreeSet<String>, usize), String> {
    let (mut stage, failed) = (stage(outage.finds, wrong)?, Arc::new(Mutex::new(0)));
    if !outage.lasts.is_zero() {
        stage.plan.lease_ms = 200;
    }
    let (counted, mut count, mut since) = (failed.clone(), 0, None);
    let end = stage.run(move |seen| {
        if !outage.fails.hits(seen) {
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
            // Who opens a file that is read-only at that moment is told so, and decides. A file that cannot be read
            // may be malformed, for all that SQLite says.
            let decides = doing == "open" || outage.fails == Fails::Reads && error.contains("file cannot be read");
            if !passing && !decides {
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

/// Every call that is such, every error, for every length of time.
fn all(finds: Finds, fails: Fails) -> Result<Vec<Outage>, String> {
    let calls = calls(finds, fails)?;
    let hows = fails.errors().iter().flat_map(|error| OUTAGES.map(|lasts| (*error, lasts)));
    Ok(hows.flat_map(|(error, lasts)| (0..calls).map(move |at| Outage { finds, fails, at, error, lasts })).collect())
}

/// A sample of what may fail, spread over places, errors and lengths.
fn sample(finds: Finds, fails: Fails) {
    let all = all(finds, fails).unwrap();
    let (mut told, mut failed) = (BTreeSet::new(), 0);
    for outage in all.iter().step_by((all.len() / SAMPLE).max(1)) {
        let (errors, calls) = run(*outage, Wrong::default()).unwrap_or_else(|why| panic!("{outage:?}: {why}"));
        told.extend(errors);
        failed += calls;
    }
    assert!(failed >= SAMPLE && told.len() >= 3, "{failed} calls failed, and callers were told {told:?}");
}

const SAMPLE: usize = 24;

pub fn errors_are_typed_and_work_resumes() {
    sample(Finds::Nothing, Fails::Changes);
}

pub fn what_cannot_be_read_is_asked_for_again() {
    sample(Finds::Nothing, Fails::Reads);
    sample(Finds::Leftovers, Fails::Reads);
}

/// The first outage that an engine known to be wrong does not survive.
fn found(outages: impl IntoIterator<Item = Outage>, wrong: Wrong) -> Option<String> {
    outages.into_iter().find_map(|outage| run(outage, wrong).err())
}

/// An engine whose worker takes an answer that it did not get for a failure of the step.
pub fn an_engine_known_to_be_wrong_is_found_out() {
    let all = all(Finds::Nothing, Fails::Changes).unwrap();
    let once = all.into_iter().filter(|outage| outage.error == Errno::EIO && outage.lasts.is_zero());
    let once: Vec<_> = once.collect();
    let wrong = Wrong { rules: Some("lost-reply-is-failure"), ..Wrong::default() };
    assert!(found(once[once.len() / 2..].to_vec(), wrong).is_some(), "it went unnoticed");
}

/// An engine whose store says that nothing is there when it could not look.
pub fn a_blind_store_is_found_out_by_failing_reads() {
    let outages = all(Finds::Leftovers, Fails::Reads).unwrap();
    assert!(found(outages, Wrong { blind: true, ..Wrong::default() }).is_some(), "it went unnoticed");
}

pub fn campaign() -> Verdict {
    for (finds, fails) in
        [(Finds::Nothing, Fails::Changes), (Finds::Nothing, Fails::Reads), (Finds::Leftovers, Fails::Reads)]
    {
        let all = all(finds, fails)?;
        println!("{fails:?}, a process that finds {finds:?}: {} runs", all.len());
        let seen = Mutex::new((BTreeSet::new(), 0));
        side_by_side(&all, |done, outage| {
            let (errors, calls) = run(*outage, Wrong::default()).map_err(|why| format!("{outage:?}: {why}"))?;
            let mut seen = seen.lock().unwrap();
            seen.0.extend(errors);
            seen.1 += calls;
            if done % 200 == 0 {
                println!("{done} of {}", all.len());
            }
            Ok(())
        })?;
        let (told, failed) = seen.into_inner().unwrap();
        println!("{failed} calls failed. What callers were told:");
        told.iter().for_each(|told| println!("  {told}"));
    }
    println!("nothing was lost, nothing was done twice, and every run came to its end by itself");
    Ok(())
}
