//! Replays a schedule from a file or from the folder of a failure.

use std::path::{Path, PathBuf};
use std::{fs, io};

use hydra_schedule::{Property, Schedule, ScheduleError, UnknownProperty};

use super::{BREAKS, Case, CaseError, script};
use crate::history::History;
use crate::oracle::{self, Finding, Judgements};
use crate::subjects::{self, Entry};

/// Why nothing was replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The file cannot be read.
    #[error("{file}: {error}")]
    Read {
        /// Which file.
        file: PathBuf,
        /// What went wrong.
        error: io::Error,
    },
    /// It is no schedule.
    #[error("{file}: {error}")]
    Schedule {
        /// Which file.
        file: PathBuf,
        /// Where and why.
        error: ScheduleError,
    },
    /// It cannot be run here.
    #[error(transparent)]
    Case(#[from] CaseError),
    /// A script whose line has no event to go with it.
    #[error(transparent)]
    Script(#[from] crate::cluster::ScriptError),
    /// Its subject is not known.
    #[error("no subject is called {name:?}; the subjects are {known}")]
    Subject {
        /// The name.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// The property that is said to fall is none.
    #[error(transparent)]
    Property(#[from] UnknownProperty),
}

/// What a replay showed.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// The subject.
    pub subject: &'static str,
    /// The schedule.
    pub schedule: Schedule,
    /// The property that is said to fall, if the schedule says so.
    pub breaks: Option<Property>,
    /// What was observed.
    pub history: History,
    /// What fell.
    pub findings: Vec<Finding>,
    /// All verdicts.
    pub judgements: Judgements,
    /// Whether a second run showed the same, to the byte.
    pub same_again: bool,
}

/// Reads the schedule of a file, or of a folder that a failure left.
pub fn read(path: &Path) -> Result<Schedule, ReplayError> {
    let file = if path.is_dir() { path.join("shrunk.schedule") } else { path.to_owned() };
    let text = fs::read_to_string(&file).map_err(|error| ReplayError::Read { file: file.clone(), error })?;
    text.parse().map_err(|error| ReplayError::Schedule { file, error })
}

/// Replays a schedule, on its own subject or on `subject`.
pub fn replay(schedule: Schedule, subject: Option<&str>) -> Result<Replayed, ReplayError> {
    let own = schedule.subject.as_ref().map(|name| name.as_str());
    let name = subject.or(own).unwrap_or("reference");
    let entry: Entry = subjects::find(name).ok_or_else(|| ReplayError::Subject {
        name: name.to_owned(),
        known: subjects::all().iter().map(|entry| entry.name).collect::<Vec<_>>().join(", "),
    })?;
    let said = schedule.setting(BREAKS);
    let breaks = said.map(str::parse::<Property>).transpose()?;
    let scripted = script::is_script(&schedule);
    let case = if scripted { script::case(&schedule)? } else { Case::of_schedule(&schedule)? };
    let run = || {
        let mut subject = entry.make();
        if scripted {
            subject.follow(case.run(), &schedule.events)?;
        } else {
            subject.run(case.run());
        }
        Ok::<History, ReplayError>(subject.history(&case.workload))
    };
    let (history, again) = (run()?, run()?);
    let (settings, contract) = (subjects::settings(&case.config), subjects::contract(&case.config));
    let same_again = history.to_text() == again.to_text();
    let findings = oracle::findings(&history, &settings);
    let judgements = oracle::judge(&history, &contract);
    Ok(Replayed { subject: entry.name, schedule, breaks, history, findings, judgements, same_again })
}
