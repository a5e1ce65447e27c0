//! Rows that the connection that writes has read or written itself, of the executions that are being driven: nearly every
//! command of a worker is about rows that its command before has just written.

use std::collections::{BTreeMap, HashMap};

use hydra_protocol::{Epoch, Execution, Status, Step, StepNo, StepState};

use crate::store::ExecutionKey;

#[cfg(test)]
mod tests;

/// Executions that are known at most, of a few hundred bytes each. With more than that all are forgotten, and read again.
const EXECUTIONS_MAX: usize = 8_192;

/// What is known of the rows in the open transaction.
///
/// It holds only as long as nobody else writes: (1) A claims W, and knows its row; (2) a client in another process cancels
/// W; (3) A settles s of W under its epoch, which is still W's latest: decided over the row that A knows, s would be settled
/// in an execution that has ended. So it is told in each transaction, which keeps all others out, what the file's version
/// is, and forgets everything if somebody else has committed since.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The file's version when the last transaction began.
    version: Option<i64>,
    /// Whether that transaction was committed.
    committed: bool,
    executions: HashMap<ExecutionKey, Rows>,
}

#[derive(Clone, Debug)]
struct Rows {
    execution: Execution,
    /// None: not known.
    steps: Option<Steps>,
}

/// All steps of an execution, as far as commands ask for them again.
#[derive(Clone, Debug, Default)]
struct Steps {
    /// The highest number of all. None after it is on record.
    last: Option<StepNo>,
    /// Those that run, wait or sleep.
    open: BTreeMap<StepNo, Step>,
}

impl Steps {
    fn put(&mut self, no: StepNo, step: Step) {
        self.last = self.last.max(Some(no));
        if is_open(&step) {
            self.open.insert(no, step);
        } else {
            self.open.remove(&no);
        }
    }
}

fn is_open(step: &Step) -> bool {
    match step.state {
        StepState::Running | StepState::Waiting { .. } | StepState::Sleeping { .. } => true,
        StepState::Settled { .. } | StepState::Abandoned { .. } => false,
    }
}

impl Known {
    /// A transaction has begun, and the file has this version. Forgets what may not be so any more: whatever happened to
    /// the transaction before, unless it was committed, and whatever was done by others.
    pub fn begun(&mut self, version: i64) {
        if !self.committed || self.version != Some(version) {
            self.forget();
        }
        self.version = Some(version);
        self.committed = false;
    }

    /// The transaction is committed.
    pub fn committed(&mut self) {
        self.committed = true;
    }

    /// Something was undone.
    pub fn forget(&mut self) {
        self.executions.clear();
    }

    /// An execution's row was read to be claimed. Before its first lease it has no steps.
    pub fn read(&mut self, key: ExecutionKey, execution: &Execution) {
        if self.executions.len() >= EXECUTIONS_MAX {
            self.executions.clear();
        }
        let steps = (execution.epoch == Epoch(0)).then(Steps::default);
        self.executions.insert(key, Rows { execution: *execution, steps });
    }

    /// All of its steps were read.
    pub fn read_steps(&mut self, key: ExecutionKey, all: impl Iterator<Item = (StepNo, Step)>) {
        if let Some(rows) = self.executions.get_mut(&key) {
            let mut steps = Steps::default();
            all.for_each(|(no, step)| steps.put(no, step));
            rows.steps = Some(steps);
        }
    }

    /// Its row was written. One that is driven no more is let go: whoever claims it again reads it then.
    pub fn wrote(&mut self, key: ExecutionKey, execution: &Execution) {
        match execution.status {
            Status::Leased { .. } => {
                if let Some(rows) = self.executions.get_mut(&key) {
                    rows.execution = *execution;
                }
            }
            Status::Ready { .. } | Status::Ended(_) => drop(self.executions.remove(&key)),
        }
    }

    /// The row of one of its steps was written.
    pub fn wrote_step(&mut self, key: ExecutionKey, no: StepNo, step: &Step) {
        if let Some(steps) = self.executions.get_mut(&key).and_then(|rows| rows.steps.as_mut()) {
            steps.put(no, *step);
        }
    }

    /// Its row.
    pub fn execution(&self, key: ExecutionKey) -> Option<Execution> {
        self.executions.get(&key).map(|rows| rows.execution)
    }

    /// Its row and that of one of its steps, if there is such a step. None if that is not known: of a settled step, say.
    pub fn with_step(&self, key: ExecutionKey, no: StepNo) -> Option<(Execution, Option<Step>)> {
        let rows = self.executions.get(&key)?;
        let steps = rows.steps.as_ref()?;
        match steps.open.get(&no) {
            Some(step) => Some((rows.execution, Some(*step))),
            None if Some(no) > steps.last => Some((rows.execution, None)),
            None => None,
        }
    }

    /// Its steps that run, wait or sleep.
    pub fn open_steps(&self, key: ExecutionKey) -> Option<Vec<(StepNo, Step)>> {
        let steps = self.executions.get(&key)?.steps.as_ref()?;
        Some(steps.open.iter().map(|(no, step)| (*no, *step)).collect())
    }
}
