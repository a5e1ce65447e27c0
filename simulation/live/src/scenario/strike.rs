//! A fault is put at its place, and strikes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};

use hydra_schedule::Name;

use super::run::Run;
use super::{Fault, Strike};
use crate::boundary::Place;
use crate::placed::{Act, Counts, NextTrigger, Trigger};
use crate::process::trace::Trace;
use crate::store::proxy::{Ears, Weather};

/// How much later each piece of the traffic with a slow store comes, in milliseconds.
pub(super) const SLOW_MS: u64 = 400;

/// Why a clock does not jump: nobody would notice.
const UNMOVED: &str = "a worker does not ask the C library for the time, as a static program does not: its clock cannot be \
    made to jump";

/// One fault of a run, and how far it is.
pub(super) struct Course {
    pub(super) strike: Strike,
    pub(super) fired: Arc<AtomicBool>,
    pub(super) stadium: Stadium,
}

/// How far a fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stadium {
    /// It is not at its place yet: an earlier one comes first.
    Next,
    /// It has not struck.
    Waiting,
    /// The victim stands still since then; before, this other worker had entered so many bodies.
    Paused { since_ms: u64, entered: usize },
    /// The victim, having stood still alone, goes on since then, and had entered so many bodies.
    Alone { since_ms: u64, entered: usize },
    /// The victim goes on since then, and its heir waits.
    Together { since_ms: u64 },
    /// The network or the store is broken since then, for so long.
    Broken { since_ms: u64, for_ms: u64 },
    /// It is over, or will never strike.
    Over,
}

impl Run<'_> {
    /// Puts the first fault at its place, and counts calls and messages where that is asked.
    pub(super) fn arm_first(&mut self) -> Result<(), String> {
        if self.scenario.counts {
            self.trace(0)?;
            self.listen(0);
        }
        self.arm_next()
    }

    /// Puts the next fault at its place, once the worker that it strikes is up.
    pub(super) fn arm_next(&mut self) -> Result<(), String> {
        let next = self.courses.iter().position(|course| course.stadium == Stadium::Next);
        let Some(index) = next else { return Ok(()) };
        let Strike { worker, at, fault } = self.courses[index].strike.clone();
        if self.workers[worker].process.is_none() {
            return Ok(());
        }
        self.courses[index].stadium = Stadium::Waiting;
        let is_message = at.is_message();
        match at {
            Place::Door(door, step, nth) => self.observer.hold(&Name::worker(worker), &step, door, nth),
            Place::Call(site, nth) => {
                let act = match fault {
                    Fault::Crash => Act::Kill,
                    Fault::Zombie | Fault::LateZombie | Fault::Stall => Act::Hold,
                    Fault::CallFails(error) => Act::Fail(error),
                    Fault::DisconnectBefore
                    | Fault::ReplyLost
                    | Fault::ReplyLate
                    | Fault::Partition
                    | Fault::HalfOpen
                    | Fault::SlowStore
                    | Fault::StoreRestart
                    | Fault::Clock(_) => Act::Tell,
                };
                let trigger = Trigger { site, nth, act, fired: self.fires(index) };
                let next = if is_message { self.listen(worker) } else { self.trace(worker)? };
                *next.lock().unwrap_or_else(PoisonError::into_inner) = Some(trigger);
            }
        }
        Ok(())
    }

    /// Traces a worker, unless it is traced already; answers where its next fault is put.
    fn trace(&mut self, worker: usize) -> Result<NextTrigger, String> {
        if let Some(traced) = &self.workers[worker].traced {
            return Ok(traced.clone());
        }
        let (anchor, name) = (self.observer.clone(), Name::worker(worker));
        let trigger = NextTrigger::default();
        let counts = self.counted(worker);
        let trace = Trace {
            anchor: Box::new(move || anchor.anchor(&name)),
            door: self.door.port(),
            store: self.stage.store_ports(),
            postgres: self.stage.world.adapter.store == crate::adapter::Store::Postgres,
            trigger: trigger.clone(),
            counts,
            watch: None,
        };
        let process = self.workers[worker].process.as_ref();
        process.ok_or("the worker is not up")?.trace(trace)?;
        self.workers[worker].traced = Some(trigger.clone());
        Ok(trigger)
    }

    /// Has a worker's messages heard, unless they are already; answers where its next fault is put.
    fn listen(&mut self, worker: usize) -> NextTrigger {
        if let Some(heard) = &self.workers[worker].heard {
            return heard.clone();
        }
        let (anchor, name) = (self.observer.clone(), Name::worker(worker));
        let (trigger, counts) = (NextTrigger::default(), self.counted(worker));
        let anchor = Box::new(move || anchor.anchor(&name));
        self.stage.listen(worker, Ears { anchor, counts, trigger: trigger.clone() });
        self.workers[worker].heard = Some(trigger.clone());
        trigger
    }

    /// Where a worker's calls and messages are counted: where the run tells it, or for this fault alone.
    fn counted(&self, worker: usize) -> Counts {
        if worker == 0 && self.scenario.counts { self.counts.clone() } else { Counts::default() }
    }

    /// What is noted and done in the moment in which a fault strikes.
    pub(super) fn fires(&self, index: usize) -> Box<dyn FnMut() + Send> {
        let course = &self.courses[index];
        let (observer, fired, fault) = (self.observer.clone(), course.fired.clone(), course.strike.fault);
        let is_message = course.strike.at.is_message();
        let event = course.strike.event(self.pause_ms());
        let weather = self.stage.weather(course.strike.worker);
        let clock = self.stage.clock(&Name::worker(course.strike.worker));
        Box::new(move || {
            let jumps = if let Fault::Clock(by_ms) = fault { Some(by_ms) } else { None };
            let looked_at = clock.as_ref().filter(|clock| clock.is_looked_at());
            if jumps.is_some() && looked_at.is_none() {
                return observer.problem(UNMOVED.to_owned());
            }
            observer.fault(event.clone());
            let now = match fault {
                Fault::DisconnectBefore => Weather::Down,
                Fault::ReplyLost => Weather::RepliesLost,
                Fault::ReplyLate => Weather::RepliesHeld,
                Fault::Partition | Fault::HalfOpen => Weather::Silent,
                Fault::SlowStore => Weather::Slow(SLOW_MS),
                // The message must not get through before the process is killed.
                Fault::Crash | Fault::StoreRestart if is_message => Weather::Silent,
                Fault::Crash
                | Fault::Zombie
                | Fault::LateZombie
                | Fault::Stall
                | Fault::CallFails(_)
                | Fault::StoreRestart
                | Fault::Clock(_) => Weather::Fine,
            };
            if let (Some(by_ms), Some(clock)) = (jumps, looked_at)
                && let Err(error) = clock.jump(by_ms)
            {
                observer.problem(format!("a worker's clock cannot be made to jump: {error}"));
            }
            if let Some(weather) = weather.as_ref().filter(|_| now != Weather::Fine) {
                weather.send_replace(now);
            }
            fired.store(true, Ordering::SeqCst);
        })
    }
}
