//! The course of a fault: struck, driven on, over; after the last one the world is healed.

use std::sync::atomic::Ordering;

use hydra_schedule::{Event, Name, Target};
use hydra_simulation::history::Op;
use nix::sys::signal::Signal;

use super::Fault;
use super::run::Run;
use super::strike::Stadium;
use crate::adapter::Takeover;
use crate::boundary::Place;
use crate::store::proxy::Weather;
use crate::strain::stretched_ms;

/// How long the zombie and its heir are inside one step together.
const TOGETHER_MS: u64 = 700;
/// How long a zombie that wakes after the end is watched.
const LATE_MS: u64 = 2_000;
/// How long a connection is broken.
const BROKEN_MS: u64 = 400;

impl Run<'_> {
    pub(super) fn pause_ms(&self) -> u64 {
        self.stage.world.adapter.pause_ms()
    }

    /// How long a zombie waits for its heir at the most.
    fn longest_pause_ms(&self) -> u64 {
        stretched_ms(self.pause_ms())
    }

    /// Drives the faults on.
    pub(super) fn faults(&mut self) -> Result<(), String> {
        for index in 0..self.courses.len() {
            self.fault(index)?;
        }
        self.give_up_unreachable();
        if self.healed_ms.is_none() && self.courses.iter().all(|course| course.stadium == Stadium::Over) {
            self.observer.healed();
            self.healed_ms = Some(self.observer.now_ms());
        }
        Ok(())
    }

    fn fault(&mut self, index: usize) -> Result<(), String> {
        let now = self.observer.now_ms();
        let (fault, worker) = (self.courses[index].strike.fault, self.courses[index].strike.worker);
        let (victim, heir) = (Name::worker(worker), Name::worker(1 - worker));
        match self.courses[index].stadium {
            Stadium::Next | Stadium::Over => Ok(()),
            Stadium::Waiting => {
                let at_door = matches!(self.courses[index].strike.at, Place::Door(..));
                if at_door && self.observer.is_held() {
                    (self.fires(index))();
                } else if at_door || !self.courses[index].fired.load(Ordering::SeqCst) {
                    return Ok(());
                }
                self.courses[index].stadium = self.struck(index, at_door, now)?;
                self.moved_ms = now;
                self.arm_next()
            }
            Stadium::Paused { since_ms, entered } => {
                let over = match fault {
                    Fault::Stall => now >= since_ms + self.settings().lease_ms * 3 / 2,
                    Fault::LateZombie => self.has_ended() || now >= since_ms + 2 * self.longest_pause_ms(),
                    _ => {
                        let taken = self.observer.entered_by(&heir) > entered || self.has_ended();
                        taken || now >= since_ms + self.longest_pause_ms()
                    }
                };
                if over {
                    self.go_on(index, now, &victim);
                }
                Ok(())
            }
            Stadium::Alone { since_ms, entered } => {
                // Its own polls come at once; but they may find nothing to take.
                if self.observer.entered_by(&victim) > entered
                    || now >= since_ms + stretched_ms(self.settings().lease_ms)
                {
                    self.observer.let_go_stopped(&victim);
                    self.courses[index].stadium = Stadium::Together { since_ms: now };
                }
                Ok(())
            }
            Stadium::Together { since_ms } => {
                let together_ms = if fault == Fault::LateZombie { LATE_MS } else { TOGETHER_MS };
                if now >= since_ms + stretched_ms(together_ms) {
                    self.observer.let_go(&victim);
                    self.observer.let_go(&heir);
                    if fault != Fault::Stall && self.workers[1 - worker].process.is_none() {
                        self.start(1 - worker)?;
                    }
                    self.over(index);
                }
                Ok(())
            }
            Stadium::Broken { since_ms, for_ms } => {
                if now >= since_ms + for_ms {
                    self.mend(fault, worker);
                    let all = Target::Workers(vec![victim.clone()]);
                    self.observer.fault(Event::fault(hydra_schedule::Fault::Heal(all)));
                    self.observer.let_go(&victim);
                    self.observer.let_go(&heir);
                    self.over(index);
                }
                Ok(())
            }
        }
    }

    /// A paused worker goes on.
    fn go_on(&mut self, index: usize, now: u64, victim: &Name) {
        let Fault::Stall = self.courses[index].strike.fault else {
            self.resume(index, victim);
            self.observer.let_go(victim);
            self.courses[index].stadium = Stadium::Together { since_ms: now };
            return;
        };
        // The body that stood still is let go only when it has been taken over, and what took it over waits meanwhile.
        let entered = self.observer.entered_by(victim);
        self.observer.slow(victim);
        self.resume(index, victim);
        self.courses[index].stadium = Stadium::Alone { since_ms: now, entered };
    }

    fn resume(&mut self, index: usize, victim: &Name) {
        self.observer.fault(Event::fault(hydra_schedule::Fault::Resume(victim.clone())));
        if let Some(process) = &self.workers[self.courses[index].strike.worker].process {
            process.signal(Signal::SIGCONT);
            process.resume();
        }
    }

    fn mend(&mut self, fault: Fault, worker: usize) {
        let Some(weather) = self.stage.weather(worker) else { return };
        if matches!(fault, Fault::HalfOpen | Fault::Crash) {
            // Whatever stood is dead; each connection sees it before the weather is fine again.
            weather.send_replace(Weather::Down);
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        weather.send_replace(Weather::Fine);
    }

    fn over(&mut self, index: usize) {
        self.courses[index].stadium = Stadium::Over;
        self.moved_ms = self.observer.now_ms();
    }

    /// A fault whose place nobody comes to any more must not keep the world from being healed.
    fn give_up_unreachable(&mut self) {
        let struck = self.courses.iter().any(|course| course.fired.load(Ordering::SeqCst));
        let open = |stadium: Stadium| !matches!(stadium, Stadium::Over | Stadium::Waiting | Stadium::Next);
        let under_way = self.courses.iter().any(|course| open(course.stadium));
        let waited = self.observer.now_ms() >= self.moved_ms + self.longest_pause_ms();
        if struck && !under_way && (waited || self.has_ended()) {
            for course in &mut self.courses {
                course.stadium = Stadium::Over;
            }
            self.observer.hold_none();
            for worker in &self.workers {
                for next in worker.traced.iter().chain(&worker.heard) {
                    next.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
                }
            }
        }
    }

    /// It has just struck; how it goes on.
    fn struck(&mut self, index: usize, at_door: bool, now: u64) -> Result<Stadium, String> {
        let (fault, worker) = (self.courses[index].strike.fault, self.courses[index].strike.worker);
        let (victim, heir) = (Name::worker(worker), Name::worker(1 - worker));
        let broken = |for_ms| Stadium::Broken { since_ms: now, for_ms };
        let long_ms = self.settings().lease_ms * 3 / 2;
        Ok(match fault {
            Fault::Crash => {
                if let Some(mut process) = self.workers[worker].process.take() {
                    process.kill();
                }
                if self.courses[index].strike.at.is_message() {
                    self.mend(fault, worker);
                }
                self.observer.let_go(&victim);
                // Where the other stands still or is up already, its supervisor starts the dead one again.
                let another = self.stage.world.adapter.takeover == Takeover::Another;
                let successor = if another && self.workers[1 - worker].process.is_none() { 1 - worker } else { worker };
                self.start(successor)?;
                Stadium::Over
            }
            Fault::Zombie | Fault::LateZombie => {
                self.stop(worker, at_door);
                let entered = self.observer.entered_by(&heir);
                if fault == Fault::Zombie {
                    self.observer.slow(&heir);
                }
                // Where a client cancels meanwhile, nobody takes over: there is nothing left to do.
                let cancelled = self.acts.iter().any(|act| act.op == Op::Cancel);
                // It may stand inside a write transaction: then a file is locked, nobody else can even start, and that is
                // the store's affair.
                if !cancelled
                    && self.workers[1 - worker].process.is_none()
                    && let Err(why) = self.start(1 - worker)
                {
                    self.observer.worker_down(&heir);
                    self.deaths.push(crate::cut(&why, 2_000));
                }
                Stadium::Paused { since_ms: now, entered }
            }
            Fault::Stall => {
                self.stop(worker, at_door);
                Stadium::Paused { since_ms: now, entered: 0 }
            }
            Fault::CallFails(_) => Stadium::Over,
            Fault::Clock(_) => {
                self.observer.let_go(&victim);
                Stadium::Over
            }
            Fault::DisconnectBefore | Fault::ReplyLost => broken(BROKEN_MS),
            Fault::Partition | Fault::HalfOpen | Fault::ReplyLate => {
                if self.workers[1 - worker].process.is_none() {
                    self.start(1 - worker)?;
                }
                broken(long_ms)
            }
            Fault::SlowStore => broken(2 * self.settings().lease_ms),
            Fault::StoreRestart => {
                if let (true, Some(weather)) = (self.courses[index].strike.at.is_message(), self.stage.weather(worker))
                {
                    weather.send_replace(Weather::Down);
                }
                self.stage.restart_store().map_err(|error| format!("{error:#}"))?;
                broken(BROKEN_MS)
            }
        })
    }

    fn stop(&self, worker: usize, at_door: bool) {
        if at_door && let Some(process) = &self.workers[worker].process {
            process.signal(Signal::SIGSTOP);
        }
    }
}
