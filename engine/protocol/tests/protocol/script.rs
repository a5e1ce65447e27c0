//! The language of the transcripts: one command a line, as the transcripts' own comments explain it.

use std::collections::BTreeMap;

use hydra_protocol::worker::{delivery::Delivery, drive, lease::LeaseClock, step};
use hydra_protocol::{
    Command, Ending, Epoch, Outcome, Protocol, RawExecution, Reference, Rejection, Reply, Status, StepState, Time,
    Verdict, decode,
};

use crate::coverage::Coverage;
use crate::parse::{drive_event, ending, kind, plan, release, row, settlement, span, step_event, wake};
use crate::render;
use crate::store::{Message, Store};
use crate::words::Words;

/// What a transcript's commands act on.
#[derive(Default)]
pub struct Script {
    now: Time,
    store: Store,
    /// The epoch that each worker holds or held last.
    epochs: BTreeMap<String, Epoch>,
    machine: Option<Machine>,
    lease: Option<LeaseClock>,
    delivery: Delivery,
}

/// The worker's machine that the transcript set up last.
enum Machine {
    Step(step::Plan, step::Phase),
    Drive(Epoch, drive::Phase),
}

impl Script {
    /// Runs one line and answers with what it prints.
    pub fn run(&mut self, line: &str, seen: &mut Coverage) -> Vec<String> {
        let mut words = Words::of(line);
        let out = match words.next() {
            "now" => {
                let word = words.next();
                self.now = Time::from_millis(words.parse(word));
                vec![]
            }
            "show" => render::rows(&self.store),
            "given" => self.given(&mut words),
            "plan" => {
                self.machine = Some(Machine::Step(plan(&mut words), step::Phase::New));
                vec![]
            }
            "drive" => {
                self.machine = Some(Machine::Drive(Epoch(words.number("epoch")), drive::Phase::Driving));
                vec![]
            }
            "event" => self.event(&mut words, seen),
            "idle" => idle(self.now, &mut words, seen),
            "lease" => self.lease(&mut words, seen),
            "delivery" => self.delivery(&mut words),
            first => self.send(first, &mut words, seen),
        };
        words.end();
        out
    }

    /// `given execution ...` and `given step ...` put a row there, through the decoding of its columns.
    fn given(&mut self, words: &mut Words) -> Vec<String> {
        if words.takes("execution") {
            let raw = RawExecution {
                status: words.next(),
                due_at: words.number_or_none("due"),
                epoch: words.number("epoch"),
                settled: words.number("settled"),
                replays: words.number("replays"),
                replays_max: words.number("replays_max"),
                deadline: words.number_or_none("deadline"),
                failure: words.value("failure"),
            };
            match decode::execution(&raw) {
                Ok(execution) => self.store.execution = Some(execution),
                Err(error) => return vec![format!("not a row, {error}: {error:?}")],
            }
        } else {
            assert!(words.takes("step"));
            let number = words.next();
            let number = words.parse(number);
            match row(self.store.execution.as_ref().expect("an execution first"), words) {
                Ok(step) => self.store.steps.insert(number, step),
                Err(error) => return vec![format!("not a row, {error}: {error:?}")],
            };
        }
        vec![]
    }

    /// A command for the store. A capital letter before it is the worker who sends it, under the epoch that it holds.
    fn send(&mut self, first: &str, words: &mut Words, seen: &mut Coverage) -> Vec<String> {
        let worker = first.starts_with(|letter: char| letter.is_ascii_uppercase()).then(|| first.to_string());
        let epoch = worker.as_ref().and_then(|worker| self.epochs.get(worker).copied()).unwrap_or_default();
        let verb = if worker.is_some() { words.next() } else { first };
        let mut step = 0;
        let mut number = |words: &mut Words| {
            let word = words.next();
            step = words.parse(word);
        };
        let command = match verb {
            "start" => Command::Start {
                due_at: Time::from_millis(words.number("due")),
                deadline: words.number_or_none("deadline").map(Time::from_millis),
                replays_max: words.number("replays_max"),
            },
            "claim" => Command::Claim { lease: span(words, "lease"), knows: !words.takes("unknowing") },
            "heartbeat" => Command::Heartbeat { epoch, lease: span(words, "lease") },
            "begin" => {
                number(words);
                let kind = kind(words);
                let (attempt, attempts_max) = (words.number("attempt"), words.number("max"));
                Command::Begin { epoch, kind, attempt, attempts_max }
            }
            "settle" => {
                number(words);
                Command::Settle { epoch, attempt: words.number("attempt"), settlement: settlement(words) }
            }
            "sleep" => {
                number(words);
                Command::Sleep { epoch, wake: wake(words) }
            }
            "fire" => {
                number(words);
                Command::Fire { epoch }
            }
            "release" => Command::Release { epoch, release: release(words) },
            "finish" => Command::Finish { epoch, ending: ending(words) },
            "cancel" => Command::Cancel,
            "retry" => Command::Retry { attempts: words.number("attempts") },
            "resolve" => {
                number(words);
                let verdict = match words.next() {
                    "succeeded" => Verdict::Succeeded,
                    "failed" => Verdict::Failed,
                    other => words.fail(other),
                };
                Command::Resolve { verdict }
            }
            other => words.fail(other),
        };
        let input = !words.takes("other_input");
        let before = self.store.clone();
        let message = Message { command, step, input };
        let answer = self.store.send(&Reference, &message, self.now).unwrap_or_else(|defect| panic!("{defect:?}"));
        if let (Some(worker), Ok(Reply::Claimed { epoch, .. })) = (worker, &answer) {
            self.epochs.insert(worker, *epoch);
        }
        self.saw(&answer, seen);
        let mut out = vec![render::answer(&answer)];
        if self.store == before {
            out.push("nothing changed".into());
        } else {
            out.extend(render::rows(&self.store));
        }
        out
    }

    fn saw(&self, answer: &Result<Reply, Rejection>, seen: &mut Coverage) {
        match answer {
            Ok(reply) => seen.saw(reply),
            Err(rejection) => seen.saw(rejection),
        }
        if let Some(execution) = &self.store.execution {
            seen.saw(&execution.status);
            if let Status::Ended(ending) = execution.status {
                seen.saw(&ending);
                if let Ending::Failed(failure) = ending {
                    seen.saw(&failure);
                }
            }
        }
        for step in self.store.steps.values() {
            seen.saw(&step.kind);
            seen.saw(&step.state);
            if let StepState::Settled { outcome, .. } = step.state {
                seen.saw(&outcome);
                if let Outcome::Failed(cause) = outcome {
                    seen.saw(&cause);
                }
            }
        }
    }

    /// `event ...` for the machine set up last: prints where it goes and what it wants done.
    fn event(&mut self, words: &mut Words, seen: &mut Coverage) -> Vec<String> {
        match self.machine.as_mut().expect("a machine first") {
            Machine::Step(plan, phase) => {
                let event = step_event(words);
                seen.saw(&event);
                if let step::Event::Body(end) = &event {
                    seen.saw(end);
                }
                let (next, action) = Reference.step_next(plan, *phase, event);
                seen.saw(phase);
                seen.saw(&next);
                seen.saw(&action);
                if let step::Action::Stop(stop) = &action {
                    seen.saw(stop);
                }
                *phase = next;
                vec![render::step_phase(phase), render::step_action(&action)]
            }
            Machine::Drive(epoch, phase) => {
                let event = drive_event(words);
                let (next, action) = Reference.drive_next(*epoch, *phase, event);
                seen.saw(&event);
                seen.saw(&next);
                seen.saw(&action);
                seen.saw(phase);
                *phase = next;
                vec![render::drive_phase(phase), render::drive_action(&action)]
            }
        }
    }

    fn lease(&mut self, words: &mut Words, seen: &mut Coverage) -> Vec<String> {
        let now = self.now;
        match (words.next(), &mut self.lease) {
            ("granted", lease) => {
                let sent_at = Time::from_millis(words.number("sent"));
                *lease = Some(Reference.lease_clock(sent_at, span(words, "lease")));
            }
            ("beat_sent", Some(lease)) => lease.beat_sent(now, span(words, "lease")),
            ("renewed", Some(lease)) => {
                lease.renewed(Time::from_millis(words.number("sent")), span(words, "lease"));
            }
            ("duty", Some(lease)) => {
                let duty = lease.duty(now);
                seen.saw(&duty);
                return vec![format!("{duty:?}")];
            }
            (other, _) => words.fail(other),
        }
        let LeaseClock { beat_at, stop_at } = self.lease.expect("set above");
        vec![format!("beat at {}, stop at {}", beat_at.as_millis(), stop_at.as_millis())]
    }

    fn delivery(&mut self, words: &mut Words) -> Vec<String> {
        match words.next() {
            "turn" => {
                let next = self.delivery.is_next(words.number("order"));
                vec![if next { "hand it over" } else { "not its turn" }.into()]
            }
            "handed_over" => {
                self.delivery.handed_over();
                vec![format!("{} delivered", self.delivery.delivered())]
            }
            other => words.fail(other),
        }
    }
}

fn idle(now: Time, words: &mut Words, seen: &mut Coverage) -> Vec<String> {
    let busy = words.takes("busy");
    let wake = words.number_or_none("wake").map(Time::from_millis);
    let idle = drive::idle(busy, wake, now, span(words, "hold"));
    seen.saw(&idle);
    vec![format!("{idle:?}")]
}
