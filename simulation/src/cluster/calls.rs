//! Requests to the store and their answers: they take time, get lost, come late and come twice.

use hydra_protocol::worker::{drive, step};
use hydra_protocol::{Command, Protocol, Rejection, Reply, Time};

use super::queue::Event;
use super::store::About;
use super::worker::{Armed, Place};
use super::{Cluster, goal};
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
    /// Whether a worker sent it.
    pub(crate) fn is_of_worker(&self) -> bool {
        !matches!(self.asker, Asker::Client { .. })
    }

    /// Whether it was decided for a worker, and the worker is going to hear of it.
    pub(crate) fn is_answer_under_way(&self) -> bool {
        let decided = self.answer.is_some() || !self.granted.is_empty();
        self.is_of_worker() && self.events > 0 && decided && !self.answered && !self.told_lost
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
        let mut granted = std::mem::take(&mut self.calls[index].granted);
        granted.clear();
        let mut call = Call {
            asker,
            store_incarnation: self.store_incarnation,
            about,
            command,
            transact,
            sent_ms: self.now_ms,
            granted,
            ..Call::default()
        };
        let mut lost = false;
        let mut twice = false;
        if let Some((worker, claim)) = sender {
            (call.worker, call.claim) = (worker, claim);
            call.incarnation = self.workers[worker as usize].incarnation;
            call.sent_at = self.workers[worker as usize].clock(self.now_ms);
            self.pass(worker, Place::Request);
            let there = &mut self.workers[worker as usize];
            lost = there.cut_out | Armed::fires(&mut there.armed.lose_request);
            call.lose_reply = Armed::fires(&mut there.armed.lose_reply);
            call.late_reply = Armed::fires(&mut there.armed.late_reply);
            // A transaction that holds a body is a conversation, which no network can repeat.
            twice = !transact && Armed::fires(&mut there.armed.duplicate);
        }
        // The machine waits for this request from now on; that an earlier one is lost is nothing to it.
        self.requests += 1;
        call.serial = self.requests;
        match asker {
            Asker::Step { drive, slot, .. } => self.drives[drive].slots[slot as usize].awaits = call.serial,
            Asker::Drive { drive, .. } => self.drives[drive].awaits = call.serial,
            Asker::Client { .. } | Asker::Poll { .. } | Asker::Beat { .. } => {}
        }
        self.calls[index] = call;
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
        let (about, command) = (call.about, call.command);
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

    /// Whether the process that asked still runs; if it stands still, the event comes later.
    fn sender_is_there(&mut self, index: u32, event: Event) -> Option<bool> {
        let Some(worker) = self.sender(index) else { return Some(true) };
        let there = &self.workers[worker as usize];
        if !there.up || there.incarnation != self.calls[index].incarnation {
            return Some(false);
        }
        if self.wait_out_pause(worker, event) { None } else { Some(true) }
    }

    /// The answer is there.
    pub(crate) fn reply(&mut self, index: u32, event: Event) {
        let Some(there) = self.sender_is_there(index, event) else { return };
        if there && let Some(worker) = self.sender(index) {
            self.pass(worker, Place::Reply);
        }
        // A fault may have struck the process in this very moment.
        let Some(there) = self.sender_is_there(index, event) else { return };
        self.calls[index].events -= 1;
        if there {
            let late = self.calls[index].given_up || self.calls[index].answered;
            self.calls[index].answered = true;
            // The store's clock is what due times are told by; an answer is the only way to know it.
            if !late && let Some(worker) = self.sender(index) {
                let (now_ms, answered_at) = (self.now_ms, self.calls[index].answered_at);
                self.workers[worker as usize].store_shows(now_ms, answered_at);
            }
            self.tell(index, late);
        }
        self.done_with(index);
    }

    /// The sender gives up waiting.
    pub(crate) fn lost(&mut self, index: u32, event: Event) {
        let Some(there) = self.sender_is_there(index, event) else { return };
        self.calls[index].events -= 1;
        if there && !self.calls[index].answered {
            self.calls[index].given_up = true;
            let (asker, serial) = (self.calls[index].asker, self.calls[index].serial);
            match asker {
                Asker::Client { call, op } => self.client_told(index, call, op, None),
                Asker::Poll { worker } => self.polled(worker, false),
                Asker::Step { drive, generation, slot }
                    if self.is_live(drive, generation)
                        && self.drives[drive].slots[slot as usize].awaits == serial
                        && self.holds(drive) =>
                {
                    self.tally.path(goal!("asked-again"));
                    self.feed_step(drive, slot, step::Event::Lost);
                }
                Asker::Drive { drive, generation }
                    if self.is_live(drive, generation) && self.drives[drive].awaits == serial && self.holds(drive) =>
                {
                    self.tally.path(goal!("asked-again"));
                    self.feed_drive(drive, drive::Event::Lost);
                }
                Asker::Step { .. } | Asker::Drive { .. } | Asker::Beat { .. } => {}
            }
        }
        self.done_with(index);
    }

    /// Hands the answer to whoever asked. A late one counts if the very same is still being asked.
    fn tell(&mut self, index: u32, late: bool) {
        let call = &self.calls[index];
        let (command, sent_at, answer, value) = (call.command, call.sent_at, call.answer, call.about.value);
        let used = match (call.asker, answer) {
            (Asker::Client { call, op }, answer) if !late => {
                self.client_told(index, call, op, answer);
                true
            }
            (Asker::Poll { worker }, _) => {
                let granted = self.take_granted(index, worker, late);
                if !late {
                    self.polled(worker, granted);
                }
                granted
            }
            (Asker::Step { drive, generation, slot }, answer)
                if self.is_live(drive, generation)
                    && self.holds(drive)
                    && self.drives[drive].slots[slot as usize].phase == step::Phase::Asking(command) =>
            {
                let event = match (self.calls[index].rolled_back, answer) {
                    (Some(end), _) => step::Event::Body(super::bodies::body_end(end)),
                    (None, Some(answer)) => step::Event::Answer(answer),
                    (None, None) => return,
                };
                if let Some(Ok(Reply::Settled { .. })) = answer {
                    self.drives[drive].slots[slot as usize].value = value;
                }
                self.feed_step(drive, slot, event);
                if self.is_live(drive, generation) {
                    self.go_on(drive);
                }
                true
            }
            (Asker::Drive { drive, generation }, Some(answer))
                if self.is_live(drive, generation)
                    && self.holds(drive)
                    && self.drives[drive].phase == drive::Phase::Asking(command) =>
            {
                self.feed_drive(drive, drive::Event::Answer(answer));
                true
            }
            (Asker::Beat { drive, generation }, Some(answer))
                if self.is_live(drive, generation) && self.holds(drive) =>
            {
                self.beat_answered(drive, sent_at, answer);
                true
            }
            _ => false,
        };
        if late {
            self.tally.path(if used { goal!("late-reply-used") } else { goal!("late-reply-dropped") });
        }
    }
}
