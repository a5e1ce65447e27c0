//! How long work took to go on after its worker was gone.

use serde::{Deserialize, Serialize};

use super::facts::Facts;
use crate::history::{Record, What};

/// The waits between a worker's end and the next entry into a body of its execution by anyone, in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Recovery {
    /// How many were measured.
    pub count: u64,
    /// The longest.
    pub max_ms: u64,
    /// Their sum; the mean is `sum_ms / count`.
    pub sum_ms: u64,
}

impl Recovery {
    pub(super) fn merge(&mut self, other: Recovery) {
        self.count += other.count;
        self.max_ms = self.max_ms.max(other.max_ms);
        self.sum_ms = self.sum_ms.saturating_add(other.sum_ms);
    }
}

/// Measures one wait for each body whose worker went down in it.
pub(super) fn measure(facts: &Facts<'_>) -> Recovery {
    let mut recovery = Recovery::default();
    for execution in &facts.executions {
        for body in &execution.bodies {
            let Some(down) = went_down_in(facts, body.worker, body.entered, body.left.map(|(index, _)| index)) else {
                continue;
            };
            let next = execution.bodies.iter().find(|later| later.entered > down && later.step == body.step);
            if let Some(next) = next {
                let wait = facts.at_ms(next.entered).saturating_sub(facts.at_ms(down));
                recovery.merge(Recovery { count: 1, max_ms: wait, sum_ms: wait });
            }
        }
    }
    recovery
}

/// The record at which `worker` went down between two records, if it did.
pub(super) fn went_down_in(facts: &Facts<'_>, worker: &str, from: usize, until: Option<usize>) -> Option<usize> {
    let until = until.unwrap_or(facts.records.len());
    (from..until).find(|index| goes_down(&facts.records[*index], worker))
}

/// The last record before `until` at which `worker` went down: what it knows then, it has learnt since.
pub(super) fn went_down_before(facts: &Facts<'_>, worker: &str, until: usize) -> Option<usize> {
    (0..until).rfind(|index| goes_down(&facts.records[*index], worker))
}

fn goes_down(record: &Record, worker: &str) -> bool {
    match &record.what {
        What::Worker { up: false } => record.who == worker,
        What::Fault { event } => match &event.action {
            hydra_schedule::Action::Fault { fault: hydra_schedule::Fault::Crash(struck), .. } => {
                struck.as_str() == worker
            }
            _ => false,
        },
        _ => false,
    }
}
