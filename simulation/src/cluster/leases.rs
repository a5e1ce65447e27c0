//! Leases are renewed in time, and given up in time.

use hydra_protocol::worker::drive;
use hydra_protocol::worker::lease::Duty;
use hydra_protocol::{Command, Protocol, Rejection, Reply, Span, Time};

use super::calls::Asker;
use super::queue::Event;
use super::store::About;
use super::{Cluster, goal};

impl<P: Protocol + ?Sized> Cluster<'_, P> {
    /// The next moment at which the lease asks for anything.
    pub(crate) fn plan_duty(&mut self, index: u32) {
        let drive = &self.drives[index];
        let at = drive.clock.beat_at.min(drive.clock.stop_at);
        if at == Time::MAX {
            return;
        }
        let wait_ms = self.workers[drive.worker as usize].until_ms(self.now_ms, at);
        let generation = drive.generation;
        self.queue.push(self.now_ms.saturating_add(wait_ms.max(1)), Event::Duty { drive: index, generation });
    }

    /// Whether the worker may still act under this lease, by its own clock; if not, it stops.
    ///
    /// Asked before anything is done: a worker that stood still has its timers, its answers and the end of its lease
    /// before it all at once, and it must not run a body before it looks at the clock.
    pub(crate) fn holds(&mut self, index: u32) -> bool {
        if self.scripted {
            return true;
        }
        let drive = &self.drives[index];
        if drive.clock.duty(self.workers[drive.worker as usize].clock(self.now_ms)) != Duty::Stop {
            return true;
        }
        self.give_up(index);
        self.drives[index].live
    }

    fn give_up(&mut self, index: u32) {
        self.tally.path(goal!("stopped-by-clock"));
        let generation = self.drives[index].generation;
        self.feed_drive(index, drive::Event::LeaseLost);
        if self.is_live(index, generation) {
            // Rules that do not let go are asked no further.
            self.drives[index].clock.stop_at = Time::MAX;
        }
    }

    pub(crate) fn duty(&mut self, index: u32) {
        let drive = &self.drives[index];
        let now = self.workers[drive.worker as usize].clock(self.now_ms);
        match drive.clock.duty(now) {
            Duty::Hold => {}
            Duty::Beat => {
                let lease = drive.lease;
                self.drives[index].clock.beat_sent(now, lease);
                self.beat(index);
            }
            Duty::Stop => {
                let generation = drive.generation;
                self.give_up(index);
                if !self.is_live(index, generation) {
                    return;
                }
            }
        }
        self.plan_duty(index);
    }

    pub(crate) fn beat(&mut self, index: u32) {
        let drive = &self.drives[index];
        let asker = Asker::Beat { drive: index, generation: drive.generation };
        let about = About { execution: drive.execution, step: None, other_input: false, value: 0 };
        let lease = Span::from_millis(self.config.lease_ms);
        let command = Command::Heartbeat { epoch: drive.epoch, lease };
        self.send(asker, about, command, false);
    }

    pub(crate) fn beat_answered(&mut self, index: u32, sent_at: Time, answer: Result<Reply, Rejection>) {
        match answer {
            Ok(Reply::Renewed { lease }) => {
                self.drives[index].clock.renewed(sent_at, lease);
            }
            _ => self.feed_drive(index, drive::Event::LeaseLost),
        }
    }
}
