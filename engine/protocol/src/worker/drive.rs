//! One execution, from its claim until the worker is done with it.
//!
//! | phase | event | next | action |
//! |---|---|---|---|
//! | driving | the workflow came to its end | asking | finish |
//! | driving | nothing to do before a timer or backoff | asking | release, parked |
//! | driving | shutdown, and no body runs any more | asking | release |
//! | asking | answer: ended or released | gone | done |
//! | asking | answer: any other rejection | gone | stop |
//! | asking | answer lost | asking | ask the same again: it is idempotent |
//! | any | lease lost | gone | stop |

use crate::worker::step::Stop;
use crate::{Command, Ending, Epoch, Protocol, Rejection, Release, Reply, Span, Time};

/// Where the machine stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The workflow runs.
    Driving,
    /// This command is with the store; its answer is awaited.
    Asking(Command),
    /// The worker is done with this execution.
    Gone,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The workflow came to its end.
    Ended(Ending),
    /// Every branch of the workflow waits for a timer or a backoff: see [`idle`].
    Blocked {
        /// The earliest of them, by the store's clock.
        wake: Time,
    },
    /// The worker shuts down, and no body runs any more.
    Shutdown,
    /// The store answered.
    Answer(Result<Reply, Rejection>),
    /// No answer will come: the command may or may not have been applied.
    Lost,
    /// The lease is gone, or has to be taken for gone.
    LeaseLost,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Nothing.
    Nothing,
    /// Send this command to the store.
    Ask(Command),
    /// The execution is off this worker's hands.
    Done(Reply),
    /// The execution cannot be driven on. Bodies are cancelled and their results discarded.
    Stop(Stop),
}

/// The provided [`Protocol::drive_next`].
pub fn next<P: Protocol + ?Sized>(_rules: &P, epoch: Epoch, phase: Phase, event: Event) -> (Phase, Action) {
    match (phase, event) {
        (Phase::Gone, _) => (Phase::Gone, Action::Nothing),
        (_, Event::LeaseLost) => (Phase::Gone, Action::Stop(Stop::LeaseLost)),
        (Phase::Driving, Event::Ended(ending)) => ask(Command::Finish { epoch, ending }),
        (Phase::Driving, Event::Blocked { wake }) => ask(Command::Release { epoch, release: Release::Parked { wake } }),
        (Phase::Driving, Event::Shutdown) => ask(Command::Release { epoch, release: Release::Shutdown }),
        (Phase::Asking(command), Event::Lost) => ask(command),
        (Phase::Asking(_), Event::Answer(Ok(reply @ (Reply::Ended(_) | Reply::Released { .. })))) => {
            (Phase::Gone, Action::Done(reply))
        }
        (Phase::Asking(_), Event::Answer(Ok(reply))) => (Phase::Gone, Action::Stop(Stop::Unexpected(reply))),
        (Phase::Asking(_), Event::Answer(Err(rejection))) => (Phase::Gone, Action::Stop(Stop::Rejected(rejection))),
        // Late or doubled, and of no more use.
        (Phase::Driving, Event::Answer(_) | Event::Lost)
        | (Phase::Asking(_), Event::Ended(_) | Event::Blocked { .. } | Event::Shutdown) => (phase, Action::Nothing),
    }
}

fn ask(command: Command) -> (Phase, Action) {
    (Phase::Asking(command), Action::Ask(command))
}

/// What to do with an execution in which nothing is going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Idle {
    /// Something is: a body runs or an answer is awaited.
    Busy,
    /// Keep the lease, and look again at this time of the store's clock.
    Hold(Time),
    /// Give the lease back until the earliest timer or backoff.
    Park(Time),
}

/// Whether to hold or to park an execution whose earliest timer or backoff is due at `wake`.
///
/// A wait of at most `hold` is sat out, for parking costs two commits and a replay. A longer one is parked, so that
/// it needs no worker.
pub fn idle(busy: bool, wake: Option<Time>, now: Time, hold: Span) -> Idle {
    match wake {
        _ if busy => Idle::Busy,
        None => Idle::Busy,
        Some(wake) if wake.since(now) <= hold => Idle::Hold(wake),
        Some(wake) => Idle::Park(wake),
    }
}
