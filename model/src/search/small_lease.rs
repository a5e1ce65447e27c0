//! The worked example: workers that claim leases on executions, crash, and come back too late.
//!
//! A row of an execution holds whether it is leased, the steps settled and the attempts at the next one. It never holds
//! a worker's id, so workers are interchangeable. Epochs are normalised to what matters: a worker holds the current one
//! or a stale one. `model/spin/lease.pml` has the same transitions; `cargo run --example compare` counts both.

use super::{Checkable, Judge, Role};
use stateright::{Model, Property};

/// Bounds of the model, and the planted defect.
#[derive(Clone, Copy, Debug)]
pub struct SmallLease {
    /// Workers, at most [`WORKERS_MAX`].
    pub workers: usize,
    /// Executions, at most [`EXECUTIONS_MAX`].
    pub executions: usize,
    /// Steps of each execution, at most 3.
    pub steps: u8,
    /// Attempts at each step, from 1 to 3.
    pub attempts: u8,
    /// Whether the store rejects a stale epoch. `false` is the planted bug: a zombie settles a step after takeover.
    pub fence: bool,
}

/// Most workers that the packing has room for.
pub const WORKERS_MAX: usize = 8;
/// Most executions that the packing has room for.
pub const EXECUTIONS_MAX: usize = 3;

/// Where a worker is in driving an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// It drives nothing.
    Idle,
    /// It has claimed, or settled a step, and will begin the next.
    Between,
    /// It has begun a step whose effect has not happened.
    Begun,
    /// The effect has happened and is not settled.
    Effected,
}

/// A worker: its execution and epoch mean nothing while it is idle, and are then zero and current.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Worker {
    /// What it does.
    pub phase: Phase,
    /// Whether its epoch is behind the row's.
    pub is_stale: bool,
    /// The execution it drives.
    pub execution: u8,
}

const IDLE: Worker = Worker { phase: Phase::Idle, is_stale: false, execution: 0 };

/// The row of an execution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Row {
    /// Somebody has a right to it.
    pub is_leased: bool,
    /// It has ended, by success or by its last attempt.
    pub has_ended: bool,
    /// Steps settled.
    pub settled: u8,
    /// Attempts at the next step.
    pub attempts: u8,
}

/// Workers and rows beyond the bounds stay at their first value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// All workers.
    pub workers: [Worker; WORKERS_MAX],
    /// All rows.
    pub rows: [Row; EXECUTIONS_MAX],
}

/// What can happen; the first number is the worker, for `Expire` the execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// An idle worker claims an execution that nobody has a lease on.
    Claim(u8, u8),
    /// A worker begins the next step, or ends the execution because its attempts are used up.
    Begin(u8),
    /// The effect of the body happens.
    Effect(u8),
    /// A worker records the result.
    Settle(u8),
    /// A worker loses its memory; its lease stays.
    Crash(u8),
    /// Time passes over a lease.
    Expire(u8),
}

impl Model for SmallLease {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        assert!(self.workers <= WORKERS_MAX && self.executions <= EXECUTIONS_MAX);
        assert!(self.steps <= 3 && self.attempts <= 3);
        vec![State { workers: [IDLE; WORKERS_MAX], rows: [Row::default(); EXECUTIONS_MAX] }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (worker, at) in state.workers[..self.workers].iter().zip(0..) {
            match worker.phase {
                Phase::Idle => {
                    for (row, execution) in state.rows[..self.executions].iter().zip(0..) {
                        if !row.is_leased && !row.has_ended {
                            actions.push(Action::Claim(at, execution));
                        }
                    }
                    continue;
                }
                Phase::Between => actions.push(Action::Begin(at)),
                Phase::Begun => actions.push(Action::Effect(at)),
                Phase::Effected => actions.push(Action::Settle(at)),
            }
            actions.push(Action::Crash(at));
        }
        for (row, execution) in state.rows[..self.executions].iter().zip(0..) {
            if row.is_leased {
                actions.push(Action::Expire(execution));
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut next = *last;
        match action {
            Action::Claim(worker, execution) => {
                next.rows[execution as usize].is_leased = true;
                next.workers[worker as usize] = Worker { phase: Phase::Between, is_stale: false, execution };
            }
            Action::Begin(at) => {
                let worker = &mut next.workers[at as usize];
                let row = &mut next.rows[worker.execution as usize];
                if worker.is_stale {
                    *worker = IDLE;
                } else if row.attempts == self.attempts {
                    *row = Row { is_leased: false, has_ended: true, ..*row };
                    *worker = IDLE;
                } else {
                    row.attempts += 1;
                    worker.phase = Phase::Begun;
                }
            }
            Action::Effect(at) => next.workers[at as usize].phase = Phase::Effected,
            Action::Settle(at) => {
                let worker = &mut next.workers[at as usize];
                let row = &mut next.rows[worker.execution as usize];
                let is_accepted = !worker.is_stale || (!self.fence && !row.has_ended);
                if is_accepted {
                    row.settled += 1;
                    row.attempts = 0;
                    row.has_ended = row.settled == self.steps;
                    row.is_leased &= !row.has_ended;
                    worker.phase = Phase::Between;
                }
                if worker.is_stale || row.has_ended {
                    *worker = IDLE;
                }
            }
            Action::Crash(worker) => next.workers[worker as usize] = IDLE,
            Action::Expire(execution) => {
                next.rows[execution as usize].is_leased = false;
                for worker in &mut next.workers {
                    worker.is_stale |= worker.phase != Phase::Idle && worker.execution == execution;
                }
            }
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always("one holder a lease", |model: &Self, state| model.holders_are_right(state))]
    }
}

impl SmallLease {
    fn holders(&self, state: &State, execution: usize) -> usize {
        let holds = |worker: &&Worker| {
            worker.phase != Phase::Idle && !worker.is_stale && usize::from(worker.execution) == execution
        };
        state.workers[..self.workers].iter().filter(holds).count()
    }

    fn holders_are_right(&self, state: &State) -> bool {
        let is_right = |at: usize| self.holders(state, at) <= usize::from(state.rows[at].is_leased);
        (0..self.executions).all(is_right)
    }
}

impl Checkable for SmallLease {
    /// Workers in 5 bits each, then rows in 6 bits each.
    type Packed = u64;

    fn pack(&self, state: &State) -> u64 {
        let mut packed = 0;
        for row in &state.rows {
            let flags = u64::from(row.is_leased) << 1 | u64::from(row.has_ended);
            packed = packed << 6 | u64::from(row.settled) << 4 | u64::from(row.attempts) << 2 | flags;
        }
        for worker in &state.workers {
            let flags = u64::from(worker.is_stale) << 2 | worker.phase as u64;
            packed = packed << 5 | u64::from(worker.execution) << 3 | flags;
        }
        packed
    }

    fn unpack(&self, packed: &u64) -> State {
        let mut rest = *packed;
        let mut take = |bits: u32| {
            let value = rest & ((1 << bits) - 1);
            rest >>= bits;
            value
        };
        let mut state = State { workers: [IDLE; WORKERS_MAX], rows: [Row::default(); EXECUTIONS_MAX] };
        for worker in state.workers.iter_mut().rev() {
            let phase = [Phase::Idle, Phase::Between, Phase::Begun, Phase::Effected][take(2) as usize];
            *worker = Worker { phase, is_stale: take(1) == 1, execution: take(2) as u8 };
        }
        for row in state.rows.iter_mut().rev() {
            let (has_ended, is_leased) = (take(1) == 1, take(1) == 1);
            *row = Row { has_ended, is_leased, attempts: take(2) as u8, settled: take(2) as u8 };
        }
        state
    }

    fn canonical(&self, mut state: State) -> State {
        state.workers[..self.workers].sort_unstable();
        state
    }

    fn check_state(&self, state: &State, judge: &mut Judge) {
        judge.require("one holder a lease", self.holders_are_right(state), || {
            let holders: Vec<_> = (0..self.executions).map(|at| self.holders(state, at)).collect();
            format!("holders of each execution: {holders:?}")
        });
    }

    fn check_edge(&self, from: &State, action: &Action, to: &State, judge: &mut Judge) {
        if let Action::Settle(at) = *action {
            let worker = from.workers[at as usize];
            let is_stale_write = worker.is_stale && from.rows != to.rows;
            judge.require("no stale write", !is_stale_write, || {
                format!("worker {at} settled a step of execution {} under a stale epoch", worker.execution)
            });
        }
    }

    fn goal_names(&self) -> Vec<&'static str> {
        vec!["an execution succeeds", "an execution runs out of attempts", "a stale write is rejected"]
    }

    fn goals(&self, from: &State, action: &Action, to: &State) -> u128 {
        let ended = |state: &State| state.rows.iter().filter(|row| row.has_ended).count();
        let has_ended = ended(to) > ended(from);
        match *action {
            Action::Settle(at) if from.workers[at as usize].is_stale => 4,
            Action::Settle(_) => u128::from(has_ended),
            Action::Begin(_) => u128::from(has_ended) << 1,
            _ => 0,
        }
    }

    fn is_done(&self, state: &State) -> bool {
        state.rows[..self.executions].iter().all(|row| row.has_ended)
    }

    fn role(&self, action: &Action) -> Role {
        match action {
            Action::Claim(..) | Action::Begin(_) | Action::Effect(_) | Action::Settle(_) => Role::Step,
            Action::Expire(_) => Role::Environment,
            Action::Crash(_) => Role::Fault,
        }
    }

    /// What is left to do: of every row its open steps and its claim, of every worker the phases before it is idle.
    fn rank(&self, state: &State) -> Option<u64> {
        let of_row = |row: &Row| match row.has_ended {
            true => 0,
            false => 8 * (u64::from(self.steps - row.settled) + u64::from(!row.is_leased)),
        };
        let of_worker = |worker: &Worker| match worker.phase {
            Phase::Idle => 0,
            Phase::Between => 3,
            Phase::Begun => 2,
            Phase::Effected => 1,
        };
        let rows: u64 = state.rows[..self.executions].iter().map(of_row).sum();
        let workers: u64 = state.workers[..self.workers].iter().map(of_worker).sum();
        Some(rows + workers)
    }
}
