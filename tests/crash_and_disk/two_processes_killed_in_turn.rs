//! Two engines' processes on one file, killed in turn, over and over, in the middle of their work.

use std::time::{Duration, Instant};

use crate::Dice;
use crate::judge;
use crate::stage::{Running, Stage, Verdict};

/// Executions of one file.
const EXECUTIONS: usize = 12;
/// A file's processes are killed so often; then they are let finish, and all is judged.
const KILLS_PER_FILE: u32 = 10;
/// Killed when the outside has heard of at most so many things since the last kill.
const NEWS_MAX: u64 = 30;
/// Killed then, if there is no news: both may wait for a lease to end.
const NO_NEWS_FOR: Duration = Duration::from_millis(400);

/// One file, from its first process to its last; how many living processes were killed.
fn one_file(dice: &mut Dice, mutant: Option<&str>) -> Result<u32, String> {
    let ids: Vec<_> = (0..EXECUTIONS).map(|number| format!("tour-{number}")).collect();
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    let mut stage = Stage::new(&ids);
    stage.plan.together = true;
    stage.plan.pace_ms = 10;
    stage.plan.mutant = mutant.map(str::to_owned);
    // Shorter than a process lives, so that work changes hands while both are up.
    stage.plan.lease_ms = 150;
    let start = || {
        let mut running = stage.start();
        running.go();
        running
    };
    let mut both: [Running; 2] = [start(), start()];
    let mut kills = 0;
    for turn in 0..KILLS_PER_FILE {
        hear(&stage, dice.below(NEWS_MAX));
        let victim = &mut both[turn as usize % 2];
        match victim.0.exited().as_deref() {
            // It has seen all executions end.
            Some("exit code 0") => break,
            Some(end) => return Err(format!("a process ended with {end}")),
            None => kills += 1,
        }
        victim.0.kill();
        *victim = start();
    }
    for running in &mut both {
        let end = running.end()?;
        if end != "exit code 0" {
            return Err(format!("a process ended with {end}"));
        }
    }
    judge::has_ended(&stage.file(), &stage.notes(), &stage.plan.ids)?;
    Ok(kills)
}

/// Waits until the outside has heard of so many more things.
fn hear(stage: &Stage, news: u64) {
    let (until, wanted) = (Instant::now() + NO_NEWS_FOR, stage.notes().len() as u64 + news);
    while (stage.notes().len() as u64) < wanted && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Some kills. The campaign goes on for ten minutes.
pub fn no_promise_is_broken() {
    let (mut dice, mut kills) = (Dice(20_261_123), 0);
    while kills < 20 {
        kills += one_file(&mut dice, None).unwrap();
    }
}

/// The same, with engines that are known to be wrong.
pub fn an_engine_known_to_be_wrong_is_found_out() {
    let mut dice = Dice(20_261_123);
    let broken = |why: &String| why.contains("keys of");
    let found = (0..20).find_map(|_| one_file(&mut dice, Some("key-per-attempt")).err().filter(broken));
    assert!(found.is_some(), "it went unnoticed");
}

pub fn campaign() -> Verdict {
    let (mut dice, begun) = (Dice(7), Instant::now());
    let (mut files, mut kills) = (0, 0);
    while begun.elapsed() < Duration::from_secs(600) {
        kills += one_file(&mut dice, None)?;
        files += 1;
        if files % 20 == 0 {
            println!("{} s: {files} files, {kills} processes killed", begun.elapsed().as_secs());
        }
    }
    println!(
        "{files} files, {} executions, {kills} processes killed in turn; no promise was broken",
        files * EXECUTIONS
    );
    Ok(())
}
