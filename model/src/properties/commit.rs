//! Safety, judged on every commit: the rows before, the command, the rows after, before anything is rounded.

use super::Asker;
use crate::world::World;
use crate::world::clock::{BACKOFF, NOW, SALT};
use crate::world::row::Row;
use crate::world::seen::Seen;
use hydra_protocol::invariants::{self, Broken};
use hydra_protocol::{
    Cause, Command, Commit, Ending, Execution, Failure, Kind, Outcome, Protocol, Reply, Rows, Settlement, Status, Step,
    StepState, Time,
};
use hydra_schedule::Property;

/// One commit and all there is to know of it.
struct Case<'a> {
    before: &'a Row,
    after: &'a Row,
    step: Option<usize>,
    command: &'a Command,
    asker: Asker,
    commit: &'a Commit,
}

#[allow(clippy::too_many_arguments)]
pub(crate) fn of_commit<P: Protocol + ?Sized + Sync + 'static>(
    world: &World<P>,
    before: &Row,
    after: &Row,
    step: Option<usize>,
    command: &Command,
    asker: Asker,
    rows: &Rows,
    commit: &Commit,
    seen: &mut Seen,
) {
    let case = Case { before, after, step, command, asker, commit };
    case.rows(rows, seen);
    let Some(execution) = after.execution else { return };
    case.lease(&execution, seen);
    case.status(world, &execution, seen);
    case.start(seen);
    for at in 0..world.layout.steps {
        case.step(world, at, seen);
    }
}

impl Case<'_> {
    fn writes(&self) -> bool {
        self.commit.execution.is_some() || self.commit.step.is_some() || self.commit.abandon_open
    }

    /// The core's own invariants, which every store checks too.
    fn rows(&self, rows: &Rows, seen: &mut Seen) {
        if !self.writes() {
            return;
        }
        let checked = invariants::check_commit(rows, self.commit);
        seen.require(Property::RowsConsistent, checked.is_ok());
        seen.require(Property::EpochFenced, checked != Err(Broken::EpochFell));
        let Some(execution) = self.after.execution else { return };
        let mut orders = [0; crate::world::bounds::STEPS_MAX];
        let mut count = 0;
        for order in self.after.steps.iter().flatten().filter_map(|step| Some(step.settled()?.0)) {
            orders[count] = order;
            count += 1;
        }
        orders[..count].sort_unstable();
        let orders = invariants::check_orders(&execution, orders[..count].iter().copied());
        seen.require(Property::RowsConsistent, orders.is_ok());
        let is_open = |step: &Step| {
            matches!(step.state, StepState::Running | StepState::Waiting { .. } | StepState::Sleeping { .. })
        };
        let leaves_open = execution.is_ended() && self.after.steps.iter().flatten().any(is_open);
        seen.require(Property::CancelClean, !leaves_open);
        seen.require(Property::RowsConsistent, !leaves_open);
    }

    fn lease(&self, after: &Execution, seen: &mut Seen) {
        let Some(before) = self.before.execution else { return };
        match self.asker {
            Asker::Worker { is_latest_claim, .. } if self.writes() => {
                seen.require(Property::EpochFenced, is_latest_claim);
                seen.require(Property::EpochFenced, after.epoch == before.epoch);
            }
            Asker::Claimer if matches!(self.commit.reply, Reply::Claimed { .. }) => {
                seen.require(Property::EpochFenced, after.epoch > before.epoch);
                let is_held = matches!(before.status, Status::Leased { due_at } if due_at > NOW);
                seen.require(Property::LeaseKept, !is_held);
                seen.require(Property::LeaseExclusive, !is_held);
            }
            Asker::Worker { .. } | Asker::Claimer | Asker::Client | Asker::OtherInput | Asker::Operator => {}
        }
    }

    fn status<P: Protocol + ?Sized + Sync + 'static>(&self, world: &World<P>, after: &Execution, seen: &mut Seen) {
        let Some(before) = self.before.execution else { return };
        let is_operator = self.asker == Asker::Operator;
        if before.is_ended() {
            seen.require(Property::CancelClean, is_operator || !self.writes());
        }
        if before.status == after.status {
            return;
        }
        let is_legal = match (before.status, after.status, self.command) {
            (Status::Ended(Ending::Failed(_)), Status::Ready { .. }, Command::Retry { .. }) => true,
            (Status::Ended(_), _, _) => false,
            (_, Status::Leased { .. }, Command::Claim { .. }) => true,
            (Status::Leased { .. }, Status::Leased { .. }, Command::Heartbeat { .. }) => true,
            (Status::Leased { .. }, Status::Ready { .. }, Command::Release { .. }) => true,
            (_, Status::Ended(Ending::Cancelled), Command::Cancel) => true,
            (_, Status::Ended(Ending::Failed(_)), Command::Claim { .. }) => true,
            (Status::Leased { .. }, Status::Ended(ending), Command::Finish { .. }) => ending != Ending::Cancelled,
            (Status::Ready { .. } | Status::Leased { .. }, _, _) => false,
        };
        seen.require(Property::StatusLegal, is_legal);
        if let Status::Ended(ending) = after.status {
            seen.require(Property::OutcomeTrue, self.is_true(world, ending, &before));
        }
    }

    /// Whether an execution that ends so has had a reason for it.
    fn is_true<P: Protocol + ?Sized + Sync + 'static>(
        &self,
        world: &World<P>,
        ending: Ending,
        before: &Execution,
    ) -> bool {
        let outcomes = || self.before.steps.iter().flatten().filter_map(|step| Some(step.settled()?.1));
        let is_good = |outcome: &Outcome| matches!(outcome, Outcome::Succeeded | Outcome::Fired);
        match ending {
            Ending::Succeeded => world.plans.is_complete(outcomes().filter(is_good).count() as u32),
            Ending::Failed(Failure::Workflow) => outcomes().any(|outcome| !is_good(&outcome)),
            Ending::Failed(Failure::DeadlineExceeded) => before.deadline.is_some_and(|deadline| deadline <= NOW),
            Ending::Failed(Failure::ReplaysExhausted) => before.replays >= before.replays_max,
            Ending::Failed(Failure::Undecodable) => world.bounds.faults.decode,
            Ending::Failed(Failure::Panicked | Failure::Nondeterministic | Failure::Unencodable) => false,
            Ending::Cancelled => matches!(self.command, Command::Cancel),
        }
    }

    fn start(&self, seen: &mut Seen) {
        if let (Command::Start { .. }, Some(before)) = (self.command, self.before.execution) {
            let is_unchanged = self.after.execution == Some(before) && self.commit.reply == Reply::AlreadyStarted;
            seen.require(Property::StartIdempotent, is_unchanged && self.asker != Asker::OtherInput);
        }
    }

    fn step<P: Protocol + ?Sized + Sync + 'static>(&self, world: &World<P>, at: usize, seen: &mut Seen) {
        let (before, after) = (self.before.steps[at], self.after.steps[at]);
        let is_asked = self.step == Some(at);
        let begins = is_asked && matches!(self.commit.reply, Reply::Run { .. });
        if let Some((_, outcome)) = before.and_then(|step| step.settled()) {
            let may_change = match self.command {
                Command::Retry { .. } => matches!(outcome, Outcome::Failed(_)),
                Command::Resolve { .. } => matches!(outcome, Outcome::InDoubt | Outcome::Unencodable),
                _ => false,
            };
            let is_unchanged = before.map(|step| step.state) == after.map(|step| step.state);
            seen.require(Property::CheckpointImmutable, (is_unchanged || may_change) && !begins);
        }
        let Some(after) = after else { return };
        self.attempts(world, at, begins, before, &after, seen);
        self.timer(before, &after, seen);
        if is_asked {
            self.outcome(at, before, &after, seen);
            self.pause(world, &after, seen);
        }
    }

    fn attempts<P: Protocol + ?Sized + Sync + 'static>(
        &self,
        world: &World<P>,
        at: usize,
        begins: bool,
        before: Option<Step>,
        after: &Step,
        seen: &mut Seen,
    ) {
        let retried = u32::from(self.after.retried) + u32::from(matches!(self.command, Command::Retry { .. }));
        let promised = match world.plans.kinds[at] {
            Kind::Timer => 0,
            Kind::AtMostOnce => 1,
            Kind::Keyed | Kind::Transactional => world.plans.attempts,
        };
        seen.require(Property::AttemptsBounded, after.attempt <= promised + retried);
        let used = before.map_or(0, |step| step.attempt);
        let is_counted = match (begins, self.commit.step) {
            // Its own worker asks again, for its answer was lost: that is no other attempt.
            (true, Some(write)) => {
                let is_asked_again =
                    before.is_some_and(|step| step.state == StepState::Running && step.epoch == write.step().epoch);
                after.attempt == used + 1 && !is_asked_again
            }
            // Told again that it may run: only the worker that began this attempt may be.
            (true, None) => before.is_some_and(|step| step.state == StepState::Running),
            (false, _) => after.attempt == used,
        };
        seen.require(Property::BudgetHonest, is_counted);
        let granted = match before {
            None => after.attempts_max == promised,
            Some(before) => after.attempts_max == before.attempts_max || matches!(self.command, Command::Retry { .. }),
        };
        seen.require(Property::BudgetHonest, granted);
        let was_settled = before.is_some_and(|step| step.settled().is_some());
        if let StepState::Settled { outcome: Outcome::Failed(Cause::Exhausted | Cause::Crashed), .. } = after.state
            && !was_settled
        {
            seen.require(Property::BudgetHonest, after.attempt >= promised);
        }
    }

    fn timer(&self, before: Option<Step>, after: &Step, seen: &mut Seen) {
        let recorded = match before.map(|step| step.state) {
            Some(StepState::Sleeping { due_at } | StepState::Abandoned { due_at: Some(due_at) }) => Some(due_at),
            _ => None,
        };
        match after.state {
            StepState::Sleeping { due_at } => {
                seen.require(Property::TimerNotEarly, recorded.is_none_or(|recorded| due_at >= recorded));
            }
            StepState::Settled { outcome: Outcome::Fired, .. }
                if before.is_none_or(|step| step.settled().is_none()) =>
            {
                seen.require(Property::TimerNotEarly, recorded.is_some_and(|recorded| recorded <= NOW));
            }
            StepState::Running
            | StepState::Waiting { .. }
            | StepState::Settled { .. }
            | StepState::Abandoned { .. } => {}
        }
    }

    /// A fresh outcome agrees with what happened to the body.
    fn outcome(&self, at: usize, before: Option<Step>, after: &Step, seen: &mut Seen) {
        let Some((_, outcome)) = after.settled() else { return };
        if before.is_some_and(|step| step.settled().is_some()) {
            return;
        }
        let ghost = &self.after.ghosts[at];
        let has_succeeded = matches!(self.asker, Asker::Worker { has_succeeded: true, .. });
        match after.kind {
            Kind::AtMostOnce => {
                let reported = match self.command {
                    Command::Settle { settlement, .. } => match settlement {
                        Settlement::Succeeded | Settlement::Unencodable => has_succeeded,
                        Settlement::Failed { .. } => !has_succeeded && outcome == Outcome::Failed(Cause::Final),
                        Settlement::InDoubt => outcome == Outcome::InDoubt,
                    },
                    _ => outcome == Outcome::InDoubt,
                };
                seen.require(Property::InDoubtShown, reported);
            }
            Kind::Keyed => {
                let claims_effect = matches!(outcome, Outcome::Succeeded | Outcome::Unencodable);
                seen.require(Property::OutcomeTrue, !claims_effect || ghost.effects > 0);
                let knows = ghost.known_success || (has_succeeded && matches!(self.command, Command::Settle { .. }));
                seen.require(Property::OutcomeTrue, !(matches!(outcome, Outcome::Failed(_)) && knows));
            }
            Kind::Transactional | Kind::Timer => {}
        }
    }

    /// The pause before a retry, by the numbers that the core computed.
    fn pause<P: Protocol + ?Sized + Sync + 'static>(&self, world: &World<P>, after: &Step, seen: &mut Seen) {
        let (Command::Settle { .. }, Some(_), StepState::Waiting { due_at }) =
            (self.command, self.commit.step, after.state)
        else {
            return;
        };
        let wait = due_at.since(NOW);
        seen.require(Property::BackoffBounded, wait >= BACKOFF.wait_min(after.attempt) && wait <= BACKOFF.cap);
        if after.attempt > 1 {
            let last = world.rules.backoff(&BACKOFF, after.attempt - 1, SALT);
            seen.require(Property::BackoffBounded, wait >= last);
        }
        debug_assert!(due_at <= Time::MAX);
    }
}
