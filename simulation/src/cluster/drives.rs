//! A worker that drives one execution: the workflow is interpreted, its steps asked for, outcomes handed over in turn.

use hydra_protocol::worker::delivery::Delivery;
use hydra_protocol::worker::drive;
use hydra_protocol::worker::lease::LeaseClock;
use hydra_protocol::worker::step;
use hydra_protocol::{Ending, Epoch, Failure, Kind, Outcome, Protocol, Span, Step, Time, Wake};

use super::note::{Fact, Seen, Who};
use super::queue::Event;
use super::{Cluster, goal};
use crate::workload::BodyEnd;

/// One claim of one execution, as its worker knows it.
#[derive(Debug)]
pub(crate) struct Drive {
    pub(crate) live: bool,
    /// Whether the worker has been told of its claim.
    pub(crate) known: bool,
    /// Whether the workflow has begun.
    pub(crate) begun: bool,
    pub(crate) generation: u32,
    pub(crate) worker: u8,
    pub(crate) execution: u32,
    pub(crate) epoch: Epoch,
    /// The number of the claim, over the whole run.
    pub(crate) claim: u32,
    pub(crate) lease: Span,
    pub(crate) phase: drive::Phase,
    pub(crate) clock: LeaseClock,
    delivery: Delivery,
    /// Everything on record was handed over, and what the workflow does now is new.
    caught_up: bool,
    /// Which item of the program the workflow is at.
    item: u32,
    /// Outcomes that it waits for before it goes on.
    awaited: u32,
    /// A step of that item failed, and the workflow does not catch it.
    failed: bool,
    /// The workflow has come to its end.
    pub(crate) ended: bool,
    /// The latest request of the execution's machine.
    pub(crate) awaits: u32,
    pub(crate) slots: Vec<Slot>,
}

/// One step of a driven execution.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    /// Its row when the execution was claimed.
    pub(crate) row: Option<Step>,
    pub(crate) phase: step::Phase,
    /// What its body returned, or what the checkpoint holds.
    pub(crate) value: u64,
    /// The entry into its body that is under way.
    pub(crate) body: u32,
    /// How that body is going to end.
    pub(crate) end: BodyEnd,
    /// Whether its effect has happened.
    pub(crate) effected: bool,
    /// The latest request of its machine.
    pub(crate) awaits: u32,
    /// An outcome that waits for its turn.
    pub(crate) pending: Option<(u32, Outcome)>,
    /// Awaited while outcomes on record were still being handed over.
    pub(crate) held: bool,
    /// It lost its race, and the workflow has dropped it.
    pub(crate) dropped: bool,
}

impl Default for Drive {
    fn default() -> Self {
        Drive {
            live: false,
            known: false,
            begun: false,
            generation: 0,
            worker: 0,
            execution: 0,
            epoch: Epoch(0),
            claim: 0,
            lease: Span::ZERO,
            phase: drive::Phase::Gone,
            clock: LeaseClock { beat_at: Time::MAX, stop_at: Time::MAX },
            delivery: Delivery::default(),
            caught_up: false,
            item: 0,
            awaited: 0,
            failed: false,
            ended: false,
            awaits: 0,
            slots: Vec::new(),
        }
    }
}

impl<P: Protocol + ?Sized> Cluster<'_, P> {
    pub(crate) fn is_live(&self, drive: u32, generation: u32) -> bool {
        let there = &self.drives[drive];
        there.live && there.generation == generation
    }

    /// The store has granted a claim; the worker does not know yet. The rows are what the claiming transaction read.
    pub(crate) fn grant(&mut self, worker: u8, execution: u32, epoch: Epoch, lease: Span) -> u32 {
        self.claims += 1;
        let index = self.drives.take();
        let steps = self.programs.programs[execution as usize].steps.clone();
        let drive = &mut self.drives[index];
        let generation = drive.generation.wrapping_add(1);
        let mut slots = std::mem::take(&mut drive.slots);
        slots.clear();
        slots.extend(self.store.steps[steps.start as usize..steps.end as usize].iter().map(|there| Slot {
            row: there.row,
            phase: step::Phase::New,
            value: there.value,
            body: 0,
            end: BodyEnd::Returns,
            effected: false,
            awaits: 0,
            pending: None,
            held: false,
            dropped: false,
        }));
        *drive = Drive {
            live: true,
            generation,
            worker,
            execution,
            epoch,
            claim: self.claims,
            lease,
            phase: drive::Phase::Driving,
            slots,
            ..Drive::default()
        };
        index
    }

    /// The workflow begins, from the top.
    pub(crate) fn begin_driving(&mut self, index: u32) {
        let drive = &mut self.drives[index];
        drive.begun = true;
        if drive.slots.iter().any(|slot| slot.row.is_some()) {
            self.tally.path(goal!("replayed"));
        } else {
            drive.caught_up = true;
        }
        self.request_item(index);
        self.go_on(index);
    }

    /// The workflow asks for the steps of its next item, or ends.
    fn request_item(&mut self, index: u32) {
        let drive = &mut self.drives[index];
        let items = self.programs.programs[drive.execution as usize].items.clone();
        let at = items.start + drive.item;
        if at >= items.end {
            self.end_workflow(index, Ending::Succeeded);
            return;
        }
        let group = self.programs.groups[at as usize];
        drive.awaited = if group.is_race { 1 } else { group.count };
        drive.failed = false;
        let generation = drive.generation;
        for slot in group.first..group.first + group.count {
            let drive = &mut self.drives[index];
            let there = &mut drive.slots[slot as usize];
            // What is not on record begins only once everything that is has been handed over: (1) a charge and a timer
            // race, and the charge wins; (2) the worker dies; (3) in the replay the timer, not yet on record, is set
            // again before the charge's outcome has told that it lost.
            if !drive.caught_up && there.row.is_none_or(|row| row.settled().is_none()) {
                there.held = true;
                continue;
            }
            self.request(index, slot);
            if !self.is_live(index, generation) {
                return;
            }
        }
    }

    /// The workflow asks for a step.
    fn request(&mut self, index: u32, slot: u32) {
        let row = self.drives[index].slots[slot as usize].row;
        // The program never changes, so a row is of the same step; its kind is the journal's word.
        let kind = self.programs.steps[self.step_of(index, slot) as usize].kind;
        let matches = row.is_none_or(|row| row.kind == kind);
        self.feed_step(index, slot, step::Event::Requested { row, matches });
    }

    /// Nothing on record is left to hand over: what waited for that is asked for.
    fn catch_up(&mut self, index: u32) {
        let drive = &mut self.drives[index];
        drive.caught_up = true;
        let generation = drive.generation;
        for slot in 0..drive.slots.len() {
            let there = &mut self.drives[index].slots[slot];
            if std::mem::take(&mut there.held) && !there.dropped {
                self.request(index, slot as u32);
                if !self.is_live(index, generation) {
                    return;
                }
            }
        }
    }

    /// Which of all steps a slot is.
    pub(crate) fn step_of(&self, drive: u32, slot: u32) -> u32 {
        self.programs.programs[self.drives[drive].execution as usize].steps.start + slot
    }

    fn plan(&self, drive: u32, slot: u32) -> step::Plan {
        let step = self.programs.steps[self.step_of(drive, slot) as usize];
        let attempts_max = if step.attempts_max == 0 { self.config.attempts_max } else { step.attempts_max };
        let salt = (u64::from(step.execution) << 32 | u64::from(slot)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        step::Plan {
            epoch: self.drives[drive].epoch,
            kind: step.kind,
            attempts_max,
            backoff: self.config.backoff(),
            salt,
            wake: Wake::After(Span::from_millis(step.lasts_ms)),
        }
    }

    /// One event for one step's machine, and what it wants done.
    pub(crate) fn feed_step(&mut self, index: u32, slot: u32, event: step::Event) {
        let plan = self.plan(index, slot);
        let there = &mut self.drives[index].slots[slot as usize];
        let (phase, action) = self.rules.step_next(&plan, there.phase, event);
        there.phase = phase;
        self.tally.steps += 1;
        match action {
            step::Action::Nothing => {}
            step::Action::Ask(command) => self.send_step(index, slot, command, false),
            // An attempt was granted, and its race is over: no body runs, and the row stays open until the end.
            step::Action::RunBody { .. } if self.drives[index].slots[slot as usize].dropped => {
                self.drives[index].slots[slot as usize].phase = step::Phase::Gone;
            }
            // Asked even if its race is over (no body runs then either): (1) a transaction commits, and the answer takes
            // long; (2) the step loses its race; (3) given up for lost, and not asked again, its place in the order of
            // delivery stays empty, and all that settled later waits for ever.
            step::Action::Transact(command) => self.send_step(index, slot, command, true),
            step::Action::RunBody { attempt } => self.enter_body(index, slot, attempt),
            step::Action::Deliver { order, outcome } => {
                self.drives[index].slots[slot as usize].pending = Some((order, outcome));
            }
            step::Action::WaitUntil(at) => {
                let worker = &self.workers[self.drives[index].worker as usize];
                let wait_ms = worker.lasts_ms(at.since(worker.store_clock(self.now_ms)));
                let generation = self.drives[index].generation;
                self.queue.push(self.now_ms + wait_ms.max(1), Event::Due { drive: index, generation, slot });
            }
            step::Action::Stop(stop) => self.stop(index, stop),
        }
    }

    /// Hands over what is next in turn, until nothing is; then sees whether there is anything left to do.
    pub(crate) fn go_on(&mut self, index: u32) {
        let generation = self.drives[index].generation;
        while self.is_live(index, generation) && !self.drives[index].ended {
            let drive = &mut self.drives[index];
            let next = |slot: &Slot| slot.pending.is_some_and(|(order, _)| drive.delivery.is_next(order));
            match drive.slots.iter().position(next) {
                Some(slot) => {
                    let (_, outcome) = drive.slots[slot].pending.take().expect("it was just seen");
                    self.hand_over(index, slot as u32, outcome);
                }
                None if drive.caught_up => break,
                None => self.catch_up(index),
            }
        }
        if self.is_live(index, generation) && !self.drives[index].ended {
            self.ask_losers(index);
        }
        if self.is_live(index, generation) && !self.drives[index].ended {
            self.see_whether_idle(index);
        }
    }

    /// An outcome is known and an earlier one is not, though nothing is asked: what lost its race has settled behind the
    /// worker's back. (1) A timer and a charge race; "fire" is sent, and takes long; (2) asked again, the timer is not
    /// due, for the store's clock lags; (3) the charge wins, and the timer is dropped; (4) the first "fire" arrives and
    /// takes its place in the order; (5) nobody asks, and all that settles later waits for ever.
    fn ask_losers(&mut self, index: u32) {
        let slots = &self.drives[index].slots;
        let asks = slots.iter().any(|slot| matches!(slot.phase, step::Phase::Asking(_)));
        if asks || slots.iter().all(|slot| slot.pending.is_none()) {
            return;
        }
        let generation = self.drives[index].generation;
        for slot in 0..self.drives[index].slots.len() as u32 {
            let there = &self.drives[index].slots[slot as usize];
            let waits = there.dropped && matches!(there.phase, step::Phase::Waiting { .. });
            if waits && self.kind_of(index, slot) == Kind::Timer {
                self.feed_step(index, slot, step::Event::Due);
                if !self.is_live(index, generation) {
                    return;
                }
            }
        }
    }

    fn hand_over(&mut self, index: u32, slot: u32, outcome: Outcome) {
        let step = self.step_of(index, slot);
        let drive = &mut self.drives[index];
        let there = drive.slots[slot as usize];
        // The outcome of a loser takes its turn, and nobody looks at it.
        if there.dropped {
            drive.delivery.handed_over();
            return;
        }
        let replayed = there.row.is_some_and(|row| row.settled().is_some());
        let seen = match outcome {
            Outcome::Succeeded => Some(Seen::Value(there.value)),
            Outcome::Failed(_) | Outcome::Unencodable => Some(Seen::Failed),
            Outcome::InDoubt => Some(Seen::InDoubt),
            Outcome::Fired => None,
        };
        if replayed && outcome == Outcome::Succeeded && self.decode_fails[step as usize] {
            self.tally.path(goal!("undecodable"));
            self.end_workflow(index, Ending::Failed(Failure::Undecodable));
            return;
        }
        if let Some(seen) = seen {
            drive.failed |= !matches!(seen, Seen::Value(_)) && !self.programs.steps[step as usize].caught;
            let (who, claim) = (Who::Worker(drive.worker), drive.claim);
            self.note(who, Fact::Handed { claim, step, seen });
        }
        let drive = &mut self.drives[index];
        drive.awaited = drive.awaited.saturating_sub(1);
        if drive.awaited == 0 {
            self.drop_losers(index, slot);
            let drive = &mut self.drives[index];
            if drive.failed {
                self.end_workflow(index, Ending::Failed(Failure::Workflow));
            } else {
                drive.item += 1;
                let generation = drive.generation;
                self.request_item(index);
                if !self.is_live(index, generation) {
                    return;
                }
            }
        }
        self.drives[index].delivery.handed_over();
    }

    /// A race is over: the workflow drops what did not win it, and with it the bodies that run.
    fn drop_losers(&mut self, index: u32, winner: u32) {
        let drive = &self.drives[index];
        let items = self.programs.programs[drive.execution as usize].items.clone();
        let group = self.programs.groups[(items.start + drive.item) as usize];
        if !group.is_race {
            return;
        }
        self.tally.path(goal!("race-won"));
        for slot in (group.first..group.first + group.count).filter(|slot| *slot != winner) {
            self.drives[index].slots[slot as usize].dropped = true;
            self.cancel_body(index, slot);
        }
    }

    fn end_workflow(&mut self, index: u32, ending: Ending) {
        self.cancel_bodies(index);
        self.drives[index].ended = true;
        self.feed_drive(index, drive::Event::Ended(ending));
    }

    /// One event for the execution's machine, and what it wants done.
    pub(crate) fn feed_drive(&mut self, index: u32, event: drive::Event) {
        let drive = &mut self.drives[index];
        let (phase, action) = self.rules.drive_next(drive.epoch, drive.phase, event);
        drive.phase = phase;
        self.tally.steps += 1;
        match action {
            drive::Action::Nothing => {}
            drive::Action::Ask(command) => self.send_drive(index, command),
            drive::Action::Done(_) => self.drop_drive(index),
            drive::Action::Stop(stop) => self.stop(index, stop),
        }
    }
}
