//! Clients and operators: they start, start again, cancel, look, retry and resolve.

use hydra_protocol::{Command, Protocol, Rejection, Reply, Span, Time, Verdict};

use super::Cluster;
use super::calls::Asker;
use super::note::{Fact, Who};
use super::queue::Event;
use super::store::About;
use crate::history::{Op, Phase};
use crate::workload::Workload;

/// What a client does, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Act {
    pub(crate) at_ms: u64,
    pub(crate) execution: u32,
    pub(crate) op: Op,
    pub(crate) other_input: bool,
}

/// A client that hears nothing asks again after so long.
const ASK_AGAIN_MS: u64 = 5_000;

/// Of a hundred operators who retry, so many resolve something first that needs no resolving.
const CARELESS_PERCENT: u64 = 30;
/// From so many calls on, operators no longer insist: rules that never let them retry must not keep a run going.
const CLIENT_CALLS_MAX: u32 = 10_000;

impl<P: Protocol + ?Sized> Cluster<'_, P> {
    /// What the workload's clients are going to do.
    pub(crate) fn plan_acts(&mut self, workload: &Workload) {
        self.acts.clear();
        self.acts_left = 0;
        for (execution, program) in workload.programs.iter().enumerate() {
            let execution = execution as u32;
            self.plan_act(Act { at_ms: program.start_at_ms, execution, op: Op::Start, other_input: false });
            for again in &program.starts_again {
                let other_input = again.other_input;
                self.plan_act(Act { at_ms: again.at_ms, execution, op: Op::Start, other_input });
            }
            if let Some(at_ms) = program.cancel_at_ms {
                self.plan_act(Act { at_ms, execution, op: Op::Cancel, other_input: false });
            }
        }
    }

    /// A client will act.
    pub(crate) fn plan_act(&mut self, act: Act) {
        self.queue.push(act.at_ms, Event::Client(self.acts.len() as u32));
        self.acts.push(act);
        self.acts_left += 1;
    }

    pub(crate) fn act(&mut self, index: usize) {
        let act = self.acts[index];
        self.acts_left -= 1;
        self.client_calls += 1;
        let call = self.client_calls;
        let Act { execution, op, other_input, .. } = act;
        self.note(Who::Client, Fact::Invoked { call, op, execution, other_input });
        let command = match op {
            Op::Start => {
                let program = &self.programs.programs[execution as usize];
                let after = |ms| self.store.clock(self.now_ms) + Span::from_millis(ms);
                let due_at = if program.delay_ms == 0 { Time::default() } else { after(program.delay_ms) };
                Command::Start {
                    due_at,
                    deadline: program.deadline_ms.map(after),
                    replays_max: self.config.replays_max,
                }
            }
            Op::Cancel => Command::Cancel,
            Op::Retry => Command::Retry { attempts: 1 },
            Op::Status | Op::Result => return self.look(call, op, execution),
        };
        if op == Op::Retry && self.random.percent(CARELESS_PERCENT) {
            self.resolve_anything(execution);
        }
        self.send(Asker::Client { call, op }, About { execution, step: None, other_input, value: 0 }, command, false);
    }

    /// What a request is about, once it is in the store's transaction: a retry is about the step that settled last by
    /// then, which need not be the one that had when the operator asked.
    pub(crate) fn found_step(&self, about: About, command: Command) -> About {
        match command {
            Command::Retry { .. } => About { step: self.store.last_settled(&self.programs, about.execution), ..about },
            _ => about,
        }
    }

    /// A look at what the store holds: a read, which fails while the store is away.
    fn look(&mut self, call: u32, op: Op, execution: u32) {
        let (phase, status) = if self.now_ms < self.store_back_ms {
            (Phase::Failed, None)
        } else {
            (Phase::Ok, Some(self.store.status(execution)))
        };
        let claim = self.ended_by[execution as usize];
        self.note(Who::Client, Fact::Answered { call, op, execution, other_input: false, phase, status, claim });
    }

    /// A client's call was answered, or never will be.
    pub(crate) fn client_told(&mut self, index: u32, call: u32, op: Op, answer: Option<Result<Reply, Rejection>>) {
        let About { execution, other_input, .. } = self.calls[index].about;
        if op == Op::Status {
            return;
        }
        if let Command::Resolve { .. } = self.calls[index].command {
            // Resolved or not, the operator tries again to retry.
            return self.plan_act(Act { at_ms: self.now_ms + 1, execution, op: Op::Retry, other_input: false });
        }
        let phase = match answer {
            None => Phase::Unknown,
            Some(Ok(_)) => Phase::Ok,
            Some(Err(_)) => Phase::Failed,
        };
        let fact = Fact::Answered { call, op, execution, other_input, phase, status: None, claim: 0 };
        self.note(Who::Client, fact);
        match (op, answer) {
            // Whoever has started something wants to know that it has begun: the same again is always right.
            (Op::Start | Op::Cancel, None) => {
                self.plan_act(Act { at_ms: self.now_ms + ASK_AGAIN_MS, execution, op, other_input });
            }
            (Op::Retry, Some(Err(Rejection::Unresolved(_)))) if self.client_calls < CLIENT_CALLS_MAX => {
                self.resolve(execution);
            }
            _ => {}
        }
    }

    /// An operator finds out at the receiver whether the effect happened, and tells the store.
    fn resolve(&mut self, execution: u32) {
        let Some(step) = self.store.last_settled(&self.programs, execution) else { return };
        let happened = self.notes.iter().rev().find_map(|note| match note.fact {
            Fact::Effect { step: of, body, applied: true, .. } if of == step => Some(body),
            _ => None,
        });
        let verdict = if happened.is_some() { Verdict::Succeeded } else { Verdict::Failed };
        let value = u64::from(happened.unwrap_or(0));
        let about = About { execution, step: Some(step), other_input: false, value };
        self.send(Asker::Client { call: 0, op: Op::Retry }, about, Command::Resolve { verdict }, false);
    }

    /// A careless operator resolves whatever step comes to hand. The store has to refuse what is not in doubt.
    fn resolve_anything(&mut self, execution: u32) {
        let steps = self.programs.programs[execution as usize].steps.clone();
        let step = steps.start + self.random.below(u64::from(steps.end - steps.start)) as u32;
        if Some(step) == self.store.last_settled(&self.programs, execution) {
            return;
        }
        let about = About { execution, step: Some(step), other_input: false, value: 0 };
        let command = Command::Resolve { verdict: Verdict::Succeeded };
        self.send(Asker::Client { call: 0, op: Op::Status }, about, command, false);
    }

    /// When nothing moves any more, clients ask for the status and the result of everything.
    pub(crate) fn last_look(&mut self) {
        self.store_back_ms = 0;
        for execution in 0..self.store.executions.len() as u32 {
            for op in [Op::Status, Op::Result] {
                if op == Op::Status || self.store.executions[execution as usize].is_some_and(|row| row.is_ended()) {
                    self.client_calls += 1;
                    let call = self.client_calls;
                    self.note(Who::Client, Fact::Invoked { call, op, execution, other_input: false });
                    self.look(call, op, execution);
                }
            }
        }
        self.tally.simulated_ms += self.now_ms;
        self.note(Who::Store, Fact::Ended);
    }
}
