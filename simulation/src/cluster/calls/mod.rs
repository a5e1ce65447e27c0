//! Requests to the store and their answers: they take time, get lost, come late and come twice.

mod answers;

use hydra_protocol::{Command, Protocol, Rejection, Reply, Time};

use super::Cluster;
use super::queue::Event;
use super::store::About;
use super::worker::{Armed, Place};
use crate::history::Op;
use crate::workload::BodyEnd;

/// Who asks, and so who is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// A client or an operator.
    Client { call: u32, op: Op },
    /// A worker that looks for work.
    Poll { worker: u8 },
    /// The machine of a step.
    Step { drive: u32, generation: u32, slot: u32 },
    /// The machine of an execution.
    Drive { drive: u32, generation: u32 },
    /// The keeper of a lease.
    Beat { drive: u32, generation: u32 },
}

/// One request.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) asker: Asker,
    /// The worker that sent it, its process, and the claim under which it acts; meaningless for a client.
    pub(crate) worker: u8,
    incarnation: u32,
    pub(crate) claim: u32,
    /// Counts the requests of the run.
    pub(crate) serial: u32,
    store_incarnation: u32,
    pub(crate) about: About,
    pub(crate) command: Command,
    /// The settlement holds a body, which runs in its transaction.
    pub(crate) transact: bool,
    sent_ms: u64,
    /// By the sender's clock.
    pub(crate) sent_at: Time,
    pub(crate) answer: Option<Result<Reply, Rejection>>,
    /// The store's clock when it answered.
    answered_at: Time,
    /// How the body in the transaction ended, if it made the transaction roll back.
    pub(crate) rolled_back: Option<BodyEnd>,
    pub(crate) body: u32,
    pub(crate) ends: BodyEnd,
    /// Leases granted to a poll: the drive and its generation.
    pub(crate) granted: Vec<(u32, u32)>,
    /// Events that still hold this call.
    events: u8,
    pub(crate) lose_reply: bool,
    pub(crate) late_reply: bool,
    told_lost: bool,
    answered: bool,
    given_up: bool,
}

impl Default for Call {
    fn default() -> Self {
        Call {
            asker: Asker::Poll { worker: 0 },
            worker: 0,
            incarnation: 0,
            claim: 0,
            serial: 0,
            store_incarnation: 0,
            about: About { execution: 0, step: None, other_input: false, value: 0 },
            command: Command::Cancel,
            transact: false,
            sent_ms: 0,
            sent_at: Time::MAX,
            answer: None,
            answered_at: Time::MAX,
            rolled_back: None,
            body: 0,
            ends: BodyEnd::Returns,
            granted: Vec::new(),
            events: 0,
            lose_reply: false,
            late_reply: false,
            told_lost: false,
            answered: false,
            given_up: false,
        }
    }
}

impl Call {
    /// A new request in the place of an old one, field by field: a whole one is large to move, and each has memory.
    fn begin(&mut self, asker: Asker, about: About, command: Command, transact: bool) {
        (self.asker, self.about, self.command, self.transact) = (asker, about, command, transact);
        (self.worker, self.incarnation, self.claim, self.sent_at) = (0, 0, 0, Time::MAX);
        (self.answer, self.answered_at, self.rolled_back) = (None, Time::MAX, None);
        (self.body, self.ends, self.events) = (0, BodyEnd::Returns, 0);
        (self.lose_reply, self.late_reply, self.told_lost) = (false, false, false);
        (self.answered, self.given_up) = (false, false);
        self.granted.clear();
    }

    /// Whether a worker sent it.
    pub(crate) fn is_of_worker(&self) -> bool {
        !matches!(self.asker, Asker::Client { .. })
    }

    /// One event more, or less, that holds this call.
    pub(crate) fn hold(&mut self, change: i8) {
        self.events = self.events.wrapping_add_signed(change);
    }
}

impl<P: Protocol + ?Sized> Cluster<'_, P> {
    pub(crate) fn send_step(&mut self, drive: u32, slot: u32, command: Command, transact: bool) {
        let there = &self.drives[drive];
        let asker = Asker::Step { drive, generation: there.generation, slot };
        let value = there.slots[slot as usize].value;
        let about =
            About { execution: there.execution, step: Some(self.step_of(drive, slot)), other_input: false, value };
        self.send(asker, about, command, transact);
    }

    pub(crate) fn send_drive(&mut self, drive: u32, command: Command) {
        let there = &self.drives[drive];
        let asker = Asker::Drive { drive, generation: there.generation };
        let about = About { execution: there.execution, step: None, other_input: false, value: 0 };
        self.send(asker, about, command, false);
    }

    /// The worker that asks, and the claim under which it does; none for a client.
    fn sender_of(&self, asker: Asker) -> Option<(u8, u32)> {
        match asker {
            Asker::Client { .. } => None,
            Asker::Poll { worker } => Some((worker, 0)),
            Asker::Step { drive, .. } | Asker::Drive { drive, .. } | Asker::Beat { drive, .. } => {
                Some((self.drives[drive].worker, self.drives[drive].claim))
            }
        }
    }

    /// The worker that asked.
    fn sender(&self, index: u32) -> Option<u8> {
        let call = &self.calls[index];
        (!matches!(call.asker, Asker::Client { .. })).then_some(call.worker)
    }

    /// A request goes out.
    pub(crate) fn send(&mut self, asker: Asker, about: About, command: Command, transact: bool) {
        let sender = self.sender_of(asker);
        let index = self.calls.take();
        let (now_ms, incarnation) = (self.now_ms, self.store_incarnation);
        let call = &mut self.calls[index];
        call.begin(asker, about, command, transact);
        (call.sent_ms, call.store_incarnation) = (now_ms, incarnation);
        let mut lost = false;
        let mut twice = false;
        if let Some((worker, claim)) = sender {
            (call.worker, call.claim) = (worker, claim);
            call.incarnation = self.workers[worker as usize].incarnation;
            call.sent_at = self.workers[worker as usize].clock(now_ms);
            self.pass(worker, Place::Request);
            let there = &mut self.workers[worker as usize];
            let call = &mut self.calls[index];
            lost = there.cut_out | Armed::fires(&mut there.armed.lose_request);
            call.lose_reply = Armed::fires(&mut there.armed.lose_reply);
            call.late_reply = Armed::fires(&mut there.armed.late_reply);
            // A transaction that holds a body is a conversation, which no network can repeat.
            twice = !transact && Armed::fires(&mut there.armed.duplicate);
        }
        // The machine waits for this request from now on; that an earlier one is lost is nothing to it.
        self.requests += 1;
        let serial = self.requests;
        self.calls[index].serial = serial;
        match asker {
            Asker::Step { drive, slot, .. } => self.drives[drive].slots[slot as usize].awaits = serial,
            Asker::Drive { drive, .. } => self.drives[drive].awaits = serial,
            Asker::Client { .. } | Asker::Poll { .. } | Asker::Beat { .. } => {}
        }
        if lost {
            self.lose(index);
            return;
        }
        let way_ms = self.way_ms();
        self.push_call(self.now_ms + way_ms, index, Event::Arrive { call: index });
        if way_ms > self.config.timeout_ms {
            self.lose(index);
        }
        if twice {
            // The second copy may come long after the sender has gone on.
            let later_ms = way_ms + self.some_ms(self.config.timeout_ms * 2);
            self.push_call(self.now_ms + later_ms, index, Event::Arrive { call: index });
        }
    }

    /// How long a message and, on the way there, a commit take.
    fn way_ms(&mut self) -> u64 {
        self.some_ms(self.config.network_ms_max) + self.some_ms(self.config.commit_ms_max) + self.store_slow_ms
    }

    pub(crate) fn push_call(&mut self, at_ms: u64, index: u32, event: Event) {
        self.calls[index].events += 1;
        self.queue.push(at_ms, event);
    }

    /// The sender will not hear of it, and notices when it has waited long enough.
    fn lose(&mut self, index: u32) {
        let call = &mut self.calls[index];
        if !std::mem::replace(&mut call.told_lost, true) {
            let at_ms = (call.sent_ms + self.config.timeout_ms).max(self.now_ms);
            self.push_call(at_ms, index, Event::Lost { call: index });
        }
    }

    /// The body ended without a commit: its worker knows at once, for it ran the body itself.
    pub(crate) fn body_failed(&mut self, index: u32, end: BodyEnd) {
        self.calls[index].rolled_back = Some(end);
        self.calls[index].answered_at = self.store.clock(self.now_ms);
        self.push_call(self.now_ms, index, Event::Reply { call: index });
    }

    /// The sender itself was busy until now, with the body in its transaction: it begins to wait only here.
    pub(crate) fn waits_from_now(&mut self, index: u32) {
        self.calls[index].sent_ms = self.now_ms;
    }

    /// Whether the store has lost its connections since the request was sent, or is away.
    pub(crate) fn store_lost(&self, index: u32) -> bool {
        self.calls[index].store_incarnation != self.store_incarnation || self.now_ms < self.store_back_ms
    }

    /// The request came to nothing, and no answer sets out.
    pub(crate) fn abort(&mut self, index: u32) {
        self.lose(index);
        self.done_with(index);
    }

    pub(crate) fn done_with(&mut self, index: u32) {
        if self.calls[index].events > 0 {
            return;
        }
        // Leases that nobody was told of: they end by themselves.
        for at in 0..self.calls[index].granted.len() {
            let (drive, generation) = self.calls[index].granted[at];
            if self.is_live(drive, generation) && !self.drives[drive].known {
                self.drives[drive].live = false;
                self.drives.give_back(drive);
            }
        }
        self.calls[index].granted.clear();
        self.calls.give_back(index);
    }

    /// The request is at the store: its transaction runs and commits.
    pub(crate) fn arrive(&mut self, index: u32) {
        // The body of a transaction runs in its worker's process, and stands still with it.
        if self.calls[index].transact && self.wait_out_pause(self.calls[index].worker, Event::Arrive { call: index }) {
            return;
        }
        self.calls[index].events -= 1;
        if self.store_lost(index) {
            return self.abort(index);
        }
        let call = &self.calls[index];
        let command = call.command;
        let about = self.found_step(call.about, command);
        match call.asker {
            Asker::Poll { worker } => self.claim_some(index, worker),
            // Whoever has given up waiting for the transaction to open runs no body in it.
            Asker::Step { .. } if call.transact && call.given_up => return self.abort(index),
            Asker::Step { .. } if call.transact => {
                let asked = self.store.ask(self.rules, about, &command, self.now_ms);
                self.tally.steps += 1;
                match asked {
                    Ok(commit) if commit.step.is_some() => return self.run_in_transaction(index),
                    _ => {
                        let done = self.transact(index, about, &command);
                        if done.refused {
                            return self.abort(index);
                        }
                        self.calls[index].answer = Some(done.answer);
                    }
                }
            }
            _ => {
                let done = self.transact(index, about, &command);
                if done.refused {
                    return self.abort(index);
                }
                self.calls[index].answer = Some(done.answer);
            }
        }
        self.respond(index);
    }

    /// The store has committed or refused; the answer sets out.
    pub(crate) fn respond(&mut self, index: u32) {
        let sender = self.sender(index);
        let mut lost = false;
        self.calls[index].answered_at = self.store.clock(self.now_ms);
        if let Some(worker) = sender {
            self.pass(worker, Place::Commit);
            lost = self.workers[worker as usize].cut_in | self.calls[index].lose_reply;
        }
        if lost {
            self.lose(index);
            return self.done_with(index);
        }
        let patience_ms = self.calls[index].sent_ms + self.config.timeout_ms;
        let mut at_ms = self.now_ms + self.some_ms(self.config.network_ms_max);
        if self.calls[index].late_reply {
            at_ms = at_ms.max(patience_ms) + self.some_ms(self.config.timeout_ms);
        }
        if at_ms > patience_ms {
            self.lose(index);
        }
        self.push_call(at_ms, index, Event::Reply { call: index });
    }
}
