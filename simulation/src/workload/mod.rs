//! Workloads: workflow programs in a small form that a driver in any language can interpret.
//!
//! A program is JSON. A driver walks `body` from the top: a `step` is awaited, the steps of a `parallel` group are begun
//! together and all awaited, a `sleep` is the engine's own durable timer; of a `race` the steps and the timer, if it has
//! one, are begun together, the workflow goes on with the first that settles and drops the others. What a body does (how
//! long it takes, whether it fails, what it returns) is asked at its door, so that a driver needs to know steps and sleeps
//! only.
//!
//! ```json
//! {"id": "W1", "body": [
//!    {"step": {"id": "1", "kind": "keyed", "lasts_ms": 200, "ends": {"fails": {"times": 2}}}},
//!    {"parallel": [{"id": "2a", "kind": "transactional"}, {"id": "2b", "kind": "at-most-once"}]},
//!    {"sleep": {"id": "3", "ms": 5000}},
//!    {"race": {"steps": [{"id": "4", "kind": "keyed"}], "sleep": {"id": "5", "ms": 1000}}}],
//!  "delay_ms": 500, "deadline_ms": 60000}
//! ```

mod check;
mod generate;
mod random;

use hydra_schedule::{Name, StepName};
use serde::{Deserialize, Serialize};

pub use check::{Problem, WorkloadError};
pub use generate::{Feature, Shape};
pub use random::Random;

/// What the clients of one run ask for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// One program for each execution.
    pub programs: Vec<Program>,
}

/// One execution: its workflow and what its clients do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// The execution's id.
    pub id: Name,
    /// What the workflow does, in order.
    pub body: Vec<Item>,
    /// When it is started, in milliseconds from the beginning of the run.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub start_at_ms: u64,
    /// How long after its start it may begin at the earliest, in milliseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub delay_ms: u64,
    /// How long after its start it fails if it has not ended, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// Further starts under the same id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub starts_again: Vec<StartAgain>,
    /// When a client cancels it, in milliseconds from the beginning of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_at_ms: Option<u64>,
}

/// A start under an id that was started before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartAgain {
    /// When, in milliseconds from the beginning of the run.
    pub at_ms: u64,
    /// Whether its input differs from the first one.
    #[serde(default)]
    pub other_input: bool,
}

/// One thing that a workflow does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Item {
    /// Runs a step and waits for it.
    Step(Step),
    /// Begins all of them, then waits for all.
    Parallel(Vec<Step>),
    /// Sleeps on the engine's durable timer.
    Sleep(Sleep),
    /// Begins all of it, goes on with the first that settles, and drops the others.
    Race(Race),
}

/// Steps that race one another and, if there is one, a timer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Race {
    /// The steps; numbered before the timer.
    pub steps: Vec<Step>,
    /// The timer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sleep: Option<Sleep>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Its name within the execution.
    pub id: Name,
    /// What it promises.
    pub kind: StepKind,
    /// How long its body takes, in milliseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lasts_ms: u64,
    /// How its body ends.
    #[serde(default, skip_serializing_if = "Ends::is_plain")]
    pub ends: Ends,
    /// How many attempts it has; the subject's default where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts_max: Option<u32>,
    /// Whether the workflow goes on when the step fails or is in doubt.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub caught: bool,
}

/// A durable sleep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sleep {
    /// Its name within the execution.
    pub id: Name,
    /// How long, in milliseconds.
    pub ms: u64,
}

/// What a step promises about its effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepKind {
    /// Effect and checkpoint commit together in the store.
    Transactional,
    /// The effect happens once at a receiver that honours the key.
    Keyed,
    /// The body runs at most once.
    AtMostOnce,
}

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ends {
    /// It returns a value.
    #[default]
    Succeeds,
    /// It fails so often, then returns a value.
    Fails {
        /// How often.
        times: u32,
    },
    /// Every attempt fails.
    FailsForEver,
    /// It fails in a way that no retry can mend.
    FailsFinally,
    /// Its effect happens, and it returns something that cannot be encoded.
    Unencodable,
}

impl Ends {
    fn is_plain(&self) -> bool {
        *self == Ends::Succeeds
    }

    /// What the `attempt`-th entry into the body (from 1) comes to.
    pub fn on_entry(self, attempt: u32) -> BodyEnd {
        match self {
            Ends::Succeeds => BodyEnd::Returns,
            Ends::Fails { times } if attempt > times => BodyEnd::Returns,
            Ends::Fails { .. } | Ends::FailsForEver => BodyEnd::Fails,
            Ends::FailsFinally => BodyEnd::FailsFinally,
            Ends::Unencodable => BodyEnd::Unencodable,
        }
    }
}

/// What one entry into a body comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyEnd {
    /// The effect happens and a value is returned.
    Returns,
    /// No effect; a failure that a retry may mend.
    Fails,
    /// No effect; a failure that no retry can mend.
    FailsFinally,
    /// The effect happens and what is returned cannot be encoded.
    Unencodable,
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}

impl Item {
    /// The steps of the item: none for a sleep.
    pub fn steps(&self) -> &[Step] {
        match self {
            Item::Step(step) => std::slice::from_ref(step),
            Item::Parallel(steps) => steps,
            Item::Sleep(_) => &[],
            Item::Race(race) => &race.steps,
        }
    }

    /// The timer of the item, which comes after its steps.
    pub fn sleep(&self) -> Option<&Sleep> {
        match self {
            Item::Step(_) | Item::Parallel(_) => None,
            Item::Sleep(sleep) => Some(sleep),
            Item::Race(race) => race.sleep.as_ref(),
        }
    }

    /// The names of its steps and of its timer, in the order in which they are numbered.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.steps().iter().map(|step| &step.id).chain(self.sleep().map(|sleep| &sleep.id))
    }
}

impl Program {
    /// A program that does `body` and whose clients do nothing special.
    pub fn new(id: Name, body: Vec<Item>) -> Self {
        Program {
            id,
            body,
            start_at_ms: 0,
            delay_ms: 0,
            deadline_ms: None,
            starts_again: Vec::new(),
            cancel_at_ms: None,
        }
    }

    /// Its steps, in order; those of a group one after the other.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.body.iter().flat_map(Item::steps)
    }

    /// The full name of one of its steps.
    pub fn step_name(&self, step: &Name) -> StepName {
        StepName { execution: self.id.clone(), step: step.clone() }
    }

    /// How long it takes at the least when every body ends as told, without backoff, in milliseconds.
    pub fn lasts_ms(&self) -> u64 {
        let item = |item: &Item| match item {
            Item::Sleep(sleep) => sleep.ms,
            Item::Step(step) => step.lasts_ms,
            Item::Parallel(steps) => steps.iter().map(|step| step.lasts_ms).max().unwrap_or(0),
            Item::Race(race) => {
                let sleep = race.sleep.iter().map(|sleep| sleep.ms);
                race.steps.iter().map(|step| step.lasts_ms).chain(sleep).min().unwrap_or(0)
            }
        };
        self.body.iter().map(item).fold(self.delay_ms, u64::saturating_add)
    }

    /// How long it may sleep and be delayed, all of it together, in milliseconds.
    pub fn sleeps_ms(&self) -> u64 {
        let sleeps = self.body.iter().filter_map(|item| item.sleep());
        sleeps.map(|sleep| sleep.ms).fold(self.delay_ms, u64::saturating_add)
    }
}

impl Step {
    /// A step whose body returns at once.
    pub fn new(id: Name, kind: StepKind) -> Self {
        Step { id, kind, lasts_ms: 0, ends: Ends::Succeeds, attempts_max: None, caught: false }
    }
}

impl Workload {
    /// The program of an execution.
    pub fn program(&self, execution: &str) -> Option<&Program> {
        self.programs.iter().find(|program| program.id.as_str() == execution)
    }

    /// One line of JSON for each program: the `program` lines of a schedule.
    pub fn to_lines(&self) -> Vec<String> {
        let line = |program| serde_json::to_string(program).expect("a program holds nothing that JSON cannot");
        self.programs.iter().map(line).collect()
    }

    /// Reads the `program` lines of a schedule and checks them.
    pub fn from_lines<S: AsRef<str>>(lines: &[S]) -> Result<Self, WorkloadError> {
        let mut programs = Vec::with_capacity(lines.len());
        for (index, line) in lines.iter().enumerate() {
            let program = serde_json::from_str(line.as_ref())
                .map_err(|error| WorkloadError::one(format!("program {}", index + 1), error.to_string()))?;
            programs.push(program);
        }
        let workload = Workload { programs };
        workload.check()?;
        Ok(workload)
    }

    /// Reads `{"programs": [...]}` and checks it.
    pub fn from_json(text: &str) -> Result<Self, WorkloadError> {
        let workload: Workload = serde_json::from_str(text)
            .map_err(|error| WorkloadError::one("the workload".to_owned(), error.to_string()))?;
        workload.check()?;
        Ok(workload)
    }
}
