//! What the core is shown of an image, and what it writes into it.

use std::sync::Arc;

use hydra_protocol::{Epoch, Execution, Step, StepNo, StepState, Time};

use super::{ExecutionImage, ExecutionWrite, Image, Miss, StepImage, StepWrite};
use crate::store::backend::{
    Checkpoint, EngineRows, ExecutionUpdate, Field, Identity, NewExecution, NewStep, StepUpdate,
};
use crate::store::postgres::rows;
use crate::store::{ExecutionKey, JournalStep, StoreError, Target};

impl Image {
    /// An execution that was found before.
    fn execution(&mut self, key: ExecutionKey) -> Result<&mut ExecutionImage, StoreError> {
        match self.executions.get_mut(&key.0) {
            Some(Some(execution)) => Ok(execution),
            _ => Err(StoreError::Refused(format!("{} is written and was not read", rows::execution_name(key)))),
        }
    }
}

impl EngineRows for Image {
    fn find(&mut self, target: &Target) -> Result<Option<(ExecutionKey, Execution)>, StoreError> {
        let key = match target {
            Target::Key(key) => Some(key.0),
            Target::Id(id) => match self.ids.get(id) {
                Some(key) => *key,
                None => return self.missed(Miss::Execution(target.clone())),
            },
        };
        let Some(key) = key else { return Ok(None) };
        match self.executions.get(&key) {
            Some(Some(execution)) => execution.row.clone().map(|row| Some((ExecutionKey(key), row))),
            Some(None) => Ok(None),
            None => self.missed(Miss::Execution(target.clone())),
        }
    }

    fn find_step(&mut self, key: ExecutionKey, _: &Execution, no: StepNo) -> Result<Option<Step>, StoreError> {
        match self.steps.get(&(key.0, no.0)) {
            Some(Some(step)) => step.row.clone().map(Some),
            Some(None) => Ok(None),
            None if self.journals.contains(&key.0) => Ok(None),
            None => self.missed(Miss::Step(key.0, no.0)),
        }
    }

    fn find_settled(
        &mut self,
        key: ExecutionKey,
        _: &Execution,
        order: u32,
    ) -> Result<Option<(StepNo, Step)>, StoreError> {
        let mut found = None;
        for (no, step) in self.steps_of(key) {
            // One that cannot be read may be the one.
            let row = step.row.clone()?;
            if row.settled().is_some_and(|(at, _)| at == order) {
                found = Some((StepNo(no), row));
            }
        }
        match found {
            Some(found) => Ok(Some(found)),
            None if self.journals.contains(&key.0) || self.no_such_order.contains(&(key.0, order)) => Ok(None),
            None => self.missed(Miss::Settled(key.0, order)),
        }
    }

    fn open_steps(&mut self, key: ExecutionKey, _: &Execution) -> Result<Vec<(StepNo, Step)>, StoreError> {
        if !self.open.contains(&key.0) {
            return self.missed(Miss::Open(key.0));
        }
        let mut open = Vec::new();
        for (no, step) in self.steps_of(key) {
            let row = step.row.clone()?;
            if matches!(row.state, StepState::Running | StepState::Waiting { .. } | StepState::Sleeping { .. }) {
                open.push((StepNo(no), row));
            }
        }
        Ok(open)
    }

    fn same_input(&mut self, key: ExecutionKey, workflow: &str, input: &[u8]) -> Result<bool, StoreError> {
        let execution = self.execution(key)?;
        match &execution.input {
            Some(there) => Ok(&*execution.workflow == workflow && there == input),
            None => self.missed(Miss::Input(key.0)),
        }
    }

    fn checkpoint(&mut self, key: ExecutionKey, no: StepNo) -> Result<Checkpoint, StoreError> {
        match self.steps.get(&(key.0, no.0)) {
            Some(Some(step)) => Ok(Checkpoint { value: step.output.clone(), error: step.error.clone() }),
            Some(None) => Ok(Checkpoint::default()),
            None => self.missed(Miss::Step(key.0, no.0)),
        }
    }

    fn identity(&mut self, key: ExecutionKey) -> Result<Identity, StoreError> {
        let execution = self.execution(key)?;
        let Some(input) = execution.input.clone() else { return self.missed(Miss::Input(key.0)) };
        let (id, workflow) = (execution.id.clone(), execution.workflow.to_string());
        execution.row.clone().map(|row| Identity { row, id, workflow, input })
    }

    fn journal(&mut self, key: ExecutionKey, _: &Execution) -> Result<Vec<JournalStep>, StoreError> {
        if !self.journals.contains(&key.0) {
            return self.missed(Miss::Journal(key.0));
        }
        let steps = self.steps_of(key).map(|(no, step)| {
            let name = step.name.clone().unwrap_or_else(|| Arc::from(""));
            let (value, error) = (step.output.clone(), step.error.clone());
            Ok(JournalStep { no: StepNo(no), name, row: step.row.clone()?, value, error })
        });
        steps.collect()
    }

    fn insert_execution(&mut self, new: NewExecution<'_>) -> Result<ExecutionKey, StoreError> {
        let key = self.executions.first_key_value().map_or(0, |(key, _)| (*key).min(0)) - 1;
        let execution = ExecutionImage {
            row: Ok(*new.row),
            was: None,
            id: new.id.clone(),
            workflow: new.workflow.into(),
            input: Some(new.input.to_vec()),
            started_at: new.started_at,
            write: Some(ExecutionWrite::default()),
        };
        self.executions.insert(key, Some(execution));
        self.ids.insert(new.id.clone(), Some(key));
        // It has none.
        self.journals.insert(key);
        self.open.insert(key);
        Ok(ExecutionKey(key))
    }

    fn update_execution(&mut self, update: ExecutionUpdate<'_>) -> Result<(), StoreError> {
        let execution = self.execution(update.key)?;
        let epoch = execution.row.as_ref().map(|row| row.epoch);
        if epoch != Ok(update.before.epoch) {
            return Err(StoreError::Refused(format!("{} changed meanwhile", rows::execution_name(update.key))));
        }
        execution.row = Ok(*update.row);
        let write = execution.write.get_or_insert_default();
        write.ended_at = update.ended_at;
        if let Some(worker) = update.worker {
            write.worker = Some(worker.to_owned());
        }
        if let Field::Set(result) = update.result {
            write.result = Some((result.output.map(<[u8]>::to_vec), result.error.map(text)));
        }
        Ok(())
    }

    fn insert_step(&mut self, new: NewStep<'_>) -> Result<(), StoreError> {
        let step = StepImage {
            row: Ok(*new.row),
            name: Some(Arc::clone(new.name)),
            input: new.input.map(<[u8]>::to_vec),
            output: None,
            error: None,
            begun_at: new.begun_at,
            settled_at: None,
            write: StepWrite::Insert,
        };
        if self.steps.insert((new.key.0, new.no.0), Some(step)).flatten().is_some() {
            return Err(StoreError::Refused(format!("{} is there already", rows::step_name(new.key, new.no))));
        }
        Ok(())
    }

    fn update_step(&mut self, update: StepUpdate<'_>) -> Result<(), StoreError> {
        let Some(Some(step)) = self.steps.get_mut(&(update.key.0, update.no.0)) else {
            let name = rows::step_name(update.key, update.no);
            return Err(StoreError::Refused(format!("{name} is written and was not read")));
        };
        step.row = Ok(*update.row);
        step.output = update.output.map(<[u8]>::to_vec);
        step.settled_at = update.settled_at;
        let kept = !matches!(step.write, StepWrite::Update { keep_error: false });
        let keep_error = match update.error {
            Field::Keep => kept,
            Field::Set(error) => {
                step.error = error.map(text);
                false
            }
        };
        if step.write != StepWrite::Insert {
            step.write = StepWrite::Update { keep_error };
        }
        Ok(())
    }

    fn insert_lease(&mut self, key: ExecutionKey, epoch: Epoch, worker: &str, now: Time) -> Result<(), StoreError> {
        self.leases_begun.push((key, epoch, worker.to_owned(), now));
        Ok(())
    }

    fn end_lease(&mut self, key: ExecutionKey, epoch: Epoch, at: Time) -> Result<(), StoreError> {
        self.leases_ended.push((key, epoch, at));
        Ok(())
    }
}

/// A text of somebody else's. PostgreSQL holds no NUL in a text, and an error message must not keep a step from being
/// settled.
fn text(text: &str) -> String {
    text.replace('\0', "\u{FFFD}")
}
