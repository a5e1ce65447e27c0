//! What the strikes do to the cluster, and how all of it is healed.

use hydra_protocol::Protocol;
use hydra_schedule::Direction;

use super::Cluster;
use super::clients::Act;
use super::note::{Fact, Who};
use super::queue::Event;
use super::strike::{Blow, When};
use super::worker::Place;

impl<P: Protocol + ?Sized> Cluster<'_, P> {
    /// Timed strikes go into the queue, the others wait at their places.
    pub(crate) fn plan_strikes(&mut self) {
        for index in 0..self.strikes.len() {
            match self.strikes[index].when {
                When::At(at_ms) => {
                    self.queue.push(at_ms, Event::Strike(index as u32));
                    // What a client does counts as a client's act: the run is not over before it.
                    if matches!(self.strikes[index].blow, Blow::Client { .. }) {
                        self.acts_left += 1;
                    }
                }
                When::On { worker, .. } => {
                    if let Some(there) = self.workers.get_mut(usize::from(worker)) {
                        there.awaited += 1;
                    }
                }
            }
        }
        let heal_ms = self.config.faults_for_ms;
        self.queue.push(heal_ms, Event::Heal);
    }

    /// A worker's process passes a place; faults may lie in wait there.
    pub(crate) fn pass(&mut self, worker: u8, place: Place) {
        let there = &mut self.workers[worker as usize];
        there.passed[place as usize] += 1;
        if there.awaited == 0 || self.healed {
            return;
        }
        let passed = there.passed[place as usize];
        for index in 0..self.strikes.len() {
            if !self.struck[index] && self.strikes[index].when == (When::On { worker, place, nth: passed }) {
                self.workers[worker as usize].awaited -= 1;
                self.strike(index);
            }
        }
    }

    pub(crate) fn strike(&mut self, index: usize) {
        let blow = self.strikes[index].blow;
        if let Blow::Client { op, execution, other_input } = blow {
            self.acts_left -= 1;
            self.plan_act(Act { at_ms: self.now_ms, execution, op, other_input });
            return;
        }
        if self.healed || std::mem::replace(&mut self.struck[index], true) {
            return;
        }
        self.note(Who::Nemesis, Fact::Struck(index as u32));
        self.apply(blow);
    }

    pub(crate) fn apply(&mut self, blow: Blow) {
        self.tally.fault(kind_of(&blow));
        match blow {
            Blow::Crash(worker) => self.crash(worker),
            Blow::Restart(worker) => self.restart(worker),
            Blow::DisconnectBefore(worker) => self.workers[usize::from(worker)].armed.lose_request += 1,
            Blow::ReplyLost(worker) => self.workers[usize::from(worker)].armed.lose_reply += 1,
            Blow::ReplyLate(worker) => self.workers[usize::from(worker)].armed.late_reply += 1,
            Blow::Duplicate(worker) => self.workers[usize::from(worker)].armed.duplicate += 1,
            Blow::Partition { workers, direction } => self.for_each(workers, |there| {
                there.cut_out |= matches!(direction, Direction::Both | Direction::Out);
                there.cut_in |= matches!(direction, Direction::Both | Direction::In);
            }),
            Blow::Heal { workers } => self.for_each(workers, |there| (there.cut_out, there.cut_in) = (false, false)),
            Blow::Pause { worker, for_ms } => {
                let until_ms = self.now_ms + for_ms;
                let there = &mut self.workers[usize::from(worker)];
                if there.up {
                    there.paused_until_ms = there.paused_until_ms.max(until_ms);
                    self.queue.push(until_ms, Event::Resume { worker });
                }
            }
            Blow::Resume(worker) => self.resume(worker),
            Blow::Clock { worker, by_ms } => {
                let now_ms = self.now_ms;
                self.workers[usize::from(worker)].jump(now_ms, by_ms);
                self.clock_changed(worker);
            }
            Blow::Drift { worker, ppm } => {
                let now_ms = self.now_ms;
                self.workers[usize::from(worker)].drift(now_ms, ppm);
                self.clock_changed(worker);
            }
            Blow::StoreClock { by_ms } => {
                self.store.jump(self.now_ms, by_ms);
                self.store_back_by_ms += by_ms.min(0).unsigned_abs();
                self.store_clock_changed();
            }
            Blow::StoreDrift { ppm } => {
                self.store.drift(self.now_ms, ppm);
                self.store_clock_changed();
            }
            Blow::SlowStore { by_ms } => self.store_slow_ms = by_ms,
            Blow::StoreRestart => {
                self.store_incarnation += 1;
                self.store_back_ms = self.now_ms + self.config.store_away_ms;
            }
            Blow::Encode { step } => self.encode_fails[step as usize] = true,
            Blow::Decode { step } => self.decode_fails[step as usize] = true,
            Blow::Stop(worker) => self.shut_down(worker),
            Blow::Client { .. } => {}
        }
    }

    fn for_each(&mut self, workers: u32, change: impl Fn(&mut super::worker::Worker)) {
        for (index, there) in self.workers.iter_mut().enumerate() {
            if workers & (1 << index) != 0 {
                change(there);
            }
        }
    }

    /// The process ends at once; what it sent is on its way all the same.
    fn crash(&mut self, worker: u8) {
        if !self.workers[usize::from(worker)].up {
            return;
        }
        for drive in 0..self.drives.len() {
            let there = &mut self.drives[drive];
            if there.live && there.known && there.worker == worker {
                there.live = false;
                self.drives.give_back(drive);
            }
        }
        self.resume(worker);
        self.workers[usize::from(worker)].crash();
        self.note(Who::Worker(worker), Fact::Up(false));
    }

    pub(crate) fn restart(&mut self, worker: u8) {
        let there = &mut self.workers[usize::from(worker)];
        if there.up {
            return;
        }
        there.up = true;
        self.note(Who::Worker(worker), Fact::Up(true));
        self.look_for_work(worker);
    }

    /// An orderly shutdown: bodies end, nothing new begins, leases are given back.
    pub(crate) fn shut_down(&mut self, worker: u8) {
        let there = &mut self.workers[usize::from(worker)];
        if !there.up || there.stopping {
            return;
        }
        there.stopping = true;
        if there.drives == 0 {
            return self.stopped(worker);
        }
        for drive in 0..self.drives.len() {
            let there = &self.drives[drive];
            if there.live && there.begun && there.worker == worker && !there.ended {
                self.see_whether_idle(drive);
            }
        }
    }

    /// Timers were set by a clock that shows something else now.
    fn clock_changed(&mut self, worker: u8) {
        for drive in 0..self.drives.len() {
            let there = &self.drives[drive];
            if there.live && there.known && there.worker == worker {
                self.plan_duty(drive);
            }
        }
    }

    /// What was due later may be due now: whoever has room looks again.
    fn store_clock_changed(&mut self) {
        for worker in 0..self.workers.len() as u8 {
            self.look_for_work(worker);
        }
    }

    /// From here on there are no faults, and every worker is up: everything must converge.
    pub(crate) fn heal_all(&mut self) {
        self.healed = true;
        self.store_slow_ms = 0;
        self.store_back_ms = self.now_ms;
        self.store.drift(self.now_ms, 0);
        for worker in 0..self.workers.len() as u8 {
            let there = &mut self.workers[usize::from(worker)];
            (there.cut_out, there.cut_in) = (false, false);
            there.armed = Default::default();
            let now_ms = self.now_ms;
            there.drift(now_ms, 0);
            self.clock_changed(worker);
            self.resume(worker);
            self.restart(worker);
        }
        self.note(Who::Nemesis, Fact::Healed);
        let patience_ms =
            self.programs.patience_ms(self.config.lease_ms, self.config.backoff_cap_ms, self.config.attempts_max);
        // What was due before the store's clock was set back is due as much later.
        self.queue.push(self.now_ms + patience_ms + self.store_back_by_ms, Event::End);
    }
}

/// The word a fault begins with in a schedule; empty for what is no fault.
pub(crate) fn kind_of(blow: &Blow) -> &'static str {
    match blow {
        Blow::Crash(_) => "crash",
        Blow::Restart(_) => "restart",
        Blow::DisconnectBefore(_) => "disconnect-before",
        Blow::ReplyLost(_) => "reply-lost",
        Blow::ReplyLate(_) => "reply-late",
        Blow::Duplicate(_) => "duplicate",
        Blow::Partition { .. } => "partition",
        Blow::Heal { .. } => "heal",
        Blow::Pause { .. } => "pause",
        Blow::Resume(_) => "resume",
        Blow::Clock { .. } => "clock",
        Blow::Drift { .. } => "drift",
        Blow::StoreClock { .. } => "store-clock",
        Blow::StoreDrift { .. } => "store-drift",
        Blow::SlowStore { .. } => "slow-store",
        Blow::StoreRestart => "store-restart",
        Blow::Encode { .. } => "encode",
        Blow::Decode { .. } => "decode",
        Blow::Stop(_) | Blow::Client { .. } => "",
    }
}
