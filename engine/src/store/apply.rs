//! The one place where rows meet the core: load, check, decide, check, write. Mechanical, and the same on every
//! backend.

use hydra_protocol::{
    Command, Commit, Execution, Outcome, Protocol, Rejection, Reply, Rows, Status, Step, StepNo, StepState, StepWrite,
    Time, decide, invariants,
};

use super::backend::{EngineRows, ExecutionResult, ExecutionUpdate, Field, NewExecution, NewStep, StepUpdate};
use super::signals::{Effects, Ended};
use super::{Answer, CommandRequest, ExecutionKey, StoreError, Target, journal};

/// The rules that a store goes by.
pub type Rules = &'static dyn Protocol;

/// One open transaction, with the time that was read in it.
pub struct Tx<'a, B> {
    pub backend: &'a mut B,
    pub rules: Rules,
    pub now: Time,
    /// What others are to be told of once it is committed.
    pub effects: &'a mut Effects,
}

/// What the core said of a command, with what it was said of.
pub struct Decided {
    key: Option<ExecutionKey>,
    rows: Rows,
    /// The number of `rows.step`: the one that the command names, or the one that settled last.
    step: Option<StepNo>,
    pub decision: Result<Commit, Rejection>,
}

impl Decided {
    /// Whether something is to be written.
    pub fn writes(&self) -> bool {
        matches!(&self.decision, Ok(commit) if commit.execution.is_some() || commit.step.is_some())
    }
}

impl<B: EngineRows> Tx<'_, B> {
    /// Decides and applies a command.
    ///
    /// [`StoreError::Corrupt`] means that nothing was written, and the transaction may go on. After any other error it
    /// has to be rolled back.
    pub fn command(&mut self, request: &CommandRequest) -> Result<Answer, StoreError> {
        let decided = self.decide(request)?;
        self.apply(request, None, decided)
    }

    /// Loads the rows that a command is about, and lets the core decide.
    pub fn decide(&mut self, request: &CommandRequest) -> Result<Decided, StoreError> {
        let (target, step) = (&request.target, request.step.as_ref().map(|step| step.no));
        match (request.command, step) {
            (
                Command::Begin { .. }
                | Command::Settle { .. }
                | Command::Sleep { .. }
                | Command::Fire { .. }
                | Command::Resolve { .. },
                Some(no),
            ) => {
                let found = self.backend.find_with_step(target, no)?;
                let rows = Rows {
                    execution: found.map(|found| found.row),
                    step: found.and_then(|found| found.step),
                    ..Rows::default()
                };
                self.judge(request, found.map(|found| found.key), rows, step)
            }
            _ => {
                let found = self.backend.find(target)?;
                self.decide_on(request, found)
            }
        }
    }

    /// The same for a command that is about no step, or about the one that settled last, with the execution's row loaded
    /// already.
    pub fn decide_on(
        &mut self,
        request: &CommandRequest,
        found: Option<(ExecutionKey, Execution)>,
    ) -> Result<Decided, StoreError> {
        let mut rows = Rows { execution: found.map(|(_, row)| row), ..Rows::default() };
        let mut step = request.step.as_ref().map(|step| step.no);
        match (request.command, found) {
            (Command::Start { .. }, Some((key, _))) => {
                let workflow = request.payload.workflow.as_deref().unwrap_or_default();
                let input = request.payload.value.as_deref().unwrap_or_default();
                rows.same_input = self.backend.same_input(key, workflow, input)?;
            }
            (Command::Retry { .. }, Some((key, row))) => {
                let last = self.last_settled(key, &row)?;
                step = last.map(|(no, _)| no);
                rows.step = last.map(|(_, row)| row);
            }
            _ => {}
        }
        self.judge(request, found.map(|(key, _)| key), rows, step)
    }

    fn judge(
        &self,
        request: &CommandRequest,
        key: Option<ExecutionKey>,
        rows: Rows,
        step: Option<StepNo>,
    ) -> Result<Decided, StoreError> {
        let corrupt = |what: invariants::Broken| StoreError::Corrupt {
            row: row_name(&request.target, key, step),
            what: what.to_string(),
        };
        invariants::check_rows(&rows).map_err(corrupt)?;
        let decision = decide(self.rules, &rows, &request.command, self.now);
        if let Ok(commit) = &decision {
            invariants::check_commit(&rows, commit).map_err(corrupt)?;
        }
        Ok(Decided { key, rows, step, decision })
    }

    /// Writes what was decided, and records it where a journal is kept. `worker` is who claims.
    pub fn apply(
        &mut self,
        request: &CommandRequest,
        worker: Option<&str>,
        decided: Decided,
    ) -> Result<Answer, StoreError> {
        let (mut answer, key) = self.write(request, worker, decided)?;
        answer.key = key.filter(|_| self.backend.names_at_once());
        if self.backend.keeps_journal() {
            self.backend.record(&journal::entry(request, key, self.now, answer.decision).encode())?;
        }
        Ok(answer)
    }

    /// The answer, and the execution that it is about: found or made.
    fn write(
        &mut self,
        request: &CommandRequest,
        worker: Option<&str>,
        decided: Decided,
    ) -> Result<(Answer, Option<ExecutionKey>), StoreError> {
        let mut answer = Answer { decision: Ok(Reply::Started), value: None, error: None, key: None, now: self.now };
        let commit = match decided.decision {
            Ok(commit) => commit,
            Err(rejection) => {
                answer.decision = Err(rejection);
                return Ok((answer, decided.key));
            }
        };
        answer.decision = Ok(commit.reply);
        let Some(key) = decided.key else {
            let new = commit.execution.map(|row| self.insert_execution(request, &row)).transpose()?;
            return Ok((answer, new));
        };
        if let (Reply::Settled { .. }, None, Some(no)) = (commit.reply, commit.step, decided.step) {
            let checkpoint = self.backend.checkpoint(key, no)?;
            (answer.value, answer.error) = (checkpoint.value, checkpoint.error);
        }
        // All that is read is read before anything is written, so that a corrupt row leaves nothing half done.
        let open = match &decided.rows.execution {
            Some(before) if commit.abandon_open => self.backend.open_steps(key, before)?,
            _ => Vec::new(),
        };
        if let (Some(before), Some(after)) = (decided.rows.execution, &commit.execution) {
            self.update_execution(request, worker, key, &before, after)?;
        }
        if let (Some(write), Some(no)) = (&commit.step, decided.step) {
            self.write_step(request, key, no, decided.rows.step.as_ref(), write)?;
        }
        for (no, step) in open {
            let row = step.abandoned();
            let (output, error, settled_at) = (None, Field::Keep, None);
            self.backend.update_step(StepUpdate { key, no, before: &step, row: &row, output, error, settled_at })?;
        }
        Ok((answer, Some(key)))
    }

    fn last_settled(&mut self, key: ExecutionKey, row: &Execution) -> Result<Option<(StepNo, Step)>, StoreError> {
        if row.settled == 0 {
            return Ok(None);
        }
        match self.backend.find_settled(key, row, row.settled)? {
            Some(last) => Ok(Some(last)),
            None => Err(StoreError::Corrupt {
                row: row_name(&Target::Key(key), Some(key), None),
                what: format!("{} steps are settled, and none of them as the last", row.settled),
            }),
        }
    }

    fn insert_execution(&mut self, request: &CommandRequest, row: &Execution) -> Result<ExecutionKey, StoreError> {
        let Target::Id(id) = &request.target else {
            return Err(StoreError::Refused("an execution is started by its id".into()));
        };
        let key = self.backend.insert_execution(NewExecution {
            id,
            workflow: request.payload.workflow.as_deref().unwrap_or_default(),
            input: request.payload.value.as_deref().unwrap_or_default(),
            row,
            started_at: self.now,
        })?;
        self.effects.due_changed = true;
        Ok(key)
    }

    fn update_execution(
        &mut self,
        request: &CommandRequest,
        worker: Option<&str>,
        key: ExecutionKey,
        before: &Execution,
        after: &Execution,
    ) -> Result<(), StoreError> {
        let result = if after.is_ended() {
            let succeeded = after.status == Status::Ended(hydra_protocol::Ending::Succeeded);
            Field::Set(ExecutionResult {
                output: request.payload.value.as_deref().filter(|_| succeeded),
                error: request.payload.error.as_deref().filter(|_| !succeeded),
            })
        } else if before.is_ended() {
            Field::Set(ExecutionResult::default())
        } else {
            Field::Keep
        };
        self.backend.update_execution(ExecutionUpdate {
            key,
            before,
            row: after,
            worker,
            ended_at: after.is_ended().then_some(self.now),
            result,
        })?;
        if let Status::Leased { due_at } = before.status
            && (after.epoch != before.epoch || !matches!(after.status, Status::Leased { .. }))
        {
            // Taken over: it was over when it expired, whenever somebody came to see.
            let taken_over = matches!(request.command, Command::Claim { .. });
            self.backend.end_lease(key, before.epoch, if taken_over { due_at } else { self.now })?;
        }
        if let (Status::Leased { .. }, Some(worker)) = (after.status, worker) {
            self.backend.insert_lease(key, after.epoch, worker, self.now)?;
        }
        match after.status {
            Status::Ready { .. } => self.effects.due_changed = true,
            Status::Ended(ending) => {
                let (output, error) = match result {
                    Field::Set(result) => (result.output, result.error),
                    Field::Keep => (None, None),
                };
                self.effects.ended.push((key, Ended::small(ending, output, error)));
            }
            Status::Leased { .. } => {}
        }
        Ok(())
    }

    fn write_step(
        &mut self,
        request: &CommandRequest,
        key: ExecutionKey,
        no: StepNo,
        before: Option<&Step>,
        write: &StepWrite,
    ) -> Result<(), StoreError> {
        let now = self.now;
        let payload = &request.payload;
        let row = match (write, &request.step) {
            (StepWrite::Insert(row), Some(step)) => {
                let input = payload.value.as_deref();
                return self.backend.insert_step(NewStep { key, no, name: &step.name, row, input, begun_at: now });
            }
            (StepWrite::Insert(row) | StepWrite::Update(row), _) => row,
        };
        // The value of a begin is the step's input, never an output.
        let reports = matches!(request.command, Command::Settle { .. } | Command::Resolve { .. });
        let (output, error) = match row.state {
            StepState::Settled { outcome: Outcome::Succeeded, .. } => {
                (payload.value.as_deref().filter(|_| reports), Field::Set(None))
            }
            // What the last attempt said would be wrong of one that never came back.
            StepState::Settled { .. } => (None, Field::Set(payload.error.as_deref().filter(|_| reports))),
            StepState::Waiting { .. } if reports => (None, Field::Set(payload.error.as_deref())),
            // The error of the attempt before stays, for people to see.
            StepState::Running
            | StepState::Waiting { .. }
            | StepState::Sleeping { .. }
            | StepState::Abandoned { .. } => (None, Field::Keep),
        };
        let settled_at = row.settled().map(|_| now);
        let before = before.unwrap_or(row);
        self.backend.update_step(StepUpdate { key, no, before, row, output, error, settled_at })
    }
}

/// A row's name, for errors.
fn row_name(target: &Target, key: Option<ExecutionKey>, step: Option<StepNo>) -> String {
    let mut name = match (target, key) {
        (Target::Id(id), _) => format!("execution {id}"),
        (Target::Key(key), _) => format!("execution with key {}", key.0),
    };
    if let Some(no) = step {
        name += &format!(", step {}", no.0);
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_row_by_what_is_known_of_it() {
        let id = crate::store::ExecutionId { namespace: "shop".into(), id: "o-1".into() };
        let (by_id, by_key) = (Target::Id(id), Target::Key(ExecutionKey(7)));
        assert_eq!(row_name(&by_id, None, None), "execution shop/o-1");
        assert_eq!(row_name(&by_key, Some(ExecutionKey(7)), Some(StepNo(3))), "execution with key 7, step 3");
    }
}
