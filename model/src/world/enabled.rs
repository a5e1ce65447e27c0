//! When each thing can happen.

use super::World;
use super::action::{Action, BodyFate, Delivery, Ruling};
use super::bounds::{Body, EXECUTIONS_MAX};
use super::clock::{LEASE, Moment, NOW};
use super::drive::Drive;
use super::row::{LATEST, Row};
use super::state::{PARTITIONED, PAUSED, State};
use hydra_protocol::worker::{drive, step};
use hydra_protocol::{Command, Ending, Execution, Kind, Outcome, Protocol, Settlement, Span, Status, StepState};

impl<P: Protocol + ?Sized + Sync + 'static> World<P> {
    pub(super) fn enumerate(&self, state: &State, actions: &mut Vec<Action>) {
        let faults = &self.bounds.faults;
        let mut rows = [Row::NONE; EXECUTIONS_MAX];
        let rows = &mut rows[..self.layout.executions];
        for (execution, row) in rows.iter_mut().enumerate() {
            *row = state.row(execution, &self.layout, &self.plans);
            self.of_execution(state, execution, row, actions);
        }
        for worker in 0..self.layout.workers {
            let id = worker as u8;
            if state.is(worker, PAUSED) {
                actions.push(Action::Resume(id));
                continue;
            }
            if faults.pause {
                actions.push(Action::Pause(id));
            }
            if state.is(worker, PARTITIONED) {
                actions.push(Action::Heal(id));
            } else if faults.partition {
                actions.push(Action::Partition(id));
            }
            if faults.crash && state.drives[worker].iter().any(|&drive| drive != 0) {
                actions.push(Action::Crash(id));
            }
            for (execution, row) in rows.iter().enumerate() {
                self.of_worker(state, worker, execution, row, actions);
            }
        }
        if state.late != 0 {
            actions.extend([Action::CopyArrives, Action::CopyLost]);
        }
    }

    fn of_execution(&self, state: &State, execution: usize, row: &Row, actions: &mut Vec<Action>) {
        let id = execution as u8;
        let Some(there) = row.execution else {
            actions.push(Action::Start(id));
            return;
        };
        if self.bounds.clients {
            actions.extend([Action::StartAgain(id), Action::StartOther(id), Action::Cancel(id)]);
        }
        if self.bounds.operator {
            self.of_operator(row, &there, id, actions);
        }
        if there.is_ended() {
            return;
        }
        if row.due() == Some(Moment::Future) {
            match there.status {
                Status::Leased { .. } => {
                    if !self.is_renewed(state, execution) {
                        actions.push(Action::Due(id));
                    }
                    if self.bounds.faults.expire {
                        actions.push(Action::Expire(id));
                    }
                }
                Status::Ready { .. } | Status::Ended(_) => actions.push(Action::Due(id)),
            }
        }
        if there.deadline.map(Moment::of) == Some(Moment::Future) {
            actions.push(Action::DeadlinePasses(id));
        }
        for (at, step) in row.steps.iter().enumerate() {
            if step.and_then(|step| step.due_at()).map(Moment::of) == Some(Moment::Future) {
                actions.push(Action::StepDue(id, at as u8));
            }
        }
    }

    fn of_operator(&self, row: &Row, there: &Execution, id: u8, actions: &mut Vec<Action>) {
        if !row.retried {
            actions.push(Action::Retry(id));
        }
        let is_open = |at: usize| {
            let outcome = row.steps[at].and_then(|step| step.settled()).map(|(_, outcome)| outcome);
            matches!(outcome, Some(Outcome::InDoubt | Outcome::Unencodable))
        };
        if matches!(there.status, Status::Ended(Ending::Failed(_))) && row.last_settled().is_some_and(is_open) {
            actions.extend([Action::Resolve(id, Ruling::Happened), Action::Resolve(id, Ruling::DidNot)]);
        }
    }

    /// Whether the holder of the lease is able to renew it, and would by the rules: then it does not end by itself.
    fn is_renewed(&self, state: &State, execution: usize) -> bool {
        self.renews
            && (0..self.layout.workers).any(|worker| {
                state.flags[worker] & (PAUSED | PARTITIONED) == 0 && state.holds_latest(worker, execution)
            })
    }

    fn of_worker(&self, state: &State, worker: usize, execution: usize, row: &Row, actions: &mut Vec<Action>) {
        let (id, of) = (worker as u8, execution as u8);
        let is_cut_off = state.is(worker, PARTITIONED);
        match state.drive(worker, execution, &self.layout, &self.plans) {
            None if is_cut_off => {}
            None => self.claims(state, worker, execution, row, actions),
            Some(drive) => {
                if !is_cut_off {
                    actions.push(Action::Beat(id, of));
                    self.asks(&drive, worker, execution, row, actions);
                }
                if self.bounds.faults.duplicate && state.late == 0 {
                    self.copies(&drive, worker, execution, actions);
                }
                self.local(state, &drive, worker, execution, row, actions);
            }
        }
    }

    fn claims(&self, state: &State, worker: usize, execution: usize, row: &Row, actions: &mut Vec<Action>) {
        let (id, of) = (worker as u8, execution as u8);
        let driven = state.drives[worker].iter().filter(|&&drive| drive != 0).count();
        if row.execution.is_none() || driven >= self.bounds.at_a_time {
            return;
        }
        if self.bounds.strangers {
            actions.push(Action::ClaimStranger(id, of));
        }
        if row.due() != Some(Moment::Due) {
            // Alike for all workers that have nothing in memory: the first stands for them.
            let is_first =
                (0..worker).all(|other| state.drives[other] != [0; EXECUTIONS_MAX] || state.flags[other] != 0);
            if is_first {
                actions.push(Action::ClaimEarly(id, of));
            }
            return;
        }
        actions.push(Action::Claim(id, of));
        if self.bounds.faults.reply_lost {
            actions.push(Action::ClaimReplyLost(id, of));
        }
        let has_value = row
            .steps
            .iter()
            .flatten()
            .any(|step| matches!(step.state, StepState::Settled { outcome: Outcome::Succeeded, .. }));
        if self.bounds.faults.decode && has_value {
            actions.push(Action::ClaimUndecodable(id, of));
        }
    }

    fn asks(&self, drive: &Drive, worker: usize, execution: usize, row: &Row, actions: &mut Vec<Action>) {
        let faults = &self.bounds.faults;
        let mut ask = |slot: usize| {
            let mut push = |delivery| {
                actions.push(Action::Ask {
                    worker: worker as u8,
                    execution: execution as u8,
                    slot: slot as u8,
                    delivery,
                });
            };
            push(Delivery::Answered);
            if faults.disconnect {
                push(Delivery::LostBefore);
            }
            if faults.reply_lost {
                push(Delivery::ReplyLost);
            }
        };
        for slot in 0..self.layout.steps {
            let phase = &drive.steps[slot].phase;
            // A transactional body that always fails never commits: it ends inside its transaction, in another action.
            let never_commits = self.plans.bodies[slot] == Body::Fails && self.runs_in_transaction(row, slot, phase);
            if matches!(phase, step::Phase::Asking(_)) && !never_commits {
                ask(slot);
            }
        }
        if matches!(drive.phase, drive::Phase::Asking(_)) {
            ask(self.layout.steps);
        }
    }

    fn copies(&self, drive: &Drive, worker: usize, execution: usize, actions: &mut Vec<Action>) {
        let mut copy = |slot: usize| actions.push(Action::Copy(worker as u8, execution as u8, slot as u8));
        for slot in 0..self.layout.steps {
            if matches!(drive.steps[slot].phase, step::Phase::Asking(_)) {
                copy(slot);
            }
        }
        if matches!(drive.phase, drive::Phase::Asking(_)) {
            copy(self.layout.steps);
        }
        copy(self.layout.steps + 1);
    }

    /// What a worker does without the store.
    fn local(
        &self,
        state: &State,
        drive: &Drive,
        worker: usize,
        execution: usize,
        row: &Row,
        actions: &mut Vec<Action>,
    ) {
        let (id, of) = (worker as u8, execution as u8);
        let faults = &self.bounds.faults;
        for at in 0..self.layout.steps {
            let machine = &drive.steps[at];
            match machine.phase {
                step::Phase::Running { .. } => self.ends(worker, execution, at, false, actions),
                step::Phase::Asking(Command::Settle { settlement: Settlement::Succeeded, .. })
                    if self.plans.kinds[at] == Kind::Transactional
                        && !state.is(worker, PARTITIONED)
                        && self.runs_in_transaction(row, at, &machine.phase) =>
                {
                    self.ends(worker, execution, at, true, actions);
                }
                step::Phase::Waiting { due_at, .. } if Moment::of(due_at) == Moment::Due || drive.epoch != LATEST => {
                    actions.push(Action::WaitOver(id, of, at as u8));
                }
                step::Phase::Waiting { .. } if faults.clock => {
                    actions.push(Action::WaitOverEarly(id, of, at as u8));
                }
                step::Phase::New
                | step::Phase::Asking(_)
                | step::Phase::Waiting { .. }
                | step::Phase::Done
                | step::Phase::Gone => {}
            }
        }
        if drive.phase == drive::Phase::Driving {
            if matches!(self.idle(drive), drive::Idle::Park(_)) {
                actions.push(Action::Park(id, of));
            }
            if faults.shutdown && !drive.runs_a_body() {
                actions.push(Action::Shutdown(id, of));
            }
        }
    }

    fn ends(&self, worker: usize, execution: usize, step: usize, in_transaction: bool, actions: &mut Vec<Action>) {
        let faults = &self.bounds.faults;
        let mut push = |end| {
            actions.push(Action::BodyEnds { worker: worker as u8, execution: execution as u8, step: step as u8, end });
        };
        let body = self.plans.bodies[step];
        // A transactional body that returns does so in the action that commits it.
        if body != Body::Fails && !in_transaction {
            push(BodyFate::Returned);
        }
        if body != Body::Returns {
            push(BodyFate::Failed);
        }
        if faults.encode && body != Body::Fails {
            push(BodyFate::Unencodable);
        }
        if faults.panic {
            push(BodyFate::Panicked);
        }
    }

    /// The core's own answer to whether a blocked execution is parked; here nothing is ever held.
    pub(super) fn idle(&self, drive: &Drive) -> drive::Idle {
        let mut wake = None;
        let mut is_busy = false;
        for machine in &drive.steps[..self.layout.steps] {
            match machine.phase {
                step::Phase::Asking(_) | step::Phase::Running { .. } => is_busy = true,
                step::Phase::Waiting { due_at, .. } => wake = Some(wake.map_or(due_at, |wake| due_at.min(wake))),
                step::Phase::New | step::Phase::Done | step::Phase::Gone => {}
            }
        }
        drive::idle(is_busy, wake, NOW, Span::ZERO)
    }
}

/// What the rules make of a lease that nobody hinders: whether its holder renews it in time, and whether it stops
/// itself before the end where it cannot.
pub(super) fn lease_duties<P: Protocol + ?Sized>(rules: &P) -> (bool, bool) {
    let clock = rules.lease_clock(NOW, LEASE);
    let ends = NOW + LEASE;
    (clock.beat_at < ends && clock.beat_at < clock.stop_at, clock.stop_at <= ends)
}
