//! Bodies of steps, and the receivers of their effects.

use hydra_protocol::worker::step;
use hydra_protocol::{Kind, Protocol, StepNo};

use super::calls::Asker;
use super::note::{Fact, Gave, Who};
use super::queue::Event;
use super::worker::Place;
use super::{Cluster, goal};
use crate::workload::BodyEnd;

/// How a body's end reads to the worker's machine.
pub(crate) fn body_end(end: BodyEnd) -> step::BodyEnd {
    match end {
        BodyEnd::Returns => step::BodyEnd::Returned,
        BodyEnd::Fails => step::BodyEnd::Error { retryable: true },
        BodyEnd::FailsFinally => step::BodyEnd::Error { retryable: false },
        BodyEnd::Unencodable => step::BodyEnd::Unencodable,
    }
}

impl<P: Protocol + ?Sized> Cluster<'_, P> {
    /// A body is entered: its number, and how it is going to end.
    fn enter(&mut self, drive: u32, step: u32, attempt: u32) -> (u32, BodyEnd) {
        self.bodies += 1;
        let body = self.bodies;
        self.entries[step as usize] += 1;
        let mut end = self.programs.steps[step as usize].ends.on_entry(self.entries[step as usize]);
        if end == BodyEnd::Returns && std::mem::take(&mut self.encode_fails[step as usize]) {
            end = BodyEnd::Unencodable;
        }
        let there = &self.drives[drive];
        let other_input = self.store.other_input[there.execution as usize];
        let (who, claim) = (Who::Worker(there.worker), there.claim);
        self.note(who, Fact::Entered { step, body, attempt, claim, other_input });
        (body, end)
    }

    /// The machine says: run it.
    pub(crate) fn enter_body(&mut self, index: u32, slot: u32, attempt: u32) {
        let step = self.step_of(index, slot);
        let (body, end) = self.enter(index, step, attempt);
        let there = &mut self.drives[index].slots[slot as usize];
        there.body = body;
        there.end = end;
        there.effected = false;
        let happens = matches!(end, BodyEnd::Returns | BodyEnd::Unencodable);
        // The effect happens at the beginning of a body or at its end: both sides of a cancellation.
        if happens && self.random.percent(50) {
            self.effect(index, slot, attempt);
        }
        let lasts_ms = self.programs.steps[step as usize].lasts_ms + self.random.below(3);
        let generation = self.drives[index].generation;
        self.queue.push(self.now_ms + lasts_ms, Event::Body { drive: index, generation, slot });
        let worker = self.drives[index].worker;
        self.pass(worker, Place::Body);
    }

    /// The receiver sees the effect; one that honours keys does each only once.
    fn effect(&mut self, index: u32, slot: u32, attempt: u32) {
        let step = self.step_of(index, slot);
        let drive = &mut self.drives[index];
        let (worker, execution, epoch) = (drive.worker, drive.execution, drive.epoch.0);
        let there = &mut drive.slots[slot as usize];
        there.effected = true;
        let body = there.body;
        let key = match self.kind_of(index, slot) {
            Kind::Keyed => Some(self.rules.key(StepNo(slot + 1), attempt)),
            Kind::AtMostOnce | Kind::Transactional | Kind::Timer => None,
        };
        let applied = key.is_none_or(|key| self.keys.insert((execution, key)));
        self.note(Who::Worker(worker), Fact::Effect { step, body, key, epoch, applied });
    }

    /// The body has run to its end.
    pub(crate) fn body_ended(&mut self, index: u32, slot: u32) {
        let mut there = self.drives[index].slots[slot as usize];
        let step::Phase::Running { attempt } = there.phase else { return };
        if there.body == 0 {
            return;
        }
        let step = self.step_of(index, slot);
        if there.end == BodyEnd::Returns && std::mem::take(&mut self.encode_fails[step as usize]) {
            there.end = BodyEnd::Unencodable;
        }
        let gave = match there.end {
            BodyEnd::Returns => Gave::Value(u64::from(there.body)),
            BodyEnd::Fails => Gave::Failure,
            BodyEnd::FailsFinally => Gave::FinalFailure,
            BodyEnd::Unencodable => Gave::Unencodable,
        };
        if matches!(there.end, BodyEnd::Returns | BodyEnd::Unencodable) && !there.effected {
            self.effect(index, slot, attempt);
        }
        let worker = self.drives[index].worker;
        let generation = self.drives[index].generation;
        self.note(Who::Worker(worker), Fact::Left { step, body: there.body, gave });
        let slot_there = &mut self.drives[index].slots[slot as usize];
        slot_there.body = 0;
        slot_there.value = u64::from(there.body);
        self.pass(worker, Place::Left);
        if self.is_live(index, generation) {
            self.feed_step(index, slot, step::Event::Body(body_end(there.end)));
        }
    }

    /// A body that writes through the store's own transaction has begun.
    pub(crate) fn run_in_transaction(&mut self, call: u32) {
        let Asker::Step { drive, generation, slot } = self.calls[call].asker else { return };
        if !self.is_live(drive, generation) {
            self.calls[call].answer = None;
            return self.respond(call);
        }
        if self.drives[drive].slots[slot as usize].dropped {
            // Its race is over: nobody waits for an answer.
            self.drives[drive].slots[slot as usize].phase = step::Phase::Gone;
            self.done_with(call);
            return self.go_on(drive);
        }
        let step = self.step_of(drive, slot);
        let attempt = self.store.steps[step as usize].row.map_or(0, |row| row.attempt);
        let (body, ends) = self.enter(drive, step, attempt);
        self.calls[call].body = body;
        self.calls[call].ends = ends;
        self.drives[drive].slots[slot as usize].body = body;
        if self.defects.effect_outside_transaction && ends == BodyEnd::Returns {
            let who = Who::Worker(self.drives[drive].worker);
            let epoch = self.drives[drive].epoch.0;
            self.note(who, Fact::Effect { step, body, key: None, epoch, applied: true });
        }
        let lasts_ms = self.programs.steps[step as usize].lasts_ms + self.random.below(3);
        self.push_call(self.now_ms + lasts_ms, call, Event::Transacted { call });
        let worker = self.drives[drive].worker;
        self.pass(worker, Place::Body);
    }

    /// That body has ended: its effect and its checkpoint commit together, or neither does.
    pub(crate) fn transacted(&mut self, call: u32) {
        if self.wait_out_pause(self.calls[call].worker, Event::Transacted { call }) {
            return;
        }
        let Asker::Step { drive, generation, slot } = self.calls[call].asker else { return };
        let (body, ends, about, command) =
            (self.calls[call].body, self.calls[call].ends, self.calls[call].about, self.calls[call].command);
        let step = about.step.unwrap_or(0);
        self.calls[call].hold(-1);
        self.waits_from_now(call);
        let who = Who::Worker(self.calls[call].worker);
        // It was cancelled, which was told then; or its process has ended, and nobody knows.
        if !self.is_live(drive, generation) || self.drives[drive].slots[slot as usize].body != body {
            self.tally.path(goal!("transaction-rolled-back"));
            return self.done_with(call);
        }
        self.drives[drive].slots[slot as usize].body = 0;
        // The connection is gone, and with it the transaction.
        if self.store_lost(call) {
            self.tally.path(goal!("transaction-rolled-back"));
            self.note(who, Fact::Left { step, body, gave: Gave::Cancelled });
            self.calls[call].answer = None;
            return self.abort(call);
        }
        let gave = match ends {
            BodyEnd::Returns => {
                self.calls[call].about.value = u64::from(body);
                let about = self.calls[call].about;
                // The rows may have changed since the body began; then all of it is undone.
                let noted = self.notes.len();
                let done = self.transact(call, about, &command);
                self.calls[call].answer = Some(done.answer);
                if done.refused {
                    self.note(who, Fact::Left { step, body, gave: Gave::Cancelled });
                    return self.abort(call);
                }
                if done.commit.is_some_and(|commit| commit.step.is_some()) {
                    let epoch = self.drives[drive].epoch.0;
                    let effect = Fact::Effect { step, body, key: None, epoch, applied: true };
                    // The effect is part of the transaction, so it is told before the checkpoint that it comes with.
                    let left = Fact::Left { step, body, gave: Gave::Value(u64::from(body)) };
                    self.note_at(noted, who, left);
                    if !self.defects.effect_outside_transaction {
                        self.note_at(noted, who, effect);
                    }
                    return self.respond(call);
                }
                Gave::Cancelled
            }
            BodyEnd::Fails => Gave::Failure,
            // What cannot be encoded cannot be committed either: rolled back, it has not happened.
            BodyEnd::FailsFinally | BodyEnd::Unencodable => Gave::FinalFailure,
        };
        self.tally.path(goal!("transaction-rolled-back"));
        self.note(who, Fact::Left { step, body, gave });
        if gave == Gave::Cancelled {
            self.respond(call);
        } else {
            self.body_failed(call, ends);
        }
    }
}
