//! A run as text for a terminal.

use super::process::{cpu_seconds, peak_bytes};
use crate::museum::Mutant;
use crate::run::{ModelOutcome, Outcome};
use crate::search::{PassOutcome, Verdict};
use comfy_table::Table;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;

pub(super) fn print(outcome: &Outcome, mutant: Option<&Mutant>) {
    if let Some(mutant) = mutant {
        println!("{}: {}.\nRule overridden: {}.\n", mutant.name, mutant.defect, mutant.rule);
    }
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    table.set_header(["model", "verdict", "states", "edges", "depth", "seconds", "states/s", "bytes/state"]);
    for model in &outcome.models {
        let report = &model.report;
        let verdict = match &report.verdict {
            Verdict::Vacuous(goals) => format!("VACUOUS ({} goals not reached)", goals.len()),
            verdict => verdict.to_string(),
        };
        table.add_row([
            model.name.to_owned(),
            verdict,
            grouped(report.distinct),
            grouped(report.generated),
            report.depth.to_string(),
            format!("{:.2}", report.seconds),
            grouped((report.distinct as f64 / report.seconds.max(1e-9)) as u64),
            format!("{:.0}", report.bytes_per_state),
        ]);
    }
    println!("{table}\n");
    for model in &outcome.models {
        tell(model);
    }
    let states: u64 = outcome.models.iter().map(|model| model.report.distinct).sum();
    println!(
        "{}: {} over {} states of {} models",
        outcome.subject,
        outcome.verdict,
        grouped(states),
        outcome.models.len()
    );
    println!("States are compared in full: no hash collision can have hidden one.");
    costs(outcome);
}

/// What the run took, summed up over its models, which were searched one after the other.
fn costs(outcome: &Outcome) {
    let reports = || outcome.models.iter().map(|model| &model.report);
    let states: u64 = reports().map(|report| report.distinct).sum();
    let searched: f64 = reports().map(|report| report.seconds).sum();
    let passes: f64 = reports().flat_map(|report| &report.passes).map(|pass| pass.seconds).sum();
    println!(
        "{:.1} s of search ({} states/s) and {passes:.1} s of termination passes{}.",
        searched,
        grouped((states as f64 / searched.max(1e-9)) as u64),
        cpu_seconds().map_or(String::new(), |seconds| format!("; {seconds:.1} s of processor time in all")),
    );
    if let Some(largest) = reports().max_by_key(|report| report.bytes) {
        println!(
            "The largest model took {:.2} GiB, {:.1} bytes a state with its edges{}.",
            gib(largest.bytes),
            largest.bytes_per_state,
            peak_bytes().map_or(String::new(), |bytes| format!("; the process held {:.2} GiB at most", gib(bytes))),
        );
    }
}

fn gib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}

fn tell(model: &ModelOutcome) {
    let bounds = &model.bounds;
    let kinds: Vec<_> = bounds.program.steps.iter().map(|step| crate::world::bounds::word_of(step.kind)).collect();
    println!(
        "{}: {}.\n  {} workers, {} executions, steps {} ({:?}), attempts {}, faults {}",
        model.name,
        model.covers,
        bounds.workers,
        bounds.executions,
        kinds.join(" "),
        bounds.program.shape,
        bounds.attempts,
        if bounds.faults.words().is_empty() { "none".to_owned() } else { bounds.faults.words().join(" ") },
    );
    let passes = model.report.passes.iter().map(|pass| match &pass.outcome {
        PassOutcome::Held => format!("{} holds ({:.2} s)", pass.name, pass.seconds),
        PassOutcome::Violated => format!("{} IS VIOLATED", pass.name),
        PassOutcome::NotRun(why) => format!("{} not run: {why}", pass.name),
    });
    println!("  termination: {}", passes.collect::<Vec<_>>().join("; "));
    let reached = model.report.goals.iter().filter(|goal| goal.depth.is_some()).count();
    println!("  goals reached: {reached} of {}", model.report.goals.len());
    if let Verdict::Vacuous(goals) = &model.report.verdict {
        println!("  never reached: {}", goals.join(", "));
    }
    for counterexample in &model.counterexamples {
        println!("\n{counterexample}\n{}\n{}", counterexample.to_lanes(), counterexample.schedule);
    }
    println!();
}

/// A number with its thousands apart.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
