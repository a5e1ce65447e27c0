//! A workload with numbers in place of names: what the cluster runs.

use std::ops::Range;

use hydra_protocol::Kind;
use hydra_schedule::{Name, StepName};

use crate::workload::{self, Ends, Item, StepKind, Workload};

/// One execution of the workload.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// Its items.
    pub(crate) items: Range<u32>,
    /// Its steps, timers among them, as indices into all steps. The first is step number 1.
    pub(crate) steps: Range<u32>,
    /// How long after its start it may begin, in milliseconds.
    pub(crate) delay_ms: u64,
    /// How long after its start it fails, in milliseconds.
    pub(crate) deadline_ms: Option<u64>,
}

/// Steps that begin together; a single step and a sleep are a group of one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    /// Only the first that settles is awaited, and the others are dropped then.
    pub(crate) is_race: bool,
    /// The first step, counted within the program from 0.
    pub(crate) first: u32,
    /// How many.
    pub(crate) count: u32,
}

/// One step or timer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepPlan {
    /// Which execution it belongs to.
    pub(crate) execution: u32,
    /// Its kind.
    pub(crate) kind: Kind,
    /// How long the body or the sleep lasts, in milliseconds.
    pub(crate) lasts_ms: u64,
    /// How its body ends.
    pub(crate) ends: Ends,
    /// Attempts allowed; zero for the subject's default.
    pub(crate) attempts_max: u32,
    /// Whether the workflow goes on if it fails.
    pub(crate) caught: bool,
}

/// All programs of a run. The vectors are used again from run to run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Programs {
    pub(crate) programs: Vec<Program>,
    pub(crate) groups: Vec<Group>,
    pub(crate) steps: Vec<StepPlan>,
}

impl Programs {
    /// Replaces what was there by `workload`.
    pub(crate) fn load(&mut self, workload: &Workload) {
        self.programs.clear();
        self.groups.clear();
        self.steps.clear();
        for (execution, program) in workload.programs.iter().enumerate() {
            let (first_group, first_step) = (self.groups.len() as u32, self.steps.len() as u32);
            for item in &program.body {
                let first = self.steps.len() as u32 - first_step;
                self.steps.extend(item.steps().iter().map(|step| StepPlan::step(execution as u32, step)));
                self.steps.extend(item.sleep().map(|sleep| StepPlan::timer(execution as u32, sleep.ms)));
                let count = self.steps.len() as u32 - first_step - first;
                self.groups.push(Group { first, count, is_race: matches!(item, Item::Race(_)) });
            }
            self.programs.push(Program {
                items: first_group..self.groups.len() as u32,
                steps: first_step..self.steps.len() as u32,
                delay_ms: program.delay_ms,
                deadline_ms: program.deadline_ms,
            });
        }
    }

    /// How long it may take until everything has ended once faults are over, in milliseconds: every body and every
    /// backoff at its longest, one after the other, and time to notice what died before.
    pub(crate) fn patience_ms(&self, lease_ms: u64, backoff_cap_ms: u64, attempts_max: u32) -> u64 {
        let step = |step: &StepPlan| {
            let attempts = u64::from(if step.attempts_max == 0 { attempts_max } else { step.attempts_max }).min(100);
            (step.lasts_ms + backoff_cap_ms + lease_ms / 2).saturating_mul(attempts.max(1))
        };
        let longest = self
            .programs
            .iter()
            .map(|program| {
                let steps = &self.steps[program.steps.start as usize..program.steps.end as usize];
                steps.iter().map(step).fold(program.delay_ms, u64::saturating_add)
            })
            .max()
            .unwrap_or(0u64);
        longest.saturating_add(lease_ms.saturating_mul(4))
    }
}

impl StepPlan {
    fn step(execution: u32, step: &workload::Step) -> Self {
        StepPlan {
            execution,
            kind: kind(step.kind),
            lasts_ms: step.lasts_ms,
            ends: step.ends,
            attempts_max: step.attempts_max.unwrap_or(0),
            caught: step.caught,
        }
    }

    fn timer(execution: u32, lasts_ms: u64) -> Self {
        StepPlan { execution, kind: Kind::Timer, lasts_ms, ends: Ends::Succeeds, attempts_max: 0, caught: false }
    }
}

fn kind(kind: StepKind) -> Kind {
    match kind {
        StepKind::Transactional => Kind::Transactional,
        StepKind::Keyed => Kind::Keyed,
        StepKind::AtMostOnce => Kind::AtMostOnce,
    }
}

/// The names that a workload gives, where a person or a schedule is spoken to.
pub(crate) struct Names {
    pub(crate) executions: Vec<Name>,
    pub(crate) steps: Vec<StepName>,
}

impl Names {
    /// Those of `workload`, in the order of [`Programs::load`].
    pub(crate) fn of(workload: &Workload) -> Self {
        let executions = workload.programs.iter().map(|program| program.id.clone()).collect();
        let mut steps = Vec::new();
        for program in &workload.programs {
            steps.extend(program.body.iter().flat_map(Item::names).map(|name| program.step_name(name)));
        }
        Names { executions, steps }
    }

    pub(crate) fn execution(&self, name: &Name) -> Option<u32> {
        self.executions.iter().position(|known| known == name).map(|index| index as u32)
    }

    pub(crate) fn step(&self, name: &StepName) -> Option<u32> {
        self.steps.iter().position(|known| known == name).map(|index| index as u32)
    }
}
