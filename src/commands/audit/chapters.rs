//! The audit's own chapters, and what each finding of it takes to fix.

use std::fmt::Write as _;

use hydra_model::museum::{self, Mutant, Source};
use hydra_simulation::oracle::Verdict;
use hydra_simulation::report::Report;

/// One finding of the audit of Hydra, by its number.
pub struct Chapter {
    /// Its heading there.
    pub heading: &'static str,
    /// The finding.
    pub finding: u8,
    /// What to do about it.
    pub fix: &'static str,
}

/// In the order of the audit.
pub const CHAPTERS: [Chapter; 12] = [
    chapter("Exactly-once execution", 1, "give a step one identity, and let an update that matches no row be an error"),
    chapter(
        "Exactly-once execution",
        2,
        "make the attempt durable before the body, derive its key from the step and never from the attempt, and commit a transactional effect together with its checkpoint",
    ),
    chapter(
        "Exactly-once execution",
        3,
        "record a result that cannot be encoded as the step's outcome: its effect has happened",
    ),
    chapter("Worker recovery", 4, "renew the lease well before it ends, and stop in time when that fails"),
    chapter(
        "Worker recovery",
        5,
        "let whatever has not ended be claimable when it is due, a lease that has ended included",
    ),
    chapter("Worker recovery", 6, "begin an orphaned attempt anew under the next lease, or call the step in doubt"),
    chapter("Infinite loops", 7, "count an attempt when it begins, and stop at the maximum"),
    chapter("Infinite loops", 8, "clamp the exponent before multiplying, and the product at a cap"),
    chapter("Race conditions", 9, "let one lease at a time drive an execution, and name attempts by number"),
    chapter("Race conditions", 10, "fence every write by the epoch of the lease, in the transaction that checks it"),
    chapter("Race conditions", 11, "give the steps' table a primary key of execution and step"),
    chapter("What follows", 12, "take a lost answer for unknown, and ask again"),
];

const fn chapter(heading: &'static str, finding: u8, fix: &'static str) -> Chapter {
    Chapter { heading, finding, fix }
}

/// The mutants that stand for this finding.
pub fn mutants(finding: u8) -> impl Iterator<Item = &'static Mutant> {
    museum::mutants().filter(move |mutant| mutant.source == Source::Finding(finding))
}

/// What to do about what this mutant does.
pub fn advice(mutant: &Mutant) -> Option<String> {
    let Source::Finding(finding) = mutant.source else { return None };
    let chapter = CHAPTERS.iter().find(|chapter| chapter.finding == finding)?;
    Some(format!("{} (finding {finding}): {}", chapter.heading, chapter.fix))
}

/// The report for a terminal: verdict, promises, findings under their headings.
pub fn terminal(report: &Report) -> String {
    let mut text = String::new();
    let line = "=".repeat(100);
    let _ = writeln!(text, "{line}\n{}\n{line}\n{}\n", report.headline(), report.scope);
    for judgement in report.rows() {
        let verdict = match &judgement.verdict {
            Verdict::Kept { over } => format!("KEPT over {over}"),
            Verdict::Broken { findings, .. } => format!("BROKEN, seen {} times", findings.len()),
            Verdict::NotPromised { .. } => "NOT PROMISED".to_owned(),
            Verdict::NotTested { why } => format!("NOT TESTED: {why}"),
        };
        let _ = writeln!(text, "  {:<27} {verdict}", judgement.property.id());
    }
    for (name, value) in &report.facts {
        let _ = writeln!(text, "  {name}: {value}");
    }
    let _ = writeln!(text, "  (KEPT over: cases in the runs that the whole oracle judged, or states of the model.)\n");
    let mut heading = "";
    for case in &report.cases {
        let advice = case.advice.as_deref().unwrap_or("Seen in simulation");
        let chapter = advice.split(" (finding").next().unwrap_or(advice);
        if chapter != heading {
            let _ = writeln!(text, "{}\n{}\n", chapter.to_uppercase(), "-".repeat(chapter.len()));
            heading = chapter;
        }
        let _ = writeln!(text, "{}", case.counterexample);
        if let Some(advice) = &case.advice {
            let _ = writeln!(text, "To fix: {advice}\n");
        }
    }
    text
}
