//! What `hydra simulate` measures of itself: coverage against the model, and the museum.

use super::{BROKEN, KEPT, Simulate, USAGE};
use crate::campaign;
use crate::coverage::{self, Until};
use crate::subjects;

/// Runs after which little more is visited.
const COVERAGE_RUNS: u64 = 50_000;

/// Says how much of the model's states simulated runs visit.
pub(super) fn coverage(command: &Simulate) -> u8 {
    let until = match (command.seeds, command.r#for) {
        (Some((first, last)), _) => Until::Runs(last - first),
        (None, Some(time)) => Until::Time(time),
        (None, None) => Until::Runs(COVERAGE_RUNS),
    };
    println!(
        "{:14} {:>8} {:>8} {:>7}  {:>8} {:>10} {:>8}",
        "model", "states", "visited", "", "runs", "moments", "outside"
    );
    for model in coverage::models() {
        let covered = match coverage::measure(&model, until) {
            Ok(covered) => covered,
            Err(error) => {
                eprintln!("error: {}: {error}", model.name);
                return USAGE;
            }
        };
        println!(
            "{:14} {:>8} {:>8} {:>6.1}%  {:>8} {:>10} {:>8}",
            covered.model,
            covered.known,
            covered.visited,
            covered.percent(),
            covered.runs,
            covered.moments,
            covered.outside
        );
        if let Some(stranger) = covered.stranger {
            eprintln!("{}: a state that the model does not have: {stranger}", covered.model);
        }
    }
    println!(
        "states: what the model checker reaches in its scope smoke, up to which worker is which; outside: states of \
         simulated clusters that are none of these: the model rounds times, and a worker there forgets an execution when it \
         claims it again."
    );
    KEPT
}

/// Visits every known-wrong engine and says how soon each was found and how short its story is. Broken if one was not
/// found in time.
pub(super) fn museum() -> u8 {
    println!(
        "{:30} {:>6} {:>8}  {:>4} {:>5} {:>8} {:>6}  property",
        "engine", "runs", "CPU s", "acts", "model", "followed", "ratio"
    );
    let (mut status, mut compared, mut short, mut at_once, mut handed_over) = (KEPT, 0, 0, 0, 0);
    for entry in subjects::all().into_iter().filter(|entry| entry.defect.is_some()) {
        let visit = campaign::museum::visit(&entry);
        let (runs, cpu) = (visit.runs, visit.cpu.as_secs_f64());
        match &visit.found {
            None => println!("{:30} {runs:>6} {cpu:>8.2}  not found", visit.name),
            Some(found) => {
                let told = |acts: Option<usize>| acts.map_or("-".to_owned(), |acts| acts.to_string());
                let ratio = found.measure().map(|shortest| found.acts as f64 / shortest.max(1) as f64);
                println!(
                    "{:30} {runs:>6} {cpu:>8.2}  {:>4} {:>5} {:>8} {:>6}  {} (seed {}, {} faults)",
                    visit.name,
                    found.acts,
                    told(found.shortest),
                    told(found.followed),
                    ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}")),
                    found.property,
                    found.seed,
                    found.faults
                );
            }
        }
        if !visit.is_soon() {
            status = BROKEN;
        }
        if let Some((found, shortest)) = visit.found.as_ref().and_then(|found| Some((found, found.shortest?))) {
            compared += 1;
            short += u32::from(visit.is_short());
            at_once += u32::from(campaign::museum::is_short(found.acts, shortest));
            handed_over += u32::from(visit.is_short() || found.followed.is_some());
        }
    }
    println!(
        "acts: what clients, workers and the nemesis do until it falls, in the case made small; model: the same in the \
         model checker's shortest story, up to where the rows show it; followed: the same when that story's schedule is \
         followed in the simulator, up to where the oracle sees it fall, which knows no rows and needs a body or a second \
         claim (-: it does not); ratio: acts to followed, or to model where there is no followed."
    );
    println!(
        "{short} of {compared} stories are at most 1.5 times as long as the model's shortest by that ratio, {at_once} by \
         what the rows show. A failure's folder holds the model's story besides, where it knows one: with those of them \
         that fall here when they are replayed, {handed_over} of {compared}."
    );
    status
}
