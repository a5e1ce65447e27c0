//! Schedules of the model checker: every action is said, and the programs are written in the model's own short form.

use hydra_model::scopes::{ModelSpec, Scope};
use hydra_model::world::bounds::Bounds;
use hydra_schedule::{Action, Name, Schedule, WorkerAct};
use serde::Deserialize;

use super::case::own_settings;
use super::{Case, CaseError};
use crate::cluster::{Config, WORKERS_MAX};
use crate::workload::{Item, Program, Race, Sleep, Step, StepKind, Workload, WorkloadError};

/// Whether the schedule says who does what, and not only what goes wrong.
pub(super) fn is_script(schedule: &Schedule) -> bool {
    schedule.setting("model").is_some()
        || schedule.events.iter().any(|event| match &event.action {
            Action::Worker { act, .. } => *act != WorkerAct::Stops,
            Action::TimePasses { .. } | Action::StoreExpires { .. } => true,
            Action::Client(_) | Action::Fault { .. } => false,
        })
}

/// The model's form of a program: `{"id":"W1","sequence":["keyed","timer"],"attempts":2}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Short {
    id: Name,
    #[serde(default)]
    sequence: Vec<Word>,
    #[serde(default)]
    together: Vec<Word>,
    #[serde(default)]
    race: Vec<Word>,
    attempts: u32,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Word {
    Transactional,
    Keyed,
    AtMostOnce,
    Timer,
}

/// How long the model's timers last here, in milliseconds; the model knows no lengths.
const TIMER_MS: u64 = 5_000;
/// In a script that ends with a lease that ran out, bodies last so many leases: whether their worker keeps them shows
/// only while it is inside.
const BODY_LEASES: u64 = 2;
/// How long after its start an execution fails, in a model with deadlines: time passes only where the script says so.
const DEADLINE_MS: u64 = 60_000;

impl Short {
    fn program(self) -> Program {
        let attempts_max = Some(self.attempts);
        let step = |(index, word): (usize, Word)| {
            let id = Name::new(&(index + 1).to_string()).expect("digits are a name");
            let kind = match word {
                Word::Transactional => StepKind::Transactional,
                Word::Keyed => StepKind::Keyed,
                Word::AtMostOnce => StepKind::AtMostOnce,
                Word::Timer => return Item::Sleep(Sleep { id, ms: TIMER_MS }),
            };
            Item::Step(Step { attempts_max, ..Step::new(id, kind) })
        };
        let mut body: Vec<Item> = self.sequence.into_iter().enumerate().map(step).collect();
        let group = self.together.into_iter().enumerate().map(step).flat_map(|item| item.steps().to_vec());
        let group: Vec<Step> = group.collect();
        if !group.is_empty() {
            body.push(Item::Parallel(group));
        }
        let runners: Vec<Item> = self.race.into_iter().enumerate().map(step).collect();
        let steps: Vec<Step> = runners.iter().flat_map(Item::steps).cloned().collect();
        if !steps.is_empty() {
            body.push(Item::Race(Race { steps, sleep: runners.iter().find_map(Item::sleep).cloned() }));
        }
        Program::new(self.id, body)
    }
}

/// The bounds of the model that a script was found in.
fn bounds(schedule: &Schedule) -> Option<Bounds> {
    let named = |model: &ModelSpec| Some(model.name.replace(' ', "-")) == schedule.setting("model").map(str::to_owned);
    [Scope::Smoke, Scope::Standard, Scope::Deep]
        .into_iter()
        .flat_map(Scope::models)
        .find(named)
        .map(|model| model.bounds)
}

fn programs(lines: &[String]) -> Result<Workload, WorkloadError> {
    let is_short = |line: &String| line.contains("\"attempts\":");
    let short: Result<Vec<Short>, _> = lines.iter().map(|line| serde_json::from_str::<Short>(line)).collect();
    match short {
        Ok(short) if !short.is_empty() => Ok(Workload { programs: short.into_iter().map(Short::program).collect() }),
        Err(error) if lines.iter().all(is_short) => Err(WorkloadError::of("program 1", &error.to_string())),
        _ => Workload::from_lines(lines),
    }
}

/// The case of a script: its lines are its strikes, so it has none of its own.
pub(super) fn case(schedule: &Schedule) -> Result<Case, CaseError> {
    let mut workload = programs(&schedule.programs)?;
    if workload.programs.is_empty() {
        return Err(CaseError::NoProgram);
    }
    let workers = schedule.workers.unwrap_or_else(|| Config::default().workers).clamp(1, WORKERS_MAX);
    let mut settings = own_settings(&schedule.settings);
    // Which of its models it was found in matters to the checker alone.
    settings.retain(|name, _| name.as_str() != "model");
    let mut config = Config::with_settings(workers, &settings)?;
    if matches!(schedule.events.last().map(|event| &event.action), Some(Action::TimePasses { .. })) {
        let steps = workload.programs.iter_mut().flat_map(|program| &mut program.body);
        for item in steps {
            if let Item::Step(step) = item {
                step.lasts_ms = BODY_LEASES * config.lease_ms;
            }
        }
    }
    if let Some(bounds) = bounds(schedule) {
        config.replays_max = bounds.replays.unwrap_or(config.replays_max);
        for program in &mut workload.programs {
            program.deadline_ms = bounds.deadline.then_some(DEADLINE_MS);
        }
    }
    Ok(Case { seed: schedule.seed.unwrap_or(0), config, workload, strikes: Vec::new() })
}
