//! The rules, as one trait of provided methods.

use crate::transitions::{
    begin, cancel, claim, finish, fire, heartbeat, release, resolve, retry, settle, sleep, start,
};
use crate::worker::{drive, lease, step};
use crate::{
    Backoff, Commit, Ending, Epoch, Execution, Kind, Outcome, Rejection, Release, Rows, Settlement, Span, Status, Step,
    StepNo, StepState, Time, Verdict, Wake,
};

/// The right rules. Provided methods call each other through `self`, so a mutant is a type that overrides one of
/// them, and production code holds no switch for a defect.
///
/// The first part are the judgements that several transitions share; then one method a transition, each in a file of
/// its own; then the worker's side. No method reads anything but its arguments.
pub trait Protocol: Sync {
    // ---- Judgements of the store ----------------------------------------------------------------------------------

    /// Whether a worker that holds `epoch` may write.
    ///
    /// Only the epoch decides, never a clock. Without this: (1) A claims W and is paused; (2) its lease ends;
    /// (3) B claims W and finishes it; (4) A goes on and writes `failed` over it.
    fn fence(&self, execution: &Execution, epoch: Epoch) -> Result<(), Rejection> {
        match execution.status {
            Status::Ended(ending) => Err(Rejection::Ended(ending)),
            Status::Ready { .. } | Status::Leased { .. } if execution.epoch != epoch => {
                Err(Rejection::StaleEpoch { held: epoch, latest: execution.epoch })
            }
            // Same epoch, but given back: (1) A gives its lease back; (2) its delayed heartbeat arrives and would push
            // the due time of a sleeper away.
            Status::Ready { .. } => Err(Rejection::NotLeased { latest: execution.epoch }),
            Status::Leased { .. } => Ok(()),
        }
    }

    /// Whether anybody may claim the execution now.
    ///
    /// A lease that has ended is claimable like any other row that is due, whatever its status says. (The audited
    /// engine deleted the lease of a dead worker and left the row `running`, which no claim looked for.)
    fn claimable(&self, execution: &Execution, now: Time) -> Result<(), Rejection> {
        match execution.status {
            Status::Ended(ending) => Err(Rejection::Ended(ending)),
            Status::Ready { due_at } | Status::Leased { due_at } => self.due(due_at, now),
        }
    }

    /// Whether a due time has come, by the store's clock.
    fn due(&self, due_at: Time, now: Time) -> Result<(), Rejection> {
        if now < due_at { Err(Rejection::NotDue { due_at, now }) } else { Ok(()) }
    }

    /// The epoch of the next lease: one higher, never the same again, even for the same worker.
    fn next_epoch(&self, epoch: Epoch) -> Result<Epoch, Rejection> {
        epoch.0.checked_add(1).map(Epoch).ok_or(Rejection::EpochExhausted)
    }

    /// The end of a lease granted at `now`: never after the deadline, so that then a claim can end the execution.
    fn lease_end(&self, execution: &Execution, lease: Span, now: Time) -> Time {
        execution.not_after_deadline(now + lease)
    }

    /// Attempts that a step of this kind is granted when it begins for the first time.
    fn attempts_granted(&self, kind: Kind, asked: u32) -> u32 {
        match kind {
            Kind::Timer => 0,
            Kind::AtMostOnce => 1,
            Kind::Transactional | Kind::Keyed => asked.max(1),
        }
    }

    /// What to do with an attempt whose worker is gone.
    ///
    /// It was counted when it began, so a body that kills its worker ends too. At most once: (1) A begins s and its
    /// body's effect happens; (2) A dies; (3) B begins s again: two effects. So the step is settled as in doubt.
    fn recover(&self, step: &Step) -> Recovery {
        match step.kind {
            // An operator who retries a step that failed for sure grants it another body.
            Kind::AtMostOnce => Recovery::Settle(Outcome::InDoubt),
            Kind::Transactional | Kind::Keyed if step.attempt >= step.attempts_max => {
                Recovery::Settle(Outcome::Failed(crate::Cause::Crashed))
            }
            Kind::Transactional | Kind::Keyed | Kind::Timer => Recovery::Again,
        }
    }

    /// Where a settlement leaves a running step; `order` is the place it takes if it is settled by it.
    fn settled_state(&self, step: &Step, settlement: Settlement, order: u32, now: Time) -> StepState {
        settle::settled_state(self, step, settlement, order, now)
    }

    /// The wait after a failed attempt.
    fn backoff(&self, backoff: &Backoff, attempt: u32, salt: u64) -> Span {
        backoff.wait(attempt, salt)
    }

    /// When an execution whose lease is given back is due again.
    fn wake_at(&self, execution: &Execution, release: Release, now: Time) -> Time {
        match release {
            Release::Shutdown => execution.not_after_deadline(now),
            Release::Parked { wake } => execution.not_after_deadline(wake),
        }
    }

    // ---- Transitions of the store: one file each ------------------------------------------------------------------

    /// See [`start`].
    fn start(&self, rows: &Rows, due_at: Time, deadline: Option<Time>, replays_max: u32) -> Result<Commit, Rejection> {
        start::start(self, rows, due_at, deadline, replays_max)
    }
    /// See [`claim`].
    fn claim(&self, rows: &Rows, lease: Span, knows: bool, now: Time) -> Result<Commit, Rejection> {
        claim::claim(self, rows, lease, knows, now)
    }
    /// See [`heartbeat`].
    fn heartbeat(&self, rows: &Rows, epoch: Epoch, lease: Span, now: Time) -> Result<Commit, Rejection> {
        heartbeat::heartbeat(self, rows, epoch, lease, now)
    }
    /// See [`begin`].
    fn begin(&self, rows: &Rows, begin: begin::Begin, now: Time) -> Result<Commit, Rejection> {
        begin::begin(self, rows, begin, now)
    }
    /// See [`settle`].
    fn settle(
        &self,
        rows: &Rows,
        epoch: Epoch,
        attempt: u32,
        settlement: Settlement,
        now: Time,
    ) -> Result<Commit, Rejection> {
        settle::settle(self, rows, epoch, attempt, settlement, now)
    }
    /// See [`sleep`].
    fn sleep(&self, rows: &Rows, epoch: Epoch, wake: Wake, now: Time) -> Result<Commit, Rejection> {
        sleep::sleep(self, rows, epoch, wake, now)
    }
    /// See [`fire`].
    fn fire(&self, rows: &Rows, epoch: Epoch, now: Time) -> Result<Commit, Rejection> {
        fire::fire(self, rows, epoch, now)
    }
    /// See [`release`].
    fn release(&self, rows: &Rows, epoch: Epoch, release: Release, now: Time) -> Result<Commit, Rejection> {
        release::release(self, rows, epoch, release, now)
    }
    /// See [`finish`].
    fn finish(&self, rows: &Rows, epoch: Epoch, ending: Ending) -> Result<Commit, Rejection> {
        finish::finish(self, rows, epoch, ending)
    }
    /// See [`cancel`].
    fn cancel(&self, rows: &Rows) -> Result<Commit, Rejection> {
        cancel::cancel(rows)
    }
    /// See [`retry`].
    fn retry(&self, rows: &Rows, attempts: u32, now: Time) -> Result<Commit, Rejection> {
        retry::retry(rows, attempts, now)
    }
    /// See [`resolve`].
    fn resolve(&self, rows: &Rows, verdict: Verdict) -> Result<Commit, Rejection> {
        resolve::resolve(rows, verdict)
    }

    // ---- The worker -----------------------------------------------------------------------------------------------

    /// What makes the idempotency key of an attempt, beside the execution's id: the step, never the attempt.
    ///
    /// Otherwise: (1) A's body charges under the key of attempt 1; (2) A dies; (3) B's body charges under the key of
    /// attempt 2, and the receiver cannot know that it is the same charge.
    fn key(&self, step: StepNo, _attempt: u32) -> u64 {
        u64::from(step.0)
    }

    /// What a worker reports of a body that ended.
    fn settlement(&self, kind: Kind, end: step::BodyEnd, backoff: Backoff, salt: u64) -> Settlement {
        step::settlement(kind, end, backoff, salt)
    }

    /// The worker's step machine: see [`step`].
    fn step_next(&self, plan: &step::Plan, phase: step::Phase, event: step::Event) -> (step::Phase, step::Action) {
        step::next(self, plan, phase, event)
    }

    /// The worker's execution machine: see [`drive`].
    fn drive_next(&self, epoch: Epoch, phase: drive::Phase, event: drive::Event) -> (drive::Phase, drive::Action) {
        drive::next(self, epoch, phase, event)
    }

    /// When a lease granted for `span`, asked for at `sent_at` on the worker's own clock, must be renewed and when its
    /// holder must have stopped: see [`lease`].
    fn lease_clock(&self, sent_at: Time, span: Span) -> lease::LeaseClock {
        lease::LeaseClock::granted(sent_at, span)
    }
}

/// What to do with an orphaned attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Recovery {
    /// Begin the next attempt.
    Again,
    /// Settle the step, without a body.
    Settle(Outcome),
}

/// The rules as they are. It overrides nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Reference;

impl Protocol for Reference {}
