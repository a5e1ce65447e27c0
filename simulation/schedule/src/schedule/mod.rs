//! Schedules: the ordered actions and faults of one run, as text that parses back.

mod event;
mod fault;
mod parse;
mod read;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::name::Name;
pub use event::{Action, ClientAct, Event, ExecutionOutcome, StepOutcome, WorkerAct};
pub use fault::{Boundary, Direction, Fault, Target};
pub use parse::ScheduleError;

/// The version of the text form, in its first line.
pub const VERSION: u32 = 1;

/// The ordered actions and faults of one run.
///
/// Its text is a header and then one event a line; `#` begins a comment line, which is not kept.
///
/// ```
/// let text = "\
/// hydra schedule 1
/// subject reference
/// seed 42
/// workers 2
/// program {\"id\":\"W1\"}
/// set lease-ms 30000
///
/// client starts W1
/// A claims W1
/// at 1200 A begins W1/1 attempt 1
/// fault crash A
/// time passes W1
/// B claims W1
/// ";
/// let schedule: hydra_schedule::Schedule = text.parse().unwrap();
/// assert_eq!(schedule.to_string(), text);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Schedule {
    /// Which engine it ran on, if it is bound to one.
    pub subject: Option<Name>,
    /// The seed that produced it, if one did.
    pub seed: Option<u64>,
    /// How many workers take part, if stated. Their names are those that the events use.
    pub workers: Option<u32>,
    /// The workload: one line of text for each execution, read by whoever interprets it (JSON in the simulator).
    pub programs: Vec<String>,
    /// Settings of the run, such as `lease-ms`; values are text without line breaks.
    pub settings: BTreeMap<Name, String>,
    /// What happened, in order.
    pub events: Vec<Event>,
}

impl Schedule {
    /// The setting `key`.
    pub fn setting(&self, key: &str) -> Option<&str> {
        self.settings.iter().find(|(name, _)| name.as_str() == key).map(|(_, value)| value.as_str())
    }

    /// How many of the events are faults.
    pub fn faults(&self) -> usize {
        self.events.iter().filter(|event| event.is_fault()).count()
    }
}

/// A value in the header must stay on its line. Spaces inside it are kept: a program is JSON and may hold strings.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ").trim().to_owned()
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "hydra schedule {VERSION}")?;
        if let Some(subject) = &self.subject {
            writeln!(f, "subject {subject}")?;
        }
        if let Some(seed) = self.seed {
            writeln!(f, "seed {seed}")?;
        }
        if let Some(workers) = self.workers {
            writeln!(f, "workers {workers}")?;
        }
        for program in &self.programs {
            writeln!(f, "program {}", one_line(program))?;
        }
        for (key, value) in &self.settings {
            writeln!(f, "set {key} {}", one_line(value))?;
        }
        if !self.events.is_empty() {
            writeln!(f)?;
        }
        for event in &self.events {
            writeln!(f, "{event}")?;
        }
        Ok(())
    }
}

impl From<Schedule> for String {
    fn from(schedule: Schedule) -> String {
        schedule.to_string()
    }
}

impl TryFrom<String> for Schedule {
    type Error = ScheduleError;
    fn try_from(text: String) -> Result<Self, ScheduleError> {
        text.parse()
    }
}
