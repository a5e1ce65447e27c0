//! Rows, replies, commands and the worker's machines as one line of text each.

use hydra_protocol::worker::{drive, step};
use hydra_protocol::{Command, Execution, Rejection, Release, Reply, Settlement, Step, Time, Wake, decode};

use crate::store::Store;

/// All rows, a line each.
pub fn rows(store: &Store) -> Vec<String> {
    let Some(execution) = &store.execution else { return vec!["no rows".into()] };
    let steps = store.steps.iter().map(|(number, row)| format!("step {number}     {}", step(row)));
    std::iter::once(format!("execution  {}", execution_row(execution))).chain(steps).collect()
}

/// An execution, by its columns.
pub fn execution_row(row: &Execution) -> String {
    let raw = decode::raw_execution(row);
    let mut text = raw.status.to_string();
    optional(&mut text, "failure", raw.failure);
    optional(&mut text, "due", raw.due_at);
    text += &format!(" epoch={} settled={} replays={}/{}", raw.epoch, raw.settled, raw.replays, raw.replays_max);
    optional(&mut text, "deadline", raw.deadline);
    text
}

/// A step, by its columns.
pub fn step(row: &Step) -> String {
    let raw = decode::raw_step(row);
    let mut text = format!("{} {}", raw.kind, raw.state);
    optional(&mut text, "cause", raw.cause);
    optional(&mut text, "order", raw.order);
    optional(&mut text, "due", raw.due_at);
    if raw.attempts_max > 0 {
        text += &format!(" attempt={}/{}", raw.attempt, raw.attempts_max);
    }
    text + &format!(" epoch={}", raw.epoch)
}

fn optional(text: &mut String, name: &str, value: Option<impl std::fmt::Display>) {
    if let Some(value) = value {
        *text += &format!(" {name}={value}");
    }
}

/// What the sender is told.
pub fn reply(reply: &Reply) -> String {
    match reply {
        Reply::Started => "started".into(),
        Reply::AlreadyStarted => "already started".into(),
        Reply::Claimed { epoch, lease } => format!("claimed: epoch={} lease={}", epoch.0, lease.as_millis()),
        Reply::Renewed { lease } => format!("renewed: lease={}", lease.as_millis()),
        Reply::Run { attempt } => format!("run the body: attempt={attempt}"),
        Reply::Settled { order, outcome } => format!("settled: {outcome:?} order={order}"),
        Reply::Waiting { due_at } => format!("waiting: due={}", ms(due_at)),
        Reply::Sleeping { due_at } => format!("sleeping: due={}", ms(due_at)),
        Reply::Released { due_at } => format!("released: due={}", ms(due_at)),
        Reply::Ended(ending) => format!("ended: {ending:?}"),
        Reply::Reopened => "reopened".into(),
        Reply::Resolved(outcome) => format!("resolved: {outcome:?}"),
    }
}

/// Why nothing changed: the variant with its evidence, then the text for people.
pub fn rejection(rejection: &Rejection) -> String {
    format!("rejected, {rejection}: {rejection:?}")
}

/// An answer, either way.
pub fn answer(answer: &Result<Reply, Rejection>) -> String {
    match answer {
        Ok(accepted) => reply(accepted),
        Err(refused) => rejection(refused),
    }
}

/// A command in the words of the scripts.
pub fn command(command: &Command) -> String {
    match command {
        Command::Begin { epoch, kind, attempt, attempts_max } => {
            format!("begin {} attempt={attempt} max={attempts_max} epoch={}", decode::kind_name(*kind), epoch.0)
        }
        Command::Settle { epoch, attempt, settlement: how } => {
            format!("settle attempt={attempt} {} epoch={}", settlement(how), epoch.0)
        }
        Command::Sleep { epoch, wake: Wake::After(span) } => {
            format!("sleep after={} epoch={}", span.as_millis(), epoch.0)
        }
        Command::Sleep { epoch, wake: Wake::At(time) } => format!("sleep at={} epoch={}", ms(time), epoch.0),
        Command::Fire { epoch } => format!("fire epoch={}", epoch.0),
        Command::Release { epoch, release: Release::Parked { wake } } => {
            format!("release parked wake={} epoch={}", ms(wake), epoch.0)
        }
        Command::Release { epoch, release: Release::Shutdown } => format!("release shutdown epoch={}", epoch.0),
        Command::Finish { epoch, ending } => format!("finish {ending:?} epoch={}", epoch.0),
        Command::Start { .. }
        | Command::Claim { .. }
        | Command::Heartbeat { .. }
        | Command::Cancel
        | Command::Retry { .. }
        | Command::Resolve { .. } => format!("{command:?}"),
    }
}

fn settlement(settlement: &Settlement) -> String {
    match settlement {
        Settlement::Succeeded => "succeeded".into(),
        Settlement::Failed { retryable: true, backoff, .. } => {
            format!("failed retryable wait={}", backoff.initial.as_millis())
        }
        Settlement::Failed { retryable: false, .. } => "failed final".into(),
        Settlement::Unencodable => "unencodable".into(),
        Settlement::InDoubt => "in_doubt".into(),
    }
}

/// Where a step's machine stands.
pub fn step_phase(phase: &step::Phase) -> String {
    match phase {
        step::Phase::New => "new".into(),
        step::Phase::Asking(asked) => format!("asking: {}", command(asked)),
        step::Phase::Running { attempt } => format!("running: attempt={attempt}"),
        step::Phase::Waiting { due_at, attempt } => format!("waiting: due={} attempt={attempt}", ms(due_at)),
        step::Phase::Done => "done".into(),
        step::Phase::Gone => "gone".into(),
    }
}

/// What a step's machine wants done.
pub fn step_action(action: &step::Action) -> String {
    match action {
        step::Action::Nothing => "do nothing".into(),
        step::Action::Ask(asked) => format!("ask the store: {}", command(asked)),
        step::Action::RunBody { attempt } => format!("run the body: attempt={attempt}"),
        step::Action::Transact(asked) => format!("run the body in the store's transaction: {}", command(asked)),
        step::Action::Deliver { order, outcome } => format!("deliver {outcome:?} in turn {order}"),
        step::Action::WaitUntil(time) => format!("wait until {}", ms(time)),
        step::Action::Stop(why) => stop(why),
    }
}

/// Where an execution's machine stands.
pub fn drive_phase(phase: &drive::Phase) -> String {
    match phase {
        drive::Phase::Driving => "driving".into(),
        drive::Phase::Asking(asked) => format!("asking: {}", command(asked)),
        drive::Phase::Gone => "gone".into(),
    }
}

/// What an execution's machine wants done.
pub fn drive_action(action: &drive::Action) -> String {
    match action {
        drive::Action::Nothing => "do nothing".into(),
        drive::Action::Ask(asked) => format!("ask the store: {}", command(asked)),
        drive::Action::Done(told) => format!("done: {}", reply(told)),
        drive::Action::Stop(why) => stop(why),
    }
}

fn stop(stop: &step::Stop) -> String {
    match stop {
        step::Stop::LeaseLost => "stop: the lease is lost".into(),
        step::Stop::Rejected(refused) => format!("stop: {}", rejection(refused)),
        step::Stop::Nondeterministic => "stop: the workflow contradicts its journal".into(),
        step::Stop::Unexpected(told) => format!("stop: no answer to what was asked: {}", reply(told)),
    }
}

fn ms(time: &Time) -> u64 {
    time.as_millis()
}
