//! What the strikes do to the processes, and how all of it is healed.

use super::clients::Act;
use super::cluster::{Cluster, Event};
use super::process::Life;
use super::wire::{Asker, lost};
use crate::cluster::{Blow, Strike, When, goal, kind_of};
use crate::history::{Call, Journal, Op, Phase, Status, What};

impl Cluster {
    /// A process begins a life.
    pub fn come_up(&mut self, process: usize) {
        let (asker, is_worker) = {
            let mut world = self.shared.lock();
            world.comes_up(process, self.now_ms);
            let there = &world.processes[process];
            (Asker { process, life: there.life }, there.is_worker)
        };
        let store_shows = self.server.time(self.now_ms);
        let (shared, plan) = (&self.shared, &self.plan);
        if is_worker {
            self.lives[process] = Some(Life::of_worker(shared, asker, plan, self.rules, store_shows));
            let name = shared.lock().processes[process].name.clone();
            self.note(&name, What::Worker { up: true });
        } else {
            self.lives[process] = Some(Life::of_clients(shared, asker, plan, store_shows));
        }
    }

    /// A line of the schedule strikes.
    pub fn strike(&mut self, index: usize) {
        let Strike { when, blow } = self.shared.lock().strikes[index];
        if let Blow::Client { op, execution, other_input } = blow {
            let act = Act { execution: execution as usize, op, other_input };
            return self.push(self.now_ms, Event::Client(act));
        }
        if !self.shared.lock().falls(index) {
            return;
        }
        let at_ms = self.time_of(&blow);
        let event = self.lines[index].clone();
        {
            let mut world = self.shared.lock();
            world.record(at_ms, "nemesis", What::Fault { event });
            world.tally.fault(kind_of(&blow));
            // One that lay in wait at a place took effect there.
            if matches!(when, When::At(_)) {
                world.arm(blow);
            }
        }
        self.apply(blow, at_ms);
    }

    /// A fault at a place of a process falls when the process is there, which may be ahead of everybody else.
    fn time_of(&self, blow: &Blow) -> u64 {
        match blow {
            Blow::Crash(worker)
            | Blow::Pause { worker, .. }
            | Blow::Clock { worker, .. }
            | Blow::DisconnectBefore(worker)
            | Blow::ReplyLost(worker)
            | Blow::ReplyLate(worker)
            | Blow::Duplicate(worker) => self.reached(usize::from(*worker)),
            _ => self.now_ms,
        }
    }

    fn apply(&mut self, blow: Blow, at_ms: u64) {
        match blow {
            Blow::Crash(worker) => self.crash(usize::from(worker), at_ms),
            Blow::Restart(worker) => self.restart(usize::from(worker)),
            Blow::DisconnectBefore(_) | Blow::ReplyLost(_) | Blow::ReplyLate(_) | Blow::Duplicate(_) => {}
            Blow::Partition { workers, direction } => self.shared.lock().cut(workers, Some(direction)),
            Blow::Heal { workers } => self.shared.lock().cut(workers, None),
            Blow::Pause { worker, for_ms } => self.pause(usize::from(worker), at_ms, at_ms + for_ms),
            Blow::Resume(worker) => self.resume(usize::from(worker), true),
            Blow::Clock { worker, by_ms } => {
                let process = usize::from(worker);
                self.shared.lock().processes[process].clock.jump(at_ms, by_ms);
                self.leap(process, at_ms);
            }
            Blow::Drift { worker, ppm } => {
                let at_ms = self.reached(usize::from(worker));
                self.shared.lock().processes[usize::from(worker)].clock.drift(at_ms, ppm);
            }
            Blow::StoreClock { by_ms } => {
                self.store_back_by_ms += by_ms.min(0).unsigned_abs();
                self.server.set_clock(|clock| clock.jump(self.now_ms, by_ms));
            }
            Blow::StoreDrift { ppm } => self.server.set_clock(|clock| clock.drift(self.now_ms, ppm)),
            Blow::SlowStore { by_ms } => self.store_slow_ms = by_ms,
            Blow::StoreRestart => self.restart_store(),
            Blow::Encode { step } => self.shared.lock().encode_fails[step as usize] = true,
            Blow::Decode { step } => {
                if let Some((execution, no)) = self.plan.number(step as usize) {
                    let id = self.plan.id(execution).to_string();
                    self.server.notes.lock().undecodable.insert((id, no));
                }
            }
            Blow::Stop(worker) => self.shut_down(usize::from(worker)),
            Blow::Client { .. } => {}
        }
    }

    /// A process that runs moves on to what its clock shows now; one that stands still does when it goes on.
    fn leap(&mut self, process: usize, at_ms: u64) {
        let paused = self.shared.lock().processes[process].paused_until_ms.is_some();
        if !paused && let Some(life) = &mut self.lives[process] {
            life.leap_to(&self.shared, at_ms);
        }
    }

    /// The process ends at once; what it sent is on its way all the same.
    fn crash(&mut self, process: usize, at_ms: u64) {
        let asker = {
            let mut world = self.shared.lock();
            let there = &mut world.processes[process];
            if !there.up {
                return;
            }
            (there.up, there.paused_until_ms) = (false, None);
            let (asker, name) = (Asker { process, life: there.life }, there.name.clone());
            world.record(at_ms, &name, What::Worker { up: false });
            asker
        };
        self.lives[process] = None;
        self.drop_waiting(process);
        // Its connections close, if the store can hear of it.
        if !self.shared.lock().processes[process].cut_out {
            for tx in self.server.open_of(asker) {
                self.push(at_ms + 1, Event::Close(tx));
            }
        }
    }

    fn drop_waiting(&mut self, process: usize) {
        for (waits, event) in std::mem::take(&mut self.waiting) {
            if waits == process {
                // Not alive any more, it gives back what was opened for it.
                self.push(self.now_ms, event);
            } else {
                self.waiting.push((waits, event));
            }
        }
    }

    fn restart(&mut self, process: usize) {
        if !self.shared.lock().processes[process].up {
            self.come_up(process);
        }
    }

    fn pause(&mut self, process: usize, at_ms: u64, until_ms: u64) {
        let mut world = self.shared.lock();
        let there = &mut world.processes[process];
        if there.up {
            there.paused_until_ms = Some(there.paused_until_ms.unwrap_or(0).max(until_ms));
            there.clock.at_ms = there.clock.at_ms.max(at_ms);
            drop(world);
            self.push(until_ms, Event::Resume(process));
        }
    }

    /// A process goes on, without having noticed: all that was due meanwhile is due now.
    pub fn resume(&mut self, process: usize, early: bool) {
        {
            let mut world = self.shared.lock();
            let there = &mut world.processes[process];
            match there.paused_until_ms {
                Some(until_ms) if early || until_ms <= self.now_ms => there.paused_until_ms = None,
                _ => return,
            }
        }
        self.leap(process, self.now_ms);
        self.take_out();
        self.drop_waiting(process);
    }

    /// An orderly shutdown: bodies end, nothing new begins, leases are given back.
    fn shut_down(&mut self, process: usize) {
        let grace_ms = {
            let mut world = self.shared.lock();
            let grace_ms = 1 + world.random.below(self.plan.config.lease_ms * 2);
            let there = &mut world.processes[process];
            if !there.up || std::mem::replace(&mut there.stopping, true) {
                return;
            }
            world.tally.path(goal!("shut-down"));
            grace_ms
        };
        if let Some(life) = &mut self.lives[process] {
            life.shut_down(grace_ms);
        }
    }

    /// It has come to its end.
    pub fn stopped(&mut self, process: usize) {
        let at_ms = self.reached(process);
        self.crash(process, at_ms);
        if self.shared.lock().healed {
            self.restart(process);
        }
    }

    fn restart_store(&mut self) {
        self.store_back_ms = self.now_ms + self.plan.config.store_away_ms;
        let broken = self.server.restart();
        for message in broken {
            let at_ms = self.now_ms + 1;
            if message.back.is_some() {
                self.push(at_ms, Event::Reply(message, Err(lost("the store went away"))));
            }
        }
    }

    /// From here on there are no faults, and every worker is up: everything must converge.
    pub fn heal_all(&mut self) {
        (self.store_slow_ms, self.store_back_ms) = (0, self.now_ms);
        self.server.set_clock(|clock| clock.drift(self.now_ms, 0));
        {
            let mut world = self.shared.lock();
            world.healed = true;
            world.cut(u32::MAX, None);
            world.disarm();
        }
        for process in 0..self.lives.len() - 1 {
            let now_ms = self.reached(process);
            self.shared.lock().processes[process].clock.drift(now_ms, 0);
            self.resume(process, true);
            self.restart(process);
        }
        self.note("nemesis", What::Healed);
        // What was due before the store's clock was set back is due as much later.
        self.push(self.now_ms + self.plan.patience_ms() + self.store_back_by_ms, Event::End);
    }

    /// When nothing moves any more, clients ask for the status and the result of everything, and somebody looks at the
    /// rows.
    pub fn last_look(&mut self) {
        for execution in 0..self.plan.workload.programs.len() {
            let id = self.plan.id(execution).clone();
            let look = self.server.look(async |store| super::look::look(store, id.as_str()).await);
            for (op, saw) in [(Op::Status, None), (Op::Result, look.saw)] {
                if op == Op::Result && !look.status.is_terminal() {
                    continue;
                }
                self.calls += 1;
                let invoked = Call::invoked(self.calls, op, &id);
                self.note("client", What::Call(invoked.clone()));
                let answered = Call { status: Some(look.status), ..invoked.answered(Phase::Ok) };
                self.note("client", What::Call(Call { saw: saw.unwrap_or_default(), ..answered }));
            }
            if look.status != Status::Missing {
                let (rows_per_step_max, open_steps) = (look.rows_per_step_max, look.open_steps);
                let rows =
                    Journal::Rows { execution: id, rows_per_step_max, open_steps, contradiction: look.contradiction };
                self.note("store", What::Journal(rows));
            }
        }
        self.effects_held();
        if self.server.notes.lock().garbled > 0 {
            self.shared.lock().tally.path(goal!("undecodable"));
        }
        self.shared.lock().tally.simulated_ms += self.now_ms;
        self.note("store", What::Ended);
    }
}
