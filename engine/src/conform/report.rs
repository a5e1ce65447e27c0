//! What came of a check, for people and for programs.

use std::fmt;

use serde::Serialize;

/// So many departures are told; the others are counted.
pub const DEPARTURES_MAX: usize = 20;

/// What came of a check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The journal that was replayed; none: the store keeps none, and only its rows were checked.
    pub journal: Option<Journal>,
    /// Executions on record.
    pub executions: u64,
    /// Steps on record.
    pub steps: u64,
    /// Where the store departed: by its journal first, in order, then by its rows.
    pub departures: Vec<Departure>,
    /// How many more there are.
    pub departures_more: u64,
    /// Why the journal could not be read to its end, if it could not.
    pub unreadable: Option<String>,
}

/// The journal that was replayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Journal {
    /// The number of its first entry.
    pub first: u64,
    /// The number of its last entry.
    pub last: u64,
    /// Executions that were there before its first command.
    pub bases: u64,
    /// Commands in it.
    pub commands: u64,
}

/// The judgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every answer is the core's, and every row what the commands made of it.
    Conforms,
    /// Not so.
    Departs,
    /// The rows hold, and there is no journal that could be replayed.
    NotJudged,
}

/// A place where the store departed from the rules, or contradicts itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Departure {
    /// The number of the journal's entry; none: it is the rows that show it.
    pub entry: Option<u64>,
    /// The execution: by the client's name for it, or by the store's where that is not known.
    pub execution: Option<String>,
    /// The step.
    pub step: Option<u32>,
    /// What, in plain words.
    pub what: String,
}

impl Report {
    /// The judgement.
    pub fn verdict(&self) -> Verdict {
        match () {
            () if !self.departures.is_empty() => Verdict::Departs,
            () if self.journal.is_none() || self.unreadable.is_some() => Verdict::NotJudged,
            () => Verdict::Conforms,
        }
    }

    pub(super) fn add(&mut self, departure: Departure) {
        if self.departures.len() < DEPARTURES_MAX {
            self.departures.push(departure);
        } else {
            self.departures_more += 1;
        }
    }
}

impl fmt::Display for Departure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(entry) = self.entry {
            write!(f, "entry {entry}: ")?;
        }
        if let Some(execution) = &self.execution {
            write!(f, "{execution}")?;
            if let Some(step) = self.step {
                write!(f, ", step {step}")?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.what)
    }
}
