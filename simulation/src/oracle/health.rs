//! When a worker was up, connected and not paused, as far as the nemesis and the observer know.

use hydra_schedule::{Action, Fault, Target};

use crate::history::{Record, What};

/// A fault and for how long it can be felt.
#[derive(Debug)]
struct Strike<'a> {
    /// The record of the fault.
    index: usize,
    /// Whom: one worker, or everyone.
    worker: Option<&'a str>,
    from_ms: u64,
    /// When it ended; a fault that was never healed lasts.
    until_ms: u64,
    /// What ends it.
    ends_by: EndsBy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EndsBy {
    Restart,
    Resume,
    Heal,
    StoreSpeed,
    Itself,
    /// Itself, or the heal that lets the connection go on, where the history tells of one.
    Message,
}

/// Every fault that can take a worker's lease away.
#[derive(Debug, Default)]
pub(super) struct Health<'a> {
    strikes: Vec<Strike<'a>>,
}

impl<'a> Health<'a> {
    pub(super) fn new(records: &'a [Record]) -> Self {
        let mut health = Health::default();
        for (index, record) in records.iter().enumerate() {
            match &record.what {
                What::Fault { event } => {
                    if let Action::Fault { fault, .. } = &event.action {
                        health.fault(index, record.at_ms, fault);
                    }
                }
                What::Worker { up: false } => {
                    health.strike(index, record.at_ms, Some(&record.who), EndsBy::Restart);
                }
                What::Worker { up: true } => health.end(EndsBy::Restart, Some(&record.who), record.at_ms),
                What::Healed => {
                    for ends_by in [EndsBy::Resume, EndsBy::Heal, EndsBy::StoreSpeed] {
                        health.end(ends_by, None, record.at_ms);
                    }
                }
                What::Call(_)
                | What::Entered(_)
                | What::Effect(_)
                | What::Left { .. }
                | What::Ended
                | What::Journal(_) => {}
            }
        }
        health
    }

    fn strike(&mut self, index: usize, from_ms: u64, worker: Option<&'a str>, ends_by: EndsBy) {
        let passes = matches!(ends_by, EndsBy::Itself | EndsBy::Message);
        let until_ms = if passes { from_ms } else { u64::MAX };
        self.strikes.push(Strike { index, worker, from_ms, until_ms, ends_by });
    }

    /// Ends what lasts until now; `worker` `None` ends it for everyone.
    fn end(&mut self, ends_by: EndsBy, worker: Option<&str>, at_ms: u64) {
        for strike in &mut self.strikes {
            let meant = worker.is_none() || strike.worker == worker;
            if strike.ends_by == ends_by && meant && strike.until_ms > at_ms {
                strike.until_ms = at_ms;
            }
        }
    }

    /// The network of `worker` is well again. A real connection that was struck at a message breaks or stands still until
    /// then: 1. A asks what it is to do. 2. The answer is held back. 3. B takes over and does it. 4. The network is
    /// healed, and A is told what was true at 1. A simulated one lives on, and what is healed there is a partition.
    fn heal(&mut self, worker: &str, at_ms: u64) {
        let mine = |strike: &Strike<'_>| strike.worker == Some(worker);
        let parted = |strike: &Strike<'_>| strike.ends_by == EndsBy::Heal && strike.until_ms > at_ms;
        let partition = self.strikes.iter().any(|strike| mine(strike) && parted(strike));
        let last = self.strikes.iter_mut().rfind(|strike| mine(strike));
        if let Some(struck) = last.filter(|strike| strike.ends_by == EndsBy::Message && !partition) {
            struck.until_ms = at_ms;
        }
        self.end(EndsBy::Heal, Some(worker), at_ms);
    }

    fn fault(&mut self, index: usize, at_ms: u64, fault: &'a Fault) {
        match fault {
            Fault::Crash(worker) => self.strike(index, at_ms, Some(worker.as_str()), EndsBy::Restart),
            Fault::Restart(worker) => self.end(EndsBy::Restart, Some(worker.as_str()), at_ms),
            Fault::DisconnectBefore(worker) | Fault::ReplyLost(worker) | Fault::ReplyLate(worker) => {
                self.strike(index, at_ms, Some(worker.as_str()), EndsBy::Message);
            }
            Fault::Duplicate(worker) | Fault::CallFails { worker, .. } => {
                self.strike(index, at_ms, Some(worker.as_str()), EndsBy::Itself);
            }
            Fault::Pause { worker, for_ms } => {
                self.strike(index, at_ms, Some(worker.as_str()), EndsBy::Resume);
                if let Some(strike) = self.strikes.last_mut() {
                    strike.until_ms = at_ms.saturating_add(*for_ms);
                }
            }
            Fault::Resume(worker) => self.end(EndsBy::Resume, Some(worker.as_str()), at_ms),
            // A clock that is wrong stays wrong, and a worker that trusts it may lose its lease at any later time.
            Fault::Clock { worker, .. } | Fault::Drift { worker, .. } => {
                self.strike(index, at_ms, Some(worker.as_str()), EndsBy::Heal);
            }
            Fault::Partition { target: Target::All, .. } => self.strike(index, at_ms, None, EndsBy::Heal),
            Fault::Partition { target: Target::Workers(workers), .. } => {
                for worker in workers {
                    self.strike(index, at_ms, Some(worker.as_str()), EndsBy::Heal);
                }
            }
            Fault::Heal(Target::All) => self.end(EndsBy::Heal, None, at_ms),
            Fault::Heal(Target::Workers(workers)) => {
                for worker in workers {
                    self.heal(worker.as_str(), at_ms);
                }
            }
            // Leases end by the store's clock, whoever holds them.
            Fault::StoreClock { .. } | Fault::StoreDrift { .. } => self.strike(index, at_ms, None, EndsBy::Heal),
            Fault::SlowStore { by_ms: 0 } => self.end(EndsBy::StoreSpeed, None, at_ms),
            Fault::SlowStore { .. } => self.strike(index, at_ms, None, EndsBy::StoreSpeed),
            Fault::StoreRestart => self.strike(index, at_ms, None, EndsBy::Itself),
            // These strike a value, never a worker's lease.
            Fault::Encode(_) | Fault::Decode(_) => {}
        }
    }

    /// The first fault felt by `worker` between two times, if any. The caller widens the window by a lease where a
    /// fault before it may still have its consequence within it.
    pub(super) fn struck(&self, worker: &str, from_ms: u64, until_ms: u64) -> Option<usize> {
        let felt = |strike: &&Strike<'_>| {
            strike.worker.is_none_or(|struck| struck == worker)
                && strike.from_ms <= until_ms
                && strike.until_ms >= from_ms
        };
        self.strikes.iter().find(felt).map(|strike| strike.index)
    }

    /// Whether `worker` was alive but paused, cut off or without a reply between two times: a zombie may come of it.
    /// One that crashed remembers nothing and is none.
    pub(super) fn cut_off(&self, worker: &str, from_ms: u64, until_ms: u64) -> bool {
        self.strikes.iter().any(|strike| {
            strike.ends_by != EndsBy::Restart
                && strike.worker.is_none_or(|struck| struck == worker)
                && strike.from_ms <= until_ms
                && strike.until_ms >= from_ms
        })
    }

    /// The same, of faults that began after `since_ms`: until then the worker could act.
    pub(super) fn cut_off_since(&self, worker: &str, since_ms: u64, from_ms: u64, until_ms: u64) -> bool {
        self.strikes.iter().any(|strike| {
            strike.ends_by != EndsBy::Restart
                && strike.worker.is_none_or(|struck| struck == worker)
                && strike.from_ms >= since_ms
                && strike.from_ms <= until_ms
                && strike.until_ms >= from_ms
        })
    }

    /// Whether anything was ever struck.
    pub(super) fn is_untouched(&self) -> bool {
        self.strikes.is_empty()
    }

    /// The first fault felt by anyone between two times.
    pub(super) fn anyone_struck(&self, from_ms: u64, until_ms: u64) -> Option<usize> {
        let felt = |strike: &&Strike<'_>| strike.from_ms <= until_ms && strike.until_ms >= from_ms;
        self.strikes.iter().find(felt).map(|strike| strike.index)
    }
}
