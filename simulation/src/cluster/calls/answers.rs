//! What becomes of an answer: it arrives, comes late, or never.

use hydra_protocol::worker::{drive, step};
use hydra_protocol::{Protocol, Reply};

use super::super::queue::Event;
use super::super::worker::Place;
use super::super::{Cluster, bodies, goal};
use super::Asker;

impl<P: Protocol + ?Sized> Cluster<'_, P> {
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
                    (Some(end), _) => step::Event::Body(bodies::body_end(end)),
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
