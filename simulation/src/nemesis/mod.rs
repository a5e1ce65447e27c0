//! The nemesis: chooses faults, from a seed, before the run begins. What it chose is a schedule, and can be cut down.
//!
//! Swarm testing: each run leaves out whole kinds of faults at random. A run in which everything goes wrong hides what
//! one fault alone would show.

use hydra_schedule::Direction;

use crate::cluster::{Blow, Config, Place, Strike, When};
use crate::history::Op;
use crate::workload::{Random, Workload};

/// A kind of fault that a run may leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A worker's process ends, and mostly starts again.
    Crash,
    /// A worker shuts down in an orderly way, and mostly starts again.
    Stop,
    /// A request is lost before the store has it.
    DisconnectBefore,
    /// A request is committed and its answer lost.
    ReplyLost,
    /// An answer comes after its sender has given up.
    ReplyLate,
    /// A request reaches the store twice.
    Duplicate,
    /// Workers are cut off from the store, both ways or one.
    Partition,
    /// A process stands still, and often longer than its lease.
    Pause,
    /// A clock jumps.
    Clock,
    /// A clock runs at another speed.
    Drift,
    /// The store takes long.
    SlowStore,
    /// The store is away for a while.
    StoreRestart,
    /// A result cannot be encoded.
    Encode,
    /// A checkpoint cannot be decoded.
    Decode,
    /// The store's clock jumps.
    StoreClock,
    /// The store's clock runs at another speed.
    StoreDrift,
    /// An operator opens failed executions again. No fault, but as unforeseen.
    Operator,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 17] = [
        Kind::Crash,
        Kind::Stop,
        Kind::DisconnectBefore,
        Kind::ReplyLost,
        Kind::ReplyLate,
        Kind::Duplicate,
        Kind::Partition,
        Kind::Pause,
        Kind::Clock,
        Kind::Drift,
        Kind::SlowStore,
        Kind::StoreRestart,
        Kind::Encode,
        Kind::Decode,
        Kind::Operator,
        Kind::StoreClock,
        Kind::StoreDrift,
    ];
}

/// How many faults of the kinds that are not left out, at the most, beside what undoes them.
const STRIKES_MAX: u64 = 8;

/// Chooses the strikes of a run into `strikes`, which is emptied first.
pub fn choose(random: &mut Random, workload: &Workload, config: &Config, strikes: &mut Vec<Strike>) {
    choose_of(&Kind::ALL, random, workload, config, strikes);
}

/// The same with these kinds of fault alone.
pub fn choose_of(of: &[Kind], random: &mut Random, workload: &Workload, config: &Config, strikes: &mut Vec<Strike>) {
    strikes.clear();
    let mut kinds = [Kind::Crash; Kind::ALL.len()];
    let mut count = 0;
    let bits = random.bits();
    for (index, kind) in of.iter().enumerate() {
        if bits & (1 << index) != 0 {
            kinds[count] = *kind;
            count += 1;
        }
    }
    // Also a run without any fault is worth its while now and then.
    for _ in 0..random.below(STRIKES_MAX + 1) {
        if let Some(kind) = random.pick(&kinds[..count]) {
            Choice { random, workload, config, strikes }.strike(*kind);
        }
    }
}

struct Choice<'a> {
    random: &'a mut Random,
    workload: &'a Workload,
    config: &'a Config,
    strikes: &'a mut Vec<Strike>,
}

impl Choice<'_> {
    fn strike(&mut self, kind: Kind) {
        let worker = self.random.below(u64::from(self.config.workers)) as u8;
        match kind {
            Kind::Crash => {
                let when = self.somewhere(worker, &Place::ALL);
                self.push(when, Blow::Crash(worker));
                self.later(when, Blow::Restart(worker));
            }
            Kind::Stop => {
                let when = When::At(self.at_ms());
                self.push(when, Blow::Stop(worker));
                self.later(when, Blow::Restart(worker));
            }
            Kind::DisconnectBefore => self.at_request(worker, Blow::DisconnectBefore(worker)),
            Kind::ReplyLost => self.at_request(worker, Blow::ReplyLost(worker)),
            Kind::ReplyLate => self.at_request(worker, Blow::ReplyLate(worker)),
            Kind::Duplicate => self.at_request(worker, Blow::Duplicate(worker)),
            Kind::Partition => {
                let workers = match self.random.below(4) {
                    0 => u32::MAX,
                    1 => self.random.bits() as u32 | 1 << worker,
                    _ => 1 << worker,
                };
                let direction = [Direction::Both, Direction::In, Direction::Out][self.random.below(3) as usize];
                // All of them are all bits, as `partition all` reads.
                let all = u32::MAX >> (32 - self.config.workers.clamp(1, 32));
                let workers = if workers & all == all { u32::MAX } else { workers & all };
                let when = When::At(self.at_ms());
                self.push(when, Blow::Partition { workers, direction });
                self.later(when, Blow::Heal { workers });
            }
            Kind::Pause => {
                let for_ms = self.random.between(1, self.config.lease_ms * 3);
                let when = self.somewhere(worker, &Place::ALL);
                self.push(when, Blow::Pause { worker, for_ms });
                // A machine that sleeps: its clock stands still with it, and it wakes believing in its lease.
                if self.random.percent(30) {
                    self.push(when, Blow::Clock { worker, by_ms: -(for_ms as i64) });
                }
                if self.random.percent(20) {
                    self.later(when, Blow::Resume(worker));
                }
            }
            Kind::Clock => {
                let by_ms = self.random.between(0, self.config.lease_ms * 4) as i64 - 2 * self.config.lease_ms as i64;
                let when = When::At(self.at_ms());
                self.push(when, Blow::Clock { worker, by_ms });
            }
            Kind::Drift => {
                // Up to a fifth too fast or too slow: twice what a lease's margin allows for.
                let ppm = self.random.between(0, 400_000) as i64 - 200_000;
                let when = When::At(self.at_ms());
                self.push(when, Blow::Drift { worker, ppm });
            }
            Kind::StoreClock => {
                let by_ms = self.random.between(0, self.config.lease_ms * 4) as i64 - 2 * self.config.lease_ms as i64;
                let when = When::At(self.at_ms());
                self.push(when, Blow::StoreClock { by_ms });
            }
            Kind::StoreDrift => {
                let ppm = self.random.between(0, 400_000) as i64 - 200_000;
                let when = When::At(self.at_ms());
                self.push(when, Blow::StoreDrift { ppm });
            }
            Kind::SlowStore => {
                let by_ms = self.random.between(1, self.config.timeout_ms * 2);
                let when = When::At(self.at_ms());
                self.push(when, Blow::SlowStore { by_ms });
                self.later(when, Blow::SlowStore { by_ms: 0 });
            }
            Kind::StoreRestart => {
                let when = When::At(self.at_ms());
                self.push(when, Blow::StoreRestart);
            }
            Kind::Encode | Kind::Decode => {
                let Some(step) = self.some_step() else { return };
                let at_ms = self.at_ms();
                let blow = if kind == Kind::Encode { Blow::Encode { step } } else { Blow::Decode { step } };
                self.push(When::At(at_ms), blow);
            }
            Kind::Operator => {
                let execution = self.random.below(self.workload.programs.len() as u64) as u32;
                let op = if self.random.percent(70) { Op::Retry } else { Op::Status };
                let at_ms = self.random.below(self.config.faults_for_ms);
                self.push(When::At(at_ms), Blow::Client { op, execution, other_input: false });
            }
        }
    }

    fn push(&mut self, when: When, blow: Blow) {
        self.strikes.push(Strike { when, blow });
    }

    /// What undoes a fault comes later, or only when everything is healed.
    fn later(&mut self, when: When, blow: Blow) {
        let from_ms = match when {
            When::At(at_ms) => at_ms,
            When::On { .. } => 0,
        };
        let within_ms = if self.random.percent(50) { self.config.timeout_ms * 2 } else { self.config.lease_ms * 2 };
        let at_ms = from_ms + self.random.between(1, within_ms.max(1));
        if self.random.percent(80) {
            self.push(When::At(at_ms), blow);
        }
    }

    /// At a place of the process, which hits narrow windows, or at a time.
    fn somewhere(&mut self, worker: u8, places: &[Place]) -> When {
        if self.random.percent(70)
            && let Some(place) = self.random.pick(places)
        {
            let nth = self.nth();
            return When::On { worker, place: *place, nth };
        }
        When::At(self.at_ms())
    }

    fn at_request(&mut self, worker: u8, blow: Blow) {
        let when = self.somewhere(worker, &[Place::Request]);
        self.push(when, blow);
    }

    /// Small numbers more often: every process passes its first places, few pass the hundredth.
    fn nth(&mut self) -> u32 {
        let max = 1 << self.random.between(1, 5);
        self.random.between(1, max) as u32
    }

    /// A time, and each order of magnitude as often as any other: most of a run's work is done early.
    fn at_ms(&mut self) -> u64 {
        let most = self.config.faults_for_ms.max(2);
        let magnitude = self.random.between(4, u64::from(most.ilog2()).max(4) + 1);
        self.random.below(1 << magnitude).min(most - 1)
    }

    fn some_step(&mut self) -> Option<u32> {
        let steps =
            self.workload.programs.iter().flat_map(|program| &program.body).map(|item| item.steps().len().max(1));
        let count = steps.sum::<usize>() as u64;
        (count > 0).then(|| self.random.below(count) as u32)
    }
}
