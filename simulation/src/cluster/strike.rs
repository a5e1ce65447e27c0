//! Faults as the cluster applies them: numbers in place of names; and the lines of a schedule that say the same.

use hydra_schedule::{Action, Boundary, ClientAct, Direction, Event, Fault, Name, Target, WorkerAct};

use super::program::Names;
use super::worker::Place;
use crate::history::Op;
use crate::workload::Workload;

/// One line of a schedule: what happens, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strike {
    /// When.
    pub when: When,
    /// What.
    pub blow: Blow,
}

/// When a strike falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At this time, in milliseconds since the run began.
    At(u64),
    /// When a worker's process passes a place for the `nth` time, from 1. This hits windows that no clock would.
    On {
        /// Which worker.
        worker: u8,
        /// Which place.
        place: Place,
        /// The how-manieth passing since the process began.
        nth: u32,
    },
}

/// What happens. Workers and steps are indices; `workers` are bits, one for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Blow {
    Crash(u8),
    Restart(u8),
    DisconnectBefore(u8),
    ReplyLost(u8),
    ReplyLate(u8),
    Duplicate(u8),
    Partition {
        workers: u32,
        direction: Direction,
    },
    Heal {
        workers: u32,
    },
    Pause {
        worker: u8,
        for_ms: u64,
    },
    Resume(u8),
    Clock {
        worker: u8,
        by_ms: i64,
    },
    Drift {
        worker: u8,
        ppm: i64,
    },
    StoreClock {
        by_ms: i64,
    },
    StoreDrift {
        ppm: i64,
    },
    SlowStore {
        by_ms: u64,
    },
    StoreRestart,
    Encode {
        step: u32,
    },
    Decode {
        step: u32,
    },
    /// An orderly shutdown.
    Stop(u8),
    /// A client or an operator acts.
    Client {
        op: Op,
        execution: u32,
        other_input: bool,
    },
}

/// A line that the simulator cannot do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event {event}, \"{line}\": {why}")]
pub struct StrikeError {
    /// Which event of the schedule, from 1.
    pub event: usize,
    /// The line.
    pub line: String,
    /// What is wrong with it.
    pub why: String,
}

fn workers_of(target: &Target, count: u32) -> Result<u32, String> {
    match target {
        Target::All => Ok(u32::MAX),
        Target::Workers(names) => names.iter().try_fold(0, |bits, name| Ok(bits | 1 << worker_of(name, count)?)),
    }
}

pub(super) fn worker_of(name: &Name, count: u32) -> Result<u8, String> {
    let found = (0..count).find(|index| Name::worker(*index as usize) == *name);
    found.map(|index| index as u8).ok_or_else(|| format!("there is no worker {name} among {count}"))
}

fn target_of(workers: u32, count: u32) -> Target {
    let all = if count >= 32 { u32::MAX } else { (1 << count) - 1 };
    if workers & all == all {
        return Target::All;
    }
    let struck = (0..count).filter(|index| workers & (1 << index) != 0);
    Target::Workers(struck.map(|index| Name::worker(index as usize)).collect())
}

/// Reads the events of a schedule. A line that is a worker's own doing and no fault is an error: that is a script.
pub fn read_strikes(events: &[Event], workload: &Workload, workers: u32) -> Result<Vec<Strike>, StrikeError> {
    let names = Names::of(workload);
    let read = |(index, event): (usize, &Event)| {
        let error = |why| StrikeError { event: index + 1, line: event.to_string(), why };
        let blow = read_blow(&event.action, &names, workers).map_err(error)?;
        let when = match &event.action {
            Action::Fault { on: Some(on), fault } => read_place(on, fault.worker(), workers).map_err(error)?,
            _ => When::At(event.at_ms.unwrap_or(0)),
        };
        Ok(Strike { when, blow })
    };
    events.iter().enumerate().map(read).collect()
}

fn read_place(on: &Boundary, worker: Option<&Name>, workers: u32) -> Result<When, String> {
    let place = Place::ALL.into_iter().find(|place| place.word() == on.place.as_str());
    let words = Place::ALL.map(Place::word).join(", ");
    let place = place.ok_or_else(|| format!("{} is no place; the places are {words}", on.place))?;
    let worker = worker.ok_or("a place belongs to one worker, and this fault strikes none")?;
    Ok(When::On { worker: worker_of(worker, workers)?, place, nth: on.nth })
}

pub(super) fn read_blow(action: &Action, names: &Names, workers: u32) -> Result<Blow, String> {
    let worker = |name: &Name| worker_of(name, workers);
    let execution = |name: &Name| names.execution(name).ok_or_else(|| format!("there is no execution {name}"));
    let step = |name| names.step(name).ok_or_else(|| format!("there is no step {name}"));
    let client = |op, name: &Name, other_input| Ok(Blow::Client { op, execution: execution(name)?, other_input });
    match action {
        Action::Fault { fault, .. } => Ok(match fault {
            Fault::Crash(name) => Blow::Crash(worker(name)?),
            Fault::Restart(name) => Blow::Restart(worker(name)?),
            Fault::DisconnectBefore(name) => Blow::DisconnectBefore(worker(name)?),
            Fault::ReplyLost(name) => Blow::ReplyLost(worker(name)?),
            Fault::ReplyLate(name) => Blow::ReplyLate(worker(name)?),
            Fault::Duplicate(name) => Blow::Duplicate(worker(name)?),
            Fault::Partition { target, direction } => {
                Blow::Partition { workers: workers_of(target, workers)?, direction: *direction }
            }
            Fault::Heal(target) => Blow::Heal { workers: workers_of(target, workers)? },
            Fault::Pause { worker: name, for_ms } => Blow::Pause { worker: worker(name)?, for_ms: *for_ms },
            Fault::Resume(name) => Blow::Resume(worker(name)?),
            Fault::StoreClock { by_ms } => Blow::StoreClock { by_ms: *by_ms },
            Fault::StoreDrift { ppm } => Blow::StoreDrift { ppm: *ppm },
            Fault::Clock { worker: name, by_ms } => Blow::Clock { worker: worker(name)?, by_ms: *by_ms },
            Fault::Drift { worker: name, ppm } => Blow::Drift { worker: worker(name)?, ppm: *ppm },
            Fault::SlowStore { by_ms } => Blow::SlowStore { by_ms: *by_ms },
            Fault::StoreRestart => Blow::StoreRestart,
            Fault::Encode(name) => Blow::Encode { step: step(name)? },
            Fault::Decode(name) => Blow::Decode { step: step(name)? },
            Fault::CallFails { .. } => return Err("a simulated worker makes no system calls".to_owned()),
        }),
        Action::Worker { worker: name, act: WorkerAct::Stops } => Ok(Blow::Stop(worker(name)?)),
        Action::Client(ClientAct::Starts { execution, other_input }) => client(Op::Start, execution, *other_input),
        Action::Client(ClientAct::Cancels(execution)) => client(Op::Cancel, execution, false),
        Action::Client(ClientAct::Retries(execution)) => client(Op::Retry, execution, false),
        Action::Client(ClientAct::Looks(execution)) => client(Op::Status, execution, false),
        Action::Client(ClientAct::Awaits(execution)) => client(Op::Result, execution, false),
        Action::Worker { .. } | Action::TimePasses { .. } | Action::StoreExpires { .. } => {
            Err("what a worker does follows from the seed here".to_owned())
        }
    }
}

/// Writes strikes as the events of a schedule.
pub fn write_strikes(strikes: &[Strike], workload: &Workload, workers: u32) -> Vec<Event> {
    let names = Names::of(workload);
    strikes.iter().map(|strike| write_strike(strike, &names, workers)).collect()
}

pub(super) fn write_strike(strike: &Strike, names: &Names, workers: u32) -> Event {
    let event = Event::new(write_blow(&strike.blow, names, workers));
    match strike.when {
        When::At(at_ms) => event.at(at_ms),
        When::On { place, nth, .. } => match event.action {
            Action::Fault { fault, .. } => {
                let place = Name::new(place.word()).expect("a place has a legal name");
                Event::new(Action::Fault { fault, on: Some(Boundary { place, nth }) })
            }
            action => Event::new(action),
        },
    }
}

fn write_blow(blow: &Blow, names: &Names, workers: u32) -> Action {
    let worker = |index: u8| Name::worker(usize::from(index));
    let step = |index: u32| names.steps[index as usize].clone();
    let fault = match *blow {
        Blow::Crash(index) => Fault::Crash(worker(index)),
        Blow::Restart(index) => Fault::Restart(worker(index)),
        Blow::DisconnectBefore(index) => Fault::DisconnectBefore(worker(index)),
        Blow::ReplyLost(index) => Fault::ReplyLost(worker(index)),
        Blow::ReplyLate(index) => Fault::ReplyLate(worker(index)),
        Blow::Duplicate(index) => Fault::Duplicate(worker(index)),
        Blow::Partition { workers: struck, direction } => {
            Fault::Partition { target: target_of(struck, workers), direction }
        }
        Blow::Heal { workers: struck } => Fault::Heal(target_of(struck, workers)),
        Blow::Pause { worker: index, for_ms } => Fault::Pause { worker: worker(index), for_ms },
        Blow::Resume(index) => Fault::Resume(worker(index)),
        Blow::Clock { worker: index, by_ms } => Fault::Clock { worker: worker(index), by_ms },
        Blow::Drift { worker: index, ppm } => Fault::Drift { worker: worker(index), ppm },
        Blow::StoreClock { by_ms } => Fault::StoreClock { by_ms },
        Blow::StoreDrift { ppm } => Fault::StoreDrift { ppm },
        Blow::SlowStore { by_ms } => Fault::SlowStore { by_ms },
        Blow::StoreRestart => Fault::StoreRestart,
        Blow::Encode { step: index } => Fault::Encode(step(index)),
        Blow::Decode { step: index } => Fault::Decode(step(index)),
        Blow::Stop(index) => return Action::Worker { worker: worker(index), act: WorkerAct::Stops },
        Blow::Client { op, execution, other_input } => {
            let execution = names.executions[execution as usize].clone();
            return Action::Client(match op {
                Op::Start => ClientAct::Starts { execution, other_input },
                Op::Cancel => ClientAct::Cancels(execution),
                Op::Retry => ClientAct::Retries(execution),
                Op::Status => ClientAct::Looks(execution),
                Op::Result => ClientAct::Awaits(execution),
            });
        }
    };
    Action::Fault { fault, on: None }
}
