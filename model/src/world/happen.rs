//! One action happens.

use super::World;
use super::action::{Action, BodyFate, Delivery, Ruling};
use super::clock::{LEASE, Moment, NOW};
use super::drive::Drive;
use super::goals::Goal;
use super::row::{LATEST, Row};
use super::seen::Seen;
use super::state::{Late, PARTITIONED, PAUSED, State};
use super::store::{Answer, Done};
use crate::properties::Asker;
use hydra_protocol::worker::{drive, step};
use hydra_protocol::{Command, Ending, Failure, Kind, Protocol, Reply, Settlement, Status, StepNo, StepState};
use hydra_schedule::Property;

impl<P: Protocol + ?Sized + Sync + 'static> World<P> {
    pub(super) fn happen(&self, from: &State, action: Action) -> State {
        let mut to = State { seen: Seen::NOTHING, ..*from };
        match action {
            Action::Start(at) => self.client(&mut to, at, &self.start(), Asker::Client),
            Action::StartAgain(at) => self.client(&mut to, at, &self.start(), Asker::Client),
            Action::StartOther(at) => self.client(&mut to, at, &self.start(), Asker::OtherInput),
            Action::Cancel(at) => self.client(&mut to, at, &Command::Cancel, Asker::Client),
            Action::Retry(at) => self.client(&mut to, at, &Command::Retry { attempts: 1 }, Asker::Operator),
            Action::Resolve(at, verdict) => {
                self.client(&mut to, at, &Command::Resolve { verdict: verdict.verdict() }, Asker::Operator);
                self.overrule(&mut to, at as usize, verdict);
            }
            Action::Due(at) => self.due(&mut to, at as usize),
            Action::StepDue(at, step) => self.step_due(&mut to, at as usize, step as usize),
            Action::DeadlinePasses(at) => self.deadline_passes(&mut to, at as usize),
            Action::Expire(at) => {
                to.seen.reach(Goal::Expire);
                self.set_due(&mut to, at as usize);
            }
            Action::Claim(worker, at) => self.claim(&mut to, worker as usize, at as usize, Claiming::Normal),
            Action::ClaimEarly(worker, at) => self.claim(&mut to, worker as usize, at as usize, Claiming::Normal),
            Action::ClaimReplyLost(worker, at) => {
                self.claim(&mut to, worker as usize, at as usize, Claiming::ReplyLost)
            }
            Action::ClaimUndecodable(worker, at) => {
                self.claim(&mut to, worker as usize, at as usize, Claiming::Undecodable);
            }
            Action::ClaimStranger(worker, at) => self.claim(&mut to, worker as usize, at as usize, Claiming::Stranger),
            Action::Ask { worker, execution, slot, delivery } => {
                self.ask(&mut to, worker as usize, execution as usize, slot as usize, delivery);
            }
            Action::BodyEnds { worker, execution, step, end } => {
                self.body_ends(&mut to, worker as usize, execution as usize, step as usize, end);
            }
            Action::WaitOver(worker, at, step) | Action::WaitOverEarly(worker, at, step) => {
                self.on_step(&mut to, worker as usize, at as usize, step as usize, step::Event::Due);
            }
            Action::Park(worker, at) => self.park(&mut to, worker as usize, at as usize),
            Action::Shutdown(worker, at) => {
                self.on_drive(&mut to, worker as usize, at as usize, drive::Event::Shutdown);
            }
            Action::Beat(worker, at) => self.beat(&mut to, worker as usize, at as usize),
            Action::Crash(worker) => {
                to.seen.reach(Goal::Crash);
                to.drives[worker as usize] = [0; super::bounds::EXECUTIONS_MAX];
            }
            Action::Pause(worker) => {
                to.seen.reach(Goal::Pause);
                to.flags[worker as usize] |= PAUSED;
            }
            Action::Resume(worker) => to.flags[worker as usize] &= !PAUSED,
            Action::Partition(worker) => {
                to.seen.reach(Goal::Partition);
                to.flags[worker as usize] |= PARTITIONED;
            }
            Action::Heal(worker) => to.flags[worker as usize] &= !PARTITIONED,
            Action::Copy(worker, at, slot) => self.copy(&mut to, worker as usize, at as usize, slot as usize),
            Action::CopyArrives => self.copy_arrives(&mut to),
            Action::CopyLost => to.late = 0,
        }
        to
    }

    fn start(&self) -> Command {
        Command::Start {
            due_at: NOW,
            deadline: self.bounds.deadline.then(|| Moment::Future.deadline()),
            replays_max: self.plans.replays_max,
        }
    }

    fn put_row(&self, to: &mut State, execution: usize, row: &Row) {
        to.seen.is_beyond |= row.is_beyond(&self.layout, &self.plans);
        to.rows[execution] = row.encode(&self.layout);
    }

    fn put_drive(&self, to: &mut State, worker: usize, execution: usize, drive: &Drive, goes_on: bool) {
        to.drives[worker][execution] = if goes_on { drive.encode(&self.layout) } else { 0 };
    }

    fn client(&self, to: &mut State, execution: u8, command: &Command, asker: Asker) {
        let execution = execution as usize;
        let mut row = to.row(execution, &self.layout, &self.plans);
        let step = match command {
            Command::Retry { .. } | Command::Resolve { .. } => row.last_settled(),
            _ => None,
        };
        let done = self.store(&mut row, step, command, asker, &mut to.seen);
        if let (Command::Retry { .. }, Answer::Core(Ok(_))) = (command, done.answer) {
            row.retried = true;
            // An operator who retries a step that failed for sure grants it another body.
            if let Some(at) = step {
                row.ghosts[at].entered = 0;
            }
        }
        self.put_row(to, execution, &row);
    }

    /// An operator who says that an effect did not happen has seen to that: it was undone, or is not wanted.
    fn overrule(&self, to: &mut State, execution: usize, verdict: Ruling) {
        let mut row = to.row(execution, &self.layout, &self.plans);
        if let (Ruling::DidNot, Some(at)) = (verdict, row.last_settled()) {
            row.ghosts[at] = super::row::Ghost::default();
            self.put_row(to, execution, &row);
        }
    }

    /// The due time of an execution comes. A holder that cannot renew has stopped before, by its own clock, unless it
    /// stands still.
    fn due(&self, to: &mut State, execution: usize) {
        let row = to.row(execution, &self.layout, &self.plans);
        if matches!(row.execution.map(|execution| execution.status), Some(Status::Leased { .. })) {
            to.seen.reach(Goal::LeaseEnded);
            for worker in 0..self.layout.workers {
                let is_healthy = to.flags[worker] & (PAUSED | PARTITIONED) == 0;
                to.seen.require(Property::LeaseKept, !(is_healthy && to.holds_latest(worker, execution)));
            }
            self.stop_holders(to, execution);
        }
        self.set_due(to, execution);
    }

    fn stop_holders(&self, to: &mut State, execution: usize) {
        for worker in 0..self.layout.workers {
            if self.stops_itself && to.holds_latest(worker, execution) && !to.is(worker, PAUSED) {
                self.on_drive(to, worker, execution, drive::Event::LeaseLost);
            }
        }
    }

    fn set_due(&self, to: &mut State, execution: usize) {
        let mut row = to.row(execution, &self.layout, &self.plans);
        if let Some(there) = &mut row.execution {
            let due_at = Moment::Due.time();
            there.status = match there.status {
                Status::Ready { .. } => Status::Ready { due_at },
                Status::Leased { .. } => Status::Leased { due_at },
                Status::Ended(ending) => Status::Ended(ending),
            };
        }
        self.put_row(to, execution, &row);
    }

    fn deadline_passes(&self, to: &mut State, execution: usize) {
        self.stop_holders(to, execution);
        self.set_due(to, execution);
        let mut row = to.row(execution, &self.layout, &self.plans);
        if let Some(there) = &mut row.execution {
            there.deadline = Some(Moment::Due.deadline());
        }
        self.put_row(to, execution, &row);
    }

    /// The due time of a step comes, in the store and for whoever waits for it.
    fn step_due(&self, to: &mut State, execution: usize, at: usize) {
        let mut row = to.row(execution, &self.layout, &self.plans);
        let due_at = Moment::Due.time();
        if let Some(step) = &mut row.steps[at] {
            step.state = match step.state {
                StepState::Waiting { .. } => StepState::Waiting { due_at },
                StepState::Sleeping { .. } => StepState::Sleeping { due_at },
                StepState::Running | StepState::Settled { .. } | StepState::Abandoned { .. } => step.state,
            };
        }
        self.put_row(to, execution, &row);
        for worker in 0..self.layout.workers {
            let Some(mut drive) = to.drive(worker, execution, &self.layout, &self.plans) else { continue };
            if let step::Phase::Waiting { attempt, .. } = drive.steps[at].phase {
                drive.steps[at].phase = step::Phase::Waiting { due_at, attempt };
                self.put_drive(to, worker, execution, &drive, true);
            }
        }
    }

    fn claim(&self, to: &mut State, worker: usize, execution: usize, claiming: Claiming) {
        let mut row = to.row(execution, &self.layout, &self.plans);
        let command = Command::Claim { lease: LEASE, knows: claiming != Claiming::Stranger };
        let Done { answer, granted } = self.store(&mut row, None, &command, Asker::Claimer, &mut to.seen);
        let Some(raised) = granted else {
            self.put_row(to, execution, &row);
            return;
        };
        for other in 0..self.layout.workers {
            if let Some(mut drive) = to.drive(other, execution, &self.layout, &self.plans) {
                drive.is_latest_claim = false;
                if raised {
                    drive.outdate();
                }
                if drive.runs_a_body() {
                    to.seen.reach(Goal::Zombie);
                }
                self.put_drive(to, other, execution, &drive, true);
            }
        }
        to.late = Late::outdate(to.late, execution, raised);
        let mut drive = Drive::new(LATEST);
        let goes_on = match (claiming, answer) {
            (Claiming::ReplyLost, _) => {
                to.seen.reach(Goal::ReplyLost);
                false
            }
            (Claiming::Undecodable, _) => {
                let ended = Ending::Failed(Failure::Undecodable);
                self.feed_drive(&mut drive, drive::Event::Ended(ended))
            }
            (_, Answer::Core(Ok(Reply::Claimed { .. }))) => self.advance(&mut row, &mut drive, true, &mut to.seen),
            (_, Answer::Core(_) | Answer::Refused) => false,
        };
        self.put_drive(to, worker, execution, &drive, goes_on);
        self.put_row(to, execution, &row);
    }

    fn ask(&self, to: &mut State, worker: usize, execution: usize, slot: usize, delivery: Delivery) {
        let Some(mut drive) = to.drive(worker, execution, &self.layout, &self.plans) else { return };
        let step = (slot < self.layout.steps).then_some(slot);
        let command = match step {
            Some(at) => match drive.steps[at].phase {
                step::Phase::Asking(command) => command,
                _ => return,
            },
            None => match drive.phase {
                drive::Phase::Asking(command) => command,
                _ => return,
            },
        };
        let mut row = to.row(execution, &self.layout, &self.plans);
        let is_transacted = step.is_some_and(|at| self.plans.kinds[at] == Kind::Transactional)
            && matches!(command, Command::Settle { settlement: Settlement::Succeeded, .. });
        if is_transacted && self.bounds.defects.effect_outside_transaction {
            // Its own transaction commits, whatever becomes of the one that settles.
            self.note_defect();
            if let Some(at) = step {
                row.ghosts[at].effects = (row.ghosts[at].effects + 1).min(2);
            }
        }
        if delivery == Delivery::LostBefore {
            to.seen.reach(Goal::LostBefore);
        }
        let answer = if delivery == Delivery::LostBefore {
            None
        } else {
            let asker = Asker::Worker {
                is_latest_claim: drive.is_latest_claim,
                has_succeeded: step.is_some_and(|at| drive.steps[at].has_succeeded),
            };
            match self.store(&mut row, step, &command, asker, &mut to.seen).answer {
                Answer::Core(answer) if delivery == Delivery::Answered => Some(answer),
                Answer::Core(_) | Answer::Refused => None,
            }
        };
        if delivery == Delivery::ReplyLost {
            to.seen.reach(Goal::ReplyLost);
        }
        let goes_on = match step {
            Some(at) => {
                let event = answer.map_or(step::Event::Lost, step::Event::Answer);
                self.feed_step(&mut row, &mut drive, at, event, &mut to.seen)
                    && self.advance(&mut row, &mut drive, false, &mut to.seen)
            }
            None => self.feed_drive(&mut drive, answer.map_or(drive::Event::Lost, drive::Event::Answer)),
        };
        self.put_drive(to, worker, execution, &drive, goes_on);
        self.put_row(to, execution, &row);
    }

    fn body_ends(&self, to: &mut State, worker: usize, execution: usize, at: usize, end: BodyFate) {
        let Some(mut drive) = to.drive(worker, execution, &self.layout, &self.plans) else { return };
        let mut row = to.row(execution, &self.layout, &self.plans);
        let attempt = match drive.steps[at].phase {
            step::Phase::Running { attempt } | step::Phase::Asking(Command::Settle { attempt, .. }) => attempt,
            _ => 0,
        };
        match end {
            BodyFate::Unencodable => to.seen.reach(Goal::Encode),
            BodyFate::Panicked => to.seen.reach(Goal::Panic),
            BodyFate::Returned | BodyFate::Failed => {}
        }
        if self.plans.kinds[at] == Kind::Transactional {
            // Whatever it wrote is rolled back.
            to.seen.reach(Goal::RolledBack);
        } else {
            if self.plans.kinds[at] == Kind::Keyed && end != BodyFate::Failed {
                // A receiver that honours keys performs one effect for each key that it has not seen.
                let no = StepNo(at as u32 + 1);
                let key = self.rules.key(no, attempt);
                self.compare(&key, || hydra_protocol::Reference.key(no, attempt));
                row.ghosts[at].effects |= if key == self.rules.key(no, 1) { 1 } else { 2 };
                to.seen.require(Property::EffectOnceKeyed, row.ghosts[at].effects < 3);
            }
            drive.steps[at].has_succeeded = matches!(end, BodyFate::Returned | BodyFate::Unencodable);
        }
        let goes_on = self.feed_step(&mut row, &mut drive, at, step::Event::Body(end.end()), &mut to.seen);
        self.put_drive(to, worker, execution, &drive, goes_on);
        self.put_row(to, execution, &row);
    }

    fn on_step(&self, to: &mut State, worker: usize, execution: usize, at: usize, event: step::Event) {
        let Some(mut drive) = to.drive(worker, execution, &self.layout, &self.plans) else { return };
        let mut row = to.row(execution, &self.layout, &self.plans);
        let goes_on = self.feed_step(&mut row, &mut drive, at, event, &mut to.seen);
        self.put_drive(to, worker, execution, &drive, goes_on);
        self.put_row(to, execution, &row);
    }

    fn on_drive(&self, to: &mut State, worker: usize, execution: usize, event: drive::Event) {
        let Some(mut drive) = to.drive(worker, execution, &self.layout, &self.plans) else { return };
        let goes_on = self.feed_drive(&mut drive, event);
        self.put_drive(to, worker, execution, &drive, goes_on);
    }

    fn park(&self, to: &mut State, worker: usize, execution: usize) {
        let Some(drive) = to.drive(worker, execution, &self.layout, &self.plans) else { return };
        if let drive::Idle::Park(wake) = self.idle(&drive) {
            self.on_drive(to, worker, execution, drive::Event::Blocked { wake });
        }
    }

    fn beat(&self, to: &mut State, worker: usize, execution: usize) {
        let Some(mut drive) = to.drive(worker, execution, &self.layout, &self.plans) else { return };
        let mut row = to.row(execution, &self.layout, &self.plans);
        let command = Command::Heartbeat { epoch: drive.epoch, lease: LEASE };
        let asker = Asker::Worker { is_latest_claim: drive.is_latest_claim, has_succeeded: false };
        let Done { answer, .. } = self.store(&mut row, None, &command, asker, &mut to.seen);
        if let Answer::Core(Err(_)) = answer {
            let goes_on = self.feed_drive(&mut drive, drive::Event::LeaseLost);
            self.put_drive(to, worker, execution, &drive, goes_on);
        }
        self.put_row(to, execution, &row);
    }

    fn copy(&self, to: &mut State, worker: usize, execution: usize, slot: usize) {
        let Some(drive) = to.drive(worker, execution, &self.layout, &self.plans) else { return };
        let step = (slot < self.layout.steps).then_some(slot);
        let command = match step {
            Some(at) => match drive.steps[at].phase {
                step::Phase::Asking(command) => command,
                _ => return,
            },
            None if slot == self.layout.steps => match drive.phase {
                drive::Phase::Asking(command) => command,
                _ => return,
            },
            None => Command::Heartbeat { epoch: drive.epoch, lease: LEASE },
        };
        to.seen.reach(Goal::Copied);
        let has_succeeded = step.is_some_and(|at| drive.steps[at].has_succeeded);
        let late = Late {
            execution,
            step,
            command,
            has_succeeded,
            epoch: drive.epoch,
            is_latest_claim: drive.is_latest_claim,
        };
        to.late = late.encode(&self.layout);
    }

    fn copy_arrives(&self, to: &mut State) {
        // The copy stays where it is: what was delivered twice may be delivered again.
        let Some(late) = to.late(&self.layout, &self.plans) else { return };
        let mut row = to.row(late.execution, &self.layout, &self.plans);
        let asker = Asker::Worker { is_latest_claim: late.is_latest_claim, has_succeeded: late.has_succeeded };
        self.store(&mut row, late.step, &late.command, asker, &mut to.seen);
        self.put_row(to, late.execution, &row);
    }
}

/// How a claim goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Claiming {
    Normal,
    ReplyLost,
    Undecodable,
    Stranger,
}
