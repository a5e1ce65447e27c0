//! Actions of the model as events of a schedule, in the words that the simulator reads.

use crate::world::World;
use crate::world::action::{Action, BodyFate, Delivery};
use crate::world::bounds::{Bounds, Shape, word_of};
use crate::world::state::State;
use hydra_protocol::worker::{drive, step};
use hydra_protocol::{Command, Ending, Protocol, Settlement, StepState};
use hydra_schedule::{
    ClientAct, Direction, Event, ExecutionOutcome, Fault, Name, Schedule, StepName, StepOutcome, Target, WorkerAct,
};
use std::collections::HashSet;

/// The program of an execution, one line of JSON.
pub(crate) fn program(bounds: &Bounds, execution: usize) -> String {
    let shape = match bounds.program.shape {
        Shape::Sequence => "sequence",
        Shape::Together => "together",
        Shape::Race => "race",
    };
    let kinds: Vec<String> = bounds.program.steps.iter().map(|step| format!("\"{}\"", word_of(step.kind))).collect();
    format!(
        "{{\"id\":\"{}\",\"{shape}\":[{}],\"attempts\":{}}}",
        Name::execution(execution),
        kinds.join(","),
        bounds.attempts
    )
}

pub(super) fn execution(at: u8) -> Name {
    Name::execution(at as usize)
}

pub(super) fn worker(at: u8) -> Name {
    Name::worker(at as usize)
}

pub(super) fn step(at: u8, step: u8) -> StepName {
    StepName::numbered(&execution(at), u32::from(step) + 1)
}

/// The command that a machine has with the store.
pub(super) fn asked<P: Protocol + ?Sized + Sync + 'static>(
    world: &World<P>,
    from: &State,
    of: (u8, u8, u8),
) -> Option<Command> {
    let (worker, execution, slot) = (of.0 as usize, of.1 as usize, of.2 as usize);
    let drive = from.drive(worker, execution, &world.layout, &world.plans)?;
    if slot < world.layout.steps {
        match drive.steps[slot].phase {
            step::Phase::Asking(command) => Some(command),
            _ => None,
        }
    } else {
        match drive.phase {
            drive::Phase::Asking(command) => Some(command),
            _ => None,
        }
    }
}

fn outcome(settlement: Settlement) -> StepOutcome {
    match settlement {
        Settlement::Succeeded => StepOutcome::Succeeded,
        Settlement::Failed { .. } => StepOutcome::Failed,
        Settlement::Unencodable => StepOutcome::Unencodable,
        Settlement::InDoubt => StepOutcome::InDoubt,
    }
}

fn act(command: Command, at: u8, slot: u8) -> Option<WorkerAct> {
    Some(match command {
        Command::Claim { .. } => WorkerAct::Claims(execution(at)),
        Command::Heartbeat { .. } => WorkerAct::Beats,
        Command::Begin { attempt, .. } => WorkerAct::Begins { step: step(at, slot), attempt },
        Command::Settle { settlement, .. } => WorkerAct::Settles { step: step(at, slot), outcome: outcome(settlement) },
        Command::Sleep { .. } => WorkerAct::Sleeps(step(at, slot)),
        Command::Fire { .. } => WorkerAct::Fires(step(at, slot)),
        Command::Release { .. } => WorkerAct::Releases(execution(at)),
        Command::Finish { ending, .. } => WorkerAct::Finishes {
            execution: execution(at),
            outcome: match ending {
                Ending::Succeeded => ExecutionOutcome::Succeeded,
                Ending::Failed(_) => ExecutionOutcome::Failed,
                Ending::Cancelled => ExecutionOutcome::Cancelled,
            },
        },
        Command::Start { .. } | Command::Cancel | Command::Retry { .. } | Command::Resolve { .. } => return None,
    })
}

/// The lines that one action is written as. What only the model knows (that a machine decides to wait or to park, that
/// the network keeps a copy) has none.
pub(super) fn of<P: Protocol + ?Sized + Sync + 'static>(world: &World<P>, from: &State, action: &Action) -> Vec<Event> {
    let client = |act| vec![Event::client(act)];
    let acts = |id: u8, act| vec![Event::worker(&worker(id), act)];
    let fault = |fault| vec![Event::fault(fault)];
    let passes = |at: u8| vec![Event::new(hydra_schedule::Action::TimePasses { execution: execution(at) })];
    match *action {
        Action::Start(at) | Action::StartAgain(at) => {
            client(ClientAct::Starts { execution: execution(at), other_input: false })
        }
        Action::StartOther(at) => client(ClientAct::Starts { execution: execution(at), other_input: true }),
        Action::Cancel(at) => client(ClientAct::Cancels(execution(at))),
        Action::Retry(at) => client(ClientAct::Retries(execution(at))),
        Action::Due(at) | Action::StepDue(at, _) | Action::DeadlinePasses(at) => passes(at),
        Action::Expire(at) => vec![Event::new(hydra_schedule::Action::StoreExpires { execution: execution(at) })],
        Action::Claim(id, at) | Action::ClaimEarly(id, at) | Action::ClaimStranger(id, at) => {
            acts(id, WorkerAct::Claims(execution(at)))
        }
        Action::ClaimReplyLost(id, at) => {
            [fault(Fault::ReplyLost(worker(id))), acts(id, WorkerAct::Claims(execution(at)))].concat()
        }
        Action::ClaimUndecodable(id, at) => {
            let row = from.row(at as usize, &world.layout, &world.plans);
            let settled = |step: &Option<hydra_protocol::Step>| {
                step.is_some_and(|step| matches!(step.state, StepState::Settled { .. }))
            };
            let which = row.steps.iter().position(settled).unwrap_or(0) as u8;
            [fault(Fault::Decode(step(at, which))), acts(id, WorkerAct::Claims(execution(at)))].concat()
        }
        Action::Ask { worker: id, execution: at, slot, delivery } => {
            let Some(act) = asked(world, from, (id, at, slot)).and_then(|command| act(command, at, slot)) else {
                return Vec::new();
            };
            let before = match delivery {
                Delivery::Answered => Vec::new(),
                Delivery::LostBefore => fault(Fault::DisconnectBefore(worker(id))),
                Delivery::ReplyLost => fault(Fault::ReplyLost(worker(id))),
            };
            [before, acts(id, act)].concat()
        }
        Action::BodyEnds { worker: id, execution: at, step: slot, end } => {
            let before = match end {
                BodyFate::Unencodable => fault(Fault::Encode(step(at, slot))),
                BodyFate::Returned | BodyFate::Failed | BodyFate::Panicked => Vec::new(),
            };
            [before, acts(id, WorkerAct::Runs(step(at, slot)))].concat()
        }
        Action::WaitOverEarly(id, ..) => fault(Fault::Clock { worker: worker(id), by_ms: 60_000 }),
        Action::Shutdown(id, _) => acts(id, WorkerAct::Stops),
        Action::Beat(id, _) => acts(id, WorkerAct::Beats),
        Action::Crash(id) => [fault(Fault::Crash(worker(id))), fault(Fault::Restart(worker(id)))].concat(),
        Action::Pause(id) => fault(Fault::Pause { worker: worker(id), for_ms: 60_000 }),
        Action::Resume(id) => fault(Fault::Resume(worker(id))),
        Action::Partition(id) => {
            fault(Fault::Partition { target: Target::Workers(vec![worker(id)]), direction: Direction::Both })
        }
        Action::Heal(id) => fault(Fault::Heal(Target::Workers(vec![worker(id)]))),
        Action::Copy(id, ..) => fault(Fault::Duplicate(worker(id))),
        Action::Resolve(..) | Action::WaitOver(..) | Action::Park(..) | Action::CopyArrives | Action::CopyLost => {
            Vec::new()
        }
    }
}

/// Whether a path that has the lines of a schedule is the one that is looked for.
pub(crate) type Accept<'a> = dyn Fn(&[(Action, State)]) -> bool + 'a;

/// Finds a path that a schedule describes and that is accepted: actions whose lines are its lines, in order. `None`:
/// there is none.
pub(super) fn follow<P: Protocol + ?Sized + Sync + 'static>(
    world: &World<P>,
    schedule: &Schedule,
    accept: &Accept<'_>,
) -> Option<Vec<(Action, State)>> {
    let lines = schedule.events.iter().map(|event| event.action.to_string()).collect();
    let mut follower = Follower { world, lines, accept, dead: HashSet::new(), path: Vec::new() };
    let start = stateright::Model::init_states(world)[0];
    follower.search(start, 0, 0).then_some(follower.path)
}

/// Actions without a line that may follow each other: more than this many lead nowhere new.
const SILENT_MAX: usize = 6;

struct Follower<'a, P: Protocol + ?Sized + 'static> {
    world: &'a World<P>,
    lines: Vec<String>,
    accept: &'a Accept<'a>,
    /// States from which nothing was found, and how many lines were done there.
    dead: HashSet<(State, usize)>,
    path: Vec<(Action, State)>,
}

impl<P: Protocol + ?Sized + Sync + 'static> Follower<'_, P> {
    fn search(&mut self, from: State, done: usize, silent: usize) -> bool {
        if done == self.lines.len() && (self.accept)(&self.path) {
            return true;
        }
        if !self.dead.insert((from, done)) {
            return false;
        }
        let mut actions = Vec::new();
        stateright::Model::actions(self.world, &from, &mut actions);
        for action in actions {
            let events = of(self.world, &from, &action);
            let rest = &self.lines[done..];
            let matches = events.len() <= rest.len()
                && events.iter().zip(rest).all(|(event, line)| event.action.to_string() == *line);
            if !matches || (events.is_empty() && silent >= SILENT_MAX) {
                continue;
            }
            let Some(to) = stateright::Model::next_state(self.world, &from, action) else { continue };
            self.path.push((action, to));
            if self.search(to, done + events.len(), if events.is_empty() { silent + 1 } else { 0 }) {
                return true;
            }
            self.path.pop();
        }
        false
    }
}
