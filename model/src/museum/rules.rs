//! The rules of the engines in `beyond`: each the reference but for one method.

use hydra_protocol::transitions::{begin, cancel, claim, retry, settle, start};
use hydra_protocol::worker::step;
use hydra_protocol::{
    Cause, Commit, Ending, Epoch, Execution, Failure, Kind, Outcome, Protocol, Recovery, Rejection, Release, Reply,
    Rows, Settlement, Span, Status, Step, StepState, StepWrite, Time,
};

/// The reference, without the fence: for the parts of mutants that lack it.
#[derive(Debug)]
struct Unfenced;
impl Protocol for Unfenced {
    fn fence(&self, execution: &Execution, _: Epoch) -> Result<(), Rejection> {
        match execution.status {
            Status::Ended(ending) => Err(Rejection::Ended(ending)),
            Status::Ready { .. } | Status::Leased { .. } => Ok(()),
        }
    }
}

#[derive(Debug)]
pub(super) struct ZombieSettles;
impl Protocol for ZombieSettles {
    fn settle(
        &self,
        rows: &Rows,
        epoch: Epoch,
        attempt: u32,
        settlement: Settlement,
        now: Time,
    ) -> Result<Commit, Rejection> {
        settle::settle(&Unfenced, rows, epoch, attempt, settlement, now)
    }
}

#[derive(Debug)]
pub(super) struct AnyHeartbeatRenews;
impl Protocol for AnyHeartbeatRenews {
    fn heartbeat(&self, rows: &Rows, _: Epoch, lease: Span, now: Time) -> Result<Commit, Rejection> {
        let execution = rows.execution.ok_or(Rejection::UnknownExecution)?;
        let Status::Leased { due_at: held_until } = execution.status else {
            return Err(Rejection::NotLeased { latest: execution.epoch });
        };
        let due_at = self.lease_end(&execution, lease, now).max(held_until);
        let renewed = Execution { status: Status::Leased { due_at }, ..execution };
        Ok(Commit::write(Some(execution.epoch), renewed, Reply::Renewed { lease: due_at.since(now) }))
    }
}

#[derive(Debug)]
pub(super) struct EpochNeverRaised;
impl Protocol for EpochNeverRaised {
    fn next_epoch(&self, epoch: Epoch) -> Result<Epoch, Rejection> {
        Ok(epoch.max(Epoch(1)))
    }
}

#[derive(Debug)]
pub(super) struct ClaimTrustsASnapshot;
impl Protocol for ClaimTrustsASnapshot {
    fn claimable(&self, execution: &Execution, now: Time) -> Result<(), Rejection> {
        match execution.status {
            Status::Ended(ending) => Err(Rejection::Ended(ending)),
            Status::Ready { due_at } => self.due(due_at, now),
            Status::Leased { .. } => Ok(()),
        }
    }
}

#[derive(Debug)]
pub(super) struct CheckpointErrorIsNotFound;
impl Protocol for CheckpointErrorIsNotFound {
    fn step_next(&self, plan: &step::Plan, phase: step::Phase, event: step::Event) -> (step::Phase, step::Action) {
        let event = match event {
            step::Event::Requested { row: Some(row), matches } if row.settled().is_some() => {
                step::Event::Requested { row: Some(Step { state: StepState::Running, ..row }), matches }
            }
            event => event,
        };
        step::next(self, plan, phase, event)
    }
    fn begin(&self, rows: &Rows, begin: begin::Begin, now: Time) -> Result<Commit, Rejection> {
        let step = rows.step.map(|step| match step.settled() {
            Some(_) if step.epoch != begin.epoch => {
                Step { state: StepState::Running, attempts_max: step.attempts_max.max(step.attempt + 1), ..step }
            }
            _ => step,
        });
        begin::begin(self, &Rows { step, ..*rows }, begin, now)
    }
}

#[derive(Debug)]
pub(super) struct SleepReturnsEarly;
impl Protocol for SleepReturnsEarly {
    fn fire(&self, rows: &Rows, epoch: Epoch, _: Time) -> Result<Commit, Rejection> {
        hydra_protocol::transitions::fire::fire(self, rows, epoch, Time::MAX)
    }
}

#[derive(Debug)]
pub(super) struct SleeperIsLost;
impl Protocol for SleeperIsLost {
    fn wake_at(&self, _: &Execution, release: Release, now: Time) -> Time {
        match release {
            Release::Shutdown => now,
            Release::Parked { .. } => Time::MAX,
        }
    }
}

#[derive(Debug)]
pub(super) struct SleeperIsDueAtOnce;
impl Protocol for SleeperIsDueAtOnce {
    fn wake_at(&self, _: &Execution, _: Release, now: Time) -> Time {
        now
    }
}

#[derive(Debug)]
pub(super) struct ReplayDiffers;
impl Protocol for ReplayDiffers {
    fn step_next(&self, plan: &step::Plan, phase: step::Phase, event: step::Event) -> (step::Phase, step::Action) {
        match (step::next(self, plan, phase, event), event) {
            ((phase, step::Action::Deliver { order, outcome: Outcome::Succeeded }), step::Event::Requested { .. }) => {
                (phase, step::Action::Deliver { order, outcome: Outcome::Failed(Cause::Final) })
            }
            (next, _) => next,
        }
    }
}

#[derive(Debug)]
pub(super) struct LostReplyCostsAnAttempt;
impl Protocol for LostReplyCostsAnAttempt {
    fn begin(&self, rows: &Rows, asked: begin::Begin, now: Time) -> Result<Commit, Rejection> {
        let commit = begin::begin(self, rows, asked, now)?;
        match (commit.reply, commit.step, rows.step) {
            (Reply::Run { .. }, None, Some(step)) if step.attempt < step.attempts_max => {
                let attempt = step.attempt + 1;
                let write = StepWrite::Update(Step { attempt, ..step });
                Ok(Commit { reply: Reply::Run { attempt }, ..commit }.with_step(write))
            }
            _ => Ok(commit),
        }
    }
}

#[derive(Debug)]
pub(super) struct CrashesCostNothing;
impl Protocol for CrashesCostNothing {
    fn recover(&self, step: &Step) -> Recovery {
        match step.kind {
            Kind::AtMostOnce => Recovery::Settle(Outcome::InDoubt),
            Kind::Transactional | Kind::Keyed | Kind::Timer => Recovery::Again,
        }
    }
}

#[derive(Debug)]
pub(super) struct AtMostOnceRunsAgain;
impl Protocol for AtMostOnceRunsAgain {
    fn recover(&self, _: &Step) -> Recovery {
        Recovery::Again
    }
}

#[derive(Debug)]
pub(super) struct InDoubtIsCalledFailed;
impl Protocol for InDoubtIsCalledFailed {
    fn recover(&self, step: &Step) -> Recovery {
        match step.kind {
            Kind::AtMostOnce => Recovery::Settle(Outcome::Failed(Cause::Final)),
            Kind::Transactional | Kind::Keyed | Kind::Timer => hydra_protocol::Reference.recover(step),
        }
    }
}

#[derive(Debug)]
pub(super) struct CancelLeavesStepsOpen;
impl Protocol for CancelLeavesStepsOpen {
    fn cancel(&self, rows: &Rows) -> Result<Commit, Rejection> {
        Ok(Commit { abandon_open: false, ..cancel::cancel(rows)? })
    }
}

#[derive(Debug)]
pub(super) struct StartOverwrites;
impl Protocol for StartOverwrites {
    fn start(&self, rows: &Rows, due_at: Time, deadline: Option<Time>, replays_max: u32) -> Result<Commit, Rejection> {
        let fresh = start::start(self, &Rows { execution: None, ..*rows }, due_at, deadline, replays_max)?;
        Ok(Commit { guard: rows.execution.map(|execution| execution.epoch), ..fresh })
    }
}

#[derive(Debug)]
pub(super) struct StrangerFailsEverything;
impl Protocol for StrangerFailsEverything {
    fn claim(&self, rows: &Rows, lease: Span, knows: bool, now: Time) -> Result<Commit, Rejection> {
        let commit = claim::claim(self, rows, lease, true, now)?;
        if knows {
            return Ok(commit);
        }
        let execution = commit.execution.ok_or(Rejection::UnknownWorkflow)?;
        let ending = Ending::Failed(Failure::Workflow);
        let ended = Execution { status: Status::Ended(ending), ..execution };
        Ok(Commit::write(commit.guard, ended, Reply::Ended(ending)).abandoning())
    }
}

#[derive(Debug)]
pub(super) struct SettleAppliesTwice;
impl Protocol for SettleAppliesTwice {
    fn settle(
        &self,
        rows: &Rows,
        epoch: Epoch,
        attempt: u32,
        settlement: Settlement,
        now: Time,
    ) -> Result<Commit, Rejection> {
        let step = rows.step.map(|step| match step.settled() {
            Some(_) if step.attempt == attempt => Step { state: StepState::Running, ..step },
            _ => step,
        });
        settle::settle(self, &Rows { step, ..*rows }, epoch, attempt, settlement, now)
    }
}

#[derive(Debug)]
pub(super) struct OrderIsLost;
impl Protocol for OrderIsLost {
    fn settled_state(&self, step: &Step, settlement: Settlement, _: u32, now: Time) -> StepState {
        settle::settled_state(self, step, settlement, 1, now)
    }
}

#[derive(Debug)]
pub(super) struct LeaseOutlivesTheDeadline;
impl Protocol for LeaseOutlivesTheDeadline {
    fn lease_end(&self, _: &Execution, lease: Span, now: Time) -> Time {
        now + lease + lease + lease
    }
}

#[derive(Debug)]
pub(super) struct RetryOpensAnything;
impl Protocol for RetryOpensAnything {
    fn retry(&self, rows: &Rows, attempts: u32, now: Time) -> Result<Commit, Rejection> {
        let execution = rows.execution.map(|execution| match execution.status {
            Status::Ended(_) => Execution { status: Status::Ended(Ending::Failed(Failure::Workflow)), ..execution },
            Status::Ready { .. } | Status::Leased { .. } => execution,
        });
        retry::retry(&Rows { execution, ..*rows }, attempts, now)
    }
}

#[derive(Debug)]
pub(super) struct RetryForgetsTheEffect;
impl Protocol for RetryForgetsTheEffect {
    fn retry(&self, rows: &Rows, attempts: u32, now: Time) -> Result<Commit, Rejection> {
        let step = rows.step.map(|step| match step.state {
            StepState::Settled { order, outcome: Outcome::Unencodable | Outcome::InDoubt } => {
                Step { state: StepState::Settled { order, outcome: Outcome::Failed(Cause::Final) }, ..step }
            }
            _ => step,
        });
        retry::retry(&Rows { step, ..*rows }, attempts, now)
    }
}
