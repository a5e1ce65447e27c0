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
    println!("{:30} {:>6} {:>8}  {:>4} {:>8} {:>6}  property", "engine", "runs", "CPU s", "acts", "shortest", "ratio");
    let (mut status, mut compared, mut short) = (KEPT, 0, 0);
    for entry in subjects::all().into_iter().filter(|entry| entry.defect.is_some()) {
        let visit = campaign::museum::visit(&entry);
        let (runs, cpu) = (visit.runs, visit.cpu.as_secs_f64());
        match &visit.found {
            None => println!("{:30} {runs:>6} {cpu:>8.2}  not found", visit.name),
            Some(found) => {
                let (shortest, ratio) = match found.shortest {
                    Some((acts, _)) => (acts.to_string(), format!("{:.2}", found.acts as f64 / acts.max(1) as f64)),
                    None => ("-".to_owned(), "-".to_owned()),
                };
                println!(
                    "{:30} {runs:>6} {cpu:>8.2}  {:>4} {shortest:>8} {ratio:>6}  {} (seed {}, {} faults)",
                    visit.name, found.acts, found.property, found.seed, found.faults
                );
            }
        }
        if !visit.is_soon() {
            status = BROKEN;
        }
        if visit.found.as_ref().is_some_and(|found| found.shortest.is_some()) {
            compared += 1;
            short += u32::from(visit.is_short());
        }
    }
    println!(
        "{short} of {compared} stories are at most 1.5 times as long as the model's shortest. A history needs a body or a \
         second claim to show what the model sees in the rows; the shortest is told beside each failure."
    );
    println!(
        "acts: what clients, workers and the nemesis do until it falls; shortest: the same of the model checker's \
         shortest story; -: no model of the small scope breaks that property."
    );
    status
}
