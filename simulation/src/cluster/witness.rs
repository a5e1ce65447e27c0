//! What those who watch the store see of each transaction.

use hydra_protocol::{Command, Protocol, Reply, Status, StepState, Time};

use super::calls::Asker;
use super::note::{Fact, Seen, Who};
use super::store::{About, BEGINNING_MS, Done};
use super::{Cluster, goal};

impl<P: Protocol + ?Sized> Cluster<'_, P> {
    /// One transaction, and what those who watch the store see of it.
    pub(crate) fn transact(&mut self, index: u32, about: About, command: &Command) -> Done {
        let (who, claim) = match self.calls[index].asker {
            Asker::Client { .. } => (Who::Client, 0),
            Asker::Poll { worker } => (Who::Worker(worker), self.claims + 1),
            Asker::Step { .. } | Asker::Drive { .. } | Asker::Beat { .. } => {
                (Who::Worker(self.calls[index].worker), self.calls[index].claim)
            }
        };
        let before = self.store.executions[about.execution as usize];
        let done =
            self.store.transact(self.rules, !self.defects.no_unique_key, &self.programs, about, command, self.now_ms);
        self.tally.steps += 1;
        self.tally.command(command);
        if let Some(broken) = done.broken {
            self.note(Who::Store, Fact::Broken { execution: about.execution, broken });
        }
        if done.second_row {
            self.note(Who::Store, Fact::SecondRow { execution: about.execution });
        }
        let commit = match (done.answer, done.commit) {
            (Err(rejection), _) => {
                self.tally.rejection(&rejection);
                return done;
            }
            (Ok(_), None) => return done,
            (Ok(_), Some(commit)) => commit,
        };
        if let (Some(write), Some(step)) = (commit.step, about.step) {
            self.observe_step(who, claim, step, command, write.step());
            self.calls[index].about.value = self.store.steps[step as usize].value;
        } else if let Some(step) = about.step {
            self.calls[index].about.value = self.store.steps[step as usize].value;
        }
        if let Some(execution) = commit.execution {
            let execution_index = about.execution;
            let was_open = before.is_some_and(|before| !before.is_ended());
            match (was_open, execution.is_ended()) {
                (false, false) => self.open += 1,
                (true, true) => self.open -= 1,
                (true, false) | (false, true) => {}
            }
            match (commit.reply, execution.status) {
                (Reply::Claimed { epoch, .. }, _) => {
                    self.latest_claim[execution_index as usize] = claim;
                    self.note(who, Fact::Claimed { execution: execution_index, epoch: epoch.0, claim });
                    if before.is_some_and(|before| matches!(before.status, Status::Leased { .. })) {
                        self.tally.path(goal!("taken-over"));
                    }
                }
                // Renewals are too many to be told; one under an old claim is a write like any other.
                (Reply::Renewed { .. }, _) if self.latest_claim[execution_index as usize] != claim => {
                    let status = self.store.status(execution_index);
                    self.note(who, Fact::Status { execution: execution_index, status, claim });
                }
                (Reply::Released { .. }, _) => self.note(who, Fact::Released { execution: execution_index, claim }),
                (_, Status::Ended(ending)) => {
                    self.tally.ending(ending);
                    let status = self.store.status(execution_index);
                    // A claim that finds the deadline passed, or the limit of replays reached, ends the execution
                    // without having been granted: it is the rows that say so, whoever looks at them.
                    if matches!(command, Command::Claim { .. }) {
                        self.ended_by[execution_index as usize] = 0;
                        self.note(Who::Store, Fact::Status { execution: execution_index, status, claim: 0 });
                    } else {
                        self.ended_by[execution_index as usize] = claim;
                        self.note(who, Fact::Status { execution: execution_index, status, claim });
                    }
                }
                (Reply::Started | Reply::Reopened, _) => {
                    let status = self.store.status(execution_index);
                    self.note(who, Fact::Status { execution: execution_index, status, claim });
                }
                _ => {}
            }
            if let Status::Ready { due_at } = execution.status {
                self.something_due(self.store.when_ms(due_at));
            }
        }
        done
    }

    fn observe_step(&mut self, who: Who, claim: u32, step: u32, command: &Command, row: &hydra_protocol::Step) {
        use hydra_protocol::{Cause, Outcome};
        if matches!(command, Command::Resolve { .. } | Command::Retry { .. }) {
            return;
        }
        let due_ms = |due_at: Time| due_at.as_millis().saturating_sub(BEGINNING_MS);
        let fact = match row.state {
            StepState::Running => Fact::Began { step, attempt: row.attempt, claim },
            StepState::Waiting { due_at } => Fact::Waits { step, attempt: row.attempt, due_ms: due_ms(due_at) },
            StepState::Sleeping { due_at } => Fact::TimerSet { step, due_ms: due_ms(due_at), claim },
            StepState::Settled { outcome: Outcome::Fired, .. } => Fact::TimerFired { step, claim },
            StepState::Settled { outcome, .. } => {
                let seen = match outcome {
                    Outcome::Succeeded => Seen::Value(self.store.steps[step as usize].value),
                    Outcome::InDoubt => Seen::InDoubt,
                    Outcome::Failed(_) | Outcome::Unencodable | Outcome::Fired => Seen::Failed,
                };
                match outcome {
                    Outcome::InDoubt => self.tally.path(goal!("in-doubt")),
                    Outcome::Unencodable => self.tally.path(goal!("unencodable")),
                    Outcome::Failed(Cause::Crashed) => self.tally.path(goal!("attempt-crashed")),
                    Outcome::Failed(Cause::Exhausted) => self.tally.path(goal!("exhausted")),
                    Outcome::Failed(Cause::Final) | Outcome::Succeeded | Outcome::Fired => {}
                }
                Fact::Checkpoint { step, seen, claim }
            }
            StepState::Abandoned { .. } => return,
        };
        self.note(who, fact);
    }
}
