//! What the workflow's task and its driver share: the steps asked for, and whose turn it is.
//!
//! Both run in one task, so the mutex is never contended.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use hydra_protocol::worker::delivery::Delivery;
use hydra_protocol::worker::step::{Phase, Plan};
use hydra_protocol::{Epoch, Failure, Protocol, StepNo};

use crate::store::{ExecutionId, JournalStep, Transaction};
use crate::workflow::{Attempt, Delivered, Host, Run, StepEnd, WorkflowEnd};

/// One step that the workflow has made.
pub(super) struct Slot {
    pub(super) name: Arc<str>,
    pub(super) plan: Plan,
    pub(super) input: Option<Vec<u8>>,
    pub(super) phase: Phase,
    /// Whether the workflow still holds it. A race's loser does not, yet its outcome keeps its place in the order.
    pub(super) alive: bool,
    /// Whether the workflow has awaited it: a step that was only made has not begun.
    pub(super) requested: bool,
    /// The body to run, once the workflow polls it.
    pub(super) body: Option<(Attempt, Option<Box<dyn Transaction>>)>,
    /// Whether a body was handed out and has not ended.
    pub(super) running: bool,
    /// What the last body left, for the command that settles it.
    pub(super) value: Option<Vec<u8>>,
    pub(super) error: Option<String>,
    /// The durable outcome.
    pub(super) outcome: Option<Delivered>,
    /// Whether the outcome had its turn: the workflow may see it.
    pub(super) turn: bool,
    waker: Option<Waker>,
}

/// The state behind the mutex.
pub(super) struct State {
    pub(super) slots: BTreeMap<StepNo, Slot>,
    /// The journal as claimed; nobody else can write it under this epoch.
    pub(super) journal: BTreeMap<StepNo, JournalStep>,
    /// Which step settled as the how-manieth.
    pub(super) by_order: BTreeMap<u32, StepNo>,
    pub(super) delivery: Delivery,
    /// Steps that the workflow awaited for the first time since the driver last looked.
    pub(super) newly_requested: Vec<StepNo>,
    /// Bodies that ended since the driver last looked.
    pub(super) ended: Vec<(StepNo, StepEnd)>,
    /// Why the workflow cannot go on: a checkpoint that could not be decoded, a step without a proper name.
    pub(super) failed: Option<WorkflowEnd>,
    /// Whether everything on record was handed over, and what the workflow does now is new.
    pub(super) live: bool,
}

/// The host of one drive.
pub(super) struct DriveHost {
    execution: ExecutionId,
    epoch: Epoch,
    rules: &'static dyn Protocol,
    payload_max: usize,
    state: Mutex<State>,
}

impl DriveHost {
    pub(super) fn new(
        execution: ExecutionId,
        epoch: Epoch,
        rules: &'static dyn Protocol,
        payload_max: usize,
        journal: Vec<JournalStep>,
    ) -> Self {
        let by_order = journal.iter().filter_map(|step| Some((step.row.settled()?.0, step.no))).collect();
        let state = State {
            slots: BTreeMap::new(),
            journal: journal.into_iter().map(|step| (step.no, step)).collect(),
            by_order,
            delivery: Delivery::default(),
            newly_requested: Vec::new(),
            ended: Vec::new(),
            failed: None,
            live: false,
        };
        DriveHost { execution, epoch, rules, payload_max, state: Mutex::new(state) }
    }

    /// A panic of the workflow's code cannot leave the state half-changed: none of it runs under the lock.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a body gets to know of its attempt.
    pub(super) fn attempt(&self, no: StepNo, number: u32) -> Attempt {
        Attempt {
            idempotency_key: format!("{}/{}", self.execution, self.rules.key(no, number)),
            number,
            epoch: self.epoch.0,
            execution: self.execution.clone(),
        }
    }
}

impl Slot {
    /// Lets the workflow's task look at this step again.
    pub(super) fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// The same for all attempts of a step, and different between executions: it spreads their retries.
fn salt(execution: &ExecutionId, no: StepNo) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    (execution, no).hash(&mut hasher);
    hasher.finish()
}

impl Host for DriveHost {
    fn execution(&self) -> &ExecutionId {
        &self.execution
    }

    fn is_replaying(&self) -> bool {
        let state = self.state();
        !state.live && !state.by_order.is_empty()
    }

    fn payload_max(&self) -> usize {
        self.payload_max
    }

    fn number(&self, name: Arc<str>, plan: Plan, input: Option<Vec<u8>>) -> StepNo {
        let mut state = self.state();
        let no = StepNo(u32::try_from(state.slots.len()).unwrap_or(u32::MAX).saturating_add(1));
        let plan = Plan { epoch: self.epoch, salt: salt(&self.execution, no), ..plan };
        let slot = Slot {
            name,
            plan,
            input,
            phase: Phase::New,
            alive: true,
            requested: false,
            body: None,
            running: false,
            value: None,
            error: None,
            outcome: None,
            turn: false,
            waker: None,
        };
        state.slots.insert(no, slot);
        no
    }

    fn poll_next(&self, no: StepNo, task: &mut Context<'_>) -> Poll<Run> {
        let mut state = self.state();
        let Some(slot) = state.slots.get_mut(&no) else {
            return Poll::Pending;
        };
        if let Some((attempt, transaction)) = slot.body.take() {
            slot.running = true;
            return Poll::Ready(Run::Body { attempt, transaction });
        }
        if slot.turn
            && let Some(delivered) = slot.outcome.take()
        {
            return Poll::Ready(Run::Deliver(delivered));
        }
        slot.waker = Some(task.waker().clone());
        if !slot.requested {
            slot.requested = true;
            state.newly_requested.push(no);
        }
        Poll::Pending
    }

    fn body_ended(&self, no: StepNo, end: StepEnd) {
        let mut state = self.state();
        if let Some(slot) = state.slots.get_mut(&no) {
            slot.running = false;
        }
        state.ended.push((no, end));
    }

    fn dropped(&self, no: StepNo) {
        if let Some(slot) = self.state().slots.get_mut(&no) {
            slot.alive = false;
            slot.running = false;
            // Rolled back, if it had not been polled yet.
            slot.body = None;
            slot.waker = None;
        }
    }

    fn fail(&self, failure: Failure, why: String) {
        self.state().failed.get_or_insert_with(|| WorkflowEnd::failed(failure, why));
    }
}
