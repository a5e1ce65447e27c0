//! Each property is seen failing: a mutant overrides one rule, and the property that it breaks must fall.

use hydra_protocol::Protocol;

use self::executions::*;
use self::steps::*;
use crate::properties::fixed;
use crate::property as p;
use crate::store::{INVARIANTS, WRITES_FIT};
use crate::{liveness, watch};

/// Declares mutants, each by the one method that it overrides.
macro_rules! mutant {
    ($(#[doc = $doc:literal])+ $name:ident { $($method:item)+ }) => {
        $(#[doc = $doc])+
        pub struct $name;
        impl Protocol for $name { $($method)+ }
    };
}

mod executions;
mod steps;

/// Whether the property falls in some schedule. (What a schedule breaks first is what it is judged by.)
fn falls<P: Protocol>(rules: &P, property: &str) {
    let mut others: Vec<&str> = vec![];
    for moves in fixed(2_000, 120) {
        match watch::run(rules, &moves) {
            Err(defect) if defect.property == property => return,
            Err(defect) => others.push(defect.property),
            Ok(_) => {}
        }
    }
    others.sort_unstable();
    others.dedup();
    panic!("`{property}` never fell, but these did: {others:?}");
}

/// Whether the execution is stuck in some schedule.
fn gets_stuck<P: Protocol>(rules: &P) {
    let stuck = fixed(300, 60).find_map(|moves| liveness::ends_from_every_state(rules, &moves).err());
    assert_eq!(stuck.expect("stuck somewhere").property, liveness::ENDS);
}

/// One test a mutant: the property that it breaks.
macro_rules! caught {
    ($($test:ident: $mutant:ident breaks $property:expr;)+) => { $(
        #[test]
        fn $test() { falls(&$mutant, $property); }
    )+ };
}

caught! {
    no_fence: NoFence breaks p::FENCED;
    fence_by_epoch_alone: FenceByEpochAlone breaks p::FENCED;
    epoch_not_raised: EpochNotRaised breaks p::EPOCHS_RISE;
    claim_at_once: ClaimAtOnce breaks p::NOT_BEFORE_DUE;
    claim_while_leased: ClaimWhileLeased breaks p::ONE_LEASE;
    always_due: AlwaysDue breaks p::NOT_BEFORE_DUE;
    due_early: DueEarly breaks p::TIMERS;
    recover_without_bound: RecoverWithoutBound breaks INVARIANTS;
    recover_at_most_once: RecoverAtMostOnce breaks INVARIANTS;
    retry_without_bound: RetryWithoutBound breaks INVARIANTS;
    unencodable_fails: UnencodableFails breaks p::RECORDED;
    no_backoff: NoBackoff breaks p::BACKOFFS;
    grant_asked: GrantAsked breaks p::ATTEMPTS;
    grant_none: GrantNone breaks INVARIANTS;
    lease_past_deadline: LeasePastDeadline breaks INVARIANTS;
    wake_past_deadline: WakePastDeadline breaks INVARIANTS;
    cancel_leaves_steps: CancelLeavesSteps breaks INVARIANTS;
    cancel_waits: CancelWaits breaks p::TRUE_ANSWERS;
    cancel_the_ended: CancelTheEnded breaks p::ENDED_STAYS;
    start_ignores_input: StartIgnoresInput breaks p::START_ONCE;
    start_only_once: StartOnlyOnce breaks p::IDEMPOTENT;
    renew_expired: RenewExpired breaks p::RENEWAL;
    renew_shorter: RenewShorter breaks p::RENEWAL;
    begin_unnamed: BeginUnnamed breaks p::IDEMPOTENT;
    begin_inserts_twice: BeginInsertsTwice breaks WRITES_FIT;
    settle_any_attempt: SettleAnyAttempt breaks p::STALE_REPORT;
    settle_only_once: SettleOnlyOnce breaks p::IDEMPOTENT;
    settle_without_order: SettleWithoutOrder breaks INVARIANTS;
    sleep_anew: SleepAnew breaks p::TIMERS;
    finish_twice: FinishTwice breaks p::FENCED;
    finish_anyhow: FinishAnyhow breaks INVARIANTS;
    release_only_once: ReleaseOnlyOnce breaks p::IDEMPOTENT;
    claims_uncounted: ClaimsUncounted breaks p::REPLAYS;
    claim_unknowing: ClaimUnknowing breaks p::REPLAYS;
    claim_past_deadline: ClaimPastDeadline breaks p::DEADLINE;
    retry_in_doubt: RetryInDoubt breaks p::SETTLED_STAYS;
    retry_anything: RetryAnything breaks p::ENDED_STAYS;
    resolve_any_order: ResolveAnyOrder breaks p::SETTLED_STAYS;
}

#[test]
fn claim_only_ready_gets_stuck() {
    gets_stuck(&ClaimOnlyReady);
}

#[test]
fn a_lost_wake_up_gets_stuck() {
    gets_stuck(&WakeLost);
}
