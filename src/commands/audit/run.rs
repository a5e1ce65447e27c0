//! One audit: a campaign of the simulator, and what the model checker adds to it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use hydra_model::museum::{self, Mutant, Source};
use hydra_model::run::Request;
use hydra_model::scopes::Scope;
use hydra_model::search::Verdict as Proof;
use hydra_simulation::campaign::{self, Failure, Known, Plan, Seeds};
use hydra_simulation::oracle::{self, Settings, Verdict};
use hydra_simulation::report::{Case, Report};
use hydra_simulation::subjects::{self, Entry};
use indicatif::{ProgressBar, ProgressStyle};

use super::chapters::{CHAPTERS, advice, mutants};

/// So many broken runs are enough to tell how.
const BROKEN_MAX: u64 = 2_000;

/// Audits a subject for about this long.
pub fn audit(subject: &Entry, time: Duration) -> anyhow::Result<Report> {
    let begun = Instant::now();
    let outcome = simulate(subject, time);
    if let Some(seed) = outcome.nondeterministic {
        bail!("{}: seed {seed} did not give the same twice, so no verdict is worth anything", subject.name);
    }
    let judgements = outcome.judgements.clone().context("no run was judged; give it more --seconds")?;
    let scope = format!(
        "{} simulated clusters of 2 to 12 workers under crashes, pauses, partitions, lost, late and doubled messages, wrong \
         clocks, slow and restarted stores, and results without encoding: {} steps of the core, {:.0} h of virtual time.",
        outcome.runs,
        outcome.tally.steps,
        outcome.tally.simulated_ms as f64 / 3_600_000.0,
    );
    let mut report = Report::new(judgements, scope, format!("hydra audit {}", subject.name));
    match museum::find(subject.name) {
        None => prove(&mut report)?,
        Some(mutant) => {
            for finding in findings_of(mutant) {
                report.cases.extend(shortest(finding));
            }
        }
    }
    for (property, seed) in &outcome.first {
        let case = campaign::Case::of_seed(*seed, &[]);
        let command = format!("hydra simulate --subject {} --seed {seed}", subject.name);
        let Some(failure) = Failure::of(subject, &case, *property, &command) else { continue };
        fell(
            &mut report,
            &failure,
            outcome.fell.get(property).copied().unwrap_or(1),
            &subjects::settings(&case.config),
        );
        if report.case_of(*property).is_none() {
            report.cases.push(failure.told);
        }
    }
    for case in &mut report.cases {
        case.seen = case.seen.max(outcome.fell.get(&case.counterexample.property).copied().unwrap_or(0));
    }
    report.facts.push(("took".to_owned(), format!("{:.1} s", begun.elapsed().as_secs_f64())));
    Ok(report)
}

/// The oracle adds its verdicts up over as many runs as memory allows; a property that fell in a later one has fallen.
fn fell(report: &mut Report, failure: &Failure, runs: u64, settings: &Settings) {
    let findings = oracle::findings(&failure.history, settings);
    let findings: Vec<_> = findings.into_iter().filter(|finding| finding.property == failure.property).collect();
    let judgement = report.judgements.judgements.iter_mut().find(|judgement| judgement.property == failure.property);
    if let Some(judgement) = judgement
        && !matches!(judgement.verdict, Verdict::Broken { .. })
        && !findings.is_empty()
    {
        judgement.verdict = Verdict::Broken { over: runs, findings };
    }
}

fn simulate(subject: &Entry, time: Duration) -> campaign::Outcome {
    let plan = Plan {
        seeds: Seeds::For(0, time),
        part: 1,
        of: 1,
        workers: Vec::new(),
        check_determinism: false,
        broken_max: BROKEN_MAX,
    };
    let bar = ProgressBar::new(time.as_secs());
    if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:30} {msg}") {
        bar.set_style(style);
    }
    bar.set_prefix(subject.name);
    let outcome = campaign::run(subject, &plan, |now| {
        bar.set_position(now.elapsed.as_secs());
        bar.set_message(format!("{} runs, {} broken", now.runs, now.broken));
    });
    bar.finish_and_clear();
    outcome
}

/// A known-wrong engine's findings: its own, or those of the whole audit.
fn findings_of(mutant: &'static Mutant) -> Vec<&'static Mutant> {
    match mutant.source {
        Source::All => CHAPTERS.iter().flat_map(|chapter| mutants(chapter.finding)).collect(),
        Source::Finding(_) | Source::Beyond => vec![mutant],
    }
}

/// The shortest schedule that shows this one finding, by the model checker: each for itself, since with all of them on
/// at once the shortest would always be the same.
fn shortest(mutant: &'static Mutant) -> Option<Case> {
    let mut case = Case::from_counterexample(Known::of(mutant.name)?.emblem()?);
    case.advice = advice(mutant);
    Some(case)
}

/// What the model checker proves of the reference stands for what no history can show.
fn prove(report: &mut Report) -> anyhow::Result<()> {
    let request = Request {
        models: Scope::Smoke.models(),
        mutant: None,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        memory_bytes_max: Some(2 << 30),
        symmetry: true,
    };
    let outcome = hydra_model::run::run(&request, &mut |_, _| {}, &Arc::new(AtomicBool::new(false)))
        .map_err(|wrong| anyhow::anyhow!("{wrong}"))?;
    let states: u64 = outcome.models.iter().map(|model| model.report.distinct).sum();
    report.facts.push(("model checker, scope smoke".to_owned(), format!("{}, {states} states", outcome.verdict)));
    if !matches!(outcome.verdict, Proof::ProvedInScope) {
        bail!("the model checker does not prove the reference: {}; see hydra check", outcome.verdict);
    }
    for judgement in &mut report.judgements.judgements {
        if matches!(&judgement.verdict, Verdict::NotTested { why } if !why.starts_with("incomplete")) {
            judgement.verdict = Verdict::Kept { over: states };
            report.facts.push((judgement.property.id().to_owned(), "proved by the model checker".to_owned()));
        }
    }
    Ok(())
}
