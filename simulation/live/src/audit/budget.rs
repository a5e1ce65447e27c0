//! How much of its time a run takes, known from those before it: none begins that would not be over in time.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::adapter::Adapter;
use crate::scenario::{Fault, Scenario};

/// A run may take so many percent of what those before it took.
const LONGER_PERCENT: u32 = 125;

/// How long runs took.
pub(super) struct Lengths {
    /// One without any fault, and nobody beside it.
    plain: Duration,
    /// Those of one kind: how many, and how long together.
    taken: Mutex<BTreeMap<String, (u32, Duration)>>,
}

impl Lengths {
    /// By a run without any fault that was made alone.
    pub(super) fn new(plain: Duration) -> Self {
        Lengths { plain, taken: Mutex::default() }
    }

    /// Notes how long a run took.
    pub(super) fn took(&self, scenario: &Scenario, time: Duration) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, sum) = taken.entry(kind(scenario)).or_default();
        *count += 1;
        *sum += time;
    }

    /// How long a run is going to take: as those of its kind did; of the first of a kind, what its faults make it wait.
    pub(super) fn expected(&self, scenario: &Scenario, adapter: &Adapter) -> Duration {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((count, sum)) = taken.get(&kind(scenario)) {
            return *sum / *count * LONGER_PERCENT / 100;
        }
        let waits = scenario.strikes.iter().map(|strike| Duration::from_millis(waits_ms(strike.fault, adapter)));
        let bodies = scenario.workload.programs.iter().flat_map(|program| program.steps());
        let longest = Duration::from_millis(bodies.map(|step| step.lasts_ms).max().unwrap_or(0));
        // Whoever takes over starts too.
        let starts = u32::try_from(scenario.strikes.len() + 1).unwrap_or(u32::MAX);
        self.plain * starts + waits.sum::<Duration>() + longest
    }

    /// Whether a run that begins now is over by then.
    pub(super) fn fits(&self, scenario: &Scenario, adapter: &Adapter, until: Instant) -> bool {
        Instant::now() + self.expected(scenario, adapter) <= until
    }
}

/// What a fault makes a run wait for, in milliseconds.
fn waits_ms(fault: Fault, adapter: &Adapter) -> u64 {
    let lease_ms = adapter.contract.settings.lease_ms;
    match fault {
        Fault::Crash | Fault::Zombie | Fault::LateZombie => lease_ms,
        Fault::Stall | Fault::SlowStore => lease_ms * 3,
        Fault::ReplyLate | Fault::Partition | Fault::HalfOpen => lease_ms * 2,
        Fault::CallFails(_) | Fault::DisconnectBefore | Fault::ReplyLost | Fault::StoreRestart | Fault::Clock(_) => 0,
    }
}

/// Runs of one kind take about the same time.
fn kind(scenario: &Scenario) -> String {
    if scenario.strikes.is_empty() {
        return scenario.name.clone();
    }
    let words: Vec<String> = scenario.strikes.iter().map(|strike| format!("{:?}", strike.fault)).collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::plan;

    #[test]
    fn a_run_is_expected_to_take_what_its_kind_took() {
        let adapter = Adapter::find(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tiny")).unwrap();
        let runs = plan::singles(&adapter, &plan::Counted::default(), false).runs;
        let of = |fault| runs.iter().filter(move |run| run.strikes[0].fault == fault);
        let crash = of(Fault::Crash).next().unwrap();
        let lengths = Lengths::new(Duration::from_secs(2));
        // Two starts, and a lease of a second.
        assert_eq!(lengths.expected(crash, &adapter), Duration::from_secs(5));
        lengths.took(crash, Duration::from_secs(10));
        lengths.took(of(Fault::Crash).next_back().unwrap(), Duration::from_secs(30));
        assert_eq!(lengths.expected(crash, &adapter), Duration::from_secs(25));
        let soon = Instant::now() + Duration::from_secs(20);
        assert!(!lengths.fits(crash, &adapter, soon));
        assert!(lengths.fits(of(Fault::Zombie).next().unwrap(), &adapter, soon));
    }
}
