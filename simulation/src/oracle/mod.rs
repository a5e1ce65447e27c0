//! The oracle: judges a history against what the subject promises.
//!
//! It sees what a receiver, a client and, where it can be read, the journal showed; it knows no engine. Four things that
//! look alike are kept apart: a body that ran again though its checkpoint existed; one that ran again because its worker
//! died before the checkpoint (allowed, unless the step is at-most-once); two bodies of one step at the same time; and an
//! effect of a zombie after another worker took over. A wait that was too short is never called a loss.

mod checks;
mod contract;
mod facts;
mod health;
mod recovery;
mod verdict;

use hydra_schedule::Property;

use crate::history::History;
pub(crate) use checks::ms;
pub use contract::{Contract, Promise, Settings};
pub use facts::{Body, Facts};
pub use recovery::Recovery;
pub use verdict::{Anomaly, Finding, Judgement, Judgements, Verdict};

/// What one checker saw.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    /// Over how many cases it could judge.
    over: u64,
    /// What it found, in the order of the history.
    findings: Vec<Finding>,
    /// Cases that it could not judge, with the reason of the first.
    open: Option<String>,
}

impl Checked {
    fn leave_open(&mut self, why: impl FnOnce() -> String) {
        self.open.get_or_insert_with(why);
    }
}

/// Judges a history: one judgement for each property, in the order of the table of properties.
pub fn judge(history: &History, contract: &Contract) -> Judgements {
    let facts = Facts::new(history, &contract.settings);
    let judgements = checks::CHECKS
        .iter()
        .map(|check| {
            let promise = contract.promise(check.property).cloned();
            let mut checked = (check.run)(&facts);
            checked.findings.sort_by_key(|finding| (finding.second, finding.first));
            Judgement { property: check.property, verdict: verdict(check, checked, promise.is_some()), promise }
        })
        .collect();
    Judgements {
        subject: history.header.subject.clone(),
        histories: 1,
        judgements,
        recovery: recovery::measure(&facts),
    }
}

fn verdict(check: &checks::Check, checked: Checked, promised: bool) -> Verdict {
    let Checked { over, findings, open } = checked;
    if !promised {
        return Verdict::NotPromised { over, observed: findings };
    }
    if !findings.is_empty() {
        return Verdict::Broken { over, findings };
    }
    match (open, over) {
        (Some(why), _) => Verdict::NotTested { why: format!("incomplete: {why}") },
        (None, 0) => Verdict::NotTested { why: check.needs.to_owned() },
        (None, over) => Verdict::Kept { over },
    }
}

/// Every finding in a history, promised against or not: [`judge`] without the verdicts, for campaigns of many runs.
pub fn findings(history: &History, settings: &Settings) -> Vec<Finding> {
    let facts = Facts::new(history, settings);
    checks::CHECKS.iter().flat_map(|check| (check.run)(&facts).findings).collect()
}

/// The first contradiction that makes a property fall in this history, promised or not: what a shrinker asks for.
pub fn first(history: &History, settings: &Settings, property: Property) -> Option<Finding> {
    let facts = Facts::new(history, settings);
    let checks = checks::CHECKS.iter().filter(|check| check.property == property);
    checks.flat_map(|check| (check.run)(&facts).findings).min_by_key(|finding| (finding.second, finding.first))
}

/// Whether the property falls in this history, promised or not.
pub fn falls(history: &History, settings: &Settings, property: Property) -> bool {
    first(history, settings, property).is_some()
}
