//! One case: everything that decides a run, from a seed or from a schedule, and back into a schedule.

use std::collections::BTreeMap;

use hydra_schedule::{Name, Schedule};

use crate::cluster::{Config, Run, SettingError, Strike, StrikeError, WORKERS_MAX, read_strikes, write_strikes};
use crate::nemesis;
use crate::shrink;
use crate::workload::{Random, Shape, Workload, WorkloadError};

/// A setting of a kept schedule that is no setting of the run: the property that falls.
pub const BREAKS: &str = "breaks";

/// Everything that decides a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Decides what chance decides.
    pub seed: u64,
    /// How the cluster is built.
    pub config: Config,
    /// What clients ask for.
    pub workload: Workload,
    /// What goes wrong.
    pub strikes: Vec<Strike>,
}

/// Why a schedule cannot be run here.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// A setting.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// A program.
    #[error("program: {0}")]
    Workload(#[from] WorkloadError),
    /// An event.
    #[error(transparent)]
    Strike(#[from] StrikeError),
    /// No programs, so there is nothing to run.
    #[error("the schedule has no program; give each execution a line: program {{\"id\":\"W1\",\"body\":[...]}}")]
    NoProgram,
}

impl Case {
    /// The case that `seed` stands for. `workers` are the sizes of cluster to choose from; empty for all.
    ///
    /// Nearly all cases are small, since small ones show most; some are large, for what only a crowd shows.
    pub fn of_seed(seed: u64, workers: &[u32]) -> Self {
        let mut case = Case { seed, config: Config::default(), workload: Workload::default(), strikes: Vec::new() };
        case.reseed(seed, workers);
        case
    }

    /// The same in place: its memory is used again.
    pub fn reseed(&mut self, seed: u64, workers: &[u32]) {
        let random = Random::new(seed).fork(1);
        let mut size = random.fork(2);
        self.seed = seed;
        self.config = Config::default();
        let mut shape = Shape { executions: 4, items_max: 3, lease_ms: self.config.lease_ms, ..Shape::default() };
        match size.below(1_000) {
            0..850 => {}
            850..910 => (shape.executions, shape.items_max) = (1, 2),
            // So many that a number of 64 bits, shifted left by them, overflows.
            910..930 => (shape.executions, shape.items_max, shape.attempts_max) = (1, 2, 70),
            930..970 => shape.items_max = 20,
            970..997 => shape.executions = 20,
            _ => shape.executions = 200,
        }
        // A backlog makes everybody wait, and would be taken for work that is never taken over.
        self.config.capacity = self.config.capacity.max(shape.executions);
        const ANY: [u32; 8] = [2, 2, 3, 3, 3, 4, 6, 12];
        let sizes = if workers.is_empty() { &ANY } else { workers };
        self.config.workers = size.pick(sizes).copied().unwrap_or(3).clamp(1, WORKERS_MAX);
        if size.percent(10) && self.config.workers > 1 {
            self.config.ignorant = Some(size.below(u64::from(self.config.workers)) as u32);
        }
        self.workload = Workload::generate(seed, &shape);
        nemesis::choose(&mut random.fork(3), &self.workload, &self.config, &mut self.strikes);
    }

    /// What a subject is started with.
    pub fn run(&self) -> Run<'_> {
        Run { seed: self.seed, workload: &self.workload, strikes: &self.strikes, config: &self.config }
    }

    /// The case as text that replays it.
    pub fn schedule(&self, subject: &str) -> Schedule {
        Schedule {
            subject: Name::new(subject).ok(),
            seed: Some(self.seed),
            workers: Some(self.config.workers),
            programs: self.workload.to_lines(),
            settings: self.config.settings(),
            events: write_strikes(&self.strikes, &self.workload, self.config.workers),
        }
    }

    /// Reads it back.
    pub fn of_schedule(schedule: &Schedule) -> Result<Self, CaseError> {
        let workload = Workload::from_lines(&schedule.programs)?;
        Self::of_parts(schedule, workload)
    }

    /// A candidate of the shrinker.
    pub fn of_candidate(case: &shrink::Case) -> Result<Self, CaseError> {
        case.workload.check()?;
        Self::of_parts(&case.schedule, case.workload.clone())
    }

    fn of_parts(schedule: &Schedule, workload: Workload) -> Result<Self, CaseError> {
        if workload.programs.is_empty() {
            return Err(CaseError::NoProgram);
        }
        let workers = schedule.workers.unwrap_or_else(|| Config::default().workers).clamp(1, WORKERS_MAX);
        let config = Config::with_settings(workers, &own_settings(&schedule.settings))?;
        let strikes = read_strikes(&schedule.events, &workload, workers)?;
        Ok(Case { seed: schedule.seed.unwrap_or(0), config, workload, strikes })
    }
}

/// The settings of the run, without what is said about its outcome.
pub(super) fn own_settings(settings: &BTreeMap<Name, String>) -> BTreeMap<Name, String> {
    settings
        .iter()
        .filter(|(name, _)| name.as_str() != BREAKS)
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}
