//! Actions and states in words.

use super::events::{asked, execution, step, worker};
use crate::world::World;
use crate::world::action::{Action, BodyFate, Delivery, Ruling};
use crate::world::bounds::{EXECUTIONS_MAX, WORKERS_MAX};
use crate::world::row::LATEST;
use crate::world::state::State;
use hydra_protocol::{Command, Ending, Protocol, Release, Settlement, Status};
use hydra_schedule::Moment;
use std::fmt::Write;

/// Tells a path, action by action, with the epochs counted that the model rounds.
pub(super) struct Teller<'a, P: Protocol + ?Sized + 'static> {
    world: &'a World<P>,
    /// Claims of each execution so far.
    claims: [u32; EXECUTIONS_MAX],
    /// The claim under which a worker drives an execution.
    held: [[u32; EXECUTIONS_MAX]; WORKERS_MAX],
}

impl<'a, P: Protocol + ?Sized + Sync + 'static> Teller<'a, P> {
    pub(super) fn new(world: &'a World<P>) -> Self {
        Teller { world, claims: [0; EXECUTIONS_MAX], held: [[0; EXECUTIONS_MAX]; WORKERS_MAX] }
    }

    /// The moment of one action, or none where nobody could have seen anything.
    pub(super) fn moment(&mut self, from: &State, action: &Action, to: &State) -> Option<Moment> {
        let says = |actor: String, what: String, fault: bool| Some(Moment { at_ms: None, actor, what, fault });
        match *action {
            Action::Claim(id, at)
            | Action::ClaimReplyLost(id, at)
            | Action::ClaimUndecodable(id, at)
            | Action::ClaimEarly(id, at)
            | Action::ClaimStranger(id, at) => {
                let is_granted = to.rows[at as usize] != from.rows[at as usize] && !self.world.row(to, at).is_ended();
                let what = if is_granted {
                    self.claims[at as usize] += 1;
                    self.held[id as usize][at as usize] = self.claims[at as usize];
                    format!("claims {} under claim {}", execution(at), self.claims[at as usize])
                } else if self.world.row(to, at).is_ended() && !self.world.row(from, at).is_ended() {
                    format!("claims {}, which ends it: {}", execution(at), self.status(to, at))
                } else {
                    format!("claims {} and is refused", execution(at))
                };
                let more = match action {
                    Action::ClaimReplyLost(..) => "; the reply is lost",
                    Action::ClaimUndecodable(..) => "; a checkpoint cannot be decoded",
                    Action::ClaimStranger(..) => ", without the workflow's code",
                    _ => "",
                };
                says(worker(id).to_string(), what + more, false)
            }
            Action::Ask { worker: id, execution: at, slot, delivery } => {
                let command = asked(self.world, from, (id, at, slot))?;
                let held = self.held[id as usize][at as usize];
                let what = format!("{} under claim {held}{}", verb(&command, at, slot), self.answer(from, to, action));
                let (is_fault, more) = match delivery {
                    Delivery::Answered => (false, ""),
                    Delivery::LostBefore => (true, "; the request is lost"),
                    Delivery::ReplyLost => (true, "; the reply is lost"),
                };
                let _ = is_fault;
                says(worker(id).to_string(), what + more, false)
            }
            Action::WaitOver(..) | Action::Park(..) | Action::CopyLost => None,
            Action::Due(at) | Action::StepDue(at, _) | Action::DeadlinePasses(at) => {
                let what = match action {
                    Action::StepDue(_, slot) => format!("passes until {} is due", step(at, *slot)),
                    Action::DeadlinePasses(_) => format!("passes until the deadline of {}", execution(at)),
                    _ => format!("passes until {} is due", execution(at)),
                };
                says("time".to_owned(), what, false)
            }
            Action::Expire(at) => says("store".to_owned(), format!("ends the lease of {} early", execution(at)), true),
            _ => {
                let (actor, what, fault) = plain(self.world, from, action);
                let changes = match action {
                    Action::Cancel(at) | Action::Retry(at) | Action::StartAgain(at) | Action::StartOther(at)
                        if from.rows[*at as usize] == to.rows[*at as usize] =>
                    {
                        ", which changes nothing"
                    }
                    _ => "",
                };
                says(actor, what + changes, fault)
            }
        }
    }

    /// What came of a request, seen by the rows.
    fn answer(&self, from: &State, to: &State, action: &Action) -> String {
        let Action::Ask { worker: id, execution: at, delivery, .. } = *action else { return String::new() };
        if delivery == Delivery::LostBefore {
            return String::new();
        }
        let changed = from.rows[at as usize] != to.rows[at as usize];
        let dropped = to.drives[id as usize][at as usize] == 0;
        let ended = self.world.row(to, at).is_ended();
        match (changed, dropped) {
            (false, true) if !ended || !self.is_done_with(from, action) => " and is refused".to_owned(),
            (true, _) if ended => format!(", and it has {}", self.status(to, at)),
            _ => String::new(),
        }
    }

    fn is_done_with(&self, from: &State, action: &Action) -> bool {
        let Action::Ask { worker: id, execution: at, slot, .. } = *action else { return false };
        matches!(asked(self.world, from, (id, at, slot)), Some(Command::Finish { .. } | Command::Release { .. }))
    }

    fn status(&self, state: &State, at: u8) -> &'static str {
        match self.world.row(state, at).execution.map(|execution| execution.status) {
            Some(Status::Ended(Ending::Succeeded)) => "succeeded",
            Some(Status::Ended(Ending::Cancelled)) => "been cancelled",
            Some(Status::Ended(Ending::Failed(_))) => "failed",
            Some(Status::Ready { .. } | Status::Leased { .. }) | None => "not ended",
        }
    }
}

impl<P: Protocol + ?Sized + Sync + 'static> World<P> {
    fn row(&self, state: &State, at: u8) -> crate::world::row::Row {
        state.row(at as usize, &self.layout, &self.plans)
    }
}

fn verb(command: &Command, at: u8, slot: u8) -> String {
    match *command {
        Command::Begin { attempt, .. } => format!("begins {} attempt {attempt}", step(at, slot)),
        Command::Settle { settlement, attempt, .. } => {
            let how = match settlement {
                Settlement::Succeeded => "succeeded",
                Settlement::Failed { .. } => "failed",
                Settlement::Unencodable => "unencodable",
                Settlement::InDoubt => "in doubt",
            };
            format!("settles {} attempt {attempt} as {how}", step(at, slot))
        }
        Command::Sleep { .. } => format!("sleeps {}", step(at, slot)),
        Command::Fire { .. } => format!("fires {}", step(at, slot)),
        Command::Release { release: Release::Parked { .. }, .. } => {
            format!("releases {} until something is due", execution(at))
        }
        Command::Release { .. } => format!("releases {}", execution(at)),
        Command::Finish { ending, .. } => {
            let how = if ending == Ending::Succeeded { "succeeded" } else { "failed" };
            format!("finishes {} as {how}", execution(at))
        }
        Command::Heartbeat { .. } => format!("beats for {}", execution(at)),
        Command::Claim { .. } => format!("claims {}", execution(at)),
        Command::Start { .. } => format!("starts {}", execution(at)),
        Command::Cancel => format!("cancels {}", execution(at)),
        Command::Retry { .. } => format!("retries {}", execution(at)),
        Command::Resolve { .. } => format!("resolves {}", execution(at)),
    }
}

/// Who, what, and whether it was injected.
fn plain<P: Protocol + ?Sized + Sync + 'static>(
    world: &World<P>,
    from: &State,
    action: &Action,
) -> (String, String, bool) {
    let client = |what: String| ("client".to_owned(), what, false);
    let fault = |what: String| ("fault".to_owned(), what, true);
    let by = |id: u8, what: String| (worker(id).to_string(), what, false);
    match *action {
        Action::Start(at) => client(format!("starts {}", execution(at))),
        Action::StartAgain(at) => client(format!("starts {} again", execution(at))),
        Action::StartOther(at) => client(format!("starts {} again, with another input", execution(at))),
        Action::Cancel(at) => client(format!("cancels {}", execution(at))),
        Action::Retry(at) => client(format!("retries {}, as its operator", execution(at))),
        Action::Resolve(at, Ruling::Happened) => {
            client(format!("resolves the last step of {}: it happened", execution(at)))
        }
        Action::Resolve(at, Ruling::DidNot) => {
            client(format!("resolves the last step of {}: it did not happen", execution(at)))
        }
        Action::Due(at) | Action::DeadlinePasses(at) => {
            ("time".to_owned(), format!("passes for {}", execution(at)), false)
        }
        Action::StepDue(at, slot) => ("time".to_owned(), format!("passes until {} is due", step(at, slot)), false),
        Action::Expire(at) => ("store".to_owned(), format!("ends the lease of {} early", execution(at)), true),
        Action::Claim(id, at)
        | Action::ClaimReplyLost(id, at)
        | Action::ClaimUndecodable(id, at)
        | Action::ClaimEarly(id, at)
        | Action::ClaimStranger(id, at) => by(id, format!("claims {}", execution(at))),
        Action::Ask { worker: id, execution: at, slot, .. } => {
            let what = asked(world, from, (id, at, slot)).map_or("asks".to_owned(), |command| verb(&command, at, slot));
            by(id, what)
        }
        Action::BodyEnds { worker: id, execution: at, step: slot, end } => {
            let how = match end {
                BodyFate::Returned => "its effect happens",
                BodyFate::Failed => "it returns an error",
                BodyFate::Unencodable => "its effect happens, and its result cannot be encoded",
                BodyFate::Panicked => "its effect happens, and it panics",
            };
            by(id, format!("runs {}: {how}", step(at, slot)))
        }
        Action::WaitOver(id, at, slot) => by(id, format!("has waited for {}", step(at, slot))),
        Action::WaitOverEarly(id, at, slot) => {
            fault(format!("clock {} runs ahead, and it waits no longer for {}", worker(id), step(at, slot)))
        }
        Action::Park(id, at) => by(id, format!("parks {}", execution(at))),
        Action::Shutdown(id, at) => by(id, format!("shuts down, and gives {} back", execution(at))),
        Action::Beat(id, at) => by(id, format!("beats for {}", execution(at))),
        Action::Crash(id) => fault(format!("crash {} (it starts again, remembering nothing)", worker(id))),
        Action::Pause(id) => fault(format!("pause {}", worker(id))),
        Action::Resume(id) => fault(format!("resume {}", worker(id))),
        Action::Partition(id) => fault(format!("partition {}", worker(id))),
        Action::Heal(id) => fault(format!("heal {}", worker(id))),
        Action::Copy(id, ..) => fault(format!("duplicate {}: the network keeps a copy of its request", worker(id))),
        Action::CopyArrives => ("store".to_owned(), "receives the copy of an earlier request".to_owned(), true),
        Action::CopyLost => fault("the copy is lost".to_owned()),
    }
}

/// One action as a sentence.
pub(crate) fn told<P: Protocol + ?Sized + Sync + 'static>(world: &World<P>, from: &State, action: &Action) -> String {
    let (actor, what, _) = plain(world, from, action);
    format!("{actor} {what}")
}

/// A state, for the page in the browser.
pub fn describe<P: Protocol + ?Sized + Sync + 'static>(world: &World<P>, state: &State) -> String {
    let mut text = String::new();
    for at in 0..world.layout.executions {
        let row = state.row(at, &world.layout, &world.plans);
        let _ = writeln!(text, "{}: {:#?}", execution(at as u8), row.execution);
        for (slot, step) in row.steps.iter().enumerate().take(world.layout.steps) {
            let _ = writeln!(text, "  step {}: {step:?} {:?}", slot + 1, row.ghosts[slot]);
        }
    }
    for id in 0..world.layout.workers {
        let flags = state.flags[id];
        for at in 0..world.layout.executions {
            if let Some(drive) = state.drive(id, at, &world.layout, &world.plans) {
                let lease = if drive.epoch == LATEST { "latest" } else { "older" };
                let _ = writeln!(
                    text,
                    "{} drives {} under the {lease} epoch: {:?}",
                    worker(id as u8),
                    execution(at as u8),
                    drive.phase
                );
                for (slot, machine) in drive.steps.iter().enumerate().take(world.layout.steps) {
                    let _ = writeln!(text, "  step {}: {:?}", slot + 1, machine.phase);
                }
            }
        }
        if flags != 0 {
            let _ = writeln!(text, "{}: partitioned {} paused {}", worker(id as u8), flags & 1 != 0, flags & 2 != 0);
        }
    }
    text
}
