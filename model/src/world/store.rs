//! The store: asks the core, and applies what it says.

use super::World;
use super::clock::NOW;
use super::goals;
use super::row::Row;
use super::seen::Seen;
use crate::properties::{self, Asker};
use hydra_protocol::worker::step;
use hydra_protocol::{
    Command, Commit, Kind, Outcome, Protocol, Reference, Rejection, Reply, Rows, Settlement, StepState, StepWrite,
    decide,
};
use hydra_schedule::Property;

/// What the store answers.
pub(super) enum Answer {
    /// What the core says.
    Core(Result<Reply, Rejection>),
    /// The database refused the commit: a second row for one step.
    Refused,
}

/// An answer, and whether another lease was granted by it.
pub(super) struct Done {
    pub(super) answer: Answer,
    /// A claim was granted; says whether the epoch rose.
    pub(super) granted: Option<bool>,
}

impl<P: Protocol + ?Sized + Sync + 'static> World<P> {
    pub(super) fn decide(&self, rows: &Rows, command: &Command) -> Result<Commit, Rejection> {
        let ours = decide(self.rules, rows, command, NOW);
        self.compare(&ours, || decide(&Reference, rows, command, NOW));
        ours
    }

    /// Lets the store handle one command.
    pub(super) fn store(
        &self,
        row: &mut Row,
        step: Option<usize>,
        command: &Command,
        asker: Asker,
        seen: &mut Seen,
    ) -> Done {
        let mut rows = row.rows(step);
        rows.same_input = asker != Asker::OtherInput;
        let commit = match self.decide(&rows, command) {
            Ok(commit) => commit,
            Err(rejection) => {
                if let Some(goal) = goals::of_rejection(command, rejection) {
                    seen.reach(goal);
                }
                return Done { answer: Answer::Core(Err(rejection)), granted: None };
            }
        };
        if let Some(goal) = goals::of_commit(command, row, step, &commit) {
            seen.reach(goal);
        }
        if matches!(commit.step, Some(StepWrite::Insert(_))) && rows.step.is_some() {
            if !self.bounds.defects.no_unique_key {
                return Done { answer: Answer::Refused, granted: None };
            }
            seen.require(Property::StepUnique, false);
        }
        let before = *row;
        self.apply(row, step, &commit);
        properties::of_commit(self, &before, row, step, command, asker, &rows, &commit, seen);
        let granted = match (command, commit.reply, commit.execution) {
            (Command::Claim { .. }, Reply::Claimed { .. }, Some(after)) => {
                let raised = before.execution.is_none_or(|before| before.epoch != after.epoch);
                if raised {
                    for step in row.steps.iter_mut().flatten() {
                        step.epoch = super::row::OLDER;
                    }
                }
                Some(raised)
            }
            _ => None,
        };
        self.note(row, step, command, asker, &commit, seen);
        row.round();
        Done { answer: Answer::Core(Ok(commit.reply)), granted }
    }

    fn apply(&self, row: &mut Row, step: Option<usize>, commit: &Commit) {
        if let Some(execution) = commit.execution {
            row.execution = Some(execution);
        }
        if let (Some(at), Some(write)) = (step, commit.step) {
            row.steps[at] = Some(*write.step());
        }
        if commit.abandon_open {
            for step in row.steps.iter_mut().flatten() {
                *step = step.abandoned();
            }
        }
    }

    /// What the world knows after a commit.
    fn note(
        &self,
        row: &mut Row,
        step: Option<usize>,
        command: &Command,
        asker: Asker,
        commit: &Commit,
        seen: &mut Seen,
    ) {
        let Some(at) = step else { return };
        let has_succeeded = matches!(asker, Asker::Worker { has_succeeded: true, .. });
        if matches!(command, Command::Settle { .. }) && has_succeeded {
            row.ghosts[at].known_success = true;
        }
        if self.plans.kinds[at] != Kind::Transactional || !matches!(command, Command::Settle { .. }) {
            return;
        }
        let succeeded = StepState::Settled { order: 0, outcome: Outcome::Succeeded };
        let is_fresh = commit.step.is_some_and(|write| {
            std::mem::discriminant(&write.step().state) == std::mem::discriminant(&succeeded)
                && write.step().settled().is_some_and(|(_, outcome)| outcome == Outcome::Succeeded)
        });
        if is_fresh {
            seen.require(Property::SuccessNeverRerun, !row.ghosts[at].known_success);
            row.ghosts[at].known_success = true;
            if !self.bounds.defects.effect_outside_transaction {
                row.ghosts[at].effects = (row.ghosts[at].effects + 1).min(2);
            }
        }
    }

    /// Whether the store would run the body of a transactional step upon this request.
    pub(super) fn runs_in_transaction(&self, row: &Row, step: usize, phase: &step::Phase) -> bool {
        let step::Phase::Asking(command @ Command::Settle { settlement: Settlement::Succeeded, .. }) = phase else {
            return false;
        };
        self.decide(&row.rows(Some(step)), command).is_ok_and(|commit| commit.step.is_some())
    }
}
