//! Reading words of a line, with errors that say where, what was found and what is allowed.

use std::str::{FromStr, SplitWhitespace};

use super::event::{Action, ClientAct, Event, ExecutionOutcome, StepOutcome, WorkerAct};
use super::fault::{Boundary, Direction, Fault, Target};
use crate::name::{Name, StepName};

/// Why a text is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: found {found}, allowed here: {allowed}")]
pub struct ScheduleError {
    /// The line, from 1.
    pub line: usize,
    /// What stands there.
    pub found: String,
    /// What may stand there.
    pub allowed: String,
}

const WORKER_VERBS: &str =
    "claims, begins, runs, settles, replays, sleeps, fires, releases, finishes, asks, abandons, beats, stops";
const CLIENT_VERBS: &str = "starts, cancels, retries, looks, awaits";

/// The words of one line, taken from the left.
pub(super) struct Words<'a> {
    line: usize,
    rest: SplitWhitespace<'a>,
}

impl<'a> Words<'a> {
    pub(super) fn new(line: usize, text: &'a str) -> Self {
        Words { line, rest: text.split_whitespace() }
    }

    pub(super) fn error<T>(&self, found: impl Into<String>, allowed: impl Into<String>) -> Result<T, ScheduleError> {
        Err(ScheduleError { line: self.line, found: found.into(), allowed: allowed.into() })
    }

    pub(super) fn word(&mut self, allowed: &str) -> Result<&'a str, ScheduleError> {
        match self.rest.next() {
            Some(word) => Ok(word),
            None => self.error("the end of the line", allowed),
        }
    }

    pub(super) fn end(&mut self) -> Result<(), ScheduleError> {
        match self.rest.next() {
            None => Ok(()),
            Some(word) => self.error(format!("{word:?}"), "the end of the line"),
        }
    }

    pub(super) fn parsed<T: FromStr>(&mut self, allowed: &str) -> Result<T, ScheduleError> {
        let word = self.word(allowed)?;
        match word.parse() {
            Ok(value) => Ok(value),
            Err(_) => self.error(format!("{word:?}"), allowed),
        }
    }

    pub(super) fn name(&mut self, what: &str) -> Result<Name, ScheduleError> {
        let word = self.word(what)?;
        self.named(word, what)
    }

    fn named(&self, word: &str, what: &str) -> Result<Name, ScheduleError> {
        match Name::new(word) {
            Ok(name) => Ok(name),
            Err(error) => self.error(format!("{word:?}"), format!("{what} ({error})")),
        }
    }

    fn step(&mut self) -> Result<StepName, ScheduleError> {
        let word = self.word("a step, EXECUTION/STEP")?;
        match word.parse() {
            Ok(step) => Ok(step),
            Err(error) => self.error(format!("{word:?}"), format!("a step ({error})")),
        }
    }

    fn execution(&mut self) -> Result<Name, ScheduleError> {
        self.name("an execution")
    }

    /// One of a closed set of words.
    fn one_of<T>(&mut self, all: &[T], word_of: impl Fn(&T) -> &'static str) -> Result<T, ScheduleError>
    where
        T: Copy,
    {
        let allowed = all.iter().map(&word_of).collect::<Vec<_>>().join(", ");
        let word = self.word(&allowed)?;
        match all.iter().find(|value| word_of(value) == word) {
            Some(value) => Ok(*value),
            None => self.error(format!("{word:?}"), allowed),
        }
    }

    pub(super) fn event(&mut self) -> Result<Event, ScheduleError> {
        let mut first = self.word("an event")?;
        let mut at_ms = None;
        if first == "at" {
            at_ms = Some(self.parsed("a time in milliseconds")?);
            first = self.word("an event after the time")?;
        }
        let action = match first {
            "client" => Action::Client(self.client()?),
            "time" => {
                self.exactly("passes")?;
                Action::TimePasses { execution: self.execution()? }
            }
            "store" => {
                self.exactly("expires")?;
                Action::StoreExpires { execution: self.execution()? }
            }
            "fault" => {
                let (fault, on) = self.fault()?;
                Action::Fault { fault, on }
            }
            worker => {
                let worker = self.named(worker, "client, time, store, fault, at, or a worker's name")?;
                Action::Worker { worker, act: self.worker()? }
            }
        };
        self.end()?;
        Ok(Event { at_ms, action })
    }

    pub(super) fn exactly(&mut self, wanted: &str) -> Result<(), ScheduleError> {
        match self.word(wanted)? {
            word if word == wanted => Ok(()),
            word => self.error(format!("{word:?}"), wanted),
        }
    }

    fn worker(&mut self) -> Result<WorkerAct, ScheduleError> {
        Ok(match self.word(WORKER_VERBS)? {
            "claims" => WorkerAct::Claims(self.execution()?),
            "begins" => {
                let step = self.step()?;
                self.exactly("attempt")?;
                WorkerAct::Begins { step, attempt: self.parsed("the attempt's number")? }
            }
            "runs" => WorkerAct::Runs(self.step()?),
            "settles" => {
                let step = self.step()?;
                WorkerAct::Settles { step, outcome: self.one_of(StepOutcome::ALL, |outcome| outcome.word())? }
            }
            "replays" => WorkerAct::Replays(self.step()?),
            "sleeps" => WorkerAct::Sleeps(self.step()?),
            "fires" => WorkerAct::Fires(self.step()?),
            "releases" => WorkerAct::Releases(self.execution()?),
            "finishes" => {
                let execution = self.execution()?;
                let outcome = self.one_of(ExecutionOutcome::ALL, |outcome| outcome.word())?;
                WorkerAct::Finishes { execution, outcome }
            }
            "asks" => WorkerAct::Asks(self.execution()?),
            "abandons" => WorkerAct::Abandons(self.execution()?),
            "beats" => WorkerAct::Beats,
            "stops" => WorkerAct::Stops,
            verb => return self.error(format!("{verb:?}"), WORKER_VERBS),
        })
    }

    fn client(&mut self) -> Result<ClientAct, ScheduleError> {
        Ok(match self.word(CLIENT_VERBS)? {
            "starts" => {
                let execution = self.execution()?;
                let other_input = match self.rest.next() {
                    None => false,
                    Some("other-input") => true,
                    Some(word) => {
                        return self.error(format!("{word:?}"), "other-input, or the end of the line");
                    }
                };
                ClientAct::Starts { execution, other_input }
            }
            "cancels" => ClientAct::Cancels(self.execution()?),
            "retries" => ClientAct::Retries(self.execution()?),
            "looks" => ClientAct::Looks(self.execution()?),
            "awaits" => ClientAct::Awaits(self.execution()?),
            verb => return self.error(format!("{verb:?}"), CLIENT_VERBS),
        })
    }

    fn fault(&mut self) -> Result<(Fault, Option<Boundary>), ScheduleError> {
        let kinds = Fault::KINDS.join(", ");
        let kind = self.word(&kinds)?;
        let fault = match kind {
            "crash" => Fault::Crash(self.name("a worker")?),
            "restart" => Fault::Restart(self.name("a worker")?),
            "disconnect-before" => Fault::DisconnectBefore(self.name("a worker")?),
            "reply-lost" => Fault::ReplyLost(self.name("a worker")?),
            "reply-late" => Fault::ReplyLate(self.name("a worker")?),
            "duplicate" => Fault::Duplicate(self.name("a worker")?),
            "partition" => {
                let target = self.target()?;
                let mut ahead = self.rest.clone();
                let direction = match ahead.next() {
                    None | Some("on") => Direction::Both,
                    Some(_) => self.one_of(Direction::ALL, |direction| direction.word())?,
                };
                Fault::Partition { target, direction }
            }
            "heal" => Fault::Heal(self.target()?),
            "pause" => {
                Fault::Pause { worker: self.name("a worker")?, for_ms: self.parsed("a duration in milliseconds")? }
            }
            "resume" => Fault::Resume(self.name("a worker")?),
            "clock" => Fault::Clock {
                worker: self.name("a worker")?,
                by_ms: self.parsed("signed milliseconds, such as +5000")?,
            },
            "drift" => Fault::Drift { worker: self.name("a worker")?, ppm: self.parsed("parts per million")? },
            "store-clock" => Fault::StoreClock { by_ms: self.parsed("signed milliseconds, such as +5000")? },
            "store-drift" => Fault::StoreDrift { ppm: self.parsed("parts per million")? },
            "slow-store" => Fault::SlowStore { by_ms: self.parsed("a delay in milliseconds")? },
            "store-restart" => Fault::StoreRestart,
            "encode" => Fault::Encode(self.step()?),
            "decode" => Fault::Decode(self.step()?),
            "call-fails" => Fault::CallFails { worker: self.name("a worker")?, error: self.name("an errno name")? },
            _ => return self.error(format!("{kind:?}"), kinds),
        };
        let on = match self.rest.next() {
            None => None,
            Some("on") => Some(self.boundary()?),
            Some(word) => {
                return self.error(format!("{word:?}"), "on PLACE#N, or the end of the line");
            }
        };
        Ok((fault, on))
    }

    fn target(&mut self) -> Result<Target, ScheduleError> {
        let word = self.word("all, or workers such as A or A,B")?;
        if word == "all" {
            return Ok(Target::All);
        }
        let names = word.split(',').map(|name| self.named(name, "all, or workers such as A or A,B"));
        Ok(Target::Workers(names.collect::<Result<_, _>>()?))
    }

    fn boundary(&mut self) -> Result<Boundary, ScheduleError> {
        let allowed = "a place and its number, such as write#12";
        let word = self.word(allowed)?;
        let parsed = word.split_once('#').and_then(|(place, nth)| Some((Name::new(place).ok()?, nth.parse().ok()?)));
        match parsed {
            Some((place, nth)) => Ok(Boundary { place, nth }),
            None => self.error(format!("{word:?}"), allowed),
        }
    }
}
