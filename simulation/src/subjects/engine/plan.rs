//! What every process knows of a run: the programs, and how steps are numbered.

use std::ops::Range;

use hydra_engine::RetryPolicy;
use hydra_schedule::{Name, StepName};

use crate::cluster::Config;
use crate::workload::{Program, Step, Workload};

/// The workflow of most executions.
pub(super) const COMMON: &str = "common";
/// The workflow of every third one: a worker that is set up as ignorant has no code for it.
pub(super) const RARE: &str = "rare";

/// One step or sleep of the workload.
pub(super) struct StepPlan {
    pub name: StepName,
    /// None for a sleep.
    pub step: Option<Step>,
}

/// A run's workload with its steps numbered as both the engine and a schedule number them.
pub(super) struct Plan {
    pub workload: Workload,
    pub config: Config,
    /// All steps and sleeps, execution after execution.
    pub steps: Vec<StepPlan>,
    /// Those of each execution; the first is the engine's step 1.
    of: Vec<Range<usize>>,
}

impl Plan {
    pub fn new(workload: &Workload, config: &Config) -> Self {
        let (mut steps, mut of) = (Vec::new(), Vec::new());
        for program in &workload.programs {
            let first = steps.len();
            for item in &program.body {
                for step in item.steps() {
                    steps.push(StepPlan { name: program.step_name(&step.id), step: Some(step.clone()) });
                }
                if let Some(sleep) = item.sleep() {
                    steps.push(StepPlan { name: program.step_name(&sleep.id), step: None });
                }
            }
            of.push(first..steps.len());
        }
        Plan { workload: workload.clone(), config: config.clone(), steps, of }
    }

    /// The index of the engine's step `no` of an execution, if the program has one.
    pub fn step(&self, execution: usize, no: u32) -> Option<usize> {
        let steps = self.of.get(execution)?;
        let index = steps.start + (no as usize).checked_sub(1)?;
        steps.contains(&index).then_some(index)
    }

    /// The first step of an execution.
    pub fn first_step(&self, execution: usize) -> usize {
        self.of[execution].start
    }

    /// The engine's number of a step, with its execution.
    pub fn number(&self, step: usize) -> Option<(usize, u32)> {
        let execution = self.of.iter().position(|steps| steps.contains(&step))?;
        Some((execution, (step - self.of[execution].start) as u32 + 1))
    }

    /// How many steps an execution has.
    pub fn count(&self, execution: usize) -> u32 {
        self.of[execution].len() as u32
    }

    pub fn execution(&self, id: &str) -> Option<usize> {
        self.workload.programs.iter().position(|program| program.id.as_str() == id)
    }

    pub fn id(&self, execution: usize) -> &Name {
        &self.workload.programs[execution].id
    }

    pub fn workflow(execution: usize) -> &'static str {
        if execution.is_multiple_of(3) { RARE } else { COMMON }
    }

    pub fn retry(&self, step: &Step) -> RetryPolicy {
        let config = &self.config;
        RetryPolicy::attempts(step.attempts_max.unwrap_or(config.attempts_max))
            .initial(std::time::Duration::from_millis(config.backoff_initial_ms))
            .cap(std::time::Duration::from_millis(config.backoff_cap_ms))
            .factor_percent(200)
            .jitter_percent(config.backoff_jitter_percent)
    }

    /// How long it may take until everything has ended once faults are over, in milliseconds: every body and every
    /// backoff at its longest, one after the other, and time to notice what died before.
    pub fn patience_ms(&self) -> u64 {
        let config = &self.config;
        let longest = |steps: &Range<usize>| {
            let each = self.steps[steps.clone()].iter().map(|plan| match &plan.step {
                None => 0,
                Some(step) => {
                    let attempts = u64::from(step.attempts_max.unwrap_or(config.attempts_max)).clamp(1, 100);
                    (step.lasts_ms + config.backoff_cap_ms + config.lease_ms / 2).saturating_mul(attempts)
                }
            });
            each.fold(0, u64::saturating_add)
        };
        let sleeps = self.workload.programs.iter().map(Program::sleeps_ms);
        let bodies = self.of.iter().map(longest).max().unwrap_or(0);
        bodies.saturating_add(sleeps.fold(0, u64::saturating_add)).saturating_add(config.lease_ms.saturating_mul(4))
    }
}
