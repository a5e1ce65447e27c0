//! One step, from the workflow's asking for it until it has its outcome.
//!
//! | phase | event | next | action |
//! |---|---|---|---|
//! | new | requested; the row is of another step | gone | stop: nondeterministic |
//! | new | requested; settled row | done | deliver its outcome |
//! | new | requested; waiting or sleeping row | waiting | wait |
//! | new | requested; no row, an orphaned or an abandoned one | asking | begin the next attempt, or sleep |
//! | asking | answer to begin: run | running | run the body; transactional: run it inside the settling transaction |
//! | asking | answer: settled | done | deliver |
//! | asking | answer to settle: waiting; to sleep: sleeping; to begin or fire: not due | waiting | wait |
//! | asking | answer: any other rejection; a reply to something else | gone | stop |
//! | asking | answer lost | asking | ask the same again: it is idempotent |
//! | running | body ended | asking | settle |
//! | asking, in a transaction | body failed | asking | settle, by a command of its own |
//! | waiting | due | asking | begin the next attempt, or fire |
//! | any | lease lost | gone | stop; what the body returns is discarded |

use crate::{
    Backoff, Command, Epoch, Kind, Outcome, Protocol, Rejection, Reply, Settlement, Step, StepState, Time, Wake,
};

/// What the workflow asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Plan {
    /// The epoch under which it is driven.
    pub epoch: Epoch,
    /// The step's kind.
    pub kind: Kind,
    /// Attempts allowed. No meaning for a timer.
    pub attempts_max: u32,
    /// Waits between attempts. No meaning for a timer.
    pub backoff: Backoff,
    /// Chooses the jitter; the same for all attempts of this step.
    pub salt: u64,
    /// When a timer is to fire. No meaning for a step with a body.
    pub wake: Wake,
}

/// Where the machine stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The workflow has not asked yet.
    New,
    /// This command is with the store; its answer is awaited.
    Asking(Command),
    /// The body of this attempt runs.
    Running {
        /// The attempt.
        attempt: u32,
    },
    /// Nothing to do before this time of the store's clock.
    Waiting {
        /// When.
        due_at: Time,
        /// Attempts begun so far.
        attempt: u32,
    },
    /// The outcome was delivered.
    Done,
    /// The machine has stopped; whatever arrives is discarded.
    Gone,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The workflow asks for the step.
    Requested {
        /// Its row when the execution was claimed. Since then nobody else could write it.
        row: Option<Step>,
        /// Whether the row is of a step of the same name and kind.
        matches: bool,
    },
    /// The store answered.
    Answer(Result<Reply, Rejection>),
    /// No answer will come: the command may or may not have been applied.
    Lost,
    /// The body ended.
    Body(BodyEnd),
    /// The time waited for has come, by the worker's clock.
    Due,
    /// The lease is gone, or has to be taken for gone.
    LeaseLost,
}

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BodyEnd {
    /// It returned a value, which was encoded and could be read back.
    Returned,
    /// It returned a value that cannot be encoded, or not be read back.
    Unencodable,
    /// It returned an error.
    Error {
        /// Whether another attempt may help.
        retryable: bool,
    },
    /// It panicked: it may have got anywhere.
    Panicked,
    /// It was cancelled at its time limit: it may have got anywhere.
    TimedOut,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Nothing.
    Nothing,
    /// Send this command to the store.
    Ask(Command),
    /// Run the body.
    RunBody {
        /// The attempt.
        attempt: u32,
    },
    /// Run the body inside the store's transaction, which also settles the step by this command; the store decides
    /// first, and runs no body if the step is settled already.
    Transact(Command),
    /// Give the outcome to the workflow, in its turn.
    Deliver {
        /// Its turn.
        order: u32,
        /// The outcome.
        outcome: Outcome,
    },
    /// Report [`Event::Due`] at this time of the store's clock, or give the lease back until then.
    WaitUntil(Time),
    /// This execution cannot be driven on.
    Stop(Stop),
}

/// Why a machine stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stop {
    /// The lease is gone: somebody else may drive the execution. Bodies are cancelled and their results discarded.
    LeaseLost,
    /// The store refused; the evidence says why.
    Rejected(Rejection),
    /// The workflow asked for a step that contradicts the journal.
    Nondeterministic,
    /// The store answered something that is no answer to what was asked.
    Unexpected(Reply),
}

/// The provided [`Protocol::settlement`].
///
/// A body that panicked or timed out may have had its effect. Keyed: it is tried again under the same key.
/// Transactional: it was rolled back. At most once: it is in doubt.
pub fn settlement(kind: Kind, end: BodyEnd, backoff: Backoff, salt: u64) -> Settlement {
    let failed = |retryable| Settlement::Failed { retryable, backoff, salt };
    match (end, kind) {
        (BodyEnd::Returned, _) => Settlement::Succeeded,
        // Rolled back with its transaction, and its result would not encode the next time either.
        (BodyEnd::Unencodable, Kind::Transactional) => failed(false),
        (BodyEnd::Unencodable, Kind::Keyed | Kind::AtMostOnce | Kind::Timer) => Settlement::Unencodable,
        (BodyEnd::Error { .. }, Kind::AtMostOnce) => failed(false),
        (BodyEnd::Error { retryable }, Kind::Transactional | Kind::Keyed | Kind::Timer) => failed(retryable),
        (BodyEnd::Panicked | BodyEnd::TimedOut, Kind::AtMostOnce) => Settlement::InDoubt,
        (BodyEnd::Panicked | BodyEnd::TimedOut, Kind::Transactional | Kind::Keyed | Kind::Timer) => failed(true),
    }
}

/// The provided [`Protocol::step_next`].
pub fn next<P: Protocol + ?Sized>(rules: &P, plan: &Plan, phase: Phase, event: Event) -> (Phase, Action) {
    match (phase, event) {
        (Phase::Gone | Phase::Done, _) => (phase, Action::Nothing),
        (_, Event::LeaseLost) => stop(Stop::LeaseLost),
        (Phase::New, Event::Requested { matches: false, .. }) => stop(Stop::Nondeterministic),
        (Phase::New, Event::Requested { row, .. }) => requested(plan, row),
        (Phase::Asking(command), Event::Answer(answer)) => answered(plan, command, answer),
        // The only right thing to do about an unknown. Taking it for a failure is how a settled step comes to read as
        // failed; taking it for a success is how one comes to be lost.
        (Phase::Asking(command), Event::Lost) => ask(plan, command),
        // A transaction under way: only that its body failed, and was rolled back, is told here. (1) The body returns;
        // (2) its transaction fails to commit; (3) "succeeded" is reported beside it: settled, and without its effect.
        (Phase::Asking(Command::Settle { attempt, settlement: Settlement::Succeeded, .. }), Event::Body(end))
            if plan.kind == Kind::Transactional && end != BodyEnd::Returned =>
        {
            settle(rules, plan, attempt, end)
        }
        (Phase::Running { attempt }, Event::Body(end)) => settle(rules, plan, attempt, end),
        (Phase::Waiting { attempt, .. }, Event::Due) => {
            let command = match plan.kind {
                Kind::Timer => Command::Fire { epoch: plan.epoch },
                Kind::Transactional | Kind::Keyed | Kind::AtMostOnce => begin(plan, attempt),
            };
            ask(plan, command)
        }
        // Late or doubled, and of no more use.
        (Phase::New, Event::Answer(_) | Event::Lost | Event::Body(_) | Event::Due)
        | (Phase::Asking(_), Event::Requested { .. } | Event::Body(_) | Event::Due)
        | (Phase::Running { .. }, Event::Requested { .. } | Event::Answer(_) | Event::Lost | Event::Due)
        | (Phase::Waiting { .. }, Event::Requested { .. } | Event::Answer(_) | Event::Lost | Event::Body(_)) => {
            (phase, Action::Nothing)
        }
    }
}

fn requested(plan: &Plan, row: Option<Step>) -> (Phase, Action) {
    let attempt = row.map_or(0, |row| row.attempt);
    match row.map(|row| row.state) {
        Some(StepState::Settled { order, outcome }) => (Phase::Done, Action::Deliver { order, outcome }),
        Some(StepState::Waiting { due_at } | StepState::Sleeping { due_at }) => wait(due_at, attempt),
        None | Some(StepState::Running | StepState::Abandoned { .. }) => {
            let command = match plan.kind {
                Kind::Timer => Command::Sleep { epoch: plan.epoch, wake: plan.wake },
                Kind::Transactional | Kind::Keyed | Kind::AtMostOnce => begin(plan, attempt),
            };
            ask(plan, command)
        }
    }
}

/// What an answer means depends on what was asked: (1) A begins an at-most-once step; (2) the answer takes long, is
/// given up for lost, and A asks again; (3) it is told to run the body, which ends; (4) A reports that; (5) the first
/// answer arrives, "run": taken for the answer to the report, it would run the body a second time.
fn answered(plan: &Plan, command: Command, answer: Result<Reply, Rejection>) -> (Phase, Action) {
    match (command, answer) {
        (Command::Begin { attempt: asked, .. }, Ok(Reply::Run { attempt })) if attempt == asked => match plan.kind {
            Kind::Transactional => {
                ask(plan, Command::Settle { epoch: plan.epoch, attempt, settlement: Settlement::Succeeded })
            }
            Kind::Keyed | Kind::AtMostOnce | Kind::Timer => (Phase::Running { attempt }, Action::RunBody { attempt }),
        },
        (_, Ok(Reply::Settled { order, outcome })) => (Phase::Done, Action::Deliver { order, outcome }),
        (Command::Settle { attempt, .. }, Ok(Reply::Waiting { due_at })) => wait(due_at, attempt),
        (Command::Sleep { .. }, Ok(Reply::Sleeping { due_at })) => wait(due_at, 0),
        // The worker's clock ran ahead of the store's.
        (Command::Begin { attempt, .. }, Err(Rejection::NotDue { due_at, .. })) => {
            wait(due_at, attempt.saturating_sub(1))
        }
        (Command::Fire { .. }, Err(Rejection::NotDue { due_at, .. })) => wait(due_at, 0),
        (_, Err(rejection)) => stop(Stop::Rejected(rejection)),
        (
            _,
            Ok(
                reply @ (Reply::Run { .. }
                | Reply::Waiting { .. }
                | Reply::Sleeping { .. }
                | Reply::Started
                | Reply::AlreadyStarted
                | Reply::Claimed { .. }
                | Reply::Renewed { .. }
                | Reply::Released { .. }
                | Reply::Ended(_)
                | Reply::Reopened
                | Reply::Resolved(_)),
            ),
        ) => stop(Stop::Unexpected(reply)),
    }
}

fn settle<P: Protocol + ?Sized>(rules: &P, plan: &Plan, attempt: u32, end: BodyEnd) -> (Phase, Action) {
    let settlement = rules.settlement(plan.kind, end, plan.backoff, plan.salt);
    ask(plan, Command::Settle { epoch: plan.epoch, attempt, settlement })
}

fn begin(plan: &Plan, attempt: u32) -> Command {
    Command::Begin {
        epoch: plan.epoch,
        kind: plan.kind,
        attempt: attempt.saturating_add(1),
        attempts_max: plan.attempts_max,
    }
}

/// A transactional success is reported by the transaction that holds the effect, and by nothing else.
fn ask(plan: &Plan, command: Command) -> (Phase, Action) {
    let action = match command {
        Command::Settle { settlement: Settlement::Succeeded, .. } if plan.kind == Kind::Transactional => {
            Action::Transact(command)
        }
        _ => Action::Ask(command),
    };
    (Phase::Asking(command), action)
}

fn wait(due_at: Time, attempt: u32) -> (Phase, Action) {
    (Phase::Waiting { due_at, attempt }, Action::WaitUntil(due_at))
}

fn stop(stop: Stop) -> (Phase, Action) {
    (Phase::Gone, Action::Stop(stop))
}
