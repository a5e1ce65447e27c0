//! What the clients of a run ask, and what they are told.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use hydra_schedule::Name;
use hydra_simulation::history::{Call, Journal, Op, Phase, Seen, Status};
use hydra_simulation::workload::{Program, StepKind};

use super::run::{ASKED_AGAIN_MAX, Run};
use crate::talk::{Answer, Committed};

impl Run<'_> {
    pub(super) fn clients_act(&mut self) -> Result<(), String> {
        while let Some(act) = self.acts.pop_if(|act| self.began_ms + act.at_ms <= self.observer.now_ms()) {
            // What was counted so far is its polling; boundaries are counted from here, as in runs with a fault.
            self.idle.get_or_insert_with(|| {
                std::mem::take(&mut *self.counts.lock().unwrap_or_else(PoisonError::into_inner))
            });
            let program = self.scenario.workload.programs[act.program].clone();
            let op = if act.op == Op::Start { "start" } else { "cancel" };
            let call = Call::invoked(self.observer.next_call(), act.op, &program.id);
            let call = Call { other_input: act.other_input, ..call };
            self.observer.call(call.clone());
            let with = (act.op == Op::Start).then_some((&program, act.other_input));
            let answer = self.client.ask(op, program.id.as_str(), with)?;
            self.observer.call(answered(&call, answer));
        }
        Ok(())
    }

    /// Asks the status of each open execution; of one that has ended, its result.
    pub(super) fn ask_statuses(&mut self) -> Result<(), String> {
        for program in &self.scenario.workload.programs {
            let known = self.statuses.get(&program.id).copied();
            let started = !self.acts.iter().any(|act| {
                self.scenario.workload.programs[act.program].id == program.id && act.at_ms == program.start_at_ms
            });
            if known.is_some_and(Status::is_terminal) || !started {
                continue;
            }
            let call = Call::invoked(self.observer.next_call(), Op::Result, &program.id);
            let answer = self.client.ask("result", program.id.as_str(), None)?;
            let Some(status) = answer.as_ref().and_then(|answer| answer.status) else { continue };
            // The same answer again and again would drown the history.
            if known == Some(status) {
                continue;
            }
            self.statuses.insert(program.id.clone(), status);
            if let Some(stamp) =
                answer.as_ref().and_then(|answer| answer.stamp.clone()).filter(|_| status.is_terminal())
            {
                self.stamps.insert(program.id.clone(), stamp);
            }
            self.observer.call(call.clone());
            self.observer.call(answered(&call, answer));
        }
        Ok(())
    }

    /// What has ended must stay ended: a few of them are asked once more.
    pub(super) fn ask_ended_again(&mut self) -> Result<(), String> {
        for program in self.scenario.workload.programs.iter().take(ASKED_AGAIN_MAX) {
            let call = Call::invoked(self.observer.next_call(), Op::Result, &program.id);
            self.observer.call(call.clone());
            let answer = self.client.ask("result", program.id.as_str(), None)?;
            let stamp = answer.as_ref().and_then(|answer| answer.stamp.clone());
            let rows = answer.as_ref().and_then(|answer| answer.rows);
            let committed = answer.as_ref().and_then(|answer| answer.committed.clone());
            let saw = answer.as_ref().map(|answer| answer.saw.clone()).unwrap_or_default();
            self.observer.call(answered(&call, answer));
            self.read_committed(program, &saw, committed);
            let before = self.stamps.get(&program.id);
            let again = before.zip(stamp.as_ref()).filter(|(first, now)| first != now);
            let contradiction =
                again.map(|(first, now)| format!("at its end the store held ({first}), and later ({now})"));
            if rows.is_some() || stamp.is_some() {
                let (execution, rows_per_step_max) = (program.id.clone(), rows.unwrap_or(0));
                // Which steps are open was not looked at.
                let seen = Journal::Rows { execution, rows_per_step_max, open_steps: 0, contradiction };
                self.observer.journal("store", seen);
            }
        }
        Ok(())
    }
}

impl Run<'_> {
    /// What the transactional steps of an execution that has ended left in the store: each row, and each that is missing.
    fn read_committed(&self, program: &Program, saw: &BTreeMap<Name, Seen>, rows: Option<Vec<Committed>>) {
        for step in program.steps().filter(|step| step.kind == StepKind::Transactional) {
            let Some(rows) = &rows else {
                let why = "its transactional steps cannot be judged: the client tells no \"committed\"";
                return self.observer.problem(why.to_owned());
            };
            let name = program.step_name(&step.id);
            let mut written = rows.iter().filter(|row| row.step == step.id).peekable();
            if let (None, Some(Seen::Value(value))) = (written.peek(), saw.get(&step.id)) {
                self.observer.committed(&name, value, false);
            }
            written.for_each(|row| self.observer.committed(&name, &row.value, true));
        }
    }
}

fn answered(call: &Call, answer: Option<Answer>) -> Call {
    let Some(answer) = answer else { return call.answered(Phase::Unknown) };
    let phase = match (&answer.error, &answer.unknown) {
        (_, Some(_)) => Phase::Unknown,
        (Some(_), None) => Phase::Failed,
        (None, None) => Phase::Ok,
    };
    let mut told = call.answered(phase);
    told.status = answer.status;
    told.saw = answer.saw;
    told.error = answer.error.or(answer.unknown);
    told
}
