//! The rows of one transaction, in memory: loaded for the whole batch at once, shown to the core one command after the
//! other, and written back at once.
//!
//! A command sees what those before it in the batch have written. What it needs and nobody has foreseen is a *miss*:
//! noted, answered with an error, loaded, and the command is run again. No command has written before it has read all it
//! needs, so nothing is half done then.

mod engine_rows;
mod fill;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use hydra_protocol::{Epoch, Execution, Step, Time};

use crate::store::{ExecutionId, ExecutionKey, StoreError, Target};

/// The rows of one transaction.
#[derive(Default)]
pub struct Image {
    /// None: looked for, and not there.
    pub executions: BTreeMap<i64, Option<ExecutionImage>>,
    /// None: looked for, and not there.
    pub ids: HashMap<ExecutionId, Option<i64>>,
    /// None: looked for, and not there.
    pub steps: BTreeMap<(i64, u32), Option<StepImage>>,
    /// Executions all of whose open steps are here.
    pub open: BTreeSet<i64>,
    /// Executions all of whose steps are here, with their outputs.
    pub journals: BTreeSet<i64>,
    /// Orders in which a step was looked for and not found.
    pub no_such_order: BTreeSet<(i64, u32)>,
    pub leases_begun: Vec<(ExecutionKey, Epoch, String, Time)>,
    pub leases_ended: Vec<(ExecutionKey, Epoch, Time)>,
    miss: Option<Miss>,
}

/// What a command needs and is not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Miss {
    Execution(Target),
    Step(i64, u32),
    /// The step that settled as the so-manieth.
    Settled(i64, u32),
    /// Open steps.
    Open(i64),
    /// Workflow and input.
    Input(i64),
    Journal(i64),
}

/// An execution. One that is new has a key below zero until it is written.
pub struct ExecutionImage {
    /// As it stands now; or why it cannot be read.
    pub row: Result<Execution, StoreError>,
    /// The epoch that it was read with: the guard of what is written. None if it is new.
    pub was: Option<Epoch>,
    pub id: ExecutionId,
    pub workflow: Arc<str>,
    /// None if nobody has needed it.
    pub input: Option<Vec<u8>>,
    pub started_at: Time,
    /// To be written.
    pub write: Option<ExecutionWrite>,
}

/// What is to be written of an execution beside its row.
#[derive(Default)]
pub struct ExecutionWrite {
    pub worker: Option<String>,
    pub ended_at: Option<Time>,
    /// Output and error, if they change.
    pub result: Option<(Option<Vec<u8>>, Option<String>)>,
}

/// A step.
pub struct StepImage {
    /// As it stands now; or why it cannot be read.
    pub row: Result<Step, StoreError>,
    /// Where a journal was loaded, or the step is new.
    pub name: Option<Arc<str>>,
    pub input: Option<Vec<u8>>,
    /// Output and error: here if it is settled, or in a journal.
    pub output: Option<Vec<u8>>,
    pub error: Option<String>,
    pub begun_at: Time,
    pub settled_at: Option<Time>,
    pub write: StepWrite,
}

/// What is to be written of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepWrite {
    Nothing,
    Insert,
    /// With the error that is on record, or another one.
    Update {
        keep_error: bool,
    },
}

impl Image {
    /// What the last command needed and did not find, if that is why it failed.
    pub fn take_miss(&mut self) -> Option<Miss> {
        self.miss.take()
    }

    fn missed<T>(&mut self, miss: Miss) -> Result<T, StoreError> {
        let what = format!("not loaded: {miss:?}");
        self.miss = Some(miss);
        Err(StoreError::Refused(what))
    }

    fn steps_of(&self, key: ExecutionKey) -> impl Iterator<Item = (u32, &StepImage)> {
        let steps = self.steps.range((key.0, 0)..=(key.0, u32::MAX));
        steps.filter_map(|((_, no), step)| step.as_ref().map(|step| (*no, step)))
    }
}
