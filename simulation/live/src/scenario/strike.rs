//! The fault of a run: put at its place, struck, healed.

use std::sync::atomic::Ordering;

use hydra_schedule::Event;
use nix::sys::signal::Signal;

use super::run::{BROKEN_MS, LATE_MS, Run, Stadium, TOGETHER_MS};
use super::{Fault, heir, victim};
use crate::adapter::Takeover;
use crate::boundary::Place;
use crate::process::trace::{Act, Trace, Trigger};
use crate::store::proxy::Weather;
use hydra_simulation::history::Op;

impl Run<'_> {
    /// Puts the fault at its place.
    pub(super) fn arm(&mut self) -> Result<(), String> {
        let place = self.scenario.strike.as_ref().map(|strike| &strike.at);
        if let Some(Place::Door(door, step, nth)) = place {
            self.observer.hold(&victim(), step, *door, *nth);
        }
        let at_call = match self.scenario.strike.as_ref() {
            Some(strike) => match &strike.at {
                Place::Call(site, nth) => Some((strike.fault, site.clone(), *nth)),
                Place::Door(..) => None,
            },
            None => None,
        };
        if at_call.is_none() && !self.scenario.counts {
            return Ok(());
        }
        let anchor = self.observer.clone();
        let trigger = at_call.map(|(fault, site, nth)| Trigger {
            site,
            nth,
            act: match fault {
                Fault::Crash => Act::Kill,
                Fault::Zombie | Fault::LateZombie => Act::Hold,
                Fault::CallFails(error) => Act::Fail(error),
                Fault::DisconnectBefore | Fault::ReplyLost | Fault::Partition => Act::Tell,
            },
            fired: self.fires(fault),
        });
        let trace = Trace {
            anchor: Box::new(move || anchor.anchor(&victim())),
            door: self.door.port(),
            store: self.stage.store_ports(),
            trigger,
            counts: self.counts.clone(),
            watch: None,
        };
        let process = self.workers.first().and_then(|worker| worker.process.as_ref());
        process.ok_or("worker A is not up")?.trace(trace)
    }

    /// What is noted and done in the moment in which the fault strikes.
    pub(super) fn fires(&self, fault: Fault) -> Box<dyn FnMut() + Send> {
        let (observer, fired) = (self.observer.clone(), self.fired.clone());
        let event = self.scenario.strike.as_ref().map(|strike| strike.event(self.pause_ms()));
        let weather = self.stage.proxy.as_ref().map(|proxy| proxy.weather());
        Box::new(move || {
            if let Some(event) = &event {
                observer.fault(event.clone());
            }
            let now = match fault {
                Fault::DisconnectBefore => Weather::Down,
                Fault::ReplyLost => Weather::RepliesLost,
                Fault::Partition => Weather::Silent,
                Fault::Crash | Fault::Zombie | Fault::LateZombie | Fault::CallFails(_) => Weather::Fine,
            };
            if let Some(weather) = &weather {
                weather.send_replace(now);
            }
            fired.store(true, Ordering::SeqCst);
        })
    }

    pub(super) fn pause_ms(&self) -> u64 {
        self.stage.world.adapter.pause_ms()
    }

    /// Drives the fault on.
    pub(super) fn fault(&mut self) -> Result<(), String> {
        let Some(strike) = self.scenario.strike.clone() else { return Ok(()) };
        let now = self.observer.now_ms();
        match self.stadium {
            Stadium::Waiting => {
                let at_door = matches!(strike.at, Place::Door(..));
                if at_door && self.observer.is_held() {
                    (self.fires(strike.fault))();
                } else if at_door || !self.fired.load(Ordering::SeqCst) {
                    return Ok(());
                }
                self.struck(strike.fault, at_door, now)
            }
            Stadium::Paused { since_ms } => {
                let late = strike.fault == Fault::LateZombie;
                let taken = (!late && self.observer.entered_by(&heir()) > 0) || self.has_ended();
                let longest_ms = if late { 2 * self.pause_ms() } else { self.pause_ms() };
                if !taken && now < since_ms + longest_ms {
                    return Ok(());
                }
                self.observer.fault(Event::fault(hydra_schedule::Fault::Resume(victim())));
                if let Some(process) = &self.workers[0].process {
                    process.signal(Signal::SIGCONT);
                    process.resume();
                }
                self.observer.let_go(&victim());
                self.stadium = Stadium::Together { since_ms: now };
                Ok(())
            }
            Stadium::Together { since_ms } => {
                let together_ms = if strike.fault == Fault::LateZombie { LATE_MS } else { TOGETHER_MS };
                if now >= since_ms + together_ms {
                    self.observer.let_go(&heir());
                    if self.workers[1].process.is_none() {
                        self.start(1)?;
                    }
                    self.healed();
                }
                Ok(())
            }
            Stadium::Broken { since_ms, for_ms } => {
                if now >= since_ms + for_ms {
                    if let Some(proxy) = &self.stage.proxy {
                        proxy.set(Weather::Fine);
                    }
                    let all = hydra_schedule::Target::Workers(vec![victim()]);
                    self.observer.fault(Event::fault(hydra_schedule::Fault::Heal(all)));
                    self.observer.let_go(&victim());
                    self.observer.let_go(&heir());
                    self.healed();
                }
                Ok(())
            }
            Stadium::Healed { .. } => Ok(()),
        }
    }

    /// It has just struck.
    pub(super) fn struck(&mut self, fault: Fault, at_door: bool, now: u64) -> Result<(), String> {
        match fault {
            Fault::Crash => {
                if let Some(mut process) = self.workers[0].process.take() {
                    process.kill();
                }
                self.observer.let_go(&victim());
                match self.stage.world.adapter.takeover {
                    Takeover::Another => self.start(1)?,
                    Takeover::Relaunch => self.start(0)?,
                }
                self.healed();
            }
            Fault::Zombie | Fault::LateZombie => {
                if at_door && let Some(process) = &self.workers[0].process {
                    process.signal(Signal::SIGSTOP);
                }
                if fault == Fault::Zombie {
                    self.observer.slow(&heir());
                }
                // Where a client cancels meanwhile, nobody takes over: there is nothing left to do.
                let cancelled = self.acts.iter().any(|act| act.op == Op::Cancel);
                // It may stand inside a write transaction: then a file is locked, nobody else can even start, and that is
                // the store's affair.
                if !cancelled && let Err(why) = self.start(1) {
                    self.observer.worker_down(&heir());
                    self.deaths.push(crate::cut(&why, 2_000));
                }
                self.stadium = Stadium::Paused { since_ms: now };
            }
            Fault::CallFails(_) => {
                self.healed();
            }
            Fault::DisconnectBefore | Fault::ReplyLost => {
                self.stadium = Stadium::Broken { since_ms: now, for_ms: BROKEN_MS };
            }
            Fault::Partition => {
                self.start(1)?;
                let for_ms = self.settings().lease_ms * 3 / 2;
                self.stadium = Stadium::Broken { since_ms: now, for_ms };
            }
        }
        Ok(())
    }
}
