//! How much of what there is simulated runs visit: on scopes that the model checker exhausts, every state is known, and
//! each moment of a simulated cluster is one of them.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use hydra_model::scopes::{ModelSpec, Scope};
use hydra_model::search::Checkable;
use hydra_model::world::World;
use hydra_model::world::bounds::{Body, Bounds, Shape, WrongBounds};
use hydra_model::world::state::Packed;
use hydra_protocol::{Kind, Reference};
use hydra_schedule::Name;
use stateright::Model;

use crate::cluster::{Blow, Cluster, Config, Run, project::Effects};
use crate::nemesis::{self, Kind as Fault};
use crate::workload::{Ends, Item, Program, Race, Random, Sleep, Step, StepKind, Workload};

/// What came of one model.
#[derive(Clone, Debug)]
pub struct Coverage {
    /// The model.
    pub model: &'static str,
    /// Its states, up to which worker is which.
    pub known: u64,
    /// Those that simulated runs were in.
    pub visited: u64,
    /// States of simulated runs that the model does not have: it rounds somewhere, or one of the two is wrong.
    pub outside: u64,
    /// One of them, in full.
    pub stranger: Option<String>,
    /// Runs.
    pub runs: u64,
    /// Moments that were looked at.
    pub moments: u64,
}

impl Coverage {
    /// Of a hundred known states, so many were visited.
    pub fn percent(&self) -> f64 {
        self.visited as f64 * 100.0 / self.known.max(1) as f64
    }
}

/// How far to go, for each model.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// So many runs.
    Runs(u64),
    /// So long.
    Time(Duration),
}

/// How often faults are chosen for one run, at most.
const ROUNDS_MAX: u64 = 3;

/// The models of the small scope whose workloads and faults the simulator has: one execution, and no clients that do
/// anything but start it.
pub fn models() -> Vec<ModelSpec> {
    let covered = |model: &ModelSpec| {
        let bounds = &model.bounds;
        let plain = !bounds.deadline && !bounds.clients && !bounds.operator && !bounds.strangers;
        let faults = !bounds.faults.duplicate && !bounds.faults.panic;
        // There, steps in parallel end their workflow with the first that fails; here, with the last.
        let alike = bounds.program.shape != Shape::Together && bounds.replays.is_none();
        plain && faults && alike && bounds.executions == 1 && bounds.workers > 1
    };
    Scope::Smoke.models().into_iter().filter(covered).collect()
}

/// Runs a model's program under its faults, and counts the model's states that were visited.
pub fn measure(model: &ModelSpec, until: Until) -> Result<Coverage, WrongBounds> {
    let world = World::new(model.bounds.clone(), &Reference)?;
    let known = reachable(&world);
    let mut coverage = Coverage {
        model: model.name,
        known: known.len() as u64,
        visited: 0,
        outside: 0,
        stranger: None,
        runs: 0,
        moments: 0,
    };
    let mut visited: HashSet<Packed> = HashSet::new();
    let mut cluster = Cluster::new(&Reference);
    let (started, kinds) = (Instant::now(), faults(&model.bounds));
    let (mut strikes, mut more, mut last) = (Vec::new(), Vec::new(), None);
    // Where no reply is ever lost, the model hears at once what was committed.
    let loses_replies = model.bounds.faults.reply_lost;
    let goes_on = |runs| match until {
        Until::Runs(most) => runs < most,
        Until::Time(most) => started.elapsed() < most,
    };
    while goes_on(coverage.runs) {
        let mut random = Random::new(coverage.runs).fork(5);
        let (config, workload) = case(&model.bounds, &mut random);
        strikes.clear();
        for _ in 0..random.between(1, ROUNDS_MAX) {
            nemesis::choose_of(&kinds, &mut random, &workload, &config, &mut more);
            strikes.append(&mut more);
        }
        // A lease that ends early is the model's; one that lasts longer than its worker thinks is not.
        strikes.retain(|strike| !matches!(strike.blow, Blow::StoreClock { by_ms } if by_ms < 0));
        cluster.prepare(Run { seed: coverage.runs, workload: &workload, strikes: &strikes, config: &config });
        let mut effects = Effects::default();
        loop {
            if !loses_replies && cluster.answers_are_under_way() {
                if cluster.advance() { continue } else { break }
            }
            let (row, workers) = cluster.project(&mut effects);
            let state = world.canonical(world.compose(&[row], &workers));
            let packed = world.pack(&state);
            coverage.moments += 1;
            if last != Some(packed) && visited.insert(packed) && !known.contains(&packed) {
                coverage.outside += 1;
                coverage.stranger.get_or_insert_with(|| format!("{row:?} {workers:?}"));
            }
            last = Some(packed);
            if !cluster.advance() {
                break;
            }
        }
        coverage.runs += 1;
    }
    coverage.visited = visited.iter().filter(|state| known.contains(*state)).count() as u64;
    Ok(coverage)
}

/// Every state that the model can be in, up to which worker is which.
fn reachable(world: &World<Reference>) -> HashSet<Packed> {
    let mut known = HashSet::new();
    let mut open: Vec<Packed> =
        world.init_states().into_iter().map(|state| world.pack(&world.canonical(state))).collect();
    known.extend(open.iter().copied());
    let mut actions = Vec::new();
    while let Some(packed) = open.pop() {
        let state = world.unpack(&packed);
        actions.clear();
        world.actions(&state, &mut actions);
        for action in actions.drain(..) {
            let Some(next) = world.next_state(&state, action) else { continue };
            if !world.within_boundary(&next) {
                continue;
            }
            let packed = world.pack(&world.canonical(next));
            if known.insert(packed) {
                open.push(packed);
            }
        }
    }
    known
}

/// The model's faults as the nemesis knows them.
fn faults(bounds: &Bounds) -> Vec<Fault> {
    let faults = &bounds.faults;
    let pairs = [
        (faults.crash, Fault::Crash),
        (faults.disconnect, Fault::DisconnectBefore),
        (faults.reply_lost, Fault::ReplyLost),
        (faults.encode, Fault::Encode),
        (faults.decode, Fault::Decode),
        (faults.partition, Fault::Partition),
        (faults.pause, Fault::Pause),
        (faults.expire, Fault::StoreClock),
        (faults.clock, Fault::Clock),
        (faults.shutdown, Fault::Stop),
    ];
    pairs.into_iter().filter(|(is_on, _)| *is_on).map(|(_, kind)| kind).collect()
}

/// The model's program once, with bodies that end as chance decides, and settings under which waits are long or short.
fn case(bounds: &Bounds, random: &mut Random) -> (Config, Workload) {
    let config = Config {
        workers: bounds.workers as u32,
        replays_max: u32::MAX,
        attempts_max: bounds.attempts,
        // Short leases and long ways: two workers are to be at one execution as often as possible.
        lease_ms: 1_000,
        timeout_ms: 300,
        poll_ms: 200,
        network_ms_max: 40,
        faults_for_ms: 5_000,
        store_away_ms: 500,
        hold_ms: if random.percent(50) { 0 } else { 1_000 },
        backoff_initial_ms: random.between(1, 1_000),
        ..Config::default()
    };
    let mut items = Vec::new();
    let (mut steps, mut sleep) = (Vec::new(), None);
    for (index, spec) in bounds.program.steps.iter().enumerate() {
        let id: Name = (index + 1).to_string().parse().expect("digits are a name");
        let kind = match spec.kind {
            Kind::Transactional => StepKind::Transactional,
            Kind::Keyed => StepKind::Keyed,
            Kind::AtMostOnce => StepKind::AtMostOnce,
            Kind::Timer => {
                let timer = Sleep { id, ms: random.between(1, 2_000) };
                match bounds.program.shape {
                    Shape::Race => sleep = Some(timer),
                    Shape::Sequence | Shape::Together => items.push(Item::Sleep(timer)),
                }
                continue;
            }
        };
        let mut step = Step::new(id, kind);
        step.attempts_max = Some(bounds.attempts);
        // About as long as its own sleep, a lease, or nothing.
        step.lasts_ms = [0, 20, 2_000, config.lease_ms][random.below(4) as usize];
        step.lasts_ms = random.below(step.lasts_ms + 1);
        step.ends = match (spec.body, random.below(4)) {
            (Body::Fails, _) => Ends::FailsForEver,
            (Body::MayFail, 0) => Ends::FailsForEver,
            (Body::MayFail, 1) => Ends::Fails { times: 1 },
            (Body::MayFail | Body::Returns, _) => Ends::Succeeds,
        };
        match bounds.program.shape {
            Shape::Race => steps.push(step),
            Shape::Sequence | Shape::Together => items.push(Item::Step(step)),
        }
    }
    if bounds.program.shape == Shape::Race {
        items.push(Item::Race(Race { steps, sleep }));
    }
    (config, Workload { programs: vec![Program::new(Name::execution(0), items)] })
}
