//! Each property is seen failing: a mutant overrides one rule, and the property that it breaks must fall.

use hydra_protocol::transitions::begin::Begin;
use hydra_protocol::transitions::{cancel, finish, heartbeat, release, resolve, retry, settle, sleep, start};
use hydra_protocol::{
    Backoff, Cause, Commit, Ending, Epoch, Execution, Kind, Outcome, Protocol, Recovery, Rejection, Release, Reply,
    Rows, Settlement, Span, Status, Step, StepState, StepWrite, Time, Verdict, Wake,
};

use crate::liveness;
use crate::properties::fixed;
use crate::store::{INVARIANTS, WRITES_FIT};
use crate::watch::{self, property as p};

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

/// Declares mutants, each by the one method that it overrides.
macro_rules! mutant {
    ($(#[doc = $doc:literal])+ $name:ident { $($method:item)+ }) => {
        $(#[doc = $doc])+
        struct $name;
        impl Protocol for $name { $($method)+ }
    };
}

mutant! {
    /// A zombie writes on after another worker has taken over.
    NoFence { fn fence(&self, _: &Execution, _: Epoch) -> Result<(), Rejection> { Ok(()) } }
}
mutant! {
    /// A lease given back is taken for a lease held.
    FenceByEpochAlone {
        fn fence(&self, execution: &Execution, epoch: Epoch) -> Result<(), Rejection> {
            let latest = execution.epoch;
            match execution.status {
                Status::Ended(ending) => Err(Rejection::Ended(ending)),
                _ if latest != epoch => Err(Rejection::StaleEpoch { held: epoch, latest }),
                _ => Ok(()),
            }
        }
    }
}
mutant! {
    /// The same epoch for every lease.
    EpochNotRaised {
        fn next_epoch(&self, epoch: Epoch) -> Result<Epoch, Rejection> { Ok(epoch.max(Epoch(1))) }
    }
}
mutant! {
    /// Anybody may claim at any time.
    ClaimAtOnce { fn claimable(&self, _: &Execution, _: Time) -> Result<(), Rejection> { Ok(()) } }
}
mutant! {
    /// A lease is taken while it is in force; due times of what is ready hold.
    ClaimWhileLeased {
        fn claimable(&self, execution: &Execution, now: Time) -> Result<(), Rejection> {
            match execution.status {
                Status::Ended(ending) => Err(Rejection::Ended(ending)),
                Status::Leased { .. } => Ok(()),
                Status::Ready { due_at } => self.due(due_at, now),
            }
        }
    }
}
mutant! {
    /// The audited engine: the lease of a dead worker is gone, its status says `running`, and no claim looks for that.
    ClaimOnlyReady {
        fn claimable(&self, execution: &Execution, now: Time) -> Result<(), Rejection> {
            match execution.status {
                Status::Ended(ending) => Err(Rejection::Ended(ending)),
                Status::Leased { due_at } => Err(Rejection::NotDue { due_at, now }),
                Status::Ready { due_at } => self.due(due_at, now),
            }
        }
    }
}
mutant! {
    /// Every due time has come.
    AlwaysDue { fn due(&self, _: Time, _: Time) -> Result<(), Rejection> { Ok(()) } }
}
mutant! {
    /// A timer fires, and a backoff ends, a millisecond early.
    DueEarly {
        fn due(&self, due_at: Time, now: Time) -> Result<(), Rejection> {
            hydra_protocol::Reference.due(due_at, now + Span::from_millis(1))
        }
    }
}
mutant! {
    /// An orphaned attempt is always tried again: a step that kills its worker never ends.
    RecoverWithoutBound {
        fn recover(&self, step: &Step) -> Recovery {
            match step.kind {
                Kind::AtMostOnce => Recovery::Settle(Outcome::InDoubt),
                Kind::Transactional | Kind::Keyed | Kind::Timer => Recovery::Again,
            }
        }
    }
}
mutant! {
    /// An at-most-once body runs again after its worker died in it.
    RecoverAtMostOnce { fn recover(&self, _: &Step) -> Recovery { Recovery::Again } }
}
mutant! {
    /// The most attempts are stored and never read: a failed attempt always waits for the next.
    RetryWithoutBound {
        fn settled_state(&self, step: &Step, settlement: Settlement, order: u32, now: Time) -> StepState {
            match settlement {
                Settlement::Failed { retryable: true, backoff, salt } => {
                    StepState::Waiting { due_at: now + self.backoff(&backoff, step.attempt, salt) }
                }
                _ => settle::settled_state(self, step, settlement, order, now),
            }
        }
    }
}
mutant! {
    /// A result that cannot be encoded counts as a failed attempt: a known success runs again.
    UnencodableFails {
        fn settled_state(&self, step: &Step, settlement: Settlement, order: u32, now: Time) -> StepState {
            match settlement {
                Settlement::Unencodable if step.attempt < step.attempts_max => StepState::Waiting { due_at: now },
                _ => settle::settled_state(self, step, settlement, order, now),
            }
        }
    }
}
mutant! {
    /// No wait between attempts.
    NoBackoff { fn backoff(&self, _: &Backoff, _: u32, _: u64) -> Span { Span::ZERO } }
}
mutant! {
    /// At most once is granted what was asked for.
    GrantAsked {
        fn attempts_granted(&self, kind: Kind, asked: u32) -> u32 {
            if kind == Kind::Timer { 0 } else { asked.max(1) }
        }
        fn recover(&self, step: &Step) -> Recovery {
            if step.attempt < step.attempts_max { Recovery::Again } else { Recovery::Settle(Outcome::InDoubt) }
        }
    }
}
mutant! {
    /// Asked for no attempts, it grants none, and begins the first nonetheless.
    GrantNone { fn attempts_granted(&self, _: Kind, asked: u32) -> u32 { asked } }
}
mutant! {
    /// A lease runs past the deadline.
    LeasePastDeadline {
        fn lease_end(&self, _: &Execution, lease: Span, now: Time) -> Time { now + lease }
    }
}
mutant! {
    /// A parked execution wakes past its deadline.
    WakePastDeadline {
        fn wake_at(&self, _: &Execution, release: Release, now: Time) -> Time {
            match release {
                Release::Shutdown => now,
                Release::Parked { wake } => wake,
            }
        }
    }
}
mutant! {
    /// A parked execution is parked for good: its sleep is lost.
    WakeLost {
        fn wake_at(&self, _: &Execution, release: Release, now: Time) -> Time {
            match release {
                Release::Shutdown => now,
                Release::Parked { .. } => Time::MAX,
            }
        }
        fn start(&self, rows: &Rows, due_at: Time, _: Option<Time>, replays: u32) -> Result<Commit, Rejection> {
            start::start(self, rows, due_at, None, replays)
        }
    }
}
mutant! {
    /// Cancellation leaves open steps behind.
    CancelLeavesSteps {
        fn cancel(&self, rows: &Rows) -> Result<Commit, Rejection> {
            cancel::cancel(rows).map(|commit| Commit { abandon_open: false, ..commit })
        }
    }
}
mutant! {
    /// Cancellation only marks the execution for its worker, which may never come.
    CancelWaits {
        fn cancel(&self, rows: &Rows) -> Result<Commit, Rejection> {
            cancel::cancel(rows).map(|commit| Commit { execution: None, abandon_open: false, ..commit })
        }
    }
}
mutant! {
    /// Cancellation overwrites an ending.
    CancelTheEnded {
        fn cancel(&self, rows: &Rows) -> Result<Commit, Rejection> {
            let execution = rows.execution.ok_or(Rejection::UnknownExecution)?;
            let ended = Execution { status: Status::Ended(Ending::Cancelled), ..execution };
            Ok(Commit::write(Some(execution.epoch), ended, Reply::Ended(Ending::Cancelled)).abandoning())
        }
    }
}
mutant! {
    /// Another input under the same id is told that it started.
    StartIgnoresInput {
        fn start(&self, rows: &Rows, due: Time, deadline: Option<Time>, replays: u32) -> Result<Commit, Rejection> {
            start::start(self, &Rows { same_input: true, ..*rows }, due, deadline, replays)
        }
    }
}
mutant! {
    /// A lost answer to a start is an error to its client.
    StartOnlyOnce {
        fn start(&self, rows: &Rows, due: Time, deadline: Option<Time>, replays: u32) -> Result<Commit, Rejection> {
            start::start(self, &Rows { same_input: false, ..*rows }, due, deadline, replays)
        }
    }
}
mutant! {
    /// A lease is renewed after it ended.
    RenewExpired {
        fn heartbeat(&self, rows: &Rows, epoch: Epoch, lease: Span, now: Time) -> Result<Commit, Rejection> {
            match heartbeat::heartbeat(self, rows, epoch, lease, now) {
                Err(Rejection::LeaseExpired { .. }) => {
                    let execution = rows.execution.ok_or(Rejection::UnknownExecution)?;
                    let due_at = self.lease_end(&execution, lease, now);
                    let renewed = Execution { status: Status::Leased { due_at }, ..execution };
                    let lease = due_at.since(now);
                    Ok(Commit::write(Some(execution.epoch), renewed, Reply::Renewed { lease }))
                }
                decided => decided,
            }
        }
    }
}
mutant! {
    /// A heartbeat shortens a lease.
    RenewShorter {
        fn heartbeat(&self, rows: &Rows, epoch: Epoch, lease: Span, now: Time) -> Result<Commit, Rejection> {
            let commit = heartbeat::heartbeat(self, rows, epoch, lease, now)?;
            let execution = rows.execution.ok_or(Rejection::UnknownExecution)?;
            let due_at = self.lease_end(&execution, lease, now);
            let renewed = Execution { status: Status::Leased { due_at }, ..execution };
            Ok(Commit { execution: Some(renewed), reply: Reply::Renewed { lease: due_at.since(now) }, ..commit })
        }
    }
}
mutant! {
    /// A begin does not name its attempt: a late duplicate begins one behind the worker's back.
    BeginUnnamed {
        fn begin(&self, rows: &Rows, begin: Begin, now: Time) -> Result<Commit, Rejection> {
            let attempt = rows.step.map_or(1, |step| step.attempt + 1);
            hydra_protocol::transitions::begin::begin(self, rows, Begin { attempt, ..begin }, now)
        }
    }
}
mutant! {
    /// Two workers see that the step has no row, and both insert one.
    BeginInsertsTwice {
        fn begin(&self, rows: &Rows, begin: Begin, now: Time) -> Result<Commit, Rejection> {
            let commit = hydra_protocol::transitions::begin::begin(self, rows, begin, now)?;
            let step = commit.step.map(|write| StepWrite::Insert(*write.step()));
            Ok(Commit { step, ..commit })
        }
    }
}
mutant! {
    /// A late report of an older attempt, or one of another lease, settles the attempt under way.
    SettleAnyAttempt {
        fn settle(&self, rows: &Rows, epoch: Epoch, _: u32, how: Settlement, now: Time) -> Result<Commit, Rejection> {
            let step = rows.step.map(|step| Step { epoch, ..step });
            let attempt = step.map_or(0, |step| step.attempt);
            settle::settle(self, &Rows { step, ..*rows }, epoch, attempt, how, now)
        }
    }
}
mutant! {
    /// A lost answer to a settlement is an error to its worker.
    SettleOnlyOnce {
        fn settle(&self, rows: &Rows, epoch: Epoch, attempt: u32, how: Settlement, now: Time) -> Result<Commit, Rejection> {
            match rows.step.and_then(|step| step.settled()) {
                Some((_, outcome)) => Err(Rejection::StepSettled(outcome)),
                None => settle::settle(self, rows, epoch, attempt, how, now),
            }
        }
    }
}
mutant! {
    /// The order is not counted, so replay cannot tell who was first.
    SettleWithoutOrder {
        fn settle(&self, rows: &Rows, epoch: Epoch, attempt: u32, how: Settlement, now: Time) -> Result<Commit, Rejection> {
            let commit = settle::settle(self, rows, epoch, attempt, how, now)?;
            Ok(Commit { execution: None, ..commit })
        }
    }
}
mutant! {
    /// A replayed sleep begins anew.
    SleepAnew {
        fn sleep(&self, rows: &Rows, epoch: Epoch, wake: Wake, now: Time) -> Result<Commit, Rejection> {
            let commit = sleep::sleep(self, &Rows { step: None, ..*rows }, epoch, wake, now)?;
            match rows.step {
                Some(step) if matches!(step.state, StepState::Sleeping { .. }) => {
                    Ok(Commit { step: commit.step.map(|write| StepWrite::Update(*write.step())), ..commit })
                }
                _ => sleep::sleep(self, rows, epoch, wake, now),
            }
        }
    }
}
mutant! {
    /// A late worker's ending overwrites the first.
    FinishTwice {
        fn finish(&self, rows: &Rows, epoch: Epoch, ending: Ending) -> Result<Commit, Rejection> {
            match finish::finish(self, rows, epoch, ending) {
                Err(Rejection::Ended(_)) => {
                    let execution = rows.execution.ok_or(Rejection::UnknownExecution)?;
                    let ended = Execution { status: Status::Ended(ending), ..execution };
                    Ok(Commit::write(Some(execution.epoch), ended, Reply::Ended(ending)))
                }
                decided => decided,
            }
        }
    }
}
mutant! {
    /// A worker may end an execution for whatever reason.
    FinishAnyhow {
        fn finish(&self, rows: &Rows, epoch: Epoch, ending: Ending) -> Result<Commit, Rejection> {
            match finish::finish(self, rows, epoch, ending) {
                Err(Rejection::IllegalEnding(_)) => {
                    let execution = rows.execution.ok_or(Rejection::UnknownExecution)?;
                    self.fence(&execution, epoch)?;
                    let ended = Execution { status: Status::Ended(ending), ..execution };
                    Ok(Commit::write(Some(execution.epoch), ended, Reply::Ended(ending)).abandoning())
                }
                decided => decided,
            }
        }
    }
}
mutant! {
    /// Giving a lease back twice gives it back twice.
    ReleaseOnlyOnce {
        fn release(&self, rows: &Rows, epoch: Epoch, how: Release, now: Time) -> Result<Commit, Rejection> {
            let execution = rows.execution.ok_or(Rejection::UnknownExecution)?;
            self.fence(&execution, epoch)?;
            release::release(self, rows, epoch, how, now)
        }
    }
}
mutant! {
    /// A claim is never counted: an execution that kills its workers kills all of them.
    ClaimsUncounted {
        fn claim(&self, rows: &Rows, lease: Span, knows: bool, now: Time) -> Result<Commit, Rejection> {
            let commit = hydra_protocol::transitions::claim::claim(self, rows, lease, knows, now)?;
            Ok(Commit { execution: commit.execution.map(|row| Execution { replays: 0, ..row }), ..commit })
        }
    }
}
mutant! {
    /// A worker without the code claims all the same.
    ClaimUnknowing {
        fn claim(&self, rows: &Rows, lease: Span, _: bool, now: Time) -> Result<Commit, Rejection> {
            hydra_protocol::transitions::claim::claim(self, rows, lease, true, now)
        }
    }
}
mutant! {
    /// Claimed past its deadline, it is driven on.
    ClaimPastDeadline {
        fn claim(&self, rows: &Rows, lease: Span, knows: bool, now: Time) -> Result<Commit, Rejection> {
            let without = rows.execution.map(|row| Execution { deadline: None, ..row });
            hydra_protocol::transitions::claim::claim(self, &Rows { execution: without, ..*rows }, lease, knows, now)
        }
    }
}
mutant! {
    /// A step in doubt is run again by a retry.
    RetryInDoubt {
        fn retry(&self, rows: &Rows, attempts: u32, now: Time) -> Result<Commit, Rejection> {
            let step = rows.step.map(|step| match step.state {
                StepState::Settled { order, outcome: Outcome::InDoubt | Outcome::Unencodable } => {
                    Step { state: StepState::Settled { order, outcome: Outcome::Failed(Cause::Final) }, ..step }
                }
                _ => step,
            });
            retry::retry(&Rows { step, ..*rows }, attempts, now)
        }
    }
}
mutant! {
    /// An ending of any kind can be retried.
    RetryAnything {
        fn retry(&self, rows: &Rows, attempts: u32, now: Time) -> Result<Commit, Rejection> {
            let status = Status::Ended(Ending::Failed(hydra_protocol::Failure::Workflow));
            let execution = rows.execution.map(|row| if row.is_ended() { Execution { status, ..row } } else { row });
            retry::retry(&Rows { execution, ..*rows }, attempts, now)
        }
    }
}
mutant! {
    /// An operator resolves a step on which others were built.
    ResolveAnyOrder {
        fn resolve(&self, rows: &Rows, verdict: Verdict) -> Result<Commit, Rejection> {
            let settled = rows.step.and_then(|step| step.settled()).map(|(order, _)| order);
            let execution = rows.execution.map(|row| Execution { settled: settled.unwrap_or(row.settled), ..row });
            let mut commit = resolve::resolve(&Rows { execution, ..*rows }, verdict)?;
            commit.execution = None;
            Ok(commit)
        }
    }
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
