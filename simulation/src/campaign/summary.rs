//! What a campaign says of itself, for machines and for merging the parts of a campaign.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use hydra_schedule::Property;
use serde::{Deserialize, Serialize};

use super::Outcome;
use crate::cluster::Tally;

/// The version of the form.
pub const VERSION: u32 = 1;
/// The name of the file in a campaign's folder.
pub const FILE: &str = "campaign.json";

/// A campaign, or the sum of its parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The version of this form.
    pub hydra_campaign: u32,
    /// The subject.
    pub subject: String,
    /// Campaigns that were added up.
    pub parts: u64,
    /// What each of them ran: its seeds and its part.
    #[serde(default)]
    pub ran: Vec<String>,
    /// Runs.
    pub runs: u64,
    /// Runs judged by the oracle; the others were plainly right at a glance.
    pub judged: u64,
    /// Calls of the core.
    pub steps: u64,
    /// Virtual time, in milliseconds.
    pub simulated_ms: u64,
    /// Wall-clock time, in milliseconds, of all parts together.
    pub elapsed_ms: u64,
    /// Runs in which something fell.
    pub broken_runs: u64,
    /// What fell.
    pub broken: Vec<Broken>,
    /// How often each goal was reached: group, goal, count.
    pub goals: BTreeMap<String, BTreeMap<String, u64>>,
    /// A seed that did not give the same twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nondeterministic: Option<u64>,
}

/// A property that fell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broken {
    /// Which.
    pub property: Property,
    /// In how many runs.
    pub runs: u64,
    /// The first seed that showed it.
    pub seed: u64,
    /// The folder with everything about it, where one was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
}

/// Why summaries cannot be merged.
#[derive(Debug, thiserror::Error)]
pub enum SummaryError {
    /// A file cannot be read.
    #[error("{file}: {error}")]
    Read {
        /// Which file.
        file: PathBuf,
        /// What went wrong.
        error: io::Error,
    },
    /// It is no summary.
    #[error("{file}: {error}")]
    Form {
        /// Which file.
        file: PathBuf,
        /// What is wrong with it.
        error: serde_json::Error,
    },
    /// One part was given twice, and would count twice.
    #[error("two of the parts ran the same seeds: {0}")]
    Twice(String),
    /// They are of different subjects.
    #[error("the parts are of different subjects: {one} and {other}")]
    Subjects {
        /// One subject.
        one: String,
        /// Another.
        other: String,
    },
}

impl Summary {
    /// The summary of one campaign.
    pub fn of(outcome: &Outcome) -> Self {
        let mut goals: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
        for (group, goal, count) in outcome.tally.goals() {
            goals.entry(group.to_owned()).or_default().insert(goal.to_owned(), count);
        }
        let broken = outcome.fell.iter().map(|(property, runs)| Broken {
            property: *property,
            runs: *runs,
            seed: outcome.first.get(property).copied().unwrap_or(0),
            folder: None,
        });
        Summary {
            hydra_campaign: VERSION,
            subject: outcome.subject.to_owned(),
            parts: 1,
            ran: Vec::new(),
            runs: outcome.runs,
            judged: outcome.judged,
            steps: outcome.tally.steps,
            simulated_ms: outcome.tally.simulated_ms,
            elapsed_ms: outcome.elapsed.as_millis() as u64,
            broken_runs: outcome.broken,
            broken: broken.collect(),
            goals,
            nondeterministic: outcome.nondeterministic,
        }
    }

    /// Reads the summaries of files, or of folders that campaigns wrote, and adds them up.
    pub fn read_all(paths: &[PathBuf]) -> Result<Option<Self>, SummaryError> {
        let mut sum: Option<Summary> = None;
        for path in paths {
            let part = Self::read(path)?;
            sum = Some(match sum {
                None => part,
                Some(sum) => sum.merge(part)?,
            });
        }
        Ok(sum)
    }

    fn read(path: &Path) -> Result<Self, SummaryError> {
        let file = if path.is_dir() { path.join(FILE) } else { path.to_owned() };
        let text = fs::read_to_string(&file).map_err(|error| SummaryError::Read { file: file.clone(), error })?;
        serde_json::from_str(&text).map_err(|error| SummaryError::Form { file, error })
    }

    fn merge(mut self, other: Summary) -> Result<Self, SummaryError> {
        if self.subject != other.subject {
            return Err(SummaryError::Subjects { one: self.subject, other: other.subject });
        }
        if let Some(twice) = other.ran.iter().find(|ran| self.ran.contains(ran)) {
            return Err(SummaryError::Twice(twice.clone()));
        }
        self.ran.extend(other.ran);
        self.parts += other.parts;
        self.runs += other.runs;
        self.judged += other.judged;
        self.steps += other.steps;
        self.simulated_ms += other.simulated_ms;
        self.elapsed_ms += other.elapsed_ms;
        self.broken_runs += other.broken_runs;
        for broken in other.broken {
            match self.broken.iter_mut().find(|mine| mine.property == broken.property) {
                None => self.broken.push(broken),
                Some(mine) => {
                    mine.runs += broken.runs;
                    if broken.seed < mine.seed {
                        (mine.seed, mine.folder) = (broken.seed, broken.folder);
                    }
                }
            }
        }
        self.broken.sort_by_key(|broken| broken.property);
        for (group, goals) in other.goals {
            let mine = self.goals.entry(group).or_default();
            for (goal, count) in goals {
                *mine.entry(goal).or_default() += count;
            }
        }
        self.nondeterministic = self.nondeterministic.or(other.nondeterministic);
        Ok(self)
    }

    /// Goals that were never reached.
    pub fn missed(&self) -> Vec<String> {
        let mut tally = Tally::default();
        for (group, goals) in &self.goals {
            for (goal, count) in goals {
                tally.set(group, goal, *count);
            }
        }
        let beyond = crate::subjects::beyond_reach(&self.subject);
        tally.missed().into_iter().filter(|goal| !beyond.contains(&goal.as_str())).collect()
    }

    /// As JSON, which reads back.
    pub fn to_json(&self) -> String {
        let mut json = serde_json::to_string_pretty(self).expect("a summary holds nothing that JSON cannot");
        json.push('\n');
        json
    }
}
