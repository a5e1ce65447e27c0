//! What other engines have shipped, one rule each.

use super::{Mutant, Source, mutant};
use crate::world::bounds::Defects;
use hydra_protocol::transitions::{begin, cancel, claim, retry, settle, start};
use hydra_protocol::worker::step;
use hydra_protocol::{
    Cause, Commit, Ending, Epoch, Execution, Failure, Kind, Outcome, Protocol, Recovery, Rejection, Release, Reply,
    Rows, Settlement, Span, Status, Step, StepState, StepWrite, Time,
};
use hydra_schedule::Property as P;

/// One rule that other engines got wrong.
const fn other(
    name: &'static str,
    rule: &'static str,
    what: &'static str,
    seen: &'static str,
    breaks: &'static [P],
    rules: &'static (dyn Protocol + Sync),
) -> Mutant {
    const NONE: Defects = Defects { no_unique_key: false, effect_outside_transaction: false };
    mutant(name, Source::Beyond, rule, what, seen, breaks, rules, NONE)
}

/// In no order.
pub(super) const OTHERS: &[Mutant] = &[
    other(
        "zombie-settles",
        "settle",
        "a completion is accepted whatever lease it was made under",
        "a worker that lost its work writes its result over the new owner's",
        &[P::EpochFenced],
        &ZombieSettles,
    ),
    other(
        "any-heartbeat-renews",
        "heartbeat",
        "a heartbeat renews whatever lease is there, ended or another's",
        "a worker that lost its lease keeps the execution from everybody",
        &[P::EpochFenced],
        &AnyHeartbeatRenews,
    ),
    other(
        "epoch-never-raised",
        "next_epoch",
        "a lease is known by its worker alone, so one claimed twice looks like the same lease (ABA)",
        "two workers drive one execution at the same time",
        &[P::LeaseExclusive, P::EpochFenced],
        &EpochNeverRaised,
    ),
    other(
        "claim-trusts-a-snapshot",
        "claimable",
        "a claim trusts what it read before the last owner claimed; likewise a sweep that re-runs what is still live",
        "a healthy worker loses its work to another",
        &[P::LeaseKept],
        &ClaimTrustsASnapshot,
    ),
    other(
        "checkpoint-error-is-not-found",
        "step_next and begin: either alone is caught by the other",
        "a checkpoint that cannot be read is taken for one that is not there",
        "a finished step is run again",
        &[P::CheckpointImmutable, P::SuccessNeverRerun],
        &CheckpointErrorIsNotFound,
    ),
    other(
        "sleep-returns-early",
        "fire",
        "a timer fires when a worker says so, by whatever clock it has",
        "a sleep ends too early",
        &[P::TimerNotEarly],
        &SleepReturnsEarly,
    ),
    other(
        "sleeper-is-lost",
        "wake_at",
        "a parked execution has no due time: the wake-up is in the memory of the worker that parked it",
        "a sleeping execution never wakes",
        &[P::TimerNotLost, P::NothingStuck],
        &SleeperIsLost,
    ),
    other(
        "sleeper-is-due-at-once",
        "wake_at",
        "a parked execution is due at once",
        "an execution is claimed and given back over and over while it sleeps",
        &[P::Terminates],
        &SleeperIsDueAtOnce,
    ),
    other(
        "replay-differs",
        "step_next",
        "replay reads a checkpoint otherwise than the live run did",
        "after a restart the program sees other values than before, and fails",
        &[P::ReplayFaithful],
        &ReplayDiffers,
    ),
    other(
        "lost-reply-costs-an-attempt",
        "begin",
        "asking again for an attempt whose answer was lost counts as another attempt",
        "a step is given up before its attempts were used",
        &[P::BudgetHonest],
        &LostReplyCostsAnAttempt,
    ),
    other(
        "crashes-cost-nothing",
        "recover",
        "an attempt that never came back is not counted against the limit",
        "a step that kills its worker is retried without end",
        &[P::AttemptsBounded],
        &CrashesCostNothing,
    ),
    other(
        "at-most-once-runs-again",
        "recover",
        "an at-most-once step whose worker died is begun again",
        "a step that may run only once ran twice",
        &[P::BodyAtMostOnce, P::InDoubtShown],
        &AtMostOnceRunsAgain,
    ),
    other(
        "in-doubt-is-called-failed",
        "recover",
        "an at-most-once step whose worker died is recorded as failed",
        "a step that may have happened is called failed",
        &[P::InDoubtShown],
        &InDoubtIsCalledFailed,
    ),
    other(
        "cancel-leaves-steps-open",
        "cancel",
        "cancelling writes the status and leaves `running` rows behind",
        "a cancelled execution still shows running steps",
        &[P::CancelClean, P::RowsConsistent],
        &CancelLeavesStepsOpen,
    ),
    other(
        "start-overwrites",
        "start",
        "starting under an id that is taken starts over",
        "one start makes two executions",
        &[P::StartIdempotent],
        &StartOverwrites,
    ),
    other(
        "stranger-fails-everything",
        "claim",
        "a worker that lacks the workflow fails what it claims",
        "a deployment with a missing workflow fails every execution of it",
        &[P::OutcomeTrue],
        &StrangerFailsEverything,
    ),
    other(
        "settle-applies-twice",
        "settle",
        "a settlement that is asked again is applied again",
        "a row that should exist once exists twice",
        &[P::EffectOnceTransactional, P::CheckpointImmutable],
        &SettleAppliesTwice,
    ),
    other(
        "order-is-lost",
        "settled_state",
        "steps do not record in which order they settled",
        "a race ends otherwise when it is replayed",
        &[P::RowsConsistent],
        &OrderIsLost,
    ),
    other(
        "lease-outlives-the-deadline",
        "lease_end",
        "a lease may end after the deadline of its execution",
        "an execution runs on after its deadline",
        &[P::RowsConsistent],
        &LeaseOutlivesTheDeadline,
    ),
    other(
        "retry-opens-anything",
        "retry",
        "an operator's retry opens whatever has ended",
        "an execution that was cancelled or had succeeded runs again",
        &[P::StatusLegal],
        &RetryOpensAnything,
    ),
    other(
        "retry-forgets-the-effect",
        "retry",
        "an operator's retry runs a step again whose result was lost",
        "a step that succeeded is run again",
        &[P::SuccessNeverRerun],
        &RetryForgetsTheEffect,
    ),
];

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
struct ZombieSettles;
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
struct AnyHeartbeatRenews;
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
struct EpochNeverRaised;
impl Protocol for EpochNeverRaised {
    fn next_epoch(&self, epoch: Epoch) -> Result<Epoch, Rejection> {
        Ok(epoch.max(Epoch(1)))
    }
}

#[derive(Debug)]
struct ClaimTrustsASnapshot;
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
struct CheckpointErrorIsNotFound;
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
struct SleepReturnsEarly;
impl Protocol for SleepReturnsEarly {
    fn fire(&self, rows: &Rows, epoch: Epoch, _: Time) -> Result<Commit, Rejection> {
        hydra_protocol::transitions::fire::fire(self, rows, epoch, Time::MAX)
    }
}

#[derive(Debug)]
struct SleeperIsLost;
impl Protocol for SleeperIsLost {
    fn wake_at(&self, _: &Execution, release: Release, now: Time) -> Time {
        match release {
            Release::Shutdown => now,
            Release::Parked { .. } => Time::MAX,
        }
    }
}

#[derive(Debug)]
struct SleeperIsDueAtOnce;
impl Protocol for SleeperIsDueAtOnce {
    fn wake_at(&self, _: &Execution, _: Release, now: Time) -> Time {
        now
    }
}

#[derive(Debug)]
struct ReplayDiffers;
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
struct LostReplyCostsAnAttempt;
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
struct CrashesCostNothing;
impl Protocol for CrashesCostNothing {
    fn recover(&self, step: &Step) -> Recovery {
        match step.kind {
            Kind::AtMostOnce => Recovery::Settle(Outcome::InDoubt),
            Kind::Transactional | Kind::Keyed | Kind::Timer => Recovery::Again,
        }
    }
}

#[derive(Debug)]
struct AtMostOnceRunsAgain;
impl Protocol for AtMostOnceRunsAgain {
    fn recover(&self, _: &Step) -> Recovery {
        Recovery::Again
    }
}

#[derive(Debug)]
struct InDoubtIsCalledFailed;
impl Protocol for InDoubtIsCalledFailed {
    fn recover(&self, step: &Step) -> Recovery {
        match step.kind {
            Kind::AtMostOnce => Recovery::Settle(Outcome::Failed(Cause::Final)),
            Kind::Transactional | Kind::Keyed | Kind::Timer => hydra_protocol::Reference.recover(step),
        }
    }
}

#[derive(Debug)]
struct CancelLeavesStepsOpen;
impl Protocol for CancelLeavesStepsOpen {
    fn cancel(&self, rows: &Rows) -> Result<Commit, Rejection> {
        Ok(Commit { abandon_open: false, ..cancel::cancel(rows)? })
    }
}

#[derive(Debug)]
struct StartOverwrites;
impl Protocol for StartOverwrites {
    fn start(&self, rows: &Rows, due_at: Time, deadline: Option<Time>, replays_max: u32) -> Result<Commit, Rejection> {
        let fresh = start::start(self, &Rows { execution: None, ..*rows }, due_at, deadline, replays_max)?;
        Ok(Commit { guard: rows.execution.map(|execution| execution.epoch), ..fresh })
    }
}

#[derive(Debug)]
struct StrangerFailsEverything;
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
struct SettleAppliesTwice;
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
struct OrderIsLost;
impl Protocol for OrderIsLost {
    fn settled_state(&self, step: &Step, settlement: Settlement, _: u32, now: Time) -> StepState {
        settle::settled_state(self, step, settlement, 1, now)
    }
}

#[derive(Debug)]
struct LeaseOutlivesTheDeadline;
impl Protocol for LeaseOutlivesTheDeadline {
    fn lease_end(&self, _: &Execution, lease: Span, now: Time) -> Time {
        now + lease + lease + lease
    }
}

#[derive(Debug)]
struct RetryOpensAnything;
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
struct RetryForgetsTheEffect;
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
