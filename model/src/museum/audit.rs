//! The audit's findings, one rule each.

use super::{Mutant, Source, mutant};
use crate::world::bounds::Defects;
use hydra_protocol::transitions::{begin, settle};
use hydra_protocol::worker::{lease, step};
use hydra_protocol::{
    Backoff, Command, Commit, Ending, Epoch, Execution, Kind, Protocol, Rejection, Reply, Rows, Settlement, Span,
    Status, Step, StepNo, StepState, StepWrite, Time,
};
use hydra_schedule::Property as P;

const NONE: Defects = Defects { no_unique_key: false, effect_outside_transaction: false };

/// In the order of the audit.
pub(super) const FINDINGS: &[Mutant] = &[
    mutant(
        "step-id-mismatch",
        Source::Finding(1),
        "settle",
        "the completing update names another step id than the row has: no row matches, and the worker is told all is well",
        "a checkpointed step runs again after every restart",
        &[P::SuccessNeverRerun, P::OutcomeTrue],
        &StepIdMismatch,
        NONE,
    ),
    mutant(
        "key-per-attempt",
        Source::Finding(2),
        "key",
        "the body runs again under a new identity, because step and state update do not commit together",
        "the customer is charged twice",
        &[P::EffectOnceKeyed],
        &KeyPerAttempt,
        NONE,
    ),
    mutant(
        "effect-outside-transaction",
        Source::Finding(2),
        "the world: a transactional body commits by itself, before the transaction that settles its step",
        "effect and checkpoint are two transactions",
        "a row that should exist once exists twice",
        &[P::EffectOnceTransactional],
        &hydra_protocol::Reference,
        Defects { effect_outside_transaction: true, ..NONE },
    ),
    mutant(
        "encode-failure-is-retried",
        Source::Finding(3),
        "settlement",
        "a result that cannot be encoded is reported as a failed attempt",
        "a step that succeeded is run again",
        &[P::SuccessNeverRerun],
        &EncodeFailureIsRetried,
        NONE,
    ),
    mutant(
        "no-heartbeats",
        Source::Finding(4),
        "lease_clock",
        "a worker never renews its lease, and never stops itself either",
        "a healthy worker loses its work to another as soon as a step takes long",
        &[P::LeaseKept],
        &NoHeartbeats,
        NONE,
    ),
    mutant(
        "leased-is-never-claimable",
        Source::Finding(5),
        "claimable",
        "a lease that has ended leaves the status at `running`, and no claim looks for that",
        "an execution whose worker died is stuck for ever",
        &[P::CanComplete, P::OrphansRecovered],
        &LeasedIsNeverClaimable,
        NONE,
    ),
    mutant(
        "orphaned-step-is-never-begun",
        Source::Finding(6),
        "begin",
        "a step that another worker left running may not be begun by anybody",
        "a crash in the middle of a step orphans it, and its execution never ends",
        &[P::CanComplete, P::OrphansRecovered],
        &OrphanedStepIsNeverBegun,
        NONE,
    ),
    mutant(
        "no-retry-limit",
        Source::Finding(7),
        "settled_state",
        "the maximum of attempts is stored and never read",
        "a failing step is retried without end",
        &[P::AttemptsBounded],
        &NoRetryLimit,
        NONE,
    ),
    mutant(
        "backoff-overflows",
        Source::Finding(8),
        "backoff",
        "the wait is 1 << attempts seconds in nanoseconds, in 64 bits that wrap",
        "after some attempts the retry comes at once",
        &[P::BackoffBounded],
        &BackoffOverflows,
        NONE,
    ),
    mutant(
        "no-step-lock",
        Source::Finding(9),
        "begin",
        "beginning a step asks neither who drives the execution nor whether somebody is in the step",
        "two workers are inside one step",
        &[P::EpochFenced, P::BodyAtMostOnce],
        &NoStepLock,
        NONE,
    ),
    mutant(
        "status-outside-the-lease",
        Source::Finding(10),
        "finish",
        "the final status is written by whoever comes, over whatever is there",
        "an execution that had succeeded turns to failed",
        &[P::StatusLegal, P::EpochFenced],
        &StatusOutsideTheLease,
        NONE,
    ),
    mutant(
        "no-unique-step",
        Source::Finding(11),
        "begin, and the world: the database has no unique key on steps",
        "a first attempt inserts a row without looking for one; with the unique key the database alone would refuse it",
        "one step has two records",
        &[P::StepUnique],
        &NoUniqueStep,
        Defects { no_unique_key: true, ..NONE },
    ),
    mutant(
        "lost-reply-is-failure",
        Source::Finding(12),
        "step_next",
        "a settlement whose answer is lost is taken for a failure, and reported as one",
        "the execution fails although every effect happened",
        &[P::OutcomeTrue, P::SuccessNeverRerun],
        &LostReplyIsFailure,
        NONE,
    ),
];

#[derive(Debug)]
struct StepIdMismatch;
impl Protocol for StepIdMismatch {
    fn settle(
        &self,
        rows: &Rows,
        epoch: Epoch,
        attempt: u32,
        settlement: Settlement,
        now: Time,
    ) -> Result<Commit, Rejection> {
        let commit = settle::settle(self, rows, epoch, attempt, settlement, now)?;
        Ok(Commit { execution: None, step: None, ..commit })
    }
}

#[derive(Debug)]
struct KeyPerAttempt;
impl Protocol for KeyPerAttempt {
    fn key(&self, step: StepNo, attempt: u32) -> u64 {
        u64::from(step.0) << 32 | u64::from(attempt)
    }
}

#[derive(Debug)]
struct EncodeFailureIsRetried;
impl Protocol for EncodeFailureIsRetried {
    fn settlement(&self, kind: Kind, end: step::BodyEnd, backoff: Backoff, salt: u64) -> Settlement {
        match end {
            step::BodyEnd::Unencodable => Settlement::Failed { retryable: true, backoff, salt },
            end => step::settlement(kind, end, backoff, salt),
        }
    }
}

#[derive(Debug)]
struct NoHeartbeats;
impl Protocol for NoHeartbeats {
    fn lease_clock(&self, _: Time, _: Span) -> lease::LeaseClock {
        lease::LeaseClock { beat_at: Time::MAX, stop_at: Time::MAX }
    }
}

#[derive(Debug)]
struct LeasedIsNeverClaimable;
impl Protocol for LeasedIsNeverClaimable {
    fn claimable(&self, execution: &Execution, now: Time) -> Result<(), Rejection> {
        match execution.status {
            Status::Ended(ending) => Err(Rejection::Ended(ending)),
            Status::Ready { due_at } => self.due(due_at, now),
            Status::Leased { .. } => Err(Rejection::NotDue { due_at: Time::MAX, now }),
        }
    }
}

#[derive(Debug)]
struct OrphanedStepIsNeverBegun;
impl Protocol for OrphanedStepIsNeverBegun {
    fn begin(&self, rows: &Rows, begin: begin::Begin, now: Time) -> Result<Commit, Rejection> {
        match rows.step {
            Some(step) if step.state == StepState::Running && step.epoch != begin.epoch => {
                Err(Rejection::AttemptMismatch { row: step.attempt, asked: begin.attempt })
            }
            _ => begin::begin(self, rows, begin, now),
        }
    }
}

#[derive(Debug)]
struct NoRetryLimit;
impl Protocol for NoRetryLimit {
    fn settled_state(&self, step: &Step, settlement: Settlement, order: u32, now: Time) -> StepState {
        match settlement {
            Settlement::Failed { retryable: true, backoff, salt } => {
                StepState::Waiting { due_at: now + self.backoff(&backoff, step.attempt, salt) }
            }
            settlement => settle::settled_state(self, step, settlement, order, now),
        }
    }
}

/// `1 << attempts` seconds, as nanoseconds in a signed 64-bit number that wraps; at most the cap.
fn wrapping_wait(backoff: &Backoff, attempt: u32) -> Span {
    const SECOND_NS: i64 = 1_000_000_000;
    let wait_ns = SECOND_NS.wrapping_mul(1_i64.wrapping_shl(attempt));
    Span::from_millis((wait_ns / 1_000_000).max(0) as u64).min(backoff.cap)
}

#[derive(Debug)]
struct BackoffOverflows;
impl Protocol for BackoffOverflows {
    fn backoff(&self, backoff: &Backoff, attempt: u32, _: u64) -> Span {
        wrapping_wait(backoff, attempt)
    }
}

/// Begins whatever is not settled, for whoever asks.
fn begin_for_anyone(rows: &Rows, begin: begin::Begin) -> Result<Commit, Rejection> {
    let execution = rows.execution.ok_or(Rejection::UnknownExecution)?;
    if let Status::Ended(ending) = execution.status {
        return Err(Rejection::Ended(ending));
    }
    let attempts_max = if begin.kind == Kind::AtMostOnce { 1 } else { begin.attempts_max };
    let running =
        Step { kind: begin.kind, epoch: begin.epoch, attempt: begin.attempt, attempts_max, state: StepState::Running };
    let write = match rows.step {
        None => StepWrite::Insert(running),
        Some(step) => match step.settled() {
            Some((order, outcome)) => return Ok(Commit::answer(&execution, Reply::Settled { order, outcome })),
            None => StepWrite::Update(Step { attempts_max: step.attempts_max, ..running }),
        },
    };
    Ok(Commit::answer(&execution, Reply::Run { attempt: begin.attempt }).with_step(write))
}

#[derive(Debug)]
struct NoStepLock;
impl Protocol for NoStepLock {
    fn begin(&self, rows: &Rows, begin: begin::Begin, _: Time) -> Result<Commit, Rejection> {
        begin_for_anyone(rows, begin)
    }
}

/// Ends the execution for whoever asks.
fn finish_for_anyone(rows: &Rows, ending: Ending) -> Result<Commit, Rejection> {
    let execution = rows.execution.ok_or(Rejection::UnknownExecution)?;
    let ended = Execution { status: Status::Ended(ending), ..execution };
    Ok(Commit::write(Some(execution.epoch), ended, Reply::Ended(ending)).abandoning())
}

#[derive(Debug)]
struct StatusOutsideTheLease;
impl Protocol for StatusOutsideTheLease {
    fn finish(&self, rows: &Rows, _: Epoch, ending: Ending) -> Result<Commit, Rejection> {
        finish_for_anyone(rows, ending)
    }
}

#[derive(Debug)]
struct NoUniqueStep;
impl Protocol for NoUniqueStep {
    fn begin(&self, rows: &Rows, begin: begin::Begin, now: Time) -> Result<Commit, Rejection> {
        let rows = if begin.attempt == 1 { Rows { step: None, ..*rows } } else { *rows };
        begin::begin(self, &rows, begin, now)
    }
}

#[derive(Debug)]
struct LostReplyIsFailure;
impl Protocol for LostReplyIsFailure {
    fn step_next(&self, plan: &step::Plan, phase: step::Phase, event: step::Event) -> (step::Phase, step::Action) {
        match (phase, event) {
            (step::Phase::Asking(Command::Settle { epoch, attempt, .. }), step::Event::Lost) => {
                let settlement = Settlement::Failed { retryable: true, backoff: plan.backoff, salt: plan.salt };
                let command = Command::Settle { epoch, attempt, settlement };
                (step::Phase::Asking(command), step::Action::Ask(command))
            }
            (phase, event) => step::next(self, plan, phase, event),
        }
    }
}

/// All findings on at once.
pub(super) const AS_AUDITED: Mutant = mutant(
    "hydra-as-audited",
    Source::All,
    "all of the above",
    "Hydra as the audit found it: no epochs, no heartbeats, no step lock, no retry limit, no unique key, two transactions for a step",
    "duplicate effects, lost work, contradictory state",
    &[
        P::EffectOnceKeyed,
        P::SuccessNeverRerun,
        P::LeaseKept,
        P::AttemptsBounded,
        P::StepUnique,
        P::StatusLegal,
        P::EpochFenced,
        P::OutcomeTrue,
    ],
    &HydraAsAudited,
    Defects { no_unique_key: true, effect_outside_transaction: true },
);

#[derive(Debug)]
struct HydraAsAudited;
impl Protocol for HydraAsAudited {
    fn next_epoch(&self, epoch: Epoch) -> Result<Epoch, Rejection> {
        Ok(epoch.max(Epoch(1)))
    }
    fn claimable(&self, execution: &Execution, now: Time) -> Result<(), Rejection> {
        // The clean-up deletes the lease; here the worker that starts again finds its own name in it and goes on.
        match execution.status {
            Status::Ended(ending) => Err(Rejection::Ended(ending)),
            Status::Ready { due_at } | Status::Leased { due_at } => self.due(due_at, now),
        }
    }
    fn settle(
        &self,
        rows: &Rows,
        epoch: Epoch,
        attempt: u32,
        settlement: Settlement,
        now: Time,
    ) -> Result<Commit, Rejection> {
        StepIdMismatch.settle(rows, epoch, attempt, settlement, now).map(|commit| match settlement {
            // A failure is written by another statement, under the right id.
            Settlement::Failed { .. } => {
                let step = rows.step.map(|step| {
                    let state = self.settled_state(&step, settlement, 1, now);
                    StepWrite::Update(Step { state, ..step })
                });
                Commit { step, ..commit }
            }
            Settlement::Succeeded | Settlement::Unencodable | Settlement::InDoubt => commit,
        })
    }
    fn key(&self, step: StepNo, attempt: u32) -> u64 {
        KeyPerAttempt.key(step, attempt)
    }
    fn settlement(&self, kind: Kind, end: step::BodyEnd, backoff: Backoff, salt: u64) -> Settlement {
        EncodeFailureIsRetried.settlement(kind, end, backoff, salt)
    }
    fn lease_clock(&self, sent_at: Time, span: Span) -> lease::LeaseClock {
        NoHeartbeats.lease_clock(sent_at, span)
    }
    fn settled_state(&self, step: &Step, settlement: Settlement, order: u32, now: Time) -> StepState {
        NoRetryLimit.settled_state(step, settlement, order, now)
    }
    fn backoff(&self, backoff: &Backoff, attempt: u32, salt: u64) -> Span {
        BackoffOverflows.backoff(backoff, attempt, salt)
    }
    fn begin(&self, rows: &Rows, begin: begin::Begin, _: Time) -> Result<Commit, Rejection> {
        // Two workers read that there is no row; both insert one.
        let rows = if begin.attempt == 1 { Rows { step: None, ..*rows } } else { *rows };
        begin_for_anyone(&rows, begin)
    }
    fn finish(&self, rows: &Rows, _: Epoch, ending: Ending) -> Result<Commit, Rejection> {
        finish_for_anyone(rows, ending)
    }
}
