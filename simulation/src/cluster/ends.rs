//! How driving ends: nothing to do for a while, a shutdown, a lost lease, a body that is cancelled.

use hydra_protocol::worker::drive::{self, Idle, idle};
use hydra_protocol::worker::step::{self, Stop};
use hydra_protocol::{Kind, Protocol, Span, Time};

use super::note::{Fact, Gave, Who};
use super::queue::Event;
use super::{Cluster, goal};

impl<P: Protocol + ?Sized> Cluster<'_, P> {
    /// What a step waited for is due.
    pub(crate) fn due(&mut self, index: u32, slot: u32) {
        let drive = &self.drives[index];
        if drive.ended || drive.phase == drive::Phase::Gone || drive.slots[slot as usize].dropped {
            return;
        }
        // The lease is being given back, or no new attempt is to begin: look again when that is settled.
        if drive.phase != drive::Phase::Driving {
            let generation = drive.generation;
            self.queue.push(self.now_ms + self.config.timeout_ms, Event::Due { drive: index, generation, slot });
            return;
        }
        if self.workers[drive.worker as usize].stopping {
            return;
        }
        self.feed_step(index, slot, step::Event::Due);
    }

    /// Whether every branch of the workflow waits, and what to do then.
    pub(crate) fn see_whether_idle(&mut self, index: u32) {
        let drive = &self.drives[index];
        if drive.phase != drive::Phase::Driving {
            return;
        }
        let mut busy = false;
        let mut wake: Option<Time> = None;
        for slot in &drive.slots {
            match slot.phase {
                step::Phase::Asking(_) | step::Phase::Running { .. } => busy = true,
                // Nobody waits for what lost its race.
                step::Phase::Waiting { .. } if slot.dropped => {}
                step::Phase::Waiting { due_at, .. } => wake = Some(wake.map_or(due_at, |wake| wake.min(due_at))),
                step::Phase::New | step::Phase::Done | step::Phase::Gone => {}
            }
        }
        let worker = &self.workers[drive.worker as usize];
        if worker.stopping {
            if !busy {
                self.tally.path(goal!("shut-down"));
                self.feed_drive(index, drive::Event::Shutdown);
            }
            return;
        }
        // A script says itself when it parks.
        if self.scripted {
            return;
        }
        match idle(busy, wake, worker.store_clock(self.now_ms), Span::from_millis(self.config.hold_ms)) {
            Idle::Busy => {}
            // The steps have timers of their own.
            Idle::Hold(_) => self.tally.path(goal!("held")),
            Idle::Park(wake) => {
                self.tally.path(goal!("parked"));
                self.feed_drive(index, drive::Event::Blocked { wake });
            }
        }
    }

    /// The worker can no longer drive the execution: bodies are cancelled, their results discarded.
    pub(crate) fn stop(&mut self, index: u32, stop: Stop) {
        if let Stop::Rejected(hydra_protocol::Rejection::StaleEpoch { .. }) = stop {
            self.tally.path(goal!("zombie-refused"));
        }
        self.cancel_bodies(index);
        self.drop_drive(index);
    }

    pub(crate) fn cancel_bodies(&mut self, index: u32) {
        for slot in 0..self.drives[index].slots.len() as u32 {
            self.cancel_body(index, slot);
        }
    }

    /// A body that runs, in a transaction or not, is cancelled at once: its worker drops it where it waits.
    pub(crate) fn cancel_body(&mut self, index: u32, slot: u32) {
        let there = self.drives[index].slots[slot as usize];
        if matches!(there.phase, step::Phase::Running { .. } | step::Phase::Asking(_)) && there.body != 0 {
            self.tally.path(goal!("body-cancelled"));
            let step = self.step_of(index, slot);
            let who = Who::Worker(self.drives[index].worker);
            self.note(who, Fact::Left { step, body: there.body, gave: Gave::Cancelled });
            self.drives[index].slots[slot as usize].body = 0;
            self.drives[index].slots[slot as usize].phase = step::Phase::Gone;
        }
    }

    /// The worker forgets the execution.
    pub(crate) fn drop_drive(&mut self, index: u32) {
        let drive = &mut self.drives[index];
        if !drive.live {
            return;
        }
        drive.live = false;
        drive.phase = drive::Phase::Gone;
        let worker = drive.worker;
        self.drives.give_back(index);
        let there = &mut self.workers[worker as usize];
        there.drives = there.drives.saturating_sub(1);
        if there.stopping && there.drives == 0 {
            self.stopped(worker);
        } else {
            self.look_for_work(worker);
        }
    }

    /// The kind of a slot's step.
    pub(crate) fn kind_of(&self, drive: u32, slot: u32) -> Kind {
        self.programs.steps[self.step_of(drive, slot) as usize].kind
    }
}
