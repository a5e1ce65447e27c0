//! Begin: an attempt of a step is counted, before its body runs.

use crate::transitions::execution;
use crate::{
    Commit, Epoch, Execution, Kind, Outcome, Protocol, Recovery, Rejection, Reply, Rows, Step, StepState, StepWrite,
    Time,
};

/// What a worker asks for: see [`crate::Command::Begin`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Begin {
    /// The epoch it holds.
    pub epoch: Epoch,
    /// The step's kind.
    pub kind: Kind,
    /// The attempt it means to begin.
    pub attempt: u32,
    /// Attempts allowed, if this is the step's first.
    pub attempts_max: u32,
}

/// Writes the attempt down and lets the body run, or answers with the outcome that the step has.
///
/// The attempt is named by its number, so that a request delivered twice cannot begin two: (1) A begins attempt 1;
/// (2) it fails and waits for its backoff; (3) the network delivers the first request again: without the number it
/// would begin attempt 2, behind A's back.
pub fn begin<P: Protocol + ?Sized>(rules: &P, rows: &Rows, begin: Begin, now: Time) -> Result<Commit, Rejection> {
    let execution = execution(rows)?;
    rules.fence(&execution, begin.epoch)?;
    if begin.kind == Kind::Timer {
        return Err(Rejection::KindMismatch {
            row: rows.step.map_or(Kind::Timer, |step| step.kind),
            asked: Kind::Timer,
        });
    }
    let Some(step) = rows.step else {
        return first(rules, &execution, begin);
    };
    if step.kind != begin.kind {
        return Err(Rejection::KindMismatch { row: step.kind, asked: begin.kind });
    }
    match step.state {
        StepState::Settled { order, outcome } => Ok(Commit::answer(&execution, Reply::Settled { order, outcome })),
        // Begun under this very lease: the answer was lost, and the worker asks again. The body has not run yet, for
        // it runs only upon the answer.
        StepState::Running if step.epoch == begin.epoch && step.attempt == begin.attempt => {
            Ok(Commit::answer(&execution, Reply::Run { attempt: step.attempt }))
        }
        StepState::Running if step.epoch == begin.epoch => {
            Err(Rejection::AttemptMismatch { row: step.attempt, asked: begin.attempt })
        }
        StepState::Running | StepState::Abandoned { .. } => match rules.recover(&step) {
            Recovery::Again => again(&execution, step, begin),
            Recovery::Settle(outcome) => Ok(settle(&execution, step, begin.epoch, outcome)),
        },
        StepState::Waiting { due_at } => {
            rules.due(due_at, now)?;
            again(&execution, step, begin)
        }
        // No step with a body sleeps; decoding refuses such a row.
        StepState::Sleeping { .. } => Err(Rejection::KindMismatch { row: Kind::Timer, asked: begin.kind }),
    }
}

fn first<P: Protocol + ?Sized>(rules: &P, execution: &Execution, begin: Begin) -> Result<Commit, Rejection> {
    if begin.attempt != 1 {
        return Err(Rejection::AttemptMismatch { row: 0, asked: begin.attempt });
    }
    let step = Step {
        kind: begin.kind,
        epoch: begin.epoch,
        attempt: 1,
        attempts_max: rules.attempts_granted(begin.kind, begin.attempts_max),
        state: StepState::Running,
    };
    Ok(Commit::answer(execution, Reply::Run { attempt: 1 }).with_step(StepWrite::Insert(step)))
}

fn again(execution: &Execution, step: Step, begin: Begin) -> Result<Commit, Rejection> {
    if step.attempt.checked_add(1) != Some(begin.attempt) {
        return Err(Rejection::AttemptMismatch { row: step.attempt, asked: begin.attempt });
    }
    let step = Step { epoch: begin.epoch, attempt: begin.attempt, state: StepState::Running, ..step };
    Ok(Commit::answer(execution, Reply::Run { attempt: begin.attempt }).with_step(StepWrite::Update(step)))
}

fn settle(execution: &Execution, step: Step, epoch: Epoch, outcome: Outcome) -> Commit {
    let order = execution.settled.saturating_add(1);
    let settled = Execution { settled: order, replays: 0, ..*execution };
    let step = Step { epoch, state: StepState::Settled { order, outcome }, ..step };
    Commit::write(Some(execution.epoch), settled, Reply::Settled { order, outcome }).with_step(StepWrite::Update(step))
}
