//! What other engines have shipped, one rule each.

use super::rules::{
    AnyHeartbeatRenews, AtMostOnceRunsAgain, CancelLeavesStepsOpen, CheckpointErrorIsNotFound, ClaimTrustsASnapshot,
    CrashesCostNothing, EpochNeverRaised, InDoubtIsCalledFailed, LeaseOutlivesTheDeadline, LostReplyCostsAnAttempt,
    OrderIsLost, ReplayDiffers, RetryForgetsTheEffect, RetryOpensAnything, SettleAppliesTwice, SleepReturnsEarly,
    SleeperIsDueAtOnce, SleeperIsLost, StartOverwrites, StrangerFailsEverything, ZombieSettles,
};
use super::{Mutant, Source, mutant};
use crate::world::bounds::Defects;
use hydra_protocol::Protocol;
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
