//! Judgements: what the oracle says, and with which evidence.

use hydra_schedule::{Name, Property, StepName};
use serde::{Deserialize, Serialize};

use super::contract::Promise;
use super::recovery::Recovery;

/// What kind of thing was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Anomaly {
    /// More effects than promised, or a body run again that must not be.
    Duplicate,
    /// Something that was done or asked is gone.
    Lost,
    /// Nothing moves any more.
    Stuck,
    /// It may have happened and is not reported so.
    InDoubt,
    /// A worker that had lost its lease was heard.
    StaleWrite,
    /// A replay that saw something else than the live run.
    DivergentReplay,
    /// Retries beyond the maximum.
    UnboundedRetry,
    /// A delay that fell, or left its bounds.
    FallingBackoff,
    /// A status that changed or contradicts what happened.
    InconsistentStatus,
    /// Two workers at the same thing.
    TwoWorkers,
    /// Something happened too early.
    Early,
    /// Rows that contradict one another.
    InconsistentRows,
}

impl Anomaly {
    /// A few words for it.
    pub fn words(self) -> &'static str {
        match self {
            Anomaly::Duplicate => "duplicate",
            Anomaly::Lost => "lost",
            Anomaly::Stuck => "stuck",
            Anomaly::InDoubt => "in doubt",
            Anomaly::StaleWrite => "stale write",
            Anomaly::DivergentReplay => "divergent replay",
            Anomaly::UnboundedRetry => "unbounded retry",
            Anomaly::FallingBackoff => "falling backoff",
            Anomaly::InconsistentStatus => "inconsistent status",
            Anomaly::TwoWorkers => "two workers",
            Anomaly::Early => "early",
            Anomaly::InconsistentRows => "inconsistent rows",
        }
    }
}

/// One contradiction between two records of a history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Which property falls.
    pub property: Property,
    /// What kind of thing was seen.
    pub anomaly: Anomaly,
    /// The execution.
    pub execution: Name,
    /// The step, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepName>,
    /// Which of the merged histories, from 0 in the order of merging.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub run: u64,
    /// The earlier of the contradicting records: its index in the history, from 0.
    pub first: usize,
    /// The later one; the same where one record alone is wrong.
    pub second: usize,
    /// The contradiction, with its evidence, in whole sentences.
    pub explanation: String,
}

fn is_zero(run: &u64) -> bool {
    *run == 0
}

/// What the oracle says of one property.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// It held in every case that could have broken it.
    Kept {
        /// How many cases.
        over: u64,
    },
    /// It fell.
    Broken {
        /// How many cases were judged.
        over: u64,
        /// Where it fell; never empty.
        findings: Vec<Finding>,
    },
    /// The subject does not promise it.
    NotPromised {
        /// How many cases were judged.
        over: u64,
        /// What was observed all the same.
        observed: Vec<Finding>,
    },
    /// Nothing can be said.
    NotTested {
        /// Why; begins with `incomplete` where the wait was too short.
        why: String,
    },
}

/// The verdict over one property.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// Which property.
    pub property: Property,
    /// The subject's promise, if it makes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promise: Option<Promise>,
    /// What was found.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// The verdicts over one or more histories of one subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgements {
    /// The engine.
    pub subject: String,
    /// How many histories were judged.
    pub histories: u64,
    /// One for each property, in the order of the table.
    pub judgements: Vec<Judgement>,
    /// How long work took to go on after its worker was gone.
    pub recovery: Recovery,
}

impl Verdict {
    /// The heading of the verdict.
    pub fn word(&self) -> &'static str {
        match self {
            Verdict::Kept { .. } => "KEPT",
            Verdict::Broken { .. } => "BROKEN",
            Verdict::NotPromised { .. } => "NOT PROMISED",
            Verdict::NotTested { .. } => "NOT TESTED",
        }
    }

    /// What was found, promised or not.
    pub fn findings(&self) -> &[Finding] {
        match self {
            Verdict::Broken { findings, .. } | Verdict::NotPromised { observed: findings, .. } => findings,
            Verdict::Kept { .. } | Verdict::NotTested { .. } => &[],
        }
    }

    fn findings_mut(&mut self) -> &mut [Finding] {
        match self {
            Verdict::Broken { findings, .. } | Verdict::NotPromised { observed: findings, .. } => findings,
            Verdict::Kept { .. } | Verdict::NotTested { .. } => &mut [],
        }
    }

    /// Over how many cases it was judged.
    pub fn over(&self) -> u64 {
        match self {
            Verdict::Kept { over } | Verdict::Broken { over, .. } | Verdict::NotPromised { over, .. } => *over,
            Verdict::NotTested { .. } => 0,
        }
    }

    /// The verdict over both histories. A finding outweighs everything; an incomplete history outweighs a kept one,
    /// since what was cut short has not passed; a history that had no case outweighs nothing.
    fn merge(self, other: Verdict) -> Verdict {
        use Verdict::{Broken, Kept, NotPromised, NotTested};
        match (self, other) {
            (Kept { over: a }, Kept { over: b }) => Kept { over: a + b },
            (Broken { over: a, mut findings }, Broken { over: b, findings: more }) => {
                findings.extend(more);
                Broken { over: a + b, findings }
            }
            (Broken { over, findings }, rest) | (rest, Broken { over, findings }) => {
                Broken { over: over + rest.over(), findings }
            }
            (NotPromised { over: a, mut observed }, NotPromised { over: b, observed: more }) => {
                observed.extend(more);
                NotPromised { over: a + b, observed }
            }
            (NotPromised { over, observed }, _) | (_, NotPromised { over, observed }) => NotPromised { over, observed },
            (NotTested { why }, _) | (_, NotTested { why }) if why.starts_with("incomplete") => NotTested { why },
            (NotTested { .. }, rest @ Kept { .. }) | (rest @ Kept { .. }, NotTested { .. }) => rest,
            (NotTested { why }, NotTested { .. }) => NotTested { why },
        }
    }
}

impl Judgements {
    /// Every finding that breaks a promise.
    pub fn broken(&self) -> impl Iterator<Item = &Finding> {
        let broken = self.judgements.iter().filter(|judgement| matches!(judgement.verdict, Verdict::Broken { .. }));
        broken.flat_map(|judgement| judgement.verdict.findings())
    }

    /// The judgement of one property.
    pub fn of(&self, property: Property) -> Option<&Judgement> {
        self.judgements.iter().find(|judgement| judgement.property == property)
    }

    /// How often each anomaly was seen, promised against or not.
    pub fn anomalies(&self) -> Vec<(Anomaly, usize)> {
        let mut counts = std::collections::BTreeMap::new();
        for finding in self.judgements.iter().flat_map(|judgement| judgement.verdict.findings()) {
            *counts.entry(finding.anomaly).or_insert(0) += 1;
        }
        counts.into_iter().collect()
    }

    /// Adds the judgements over further histories of the same subject under the same contract. Their findings are
    /// numbered on: [`Finding::run`] counts the histories in the order of merging.
    pub fn merge(mut self, other: Judgements) -> Judgements {
        let before = self.histories;
        self.histories += other.histories;
        self.recovery.merge(other.recovery);
        for mut judgement in other.judgements {
            judgement.verdict.findings_mut().iter_mut().for_each(|finding| finding.run += before);
            match self.judgements.iter_mut().find(|mine| mine.property == judgement.property) {
                Some(mine) => {
                    let verdict = std::mem::replace(&mut mine.verdict, Verdict::Kept { over: 0 });
                    mine.verdict = verdict.merge(judgement.verdict);
                }
                None => self.judgements.push(judgement),
            }
        }
        self
    }
}
