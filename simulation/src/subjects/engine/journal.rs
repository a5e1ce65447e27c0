//! What was written, in the words of a history.

use std::collections::BTreeMap;

use hydra_engine::protocol::{Cause, Command, Ending, Epoch, Outcome, Reply, Status, StepState, Time};
use hydra_engine::store::Target;

use super::plan::Plan;
use super::program::value_of;
use super::server::BEGINNING_MS;
use super::watched::Write;
use super::wire::{Ask, Told};
use super::world::World;
use crate::cluster::goal;
use crate::history::{self, Effect, Gave, Journal, Seen, What};

/// Reads the store's writes, and remembers what it needs to tell them apart.
#[derive(Default)]
pub(super) struct Teller {
    executions: BTreeMap<i64, usize>,
    /// Who claimed each execution last.
    latest: BTreeMap<usize, usize>,
    /// Under which epoch each timer was set.
    timers: BTreeMap<usize, u32>,
    /// Executions that have not ended.
    pub open: u32,
    /// Bodies whose effect was seen to be committed.
    pub effects: Vec<u64>,
}

/// An execution's status in the words of a history.
pub(super) fn status_of(row: &hydra_engine::protocol::Execution) -> history::Status {
    match row.status {
        Status::Ready { .. } if row.epoch == Epoch(0) => history::Status::Pending,
        Status::Ready { .. } | Status::Leased { .. } => history::Status::Running,
        Status::Ended(Ending::Succeeded) => history::Status::Succeeded,
        Status::Ended(Ending::Failed(_)) => history::Status::Failed,
        Status::Ended(Ending::Cancelled) => history::Status::Cancelled,
    }
}

impl Teller {
    /// The execution that a command is about.
    pub fn execution_of(&self, plan: &Plan, target: &Target) -> Option<usize> {
        match target {
            Target::Id(id) => plan.execution(&id.id),
            Target::Key(key) => self.executions.get(&key.0).copied(),
        }
    }

    /// One transaction, committed at `at_ms` for the process `who`.
    pub fn tell(&mut self, world: &mut World, at_ms: u64, who: usize, ask: &Ask, writes: &[Write]) {
        // What an operator orders is no doing of the engine.
        let ordered = matches!(ask, Ask::Command(request)
            if matches!(request.command, Command::Resolve { .. } | Command::Retry { .. }));
        for write in writes {
            if let Some(what) = self.what(world, at_ms, who, write, ordered) {
                // A claim that finds the deadline passed ends the execution without having been granted: it is the rows
                // that say so, whoever looks at them.
                let by_its_rows =
                    matches!(ask, Ask::Claim(_)) && matches!(&what, What::Journal(Journal::Status { .. }));
                let who = if by_its_rows { "store".to_owned() } else { world.processes[who].name.clone() };
                world.record(at_ms, &who, what);
            }
        }
    }

    fn what(&mut self, world: &mut World, at_ms: u64, who: usize, write: &Write, ordered: bool) -> Option<What> {
        let plan = world.plan.clone();
        let journal = match write {
            Write::Started { key, id } => {
                let execution = plan.execution(id)?;
                self.executions.insert(*key, execution);
                self.open += 1;
                Journal::Status { execution: plan.id(execution).clone(), status: history::Status::Pending }
            }
            Write::Claimed { key, epoch } => {
                let execution = *self.executions.get(key)?;
                self.latest.insert(execution, who);
                Journal::Claimed { execution: plan.id(execution).clone(), epoch: Some(u64::from(epoch.0)) }
            }
            Write::Execution { key, before, after } => {
                let index = *self.executions.get(key)?;
                let execution = plan.id(index).clone();
                match (before.is_ended(), after.is_ended()) {
                    (false, true) => self.open -= 1,
                    (true, false) => self.open += 1,
                    (true, true) | (false, false) => {}
                }
                match after.status {
                    Status::Ended(ending) => {
                        world.tally.ending(ending);
                        Journal::Status { execution, status: status_of(after) }
                    }
                    Status::Ready { .. } if before.is_ended() => {
                        Journal::Status { execution, status: status_of(after) }
                    }
                    Status::Ready { .. } => Journal::Released { execution },
                    Status::Leased { .. } if after.epoch != before.epoch || !world.processes[who].is_worker => {
                        if matches!(before.status, Status::Leased { .. }) {
                            world.tally.path(goal!("taken-over"));
                        }
                        return None;
                    }
                    // Renewals are too many to be told; one by another than the last who claimed is a write like any.
                    Status::Leased { .. } if self.latest.get(&index) == Some(&who) => return None,
                    Status::Leased { .. } => Journal::Status { execution, status: status_of(after) },
                }
            }
            Write::Effect { body } => {
                let (step, body) = (plan.steps[world.step_of(*body)].name.clone(), *body);
                self.effects.push(body);
                let name = world.processes[who].name.clone();
                world.record(at_ms, &name, What::Effect(Effect { step, body, key: None, epoch: None, applied: true }));
                world.left_in_transaction(at_ms, who, body, Gave::Value(value_of(body)));
                return None;
            }
            Write::Step { .. } if ordered => return None,
            Write::Step { key, no, row, value } => {
                let index = plan.step(*self.executions.get(key)?, *no)?;
                let step = plan.steps[index].name.clone();
                let due_ms = |at: Time| at.as_millis().saturating_sub(BEGINNING_MS);
                match row.state {
                    StepState::Running => Journal::Began { step, attempt: row.attempt },
                    StepState::Sleeping { due_at } => {
                        self.timers.insert(index, row.epoch.0);
                        Journal::TimerSet { step, due_ms: due_ms(due_at) }
                    }
                    StepState::Settled { outcome: Outcome::Fired, .. } => {
                        // Sat out, and not parked.
                        if self.timers.get(&index) == Some(&row.epoch.0) {
                            world.tally.path(goal!("held"));
                        }
                        Journal::TimerFired { step }
                    }
                    StepState::Settled { outcome, .. } => {
                        count(world, outcome);
                        let seen = match outcome {
                            Outcome::Succeeded => Seen::Value(told(value.as_deref())),
                            Outcome::InDoubt => Seen::InDoubt,
                            Outcome::Failed(_) | Outcome::Unencodable | Outcome::Fired => Seen::Failed,
                        };
                        Journal::Checkpoint { step, seen }
                    }
                    StepState::Waiting { .. } | StepState::Abandoned { .. } => return None,
                }
            }
        };
        Some(What::Journal(journal))
    }
}

fn told(value: Option<&[u8]>) -> String {
    let read = value.and_then(|value| serde_json::from_slice(value).ok());
    read.unwrap_or_else(|| "(no value)".to_owned())
}

fn count(world: &mut World, outcome: Outcome) {
    match outcome {
        Outcome::InDoubt => world.tally.path(goal!("in-doubt")),
        Outcome::Unencodable => world.tally.path(goal!("unencodable")),
        Outcome::Failed(Cause::Crashed) => world.tally.path(goal!("attempt-crashed")),
        Outcome::Failed(Cause::Exhausted) => world.tally.path(goal!("exhausted")),
        Outcome::Failed(Cause::Final) | Outcome::Succeeded | Outcome::Fired => {}
    }
}

/// Counts what was asked and what was refused.
pub(super) fn tally(world: &mut World, ask: &Ask, told: Option<&Told>) {
    use hydra_engine::protocol::Rejection;
    let mut refused = |rejection: &Rejection| {
        world.tally.rejection(rejection);
        if matches!(rejection, Rejection::StaleEpoch { .. }) {
            world.tally.path(goal!("zombie-refused"));
        }
    };
    match told {
        Some(Told::Answer(answer)) => {
            if let Err(rejection) = &answer.decision {
                refused(rejection);
            }
            if let Ok(Reply::Released { .. }) = answer.decision {
                world.tally.path(goal!("parked"));
            }
        }
        Some(Told::Heartbeats(heartbeats)) => {
            heartbeats.decisions.iter().filter_map(|decision| decision.as_ref().err()).for_each(&mut refused);
        }
        Some(Told::Claims(claims)) => {
            for claimed in &claims.claimed {
                if !claimed.journal.is_empty() {
                    world.tally.path(goal!("replayed"));
                }
            }
        }
        _ => {}
    }
    world.tally.steps += 1;
    match ask {
        Ask::Command(request) | Ask::Transact(request) => world.tally.command(&request.command),
        Ask::Claim(request) => world.tally.command(&Command::Claim { lease: request.lease, knows: true }),
        Ask::Heartbeat(request) => {
            for (epoch, lease) in request.leases.iter().map(|(_, epoch)| (*epoch, request.lease)) {
                world.tally.command(&Command::Heartbeat { epoch, lease });
            }
        }
        _ => {}
    }
}
