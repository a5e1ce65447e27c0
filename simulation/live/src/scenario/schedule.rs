//! Scenarios as schedules, and back: a finding is a file and a command.

use hydra_schedule::{Action, ClientAct, Direction, Event, Name, Schedule, Target};
use hydra_simulation::workload::{Workload, WorkloadError};
use nix::errno::Errno;

use super::strike::SLOW_MS;
use super::{Fault, Scenario, Strike};
use crate::boundary::Place;

/// Why a schedule is no scenario of the live auditor.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleProblem {
    /// Its programs.
    #[error("program: {0}")]
    Workload(#[from] WorkloadError),
    /// An event that cannot be placed in a live process.
    #[error(
        "{0:?} cannot be put into a live process; write a fault on a boundary, such as: fault crash A on after-1#1"
    )]
    Event(String),
}

/// Errors that a call may be told to fail with.
const ERRORS: [(&str, Errno); 6] = [
    ("EIO", Errno::EIO),
    ("ENOSPC", Errno::ENOSPC),
    ("ECONNRESET", Errno::ECONNRESET),
    ("EPIPE", Errno::EPIPE),
    ("ECONNREFUSED", Errno::ECONNREFUSED),
    ("ETIMEDOUT", Errno::ETIMEDOUT),
];

/// As errno spells it.
pub(super) fn error_name(error: Errno) -> &'static str {
    ERRORS.iter().find(|(_, of)| *of == error).map_or("EIO", |(name, _)| name)
}

impl Strike {
    /// The line of the schedule. A pause lasts at most `pause_ms`; it is ended by a `resume`.
    pub fn event(&self, pause_ms: u64) -> Event {
        use hydra_schedule::Fault as Line;
        let worker = Name::worker(self.worker);
        let cut = |direction| Line::Partition { target: Target::Workers(vec![worker.clone()]), direction };
        let fault = match self.fault {
            Fault::Crash => Line::Crash(worker),
            Fault::Zombie | Fault::LateZombie | Fault::Stall => Line::Pause { worker, for_ms: pause_ms },
            Fault::CallFails(error) => {
                let error = Name::new(error_name(error)).expect("the names of errors are names");
                Line::CallFails { worker, error }
            }
            Fault::DisconnectBefore => Line::DisconnectBefore(worker),
            Fault::ReplyLost => Line::ReplyLost(worker),
            Fault::ReplyLate => Line::ReplyLate(worker),
            Fault::Partition => cut(Direction::Both),
            Fault::HalfOpen => cut(Direction::Out),
            Fault::SlowStore => Line::SlowStore { by_ms: SLOW_MS },
            Fault::StoreRestart => Line::StoreRestart,
        };
        Event::new(Action::Fault { fault, on: self.at.to_boundary() })
    }

    /// All lines: a late zombie's pause is followed by what it waits for, that of one alone by the end of its lease.
    fn events(&self, workload: &Workload, pause_ms: u64) -> Vec<Event> {
        let mut events = vec![self.event(pause_ms)];
        let names = workload.programs.iter().map(|program| program.id.clone());
        match self.fault {
            Fault::LateZombie => events.extend(names.map(|name| Event::client(ClientAct::Awaits(name)))),
            Fault::Stall => {
                events.extend(names.map(|execution| Event::new(Action::TimePasses { execution })));
            }
            _ => return events,
        }
        events.push(Event::fault(hydra_schedule::Fault::Resume(Name::worker(self.worker))));
        events
    }

    fn of_event(event: &Event, driver: usize) -> Option<Self> {
        use hydra_schedule::Fault as Line;
        let Action::Fault { fault: line, on: Some(on) } = &event.action else { return None };
        let fault = match line {
            Line::Crash(_) => Fault::Crash,
            Line::Pause { .. } => Fault::Zombie,
            Line::CallFails { error, .. } => {
                Fault::CallFails(ERRORS.iter().find(|(name, _)| *name == error.as_str())?.1)
            }
            Line::DisconnectBefore(_) => Fault::DisconnectBefore,
            Line::ReplyLost(_) => Fault::ReplyLost,
            Line::ReplyLate(_) => Fault::ReplyLate,
            Line::Partition { direction: Direction::Both, .. } => Fault::Partition,
            Line::Partition { .. } => Fault::HalfOpen,
            Line::SlowStore { .. } => Fault::SlowStore,
            Line::StoreRestart => Fault::StoreRestart,
            _ => return None,
        };
        let named = match line {
            Line::Partition { target: Target::Workers(workers), .. } => workers.first(),
            line => line.worker(),
        };
        let worker = match named {
            None => driver,
            Some(name) => (0..2).find(|index| Name::worker(*index) == *name)?,
        };
        Some(Strike { fault, worker, at: Place::of_boundary(on)? })
    }
}

impl Scenario {
    /// The schedule that runs it again.
    pub fn schedule(&self, subject: &str, pause_ms: u64) -> Schedule {
        Schedule {
            subject: Name::new(&subject.replace(' ', "-")).ok(),
            seed: None,
            workers: u32::try_from(self.workers).ok(),
            programs: self.workload.to_lines(),
            settings: [(key(), WORLD.to_owned())].into(),
            events: self.strikes.iter().flat_map(|strike| strike.events(&self.workload, pause_ms)).collect(),
        }
    }

    /// The scenario that a schedule stands for.
    pub fn of_schedule(name: &str, schedule: &Schedule) -> Result<Self, ScheduleProblem> {
        let workload = Workload::from_lines(&schedule.programs)?;
        let mut strikes: Vec<Strike> = Vec::new();
        for event in &schedule.events {
            match (&event.action, strikes.last_mut()) {
                (Action::Client(ClientAct::Awaits(_)), Some(last))
                    if matches!(last.fault, Fault::Zombie | Fault::LateZombie) =>
                {
                    last.fault = Fault::LateZombie;
                }
                (Action::TimePasses { .. }, Some(last)) if matches!(last.fault, Fault::Zombie | Fault::Stall) => {
                    last.fault = Fault::Stall;
                }
                (Action::Fault { fault: hydra_schedule::Fault::Resume(_), on: None }, Some(_)) => {}
                (_, last) => {
                    let driver = last.map_or(0, |last| last.worker);
                    let strike = Strike::of_event(event, driver);
                    strikes.push(strike.ok_or_else(|| ScheduleProblem::Event(event.to_string()))?);
                }
            }
        }
        let workers = schedule.workers.unwrap_or(1).clamp(1, 16) as usize;
        Ok(Scenario { name: name.to_owned(), workload, workers, strikes, counts: false })
    }
}

/// The setting that marks a schedule of real processes.
const KEY: &str = "world";
const WORLD: &str = "live";

fn key() -> Name {
    Name::new(KEY).expect("a fixed name")
}

/// Whether a schedule is one of real processes, and of which adapter: `NAME@VERSION`.
pub fn live_subject(schedule: &Schedule) -> Option<String> {
    let subject = schedule.subject.as_ref()?.as_str();
    let (name, version) = subject.rsplit_once('-')?;
    (schedule.setting(KEY) == Some(WORLD)).then(|| format!("{name}@{version}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boundary::{Door, Site};

    #[test]
    fn a_scenario_parses_back_from_its_schedule() {
        let line = r#"{"id":"W1","body":[{"step":{"id":"1","kind":"keyed"}}]}"#;
        let workload = Workload::from_lines(&[line]).unwrap();
        let site = Site { call: "fdatasync", target: "wal", anchor: "after-1".to_owned(), request: None };
        let asks =
            Site { call: "sendto", target: "store", request: Some("commit-after-3fa2".to_owned()), ..site.clone() };
        let door = |door| Place::Door(door, Name::new("1").unwrap(), 2);
        let faults = [
            (Fault::Crash, door(Door::After)),
            (Fault::Zombie, Place::Call(site.clone(), 3)),
            (Fault::LateZombie, door(Door::Before)),
            (Fault::Stall, door(Door::After)),
            (Fault::CallFails(Errno::ENOSPC), Place::Call(site, 1)),
            (Fault::ReplyLate, Place::Call(asks.clone(), 1)),
            (Fault::Partition, Place::Call(asks.clone(), 1)),
            (Fault::HalfOpen, Place::Call(asks.clone(), 1)),
            (Fault::SlowStore, Place::Call(asks.clone(), 1)),
            (Fault::StoreRestart, Place::Call(asks, 1)),
        ];
        let strike = |(fault, at): &(Fault, Place), worker| Strike { fault: *fault, worker, at: at.clone() };
        for one in &faults {
            for other in &faults {
                let unnamed = matches!(other.0, Fault::SlowStore | Fault::StoreRestart);
                let strikes = vec![strike(one, 0), strike(other, usize::from(!unnamed))];
                let workload = workload.clone();
                let scenario = Scenario { name: "x".to_owned(), workload, workers: 1, strikes, counts: false };
                let schedule = scenario.schedule("engine 1.0", 5_000);
                assert_eq!(live_subject(&schedule).as_deref(), Some("engine@1.0"));
                let text = schedule.to_string();
                let again = Scenario::of_schedule("x", &text.parse().unwrap()).unwrap();
                assert_eq!(again, scenario, "{text}");
            }
        }
    }
}
