//! Whether a workload makes sense, with every problem named at once.

use std::collections::BTreeSet;
use std::fmt;

use super::{Ends, Item, Program, Step, Workload};

/// The most programs in a workload, and the most items in a program.
const COUNT_MAX: usize = 10_000;
/// The longest sleep, body or wait before a start: 30 days.
const DURATION_MAX_MS: u64 = 30 * 24 * 3600 * 1000;
/// The most attempts and the most failures before a success.
const ATTEMPTS_MAX: u32 = 1_000;

/// Everything that is wrong with a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadError {
    /// At least one.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where: `W1/2`, or the number of a program.
    pub at: String,
    /// What, and what would be right.
    pub what: String,
}

impl WorkloadError {
    /// One problem, found by another reader of programs.
    pub fn of(at: &str, what: &str) -> Self {
        WorkloadError::one(at.to_owned(), what.to_owned())
    }

    pub(super) fn one(at: String, what: String) -> Self {
        WorkloadError { problems: vec![Problem { at, what }] }
    }
}

impl fmt::Display for WorkloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            write!(f, "{}{}: {}", if index == 0 { "" } else { "; " }, problem.at, problem.what)?;
        }
        Ok(())
    }
}

impl std::error::Error for WorkloadError {}

impl Workload {
    /// Whether every id is unique, no group is empty and every number is within its bounds.
    pub fn check(&self) -> Result<(), WorkloadError> {
        let mut problems = Vec::new();
        let mut report = |at: String, what: String| problems.push(Problem { at, what });

        if self.programs.is_empty() || self.programs.len() > COUNT_MAX {
            let count = self.programs.len();
            report("the workload".to_owned(), format!("has {count} programs; it needs 1 to {COUNT_MAX}"));
        }
        let mut executions = BTreeSet::new();
        for program in &self.programs {
            if !executions.insert(&program.id) {
                let what = "is the id of two programs; use starts_again to start one id twice".to_owned();
                report(program.id.to_string(), what);
            }
            check_program(program, &mut report);
        }
        if problems.is_empty() { Ok(()) } else { Err(WorkloadError { problems }) }
    }
}

fn check_program(program: &Program, report: &mut impl FnMut(String, String)) {
    let mut ids = BTreeSet::new();
    let items = program.body.len();
    if items == 0 || items > COUNT_MAX {
        report(program.id.to_string(), format!("does {items} things; it needs 1 to {COUNT_MAX}"));
    }
    for item in &program.body {
        match item {
            Item::Parallel(steps) if steps.is_empty() => {
                report(program.id.to_string(), "has a parallel group without steps".to_owned());
            }
            Item::Race(race) if race.steps.is_empty() => {
                report(program.id.to_string(), "has a race without steps".to_owned());
            }
            Item::Step(_) | Item::Parallel(_) | Item::Sleep(_) | Item::Race(_) => {}
        }
        for id in item.names() {
            if !ids.insert(id) {
                report(
                    format!("{}/{id}", program.id),
                    "is used twice; each step and sleep needs its own id".to_owned(),
                );
            }
        }
        if let Some(sleep) = item.sleep() {
            duration(program, sleep.id.as_str(), "sleeps", sleep.ms, report);
        }
        for step in item.steps() {
            check_step(program, step, report);
        }
    }
    for (what, ms) in [("is delayed by", program.delay_ms), ("has a deadline after", program.deadline_ms.unwrap_or(0))]
    {
        if ms > DURATION_MAX_MS {
            report(program.id.to_string(), format!("{what} {ms} ms; the most is {DURATION_MAX_MS}"));
        }
    }
    let starts = program.starts_again.iter().map(|start| start.at_ms);
    for at_ms in starts.chain(program.cancel_at_ms).chain([program.start_at_ms]) {
        if at_ms > DURATION_MAX_MS {
            report(program.id.to_string(), format!("has a client act at {at_ms} ms; the most is {DURATION_MAX_MS}"));
        }
    }
}

fn check_step(program: &Program, step: &Step, report: &mut impl FnMut(String, String)) {
    duration(program, step.id.as_str(), "lasts", step.lasts_ms, report);
    let failures = match step.ends {
        Ends::Fails { times } => times,
        Ends::Succeeds | Ends::FailsForEver | Ends::FailsFinally | Ends::Unencodable => 1,
    };
    for (what, count) in [("attempts_max", step.attempts_max.unwrap_or(1)), ("ends.fails.times", failures)] {
        if !(1..=ATTEMPTS_MAX).contains(&count) {
            let name = program.step_name(&step.id);
            report(name.to_string(), format!("{what} is {count}; it must be 1 to {ATTEMPTS_MAX}"));
        }
    }
}

fn duration(program: &Program, id: &str, verb: &str, ms: u64, report: &mut impl FnMut(String, String)) {
    if ms > DURATION_MAX_MS {
        report(format!("{}/{id}", program.id), format!("{verb} {ms} ms; the most is {DURATION_MAX_MS}"));
    }
}
