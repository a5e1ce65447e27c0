//! Scenarios as schedules, and back: a finding is a file and a command.

use hydra_schedule::{Action, ClientAct, Direction, Event, Name, Schedule, Target};
use hydra_simulation::workload::{Workload, WorkloadError};
use nix::errno::Errno;

use super::{Fault, Scenario, Strike, victim};
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
        let worker = victim();
        let fault = match self.fault {
            Fault::Crash => Line::Crash(worker),
            Fault::Zombie | Fault::LateZombie => Line::Pause { worker, for_ms: pause_ms },
            Fault::CallFails(error) => {
                let error = Name::new(error_name(error)).expect("the names of errors are names");
                Line::CallFails { worker, error }
            }
            Fault::DisconnectBefore => Line::DisconnectBefore(worker),
            Fault::ReplyLost => Line::ReplyLost(worker),
            Fault::Partition => Line::Partition { target: Target::Workers(vec![worker]), direction: Direction::Both },
        };
        Event::new(hydra_schedule::Action::Fault { fault, on: self.at.to_boundary() })
    }

    /// All lines: a zombie's pause is followed by what it waits for.
    fn events(&self, workload: &Workload, pause_ms: u64) -> Vec<Event> {
        let mut events = vec![self.event(pause_ms)];
        if self.fault == Fault::LateZombie {
            let ends = workload.programs.iter().map(|program| Event::client(ClientAct::Awaits(program.id.clone())));
            events.extend(ends);
            events.push(Event::fault(hydra_schedule::Fault::Resume(victim())));
        }
        events
    }

    fn of_event(event: &Event) -> Option<Self> {
        use hydra_schedule::Fault as Line;
        let hydra_schedule::Action::Fault { fault, on: Some(on) } = &event.action else { return None };
        let fault = match fault {
            Line::Crash(_) => Fault::Crash,
            Line::Pause { .. } => Fault::Zombie,
            Line::CallFails { error, .. } => {
                Fault::CallFails(ERRORS.iter().find(|(name, _)| *name == error.as_str())?.1)
            }
            Line::DisconnectBefore(_) => Fault::DisconnectBefore,
            Line::ReplyLost(_) => Fault::ReplyLost,
            Line::Partition { .. } => Fault::Partition,
            _ => return None,
        };
        Some(Strike { fault, at: Place::of_boundary(on)? })
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
            settings: Default::default(),
            events: self.strike.iter().flat_map(|strike| strike.events(&self.workload, pause_ms)).collect(),
        }
    }

    /// The scenario that a schedule stands for.
    pub fn of_schedule(name: &str, schedule: &Schedule) -> Result<Self, ScheduleProblem> {
        let workload = Workload::from_lines(&schedule.programs)?;
        let strike = match schedule.events.as_slice() {
            [] => None,
            [event, rest @ ..] => {
                let strike = Strike::of_event(event).ok_or_else(|| ScheduleProblem::Event(event.to_string()))?;
                let waits = |event: &&Event| matches!(event.action, Action::Client(ClientAct::Awaits(_)));
                let resumes = |event: &&Event| {
                    let resume = hydra_schedule::Fault::Resume(victim());
                    matches!(&event.action, Action::Fault { fault, .. } if *fault == resume)
                };
                if let Some(more) = rest.iter().find(|event| !waits(event) && !resumes(event)) {
                    return Err(ScheduleProblem::Event(more.to_string()));
                }
                let late = strike.fault == Fault::Zombie && rest.iter().any(|event| waits(&event));
                Some(Strike { fault: if late { Fault::LateZombie } else { strike.fault }, ..strike })
            }
        };
        let workers = schedule.workers.unwrap_or(1).clamp(1, 16) as usize;
        Ok(Scenario { name: name.to_owned(), workload, workers, strike, counts: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boundary::{Door, Site};

    #[test]
    fn a_scenario_parses_back_from_its_schedule() {
        let line = r#"{"id":"W1","body":[{"step":{"id":"1","kind":"keyed"}}]}"#;
        let workload = Workload::from_lines(&[line]).unwrap();
        let site = Site { call: "fdatasync", target: "wal", anchor: "after-1".to_owned() };
        let faults = [
            (Fault::Crash, Place::Door(Door::After, Name::new("1").unwrap(), 2)),
            (Fault::Zombie, Place::Call(site.clone(), 3)),
            (Fault::LateZombie, Place::Door(Door::Before, Name::new("1").unwrap(), 1)),
            (Fault::CallFails(Errno::ENOSPC), Place::Call(site, 1)),
        ];
        for (fault, at) in faults {
            let strike = Some(Strike { fault, at });
            let scenario =
                Scenario { name: "x".to_owned(), workload: workload.clone(), workers: 1, strike, counts: false };
            let text = scenario.schedule("engine 1.0", 5_000).to_string();
            let again = Scenario::of_schedule("x", &text.parse().unwrap()).unwrap();
            assert_eq!(again, scenario, "{text}");
        }
    }
}
