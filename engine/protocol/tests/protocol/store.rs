//! One execution in memory: what a store does, and nothing more. It holds no decisions.

use std::collections::BTreeMap;
use std::fmt;

use hydra_protocol::{
    Broken, Command, Commit, Epoch, Execution, Protocol, Rejection, Reply, Rows, Step, StepWrite, Time, decide,
    invariants,
};

/// What crosses the network: a command, and the rows that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// The command.
    pub command: Command,
    /// The number of the step it is about; zero for none.
    pub step: u32,
    /// For a start: which of two inputs it brings.
    pub input: bool,
}

/// A property that does not hold, and of what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defect {
    /// Which one.
    pub property: &'static str,
    /// The evidence.
    pub detail: String,
}

impl Defect {
    /// A defect with its evidence.
    pub fn new(property: &'static str, detail: impl fmt::Debug) -> Self {
        Defect { property, detail: format!("{detail:?}") }
    }
}

/// The property that every row and every commit keeps the invariants.
pub const INVARIANTS: &str = "rows keep their invariants";
/// The property that the guard and the key of a write fit the rows there.
pub const WRITES_FIT: &str = "a write fits the rows that it was decided on";

/// The rows of one execution.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Store {
    /// The execution's row.
    pub execution: Option<Execution>,
    /// The input it was started with.
    pub input: Option<bool>,
    /// The rows of its steps, by number: the unique key.
    pub steps: BTreeMap<u32, Step>,
}

impl Store {
    /// Loads the rows that a message is about, as a driver does.
    pub fn rows(&self, message: &Message) -> Rows {
        let last = self.execution.map_or(0, |execution| execution.settled);
        let step = match message.command {
            Command::Retry { .. } => {
                self.steps.values().find(|step| last > 0 && step.settled().is_some_and(|(order, _)| order == last))
            }
            _ => self.steps.get(&message.step),
        };
        Rows { execution: self.execution, step: step.copied(), same_input: self.input == Some(message.input) }
    }

    /// Decides a message and applies the commit, checking the invariants on both sides of it.
    pub fn send<P: Protocol + ?Sized>(
        &mut self,
        rules: &P,
        message: &Message,
        now: Time,
    ) -> Result<Result<Reply, Rejection>, Defect> {
        let rows = self.rows(message);
        broken(invariants::check_rows(&rows), message)?;
        let commit = match decide(rules, &rows, &message.command, now) {
            Ok(commit) => commit,
            Err(rejection) => return Ok(Err(rejection)),
        };
        broken(invariants::check_commit(&rows, &commit), message)?;
        self.apply(message, &commit)?;
        broken(self.check(), message)?;
        Ok(Ok(commit.reply))
    }

    /// The rows as loaded, all of them, keep the invariants.
    pub fn check(&self) -> Result<(), Broken> {
        let Some(execution) = &self.execution else {
            return if self.steps.is_empty() { Ok(()) } else { Err(Broken::StepWithoutExecution) };
        };
        invariants::check_execution(execution)?;
        for step in self.steps.values() {
            invariants::check_step(execution, step)?;
        }
        let mut orders: Vec<u32> = self.steps.values().filter_map(Step::settled).map(|(order, _)| order).collect();
        orders.sort_unstable();
        invariants::check_orders(execution, orders.into_iter())
    }

    fn apply(&mut self, message: &Message, commit: &Commit) -> Result<(), Defect> {
        let misfit = |why: &str| Err(Defect::new(WRITES_FIT, (why, message, commit)));
        if commit.guard != self.epoch() {
            return misfit("the guard fails");
        }
        let number = key(message, self);
        let taken = match commit.step {
            Some(StepWrite::Insert(step)) => self.steps.insert(number, step).map(|_| "the unique key is taken"),
            Some(StepWrite::Update(step)) => match self.steps.insert(number, step) {
                Some(_) => None,
                None => Some("there is no row to update"),
            },
            None => None,
        };
        if let Some(why) = taken {
            return misfit(why);
        }
        if let Some(execution) = commit.execution {
            self.input.get_or_insert(message.input);
            self.execution = Some(execution);
        }
        if commit.abandon_open {
            for step in self.steps.values_mut() {
                *step = step.abandoned();
            }
        }
        Ok(())
    }

    /// The epoch on record.
    pub fn epoch(&self) -> Option<Epoch> {
        self.execution.map(|execution| execution.epoch)
    }

    /// Whether the execution is over.
    pub fn is_ended(&self) -> bool {
        self.execution.is_some_and(|execution| execution.is_ended())
    }
}

/// The step that a message writes: the one it names; for a retry, the one that settled last.
fn key(message: &Message, store: &Store) -> u32 {
    match message.command {
        Command::Retry { .. } => {
            let last = store.execution.map_or(0, |execution| execution.settled);
            let found = store.steps.iter().find(|(_, step)| step.settled().is_some_and(|(order, _)| order == last));
            found.map_or(0, |(number, _)| *number)
        }
        _ => message.step,
    }
}

fn broken(checked: Result<(), Broken>, message: &Message) -> Result<(), Defect> {
    checked.map_err(|broken| Defect::new(INVARIANTS, (broken, message)))
}
