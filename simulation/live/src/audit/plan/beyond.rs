//! More than one fault: pairs of those that were placed alone, then schedules drawn from a seed.

use hydra_simulation::workload::{Ends, Item, Random, Step};

use super::places::words;
use super::{line, program, usual};
use crate::adapter::{Adapter, Takeover};
use crate::scenario::{Fault, Scenario, Strike};

/// At most so many first and second faults are combined: the pairs are ordered by chance, and few of them ever run.
const COMBINED_MAX: usize = 200;
/// The most faults, and the most executions, of a random schedule.
const FAULTS_MAX: u64 = 3;
const EXECUTIONS_MAX: u64 = 3;
/// The draw that orders pairs: the same in every audit.
const PAIRS: u64 = 0x7061_6972;

/// Pairs of faults in an order by chance: whoever takes over after the first is struck by the second.
pub fn pairs(adapter: &Adapter, singles: &[Scenario]) -> Vec<Scenario> {
    let mut random = Random::new(PAIRS);
    let alone = |run: &&Scenario| run.workload.programs[0].cancel_at_ms.is_none();
    let strikes: Vec<(&Scenario, &Strike)> =
        singles.iter().filter(alone).flat_map(|run| run.strikes.iter().map(move |strike| (run, strike))).collect();
    let firsts = strikes.iter().filter(|(_, strike)| strike.fault.hands_over()).take(COMBINED_MAX);
    let mut pairs = Vec::new();
    for (run, first) in firsts {
        for (_, second) in strikes.iter().take(COMBINED_MAX) {
            if let Some(second) = after(adapter, first, second) {
                let name = format!("{}, then {}", run.name, words(adapter, &second));
                let strikes = vec![(*first).clone(), second];
                let scenario = Scenario { name, strikes, ..(*run).clone() };
                pairs.push((random.bits(), scenario));
            }
        }
    }
    pairs.sort_by_key(|(draw, _)| *draw);
    pairs.into_iter().map(|(_, scenario)| scenario).collect()
}

/// The second fault, at the worker to which the first leaves the work; nothing if it makes no sense there.
fn after(adapter: &Adapter, first: &Strike, second: &Strike) -> Option<Strike> {
    let same = !first.fault.hands_over() || (first.fault == Fault::Crash && adapter.takeover == Takeover::Relaunch);
    let worker = if same { first.worker } else { 1 - first.worker };
    // Two that stand still at once wait for each other and for nothing else.
    let pauses = |fault| matches!(fault, Fault::Zombie | Fault::LateZombie | Fault::Stall);
    let both_stand = pauses(first.fault) && pauses(second.fault);
    // A schedule does not say through whose calls the store is struck: through those of the worker struck before.
    let unnamed = matches!(second.fault, Fault::SlowStore | Fault::StoreRestart) && worker != first.worker;
    (!both_stand && !unnamed).then(|| Strike { worker, ..second.clone() })
}

/// Random schedules without end, the same for the same seed and the same boundaries.
pub struct Randomly {
    random: Random,
    seed: u64,
    drawn: u64,
    strikes: Vec<Strike>,
}

impl Randomly {
    /// Draws from `seed`, placing faults where single ones were placed.
    pub fn new(seed: u64, singles: &[Scenario]) -> Self {
        let strikes = singles.iter().flat_map(|run| run.strikes.clone()).collect();
        Randomly { random: Random::new(seed), seed, drawn: 0, strikes }
    }

    /// The next one; nothing if there is no place for a fault.
    pub fn next(&mut self, adapter: &Adapter) -> Option<Scenario> {
        self.drawn += 1;
        let mut random = self.random.fork(self.drawn);
        let supports = &adapter.supports;
        let mut programs = Vec::new();
        for index in 0..random.between(1, EXECUTIONS_MAX) {
            let mut body = line(supports, usual(supports));
            for item in &mut body {
                if let Item::Step(step) = item {
                    vary(step, &mut random);
                }
            }
            let mut program = program(usize::try_from(index).unwrap_or(0), body);
            if supports.cancels && random.percent(10) {
                program.cancel_at_ms = Some(random.between(50, 2_000));
            }
            programs.push(program);
        }
        let mut strikes: Vec<Strike> = Vec::new();
        for _ in 0..random.between(1, FAULTS_MAX) {
            let drawn = random.pick(&self.strikes)?;
            match strikes.last() {
                None => strikes.push(drawn.clone()),
                Some(last) => strikes.extend(after(adapter, last, drawn)),
            }
        }
        let workers = if random.percent(25) { 2 } else { 1 };
        let name = format!("random schedule {} of seed {}", self.drawn, self.seed);
        let workload = hydra_simulation::workload::Workload { programs };
        Some(Scenario { name, workload, workers, strikes, counts: false })
    }
}

fn vary(step: &mut Step, random: &mut Random) {
    if random.percent(15) {
        step.ends = Ends::Fails { times: u32::try_from(random.between(1, 2)).unwrap_or(1) };
    }
    if random.percent(20) {
        step.lasts_ms = random.between(1, 200);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::plan::{Counted, singles};

    fn tiny() -> Adapter {
        Adapter::find(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tiny")).unwrap()
    }

    #[test]
    fn a_seed_stands_for_its_schedules() {
        let adapter = tiny();
        let places = singles(&adapter, &Counted::default(), false).runs;
        let drawn = |seed| {
            let mut random = Randomly::new(seed, &places);
            (0..20).map(|_| random.next(&adapter).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(drawn(7), drawn(7));
        assert_ne!(drawn(7), drawn(8));
        assert!(drawn(7).iter().any(|run| run.strikes.len() > 1 && run.workload.programs.len() > 1));
        assert!(Randomly::new(7, &[]).next(&adapter).is_none());
    }

    #[test]
    fn the_second_fault_strikes_whoever_has_the_work() {
        let mut adapter = tiny();
        let places = singles(&adapter, &Counted::default(), false).runs;
        let crashes = |adapter: &Adapter| {
            let both = pairs(adapter, &places);
            assert!(both.len() > 100);
            let crash = |run: &&Scenario| run.strikes.iter().all(|strike| strike.fault == Fault::Crash);
            both.iter().find(crash).map(|run| (run.strikes[0].worker, run.strikes[1].worker))
        };
        assert_eq!(crashes(&adapter), Some((0, 1)));
        adapter.takeover = Takeover::Relaunch;
        assert_eq!(crashes(&adapter), Some((0, 0)));
    }
}
