//! Reports: what was found, for people (HTML, Markdown) and for machines (JSON, JUnit XML).
//!
//! The same judgements give the same bytes: no clock, no random order, no path of the machine.

mod cut;
mod html;
mod junit;
mod layout;
mod markdown;
mod outages;
mod timeline;
mod told;

use hydra_schedule::{Counterexample, Property, Schedule};
use serde::{Deserialize, Serialize};

use crate::history::History;
use crate::oracle::{Anomaly, Finding, Judgement, Judgements, Verdict};
pub use timeline::{Row, Timeline, Tone};

/// The version of the JSON form.
pub const VERSION: u32 = 1;

/// Everything that a report says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The version of this form.
    pub hydra_report: u32,
    /// The engine, with its version.
    pub subject: String,
    /// What was done, in a sentence or two: how many runs, which faults, which workers.
    pub scope: String,
    /// Further facts as name and value: settings, versions, seeds.
    #[serde(default)]
    pub facts: Vec<(String, String)>,
    /// The verdicts.
    pub judgements: Judgements,
    /// The findings worth telling, usually one for each broken property.
    #[serde(default)]
    pub cases: Vec<Case>,
    /// The command that makes this report again.
    pub command: String,
}

/// One finding, told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// The story.
    pub counterexample: Counterexample,
    /// Who did what when.
    pub timeline: Timeline,
    /// What kind of thing was seen, if the oracle said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anomaly: Option<Anomaly>,
    /// How often it was seen.
    pub seen: u64,
    /// What to fix, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// How this compares with the shortest story of the same that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shortest: Option<String>,
}

/// The verdict over the whole subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overall {
    /// Every promise that could be tested held, and at least one could.
    Kept,
    /// At least one promise fell.
    Broken,
    /// No promise fell, but at least one was cut short or could not be tested at all.
    Incomplete,
}

impl Case {
    /// A finding of the oracle in a history. `schedule` is what replays it, `command` how.
    pub fn from_history(history: &History, finding: &Finding, schedule: Schedule, command: &str) -> Self {
        let timeline = Timeline::from_history(history, finding);
        let mut counterexample = Counterexample::new(finding.property, schedule, finding.explanation.clone());
        counterexample.subject = history.header.subject.clone();
        counterexample.moments = timeline.moments();
        if let (Some(first), Some(second)) = (timeline.pair_row(1), timeline.pair_row(2)) {
            counterexample = counterexample.with_pair(first, second);
        }
        let counterexample = counterexample.with_replay(command);
        Case { counterexample, timeline, anomaly: Some(finding.anomaly), seen: 1, advice: None, shortest: None }
    }

    /// A counterexample of the model checker.
    pub fn from_counterexample(counterexample: Counterexample) -> Self {
        let timeline = Timeline::from_counterexample(&counterexample);
        Case { counterexample, timeline, anomaly: None, seen: 1, advice: None, shortest: None }
    }
}

impl Report {
    /// A report of judgements, without findings told yet.
    pub fn new(judgements: Judgements, scope: impl Into<String>, command: impl Into<String>) -> Self {
        Report {
            hydra_report: VERSION,
            subject: judgements.subject.clone(),
            scope: scope.into(),
            facts: Vec::new(),
            judgements,
            cases: Vec::new(),
            command: command.into(),
        }
    }

    /// The verdict over the whole subject.
    pub fn overall(&self) -> Overall {
        let verdicts = || self.judgements.judgements.iter().map(|judgement| &judgement.verdict);
        let cut = |verdict: &Verdict| matches!(verdict, Verdict::NotTested { why } if why.starts_with("incomplete"));
        if verdicts().any(|verdict| matches!(verdict, Verdict::Broken { .. })) {
            Overall::Broken
        } else if verdicts().any(cut) || !verdicts().any(|verdict| matches!(verdict, Verdict::Kept { .. })) {
            Overall::Incomplete
        } else {
            Overall::Kept
        }
    }

    /// The verdict in a sentence.
    pub fn headline(&self) -> String {
        let count = |word: &str| self.judgements.judgements.iter().filter(|one| one.verdict.word() == word).count();
        let (kept, broken, untested) = (count("KEPT"), count("BROKEN"), count("NOT TESTED"));
        let promised = kept + broken + untested;
        let rest = if untested == 0 { String::new() } else { format!(", {untested} not tested") };
        match self.overall() {
            Overall::Broken => format!("{} breaks {broken} of {promised} promises ({kept} kept{rest})", self.subject),
            Overall::Kept => format!("{} keeps {kept} of {promised} promises{rest}, and breaks none", self.subject),
            Overall::Incomplete => {
                format!("{} was not tested to the end: {kept} of {promised} promises kept{rest}", self.subject)
            }
        }
    }

    /// The judgements in the order of a reader's interest: broken, not tested, kept, not promised.
    pub fn rows(&self) -> Vec<&Judgement> {
        let rank = |judgement: &&Judgement| match &judgement.verdict {
            Verdict::Broken { .. } => 0,
            Verdict::NotTested { why } if why.starts_with("incomplete") => 1,
            Verdict::Kept { .. } => 2,
            Verdict::NotTested { .. } => 3,
            Verdict::NotPromised { .. } => 4,
        };
        let mut rows: Vec<&Judgement> = self.judgements.judgements.iter().collect();
        rows.sort_by_key(rank);
        rows
    }

    /// The first told case of a property, as an index into `cases`.
    pub fn case_of(&self, property: Property) -> Option<usize> {
        self.cases.iter().position(|case| case.counterexample.property == property)
    }

    /// The whole report as JSON, which reads back.
    pub fn to_json(&self) -> String {
        let mut json = serde_json::to_string_pretty(self).expect("a report holds nothing that JSON cannot");
        json.push('\n');
        json
    }
}

/// What the table says beside the verdict.
fn evidence(verdict: &Verdict) -> String {
    let cases = |over: &u64| {
        if *over == 1 { "1 case".to_owned() } else { format!("{over} cases") }
    };
    let times = |findings: &[Finding]| match findings.len() {
        1 => "once".to_owned(),
        count => format!("{count} times"),
    };
    match verdict {
        Verdict::Kept { over: 1 } => "in the one case judged".to_owned(),
        Verdict::Kept { over } => format!("in all {over} cases"),
        Verdict::Broken { over, findings } => {
            format!("{}; {} judged", times(findings), cases(over))
        }
        Verdict::NotPromised { over: 0, .. } => "no case".to_owned(),
        Verdict::NotPromised { over, observed } if observed.is_empty() => {
            format!("held in all of {}", cases(over))
        }
        Verdict::NotPromised { over, observed } => {
            format!("fell {}; {} judged", times(observed), cases(over))
        }
        Verdict::NotTested { why } => why.clone(),
    }
}

/// `text` with its first letter in upper case: a title.
fn titled(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}
