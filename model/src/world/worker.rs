//! The worker: feeds the core's machines and carries out what they say.

use super::World;
use super::drive::Drive;
use super::goals::Goal;
use super::program::Next;
use super::row::{LATEST, Row, counts_entries};
use super::seen::Seen;
use hydra_protocol::worker::{drive, step};
use hydra_protocol::{Ending, Failure, Protocol, Reference};
use hydra_schedule::Property;

impl<P: Protocol + ?Sized + Sync + 'static> World<P> {
    /// Feeds a step's machine; says whether the worker goes on with the execution.
    #[must_use]
    pub(super) fn feed_step(
        &self,
        row: &mut Row,
        worker: &mut Drive,
        at: usize,
        event: step::Event,
        seen: &mut Seen,
    ) -> bool {
        let plan = self.plans.plan(at, worker.epoch);
        let before = worker.steps[at].phase;
        let next = self.rules.step_next(&plan, before, event);
        self.compare(&next, || Reference.step_next(&plan, before, event));
        let (phase, action) = next;
        worker.steps[at].phase = phase;
        match action {
            step::Action::Nothing | step::Action::Ask(_) | step::Action::Transact(_) | step::Action::WaitUntil(_) => {}
            step::Action::RunBody { .. } => {
                worker.steps[at].has_succeeded = false;
                self.enter_body(row, at, seen);
            }
            step::Action::Deliver { order, outcome } => {
                worker.steps[at].has_succeeded = false;
                worker.steps[at].turn = Some((order, outcome));
            }
            step::Action::Stop(_) => return false,
        }
        true
    }

    fn enter_body(&self, row: &mut Row, at: usize, seen: &mut Seen) {
        let ghost = &mut row.ghosts[at];
        seen.require(Property::SuccessNeverRerun, !ghost.known_success);
        if counts_entries(self.plans.kinds[at]) {
            ghost.entered = (ghost.entered + 1).min(2);
            seen.require(Property::BodyAtMostOnce, ghost.entered < 2);
            seen.require(Property::InDoubtShown, ghost.entered < 2);
        }
    }

    /// Feeds the execution's machine; says whether the worker goes on with it.
    #[must_use]
    pub(super) fn feed_drive(&self, worker: &mut Drive, event: drive::Event) -> bool {
        let next = self.rules.drive_next(worker.epoch, worker.phase, event);
        self.compare(&next, || Reference.drive_next(worker.epoch, worker.phase, event));
        worker.phase = next.0;
        match next.1 {
            drive::Action::Nothing | drive::Action::Ask(_) => {}
            drive::Action::Done(_) | drive::Action::Stop(_) => return false,
        }
        if let drive::Event::Ended(_) | drive::Event::Blocked { .. } | drive::Event::Shutdown = event {
            // The workflow is not run any more, and with it go the steps that it waited for.
            for machine in &mut worker.steps[..self.layout.steps] {
                if machine.phase != step::Phase::Done {
                    *machine = super::drive::Machine { phase: step::Phase::Gone, ..super::drive::Machine::NEW };
                }
            }
        }
        true
    }

    /// Runs the workflow as far as it goes: hands over the outcomes whose turn it is, and asks for the steps that it
    /// wants next. Nobody can see in between. Says whether the worker goes on with the execution.
    #[must_use]
    pub(super) fn advance(&self, row: &mut Row, worker: &mut Drive, is_replay: bool, seen: &mut Seen) -> bool {
        while worker.phase == drive::Phase::Driving {
            let delivered = worker.delivered();
            if let Some(at) = (0..self.layout.steps)
                .find(|&at| worker.steps[at].phase == step::Phase::New && self.plans.asks_for(at, delivered))
            {
                // The row as it was at the claim. A step that the workflow asks for only later had none then; and
                // since then nobody but the holder of the lease could write one.
                let journal = if worker.epoch == LATEST { row.steps[at] } else { None };
                let event = step::Event::Requested { row: journal, matches: true };
                if !self.feed_step(row, worker, at, event, seen) {
                    return false;
                }
                if is_replay && worker.steps[at].phase == step::Phase::Done {
                    seen.reach(Goal::Replayed);
                }
                continue;
            }
            let next = (0..self.layout.steps).find_map(|at| {
                let (order, outcome) = worker.steps[at].turn?;
                let mut delivery = hydra_protocol::worker::delivery::Delivery::default();
                (0..delivered).for_each(|_| delivery.handed_over());
                delivery.is_next(order).then_some((at, order, outcome))
            });
            let Some((at, order, outcome)) = next else { break };
            if worker.epoch == LATEST {
                let recorded = row.steps[at].and_then(|step| step.settled());
                seen.require(Property::ReplayFaithful, recorded == Some((order, outcome)));
            }
            worker.steps[at].turn = None;
            let ending = match self.plans.next(delivered + 1, outcome) {
                Next::Wait => continue,
                Next::Succeed => Ending::Succeeded,
                Next::Fail => Ending::Failed(Failure::Workflow),
            };
            if ending == Ending::Succeeded && !self.plans.is_all(delivered + 1) {
                seen.reach(Goal::LoserAbandoned);
            }
            if !self.feed_drive(worker, drive::Event::Ended(ending)) {
                return false;
            }
        }
        if worker.steps[..self.layout.steps].iter().any(|machine| machine.turn.is_some()) {
            seen.reach(Goal::OutOfTurn);
        }
        true
    }
}
