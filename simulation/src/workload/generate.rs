//! Generated workloads: the same seed and shape give the same workload, for ever.

use hydra_schedule::Name;

use super::{Ends, Item, Program, Race, Random, Sleep, StartAgain, Step, StepKind, Workload};

/// What a generated workload may contain beside plain steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// Transactional steps.
    Transactional,
    /// At-most-once steps.
    AtMostOnce,
    /// Groups of parallel steps.
    Parallel,
    /// Durable sleeps.
    Sleeps,
    /// Bodies that fail and then succeed.
    Failures,
    /// Bodies that always fail, or fail finally.
    Hopeless,
    /// Bodies that last longer than a lease.
    LongBodies,
    /// Results that cannot be encoded.
    Unencodable,
    /// Failures that the workflow catches.
    Caught,
    /// Cancellations.
    Cancels,
    /// Starts under an id in use.
    StartsAgain,
    /// Steps that race one another or a timer.
    Races,
    /// Executions that must end by a time.
    Deadlines,
    /// Executions that may begin only some time after their start.
    Delays,
}

impl Feature {
    /// Every feature.
    pub const ALL: [Feature; 14] = [
        Feature::Transactional,
        Feature::AtMostOnce,
        Feature::Parallel,
        Feature::Sleeps,
        Feature::Failures,
        Feature::Hopeless,
        Feature::LongBodies,
        Feature::Unencodable,
        Feature::Caught,
        Feature::Cancels,
        Feature::StartsAgain,
        Feature::Races,
        Feature::Deadlines,
        Feature::Delays,
    ];

    /// What was thought of later draws from a source of its own: seeds that were written down before still mean the
    /// same programs, with something added at the most.
    fn is_later(self) -> bool {
        matches!(self, Feature::Races | Feature::Deadlines | Feature::Delays)
    }
}

/// The bounds of a generated workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// How many executions.
    pub executions: u32,
    /// The most items (steps, groups, sleeps) in a program; at least 1.
    pub items_max: u32,
    /// The most steps in a parallel group; at least 2.
    pub group_max: u32,
    /// The lease of the subject, in milliseconds: a long body lasts up to three times as long.
    pub lease_ms: u64,
    /// The attempts of a step, where it states them.
    pub attempts_max: u32,
    /// The longest sleep, in milliseconds.
    pub sleep_max_ms: u64,
    /// The clients act within so many milliseconds.
    pub clients_for_ms: u64,
    /// What may occur. Each run of a swarm leaves out about half of it.
    pub features: Vec<Feature>,
    /// Whether the seed decides which features are left out.
    pub swarm: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Shape {
            executions: 4,
            items_max: 4,
            group_max: 3,
            lease_ms: 30_000,
            attempts_max: 3,
            sleep_max_ms: 60_000,
            clients_for_ms: 10_000,
            features: Feature::ALL.to_vec(),
            swarm: true,
        }
    }
}

impl Workload {
    /// The workload that `seed` stands for.
    pub fn generate(seed: u64, shape: &Shape) -> Self {
        let mut random = Random::new(seed);
        let mut later = random.fork(LATER);
        let keep = |feature: &Feature| {
            let source = if feature.is_later() { &mut later } else { &mut random };
            let kept = source.percent(50);
            (!shape.swarm || kept).then_some(*feature)
        };
        let features: Vec<Feature> = shape.features.iter().filter_map(keep).collect();
        let mut source = Source { random, later, shape, features };
        Workload { programs: (0..shape.executions as usize).map(|index| source.program(index)).collect() }
    }
}

/// The purpose of the source for what was thought of later.
const LATER: u64 = 4;

struct Source<'a> {
    random: Random,
    later: Random,
    shape: &'a Shape,
    features: Vec<Feature>,
}

impl Source<'_> {
    /// Whether `feature` occurs here: never if it is left out.
    fn chance(&mut self, feature: Feature, percent: u64) -> bool {
        let drawn = self.random.percent(percent);
        drawn && self.features.contains(&feature)
    }

    fn program(&mut self, index: usize) -> Program {
        let mut program = Program::new(Name::execution(index), Vec::new());
        let mut next_id = 0;
        for _ in 0..self.random.between(1, u64::from(self.shape.items_max.max(1))) {
            let item = self.item(&mut next_id);
            program.body.push(item);
        }
        program.start_at_ms = self.random.below(self.shape.clients_for_ms / 2 + 1);
        let moment = |random: &mut Random| random.between(program.start_at_ms, self.shape.clients_for_ms);
        let cancel_at = moment(&mut self.random);
        let again_at = moment(&mut self.random);
        if self.chance(Feature::Cancels, 25) {
            program.cancel_at_ms = Some(cancel_at);
        }
        if self.chance(Feature::StartsAgain, 40) {
            let other_input = self.random.percent(40);
            program.starts_again.push(StartAgain { at_ms: again_at, other_input });
        }
        self.add_later(&mut program, &mut next_id);
        program
    }

    /// What was thought of later, added to a program that is complete without it.
    fn add_later(&mut self, program: &mut Program, next_id: &mut u32) {
        for item in &mut program.body {
            if matches!(item, Item::Sleep(_)) || !self.chance_later(Feature::Races, 25) {
                continue;
            }
            let steps = item.steps().to_vec();
            // Alone against a timer; more than one against each other, with or without it.
            let timed = steps.len() == 1 || self.later.percent(50);
            let ms = self.later.below(self.shape.lease_ms / 5 + 1);
            let sleep = timed.then(|| Sleep { id: numbered(next_id), ms });
            *item = Item::Race(Race { steps, sleep });
        }
        if self.chance_later(Feature::Delays, 25) {
            program.delay_ms = self.later.between(1, self.shape.sleep_max_ms);
        }
        // From much too short to nearly always long enough.
        let magnitude = self.later.between(6, 18);
        let deadline_ms = self.later.below(1 << magnitude);
        if self.chance_later(Feature::Deadlines, 25) {
            program.deadline_ms = Some(program.delay_ms + deadline_ms);
        }
    }

    fn chance_later(&mut self, feature: Feature, percent: u64) -> bool {
        let drawn = self.later.percent(percent);
        drawn && self.features.contains(&feature)
    }

    fn item(&mut self, next_id: &mut u32) -> Item {
        if self.chance(Feature::Sleeps, 15) {
            let ms = self.random.between(1, self.shape.sleep_max_ms);
            return Item::Sleep(Sleep { id: numbered(next_id), ms });
        }
        if self.chance(Feature::Parallel, 20) {
            let count = self.random.between(2, u64::from(self.shape.group_max.max(2)));
            return Item::Parallel((0..count).map(|_| self.step(next_id)).collect());
        }
        Item::Step(self.step(next_id))
    }

    fn step(&mut self, next_id: &mut u32) -> Step {
        let kind = if self.chance(Feature::Transactional, 25) {
            StepKind::Transactional
        } else if self.chance(Feature::AtMostOnce, 25) {
            StepKind::AtMostOnce
        } else {
            StepKind::Keyed
        };
        let mut step = Step::new(numbered(next_id), kind);
        step.lasts_ms = if self.chance(Feature::LongBodies, 15) {
            self.random.between(self.shape.lease_ms, self.shape.lease_ms.saturating_mul(3))
        } else {
            self.random.below(self.shape.lease_ms / 10 + 1)
        };
        let failures_max = u64::from(self.shape.attempts_max.max(2) - 1);
        let times = self.random.between(1, failures_max) as u32;
        step.ends = if self.chance(Feature::Failures, 20) {
            Ends::Fails { times }
        } else if self.chance(Feature::Hopeless, 10) {
            if self.random.percent(50) { Ends::FailsForEver } else { Ends::FailsFinally }
        } else if self.chance(Feature::Unencodable, 10) {
            Ends::Unencodable
        } else {
            Ends::Succeeds
        };
        step.attempts_max = Some(self.shape.attempts_max);
        step.caught = self.chance(Feature::Caught, 30);
        step
    }
}

fn numbered(next_id: &mut u32) -> Name {
    *next_id += 1;
    Name::new(&next_id.to_string()).expect("digits are a name")
}
