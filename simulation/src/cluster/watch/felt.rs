//! Until when a fault can be felt.

use super::Watch;
use crate::cluster::program::Programs;
use crate::cluster::strike::Blow;

impl Watch {
    pub(super) fn felt(&mut self, worker: u8, until_ms: u64) {
        let there = &mut self.workers[worker as usize];
        there.felt_until_ms = there.felt_until_ms.max(until_ms);
    }

    pub(super) fn struck(&mut self, blow: &Blow, at_ms: u64, programs: &Programs) {
        match *blow {
            Blow::Crash(worker)
            | Blow::Restart(worker)
            | Blow::DisconnectBefore(worker)
            | Blow::ReplyLost(worker)
            | Blow::ReplyLate(worker)
            | Blow::Duplicate(worker)
            | Blow::Resume(worker)
            | Blow::Stop(worker) => self.felt(worker, at_ms),
            Blow::Pause { worker, for_ms } => self.felt(worker, at_ms + for_ms),
            // These last until all is healed.
            Blow::Clock { worker, .. } | Blow::Drift { worker, .. } => self.felt(worker, u64::MAX),
            Blow::Partition { workers, .. } => {
                for worker in 0..self.workers.len() as u8 {
                    if workers & (1 << worker) != 0 {
                        self.felt(worker, u64::MAX);
                    }
                }
            }
            Blow::SlowStore { .. } | Blow::StoreRestart | Blow::StoreClock { .. } | Blow::StoreDrift { .. } => {
                match *blow {
                    Blow::StoreClock { by_ms } => {
                        self.store.jump(at_ms, by_ms);
                        self.back_ms += by_ms.min(0).unsigned_abs();
                    }
                    Blow::StoreDrift { ppm } => self.store.drift(at_ms, ppm),
                    _ => {}
                }
                for worker in 0..self.workers.len() as u8 {
                    self.felt(worker, u64::MAX);
                }
            }
            Blow::Decode { step } => self.executions[programs.steps[step as usize].execution as usize].decode = true,
            Blow::Heal { .. } | Blow::Encode { .. } | Blow::Client { .. } => {}
        }
    }
}
