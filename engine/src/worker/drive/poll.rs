//! The loop inside a drive: poll the workflow, feed the machines, hand over outcomes.

mod turns;

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::task::AtomicWaker;
use futures::{FutureExt, StreamExt};
use hydra_protocol::worker::step::{Action, BodyEnd, Event, Phase, Stop};
use hydra_protocol::{Command, Failure, Settlement, Span, StepNo, Time};
use tokio::time::{Instant, Sleep};
use tracing::debug;

use super::asks::{Asked, Question, ask, commit, transact};
use super::host::{DriveHost, State};
use super::{ASK_AGAIN, Shop};
use crate::codec::panic_text;
use crate::store::{Answer, ExecutionKey, Payload, StoreError};
use crate::workflow::{Delivered, StepEnd, WorkflowEnd, WorkflowFuture};

/// Why the loop came to an end.
pub(super) enum Polled {
    /// The workflow ended.
    Ended(WorkflowEnd),
    /// Nothing to do before this time of the store's clock, which is far off.
    Blocked(Time),
    /// The worker shuts down, and no body runs.
    Drained,
    /// A machine stopped.
    Stopped(Stop),
    /// The store failed in a way that does not pass.
    Failed(StoreError),
}

/// A question whose answer was lost is asked again after a moment, by a future that yields this.
enum Done {
    Asked(Asked),
    AskAgain,
}

/// The workflow's future with everything around it.
pub(super) struct Poller<'a> {
    shop: &'a Shop,
    key: ExecutionKey,
    host: Arc<DriveHost>,
    workflow: WorkflowFuture,
    /// Questions with the store. They outlive the step that asked: a loser's outcome still takes its place in the
    /// order of delivery, so its answer must be known.
    asks: FuturesUnordered<BoxFuture<'static, (StepNo, Done)>>,
    /// Steps that were awaited while outcomes on record were still being handed over.
    held: Vec<StepNo>,
    /// The store's clock as last answered, and when that was.
    clock: (Time, Instant),
    timer: Option<Pin<Box<Sleep>>>,
    woken: Arc<Woken>,
}

/// Wakes the drive, and remembers that it did.
#[derive(Default)]
struct Woken {
    flag: AtomicBool,
    task: AtomicWaker,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.flag.store(true, Ordering::Release);
        self.task.wake();
    }
}

/// Polls of the workflow in a row before other tasks get their turn.
const POLLS_IN_A_ROW: u32 = 128;

impl<'a> Poller<'a> {
    /// `claimed_at`: the store's clock when the execution was claimed. A worker's own would not do: where it lags by 17 s,
    /// a backoff that is over looks 17 s away, and the execution would be parked and claimed over and over.
    pub(super) fn new(
        shop: &'a Shop,
        key: ExecutionKey,
        host: Arc<DriveHost>,
        workflow: WorkflowFuture,
        claimed_at: Time,
    ) -> Self {
        Poller {
            shop,
            key,
            host,
            workflow,
            asks: FuturesUnordered::new(),
            held: Vec::new(),
            clock: (claimed_at, Instant::now()),
            timer: None,
            woken: Arc::new(Woken::default()),
        }
    }

    pub(super) async fn run(&mut self) -> Polled {
        // Watched here so that a shutdown wakes this task too.
        let mut draining = self.shop.draining.clone();
        let mut changed = Box::pin(async move {
            let _ = draining.wait_for(|draining| *draining).await;
        });
        let mut drained = false;
        poll_fn(move |task| {
            drained = drained || changed.poll_unpin(task).is_ready();
            self.poll(task, drained)
        })
        .await
    }

    fn poll(&mut self, task: &mut Context<'_>, draining: bool) -> Poll<Polled> {
        self.woken.task.register(task.waker());
        for _ in 0..POLLS_IN_A_ROW {
            self.woken.flag.store(false, Ordering::Release);
            while let Poll::Ready(Some((no, done))) = self.asks.poll_next_unpin(task) {
                if let Some(polled) = self.done(no, done, draining) {
                    return Poll::Ready(polled);
                }
            }
            self.fire_due(task, draining);
            let ended = self.poll_workflow();
            if let Some(end) = self.host.state().failed.take().or(ended) {
                return Poll::Ready(Polled::Ended(end));
            }
            match self.after_poll(draining) {
                Ok(true) => {}
                Err(polled) => return Poll::Ready(polled),
                Ok(false) if self.woken.flag.load(Ordering::Acquire) => {}
                Ok(false) => match self.quiet(task, draining) {
                    Some(polled) => return Poll::Ready(polled),
                    None if self.woken.flag.load(Ordering::Acquire) => {}
                    None => return Poll::Pending,
                },
            }
        }
        task.waker().wake_by_ref();
        Poll::Pending
    }

    /// Lets the workflow and its bodies run.
    fn poll_workflow(&mut self) -> Option<WorkflowEnd> {
        let waker = Waker::from(self.woken.clone());
        let mut task = Context::from_waker(&waker);
        match catch_unwind(AssertUnwindSafe(|| self.workflow.as_mut().poll(&mut task))) {
            Ok(Poll::Pending) => None,
            Ok(Poll::Ready(end)) => Some(self.checked_end(end)),
            Err(panic) => Some(WorkflowEnd::failed(Failure::Panicked, panic_text(&*panic))),
        }
    }

    /// A workflow that ends before it has asked for everything on record was changed since. What it did ask for, it need
    /// not have heard of: (1) two steps race and both settle; (2) the first ends the workflow; (3) the worker dies before
    /// the execution is finished; (4) the next one hands over the first, and the workflow ends.
    fn checked_end(&self, end: WorkflowEnd) -> WorkflowEnd {
        let state = self.host.state();
        let asked = u32::try_from(state.slots.len()).unwrap_or(u32::MAX);
        let unasked = state.journal.iter().find(|(no, _)| !state.slots.get(no).is_some_and(|slot| slot.requested));
        match unasked {
            Some((no, step)) => nondeterministic(format!(
                "the workflow ended after {asked} steps, and its journal has step {} ({}), which it did not await",
                no.0, step.name
            )),
            None => end,
        }
    }

    /// Takes up what the workflow asked for and what its bodies left. Whether there is more to poll.
    fn after_poll(&mut self, draining: bool) -> Result<bool, Polled> {
        let (requested, ended) = {
            let mut state = self.host.state();
            (std::mem::take(&mut state.newly_requested), std::mem::take(&mut state.ended))
        };
        let more = !requested.is_empty() || !ended.is_empty();
        for (no, end) in ended {
            self.body_ended(no, end, draining)?;
        }
        for no in requested {
            self.requested(no, draining)?;
        }
        Ok(more)
    }

    /// The workflow awaits a step for the first time.
    fn requested(&mut self, no: StepNo, draining: bool) -> Result<(), Polled> {
        let (row, matches, settled, live) = {
            let mut state = self.host.state();
            let live = state.live;
            let State { slots, journal, .. } = &mut *state;
            let Some(slot) = slots.get_mut(&no) else {
                return Ok(());
            };
            let on_record = journal.get(&no);
            if let Some(step) = on_record
                && let Some((_, outcome)) = step.row.settled()
            {
                slot.outcome = Some(Delivered::of(outcome, step.value.clone(), step.error.clone()));
            }
            let row = on_record.map(|step| step.row);
            let matches = on_record.is_none_or(|step| step.name == slot.name && step.row.kind == slot.plan.kind);
            (row, matches, row.is_some_and(|row| row.settled().is_some()), live)
        };
        // What is not on record begins only once everything that is has been handed over: in the live run it may have
        // been given up by then.
        if matches && !settled && !live {
            self.held.push(no);
            return Ok(());
        }
        self.feed(no, Event::Requested { row, matches }, draining)
    }

    fn body_ended(&mut self, no: StepNo, end: StepEnd, draining: bool) -> Result<(), Polled> {
        let StepEnd { end, value, error, transaction, lost } = end;
        // Counted as a failure, a disk that is nearly full would use up the attempts of every step that needs room:
        // (1) the body's statement finds no room; (2) that it failed does find some; (3) the next attempt begins.
        if let Some(lost) = lost {
            self.asks.push(std::future::ready((no, Done::Asked(Asked::Lost(lost)))).boxed());
            return Ok(());
        }
        if let Some(slot) = self.host.state().slots.get_mut(&no) {
            slot.value = value.clone();
            slot.error = error;
        }
        match (transaction, end, value) {
            // The machine has asked for this already: the transaction that ran the body is the one that settles it.
            (Some(transaction), BodyEnd::Returned, Some(value)) => {
                self.asks.push(commit(transaction, value).map(move |asked| (no, Done::Asked(asked))).boxed());
                Ok(())
            }
            (transaction, end, _) => {
                drop(transaction);
                self.feed(no, Event::Body(end), draining)
            }
        }
    }

    /// A question came to its end.
    fn done(&mut self, no: StepNo, done: Done, draining: bool) -> Option<Polled> {
        let event = match done {
            Done::AskAgain => Event::Lost,
            Done::Asked(Asked::Lost(error)) => {
                debug!(%error, step = no.0, "no answer; asking again");
                self.asks.push(tokio::time::sleep(ASK_AGAIN).map(move |()| (no, Done::AskAgain)).boxed());
                return None;
            }
            Done::Asked(Asked::Refused(error)) => return Some(Polled::Failed(error)),
            Done::Asked(Asked::RolledBack(error)) => {
                if let Some(slot) = self.host.state().slots.get_mut(&no) {
                    slot.error = Some(error.to_string());
                }
                Event::Body(BodyEnd::Error { retryable: true })
            }
            Done::Asked(Asked::Opened(transaction)) => {
                let mut state = self.host.state();
                if let Some(slot) = state.slots.get_mut(&no)
                    && let Phase::Asking(Command::Settle { attempt, .. }) = slot.phase
                    && slot.alive
                {
                    slot.body = Some((self.host.attempt(no, attempt), Some(transaction)));
                    slot.wake();
                }
                return None;
            }
            Done::Asked(Asked::Answered(answer)) => self.answered(no, answer),
        };
        self.feed(no, event, draining).err()
    }

    fn answered(&mut self, no: StepNo, answer: Answer) -> Event {
        self.clock = (answer.now, Instant::now());
        if let Ok(hydra_protocol::Reply::Settled { order, outcome }) = answer.decision {
            let mut state = self.host.state();
            state.by_order.insert(order, no);
            if let Some(slot) = state.slots.get_mut(&no) {
                // What this worker encoded itself, or what was on record before it asked.
                let value = answer.value.or_else(|| slot.value.take());
                let error = answer.error.or_else(|| slot.error.take());
                slot.outcome = Some(Delivered::of(outcome, value, error));
            }
        }
        Event::Answer(answer.decision)
    }

    /// Gives a machine an event, and carries out what it says.
    fn feed(&mut self, no: StepNo, event: Event, draining: bool) -> Result<(), Polled> {
        let host = self.host.clone();
        let mut state = host.state();
        let Some(slot) = state.slots.get_mut(&no) else {
            return Ok(());
        };
        let (phase, action) = self.shop.rules.step_next(&slot.plan, slot.phase, event);
        slot.phase = phase;
        match action {
            Action::Nothing | Action::WaitUntil(_) | Action::Deliver { .. } => Ok(()),
            Action::RunBody { attempt } => {
                if slot.alive {
                    slot.body = Some((host.attempt(no, attempt), None));
                    slot.wake();
                }
                Ok(())
            }
            Action::Stop(Stop::Nondeterministic) => {
                let recorded = state.journal.get(&no);
                let (name, kind) = recorded.map_or(("", None), |step| (&*step.name, Some(step.row.kind)));
                let asked = state.slots.get(&no).map(|slot| (slot.name.clone(), slot.plan.kind));
                let why = match (asked, kind) {
                    (Some((asked_name, asked_kind)), Some(kind)) => format!(
                        "step {} is {name} ({kind:?}) in the journal, and {asked_name} ({asked_kind:?}) in the code",
                        no.0
                    ),
                    _ => format!("step {} contradicts the journal", no.0),
                };
                Err(Polled::Ended(nondeterministic(why)))
            }
            Action::Stop(stop) => Err(Polled::Stopped(stop)),
            Action::Ask(command) | Action::Transact(command) => {
                let settles = matches!(command, Command::Settle { .. });
                let transacts = matches!(action, Action::Transact(_));
                // A worker that shuts down reports what its bodies did, and begins nothing.
                if draining && (!settles || transacts) {
                    return Ok(());
                }
                let (value, error) = match command {
                    Command::Begin { .. } => (slot.input.clone(), None),
                    Command::Settle { settlement: Settlement::Succeeded, .. } => (slot.value.clone(), None),
                    _ => (None, slot.error.clone()),
                };
                let question = Question {
                    key: self.key,
                    step: Some((no, slot.name.clone())),
                    command,
                    payload: Payload { workflow: None, value, error },
                };
                let store = self.shop.store.clone();
                let asking = if transacts { transact(store, question) } else { ask(store, question) };
                self.asks.push(asking.map(move |asked| (no, Done::Asked(asked))).boxed());
                // The new question is polled in this turn.
                self.woken.flag.store(true, Ordering::Release);
                Ok(())
            }
        }
    }

    /// The store's clock, as far as this worker can tell.
    fn store_now(&self) -> Time {
        let (time, at) = self.clock;
        time + Span::from_millis(u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn arm(&mut self, task: &mut Context<'_>, wake: Time) {
        // At least a millisecond, so that a clock that runs ahead of the store's does not ask in a tight loop.
        let wait = Duration::from_millis(wake.since(self.store_now()).as_millis().clamp(1, 3_600_000));
        let at = Instant::now() + wait;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        timer.as_mut().reset(at);
        if timer.as_mut().poll(task).is_ready() {
            task.waker().wake_by_ref();
        }
    }

    /// Tells every step whose time has come.
    fn fire_due(&mut self, task: &mut Context<'_>, draining: bool) {
        let Some(timer) = self.timer.as_mut() else {
            return;
        };
        if timer.as_mut().poll(task).is_pending() {
            return;
        }
        self.timer = None;
        let now = self.store_now();
        let due: Vec<StepNo> = {
            let state = self.host.state();
            let is_due = |phase| waiting(phase).is_some_and(|due_at| due_at <= now);
            state.slots.iter().filter(|(_, slot)| slot.alive && is_due(slot.phase)).map(|(no, _)| *no).collect()
        };
        for no in due {
            // A waiting machine only asks: it does not stop here.
            let _ = self.feed(no, Event::Due, draining);
        }
    }
}

fn waiting(phase: Phase) -> Option<Time> {
    match phase {
        Phase::Waiting { due_at, .. } => Some(due_at),
        Phase::New | Phase::Asking(_) | Phase::Running { .. } | Phase::Done | Phase::Gone => None,
    }
}

fn nondeterministic(why: String) -> WorkflowEnd {
    WorkflowEnd::failed(Failure::Nondeterministic, why)
}
