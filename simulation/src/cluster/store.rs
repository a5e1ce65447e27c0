//! The store: rows in memory, and transactions that ask the core and apply what it says.

use hydra_protocol::{
    Command, Commit, Epoch, Execution, Protocol, Rejection, Reply, Rows, Status, Step, StepWrite, Time, decide,
    invariants,
};

use super::program::Programs;
use crate::clock::Clock;

/// The store's clock when a run begins, so that a worker's clock may lie behind it.
pub(crate) const BEGINNING_MS: u64 = 1_000_000_000;

/// A step's row and the value in its checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StepRow {
    pub(crate) row: Option<Step>,
    /// What the body returned: the number of the entry.
    pub(crate) value: u64,
}

/// What a transaction did, for those who watch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    pub(crate) answer: Result<Reply, Rejection>,
    /// What was written, if the core accepted the command.
    pub(crate) commit: Option<Commit>,
    /// An invariant that did not hold before or after.
    pub(crate) broken: Option<invariants::Broken>,
    /// A row was inserted where there was one.
    pub(crate) second_row: bool,
    /// The database refused that, and undid the transaction: an error that no rule foresees.
    pub(crate) refused: bool,
}

/// Rows, by execution and step.
#[derive(Debug)]
pub(crate) struct Store {
    clock: Clock,
    pub(crate) executions: Vec<Option<Execution>>,
    /// When each is due, by the store's clock in milliseconds; `u64::MAX` if it is not. Every poll asks all of them.
    due_ms: Vec<u64>,
    /// Whether the execution was started with the other input.
    pub(crate) other_input: Vec<bool>,
    pub(crate) steps: Vec<StepRow>,
}

/// What a command is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About {
    pub(crate) execution: u32,
    /// Which of all steps.
    pub(crate) step: Option<u32>,
    /// For a start.
    pub(crate) other_input: bool,
    /// For a settlement: what the body returned.
    pub(crate) value: u64,
}

impl Default for Store {
    fn default() -> Self {
        let clock = Clock::starting_at(BEGINNING_MS);
        Store { clock, executions: Vec::new(), due_ms: Vec::new(), other_input: Vec::new(), steps: Vec::new() }
    }
}

impl Store {
    pub(crate) fn clear(&mut self, programs: &Programs) {
        self.clock = Clock::starting_at(BEGINNING_MS);
        self.executions.clear();
        self.executions.resize(programs.programs.len(), None);
        self.due_ms.clear();
        self.due_ms.resize(programs.programs.len(), u64::MAX);
        self.other_input.clear();
        self.other_input.resize(programs.programs.len(), false);
        self.steps.clear();
        self.steps.resize(programs.steps.len(), StepRow::default());
    }

    /// The store's clock.
    pub(crate) fn clock(&self, now_ms: u64) -> Time {
        Time::from_millis(self.clock.shows_ms(now_ms))
    }

    /// When its clock shows `at`, in milliseconds since the run began.
    pub(crate) fn when_ms(&self, at: Time) -> u64 {
        self.clock.when_ms(at.as_millis())
    }

    /// Its clock jumps.
    pub(crate) fn jump(&mut self, now_ms: u64, by_ms: i64) {
        self.clock.jump(now_ms, by_ms);
    }

    /// Its clock changes its speed.
    pub(crate) fn drift(&mut self, now_ms: u64, ppm: i64) {
        self.clock.drift(now_ms, ppm);
    }

    /// The step of an execution that settled last.
    pub(crate) fn last_settled(&self, programs: &Programs, execution: u32) -> Option<u32> {
        let steps = programs.programs[execution as usize].steps.clone();
        let settled = steps.filter_map(|step| Some((self.steps[step as usize].row?.settled()?.0, step)));
        settled.max().map(|(_, step)| step)
    }

    fn rows(&self, about: About) -> Rows {
        Rows {
            execution: self.executions[about.execution as usize],
            step: about.step.and_then(|step| self.steps[step as usize].row),
            same_input: self.other_input[about.execution as usize] == about.other_input,
        }
    }

    /// What the core says to a command, with nothing applied.
    pub(crate) fn ask<P: Protocol + ?Sized>(
        &self,
        rules: &P,
        about: About,
        command: &Command,
        now_ms: u64,
    ) -> Result<Commit, Rejection> {
        decide(rules, &self.rows(about), command, self.clock(now_ms))
    }

    fn has_row(&self, step: Option<u32>) -> bool {
        step.is_some_and(|step| self.steps[step as usize].row.is_some())
    }

    /// One transaction: the rows are read, the core decides, what it says is applied.
    pub(crate) fn transact<P: Protocol + ?Sized>(
        &mut self,
        rules: &P,
        unique_key: bool,
        programs: &Programs,
        about: About,
        command: &Command,
        now_ms: u64,
    ) -> Done {
        let rows = self.rows(about);
        let mut broken = invariants::check_rows(&rows).err();
        let commit = match decide(rules, &rows, command, self.clock(now_ms)) {
            Ok(commit) => commit,
            Err(rejection) => {
                return Done { answer: Err(rejection), commit: None, broken, second_row: false, refused: false };
            }
        };
        broken = broken.or(invariants::check_commit(&rows, &commit).err());
        let second_row = matches!(commit.step, Some(StepWrite::Insert(_))) && self.has_row(about.step);
        if second_row && unique_key {
            return Done { answer: Ok(commit.reply), commit: None, broken, second_row: false, refused: true };
        }
        if let Some(execution) = commit.execution {
            if rows.execution.is_none() {
                self.other_input[about.execution as usize] = about.other_input;
            }
            self.executions[about.execution as usize] = Some(execution);
            self.due_ms[about.execution as usize] = execution.due_at().map_or(u64::MAX, Time::as_millis);
        }
        if let (Some(write), Some(step)) = (commit.step, about.step) {
            let there = &mut self.steps[step as usize];
            there.row = Some(*write.step());
            if matches!(command, Command::Settle { .. } | Command::Resolve { .. }) {
                there.value = about.value;
            }
        }
        if commit.abandon_open {
            for step in programs.programs[about.execution as usize].steps.clone() {
                let there = &mut self.steps[step as usize].row;
                *there = there.map(Step::abandoned);
            }
        }
        if commit.execution.is_some_and(|execution| execution.is_ended()) {
            broken = broken.or_else(|| self.broken_at_end(programs, about.execution));
        }
        Done { answer: Ok(commit.reply), commit: Some(commit), broken, second_row, refused: false }
    }

    /// Whether a step of an execution that has ended contradicts that: no transaction looks at all of them.
    fn broken_at_end(&self, programs: &Programs, execution: u32) -> Option<invariants::Broken> {
        let steps = programs.programs[execution as usize].steps.clone();
        steps.into_iter().find_map(|step| {
            let row = self.steps[step as usize].row?;
            let rows = Rows { execution: self.executions[execution as usize], step: Some(row), same_input: true };
            invariants::check_rows(&rows).err()
        })
    }

    /// When the first execution is due that has not ended, in milliseconds since the beginning.
    pub(crate) fn next_due_ms(&self) -> Option<u64> {
        let due_ms = self.due_ms.iter().min().filter(|due_ms| **due_ms < u64::MAX);
        due_ms.map(|due_ms| self.when_ms(Time::from_millis(*due_ms)))
    }

    /// Whether a query for due rows offers this one.
    pub(crate) fn is_due(&self, execution: u32, now_ms: u64) -> bool {
        self.due_ms[execution as usize] <= self.clock.shows_ms(now_ms)
    }

    /// The status as a client is told it.
    pub(crate) fn status(&self, execution: u32) -> crate::history::Status {
        use crate::history::Status as Told;
        use hydra_protocol::Ending;
        match self.executions[execution as usize] {
            None => Told::Missing,
            Some(execution) => match execution.status {
                Status::Ready { .. } if execution.epoch == Epoch(0) => Told::Pending,
                Status::Ready { .. } | Status::Leased { .. } => Told::Running,
                Status::Ended(Ending::Succeeded) => Told::Succeeded,
                Status::Ended(Ending::Failed(_)) => Told::Failed,
                Status::Ended(Ending::Cancelled) => Told::Cancelled,
            },
        }
    }
}
