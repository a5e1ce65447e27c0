//! Watches a schedule run, and judges each answer by what the senders themselves were told before: by ghosts, not by
//! the rows that are under test.

use std::collections::BTreeMap;

use hydra_protocol::{
    Command, Ending, Epoch, Failure, Kind, Outcome, Protocol, Rejection, Reply, Settlement, Status, StepState, Time,
    Wake,
};

use super::property as p;
use super::schedule::{Move, STEPS, message};
use super::store::{Defect, Message, Store};

/// What was told of a step.
#[derive(Clone, Copy, Debug, Default)]
struct Ghost {
    granted: u32,
    begun: u32,
    /// The lease and the number of the attempt under way.
    running: Option<(usize, u32)>,
    outcome: Option<(u32, Outcome)>,
    fires_at: Option<Time>,
    waits_until: Option<Time>,
    last_wait: u64,
}

/// A schedule as it runs.
pub struct Watch<'a, P: ?Sized> {
    rules: &'a P,
    /// The rows.
    pub store: Store,
    /// The store's clock.
    pub now: Time,
    /// The epoch of every lease granted, in order.
    grants: Vec<Epoch>,
    /// The lease in force or given up unknown, and its end.
    held: Option<(usize, Time)>,
    sent: Vec<(Message, Option<usize>)>,
    /// Every answer given.
    pub answers: Vec<Result<Reply, Rejection>>,
    steps: BTreeMap<u32, Ghost>,
    started: bool,
    not_before: Time,
    deadline: Option<Time>,
    ended: Option<Ending>,
    replays: u32,
    replays_max: u32,
}

/// Runs a schedule to its end, or to the first defect.
pub fn run<'a, P: Protocol + ?Sized>(rules: &'a P, moves: &[Move]) -> Result<Watch<'a, P>, Defect> {
    let mut watch = Watch {
        rules,
        store: Store::default(),
        now: Time::default(),
        grants: vec![],
        held: None,
        sent: vec![],
        answers: vec![],
        steps: BTreeMap::new(),
        started: false,
        not_before: Time::default(),
        deadline: None,
        ended: None,
        replays: 0,
        replays_max: 0,
    };
    for choice in moves {
        watch.step(*choice)?;
    }
    Ok(watch)
}

impl<P: Protocol + ?Sized> Watch<'_, P> {
    fn step(&mut self, choice: Move) -> Result<(), Defect> {
        let sent = match choice {
            Move::Pass(ms) => {
                self.now = self.now + hydra_protocol::Span::from_millis(ms);
                return Ok(());
            }
            Move::Again(back) => self.sent.len().checked_sub(back + 1).map(|at| self.sent[at]),
            _ => message(choice, &self.store, &self.grants),
        };
        let Some((message, by)) = sent else { return Ok(()) };
        self.sent.push((message, by));
        let before = self.store.clone();
        let answer = self.store.send(self.rules, &message, self.now)?;
        self.answers.push(answer);
        let changed = self.store != before;
        self.judge_fence(by, changed, &answer)?;
        self.judge_kept(&before, &message, &answer)?;
        if let Ok(reply) = answer {
            self.judge_rows(&message, &reply)?;
            self.judge_execution(&message, changed, &reply)?;
            self.judge_step(&message, by, changed, &reply)?;
            self.judge_repeated(&message, &reply)?;
        }
        Ok(())
    }

    fn fail<T>(&self, property: &'static str) -> Result<T, Defect> {
        Err(Defect::new(property, (self.sent.last(), self.answers.last(), &self.store)))
    }

    fn demand(&self, property: &'static str, holds: bool) -> Result<(), Defect> {
        if holds { Ok(()) } else { self.fail(property) }
    }

    /// Whether the sender might have been told yes at all.
    fn judge_fence(&self, by: Option<usize>, changed: bool, answer: &Result<Reply, Rejection>) -> Result<(), Defect> {
        let Some(sender) = by else { return Ok(()) };
        if self.held.is_some_and(|(holder, _)| holder == sender) {
            return Ok(());
        }
        // The last owner may ask again whether it ended it or gave it back; nobody else is told anything. (A worker
        // that was never granted a lease is told of epoch 0, and changes nothing.)
        let last = self.grants.len().checked_sub(1).unwrap_or(usize::MAX) == sender;
        let told = match answer {
            Err(_) => true,
            Ok(Reply::Released { .. } | Reply::Ended(_)) => last,
            Ok(_) => false,
        };
        self.demand(p::FENCED, told && !changed)
    }

    /// What no command may undo.
    fn judge_kept(&self, before: &Store, message: &Message, answer: &Result<Reply, Rejection>) -> Result<(), Defect> {
        let epoch = |store: &Store| store.epoch().unwrap_or_default();
        self.demand(p::EPOCHS_RISE, epoch(before) <= epoch(&self.store))?;
        let last = before.execution.map_or(0, |execution| execution.settled);
        for (number, was) in &before.steps {
            let Some((order, outcome)) = was.settled() else { continue };
            let is = self.store.steps.get(number).map(|row| row.state);
            let kept = is == Some(was.state);
            let allowed = match (message.command, answer) {
                (Command::Retry { .. }, Ok(Reply::Reopened)) => {
                    order == last && matches!(outcome, Outcome::Failed(_)) || kept
                }
                (Command::Resolve { .. }, Ok(Reply::Resolved(to))) => {
                    let resolvable = matches!(outcome, Outcome::InDoubt | Outcome::Unencodable);
                    let now = Some(StepState::Settled { order, outcome: *to });
                    kept || *number == message.step && order == last && resolvable && is == now
                }
                _ => kept,
            };
            self.demand(p::SETTLED_STAYS, allowed)?;
        }
        let status = self.store.execution.map(|execution| execution.status);
        match (self.ended, message.command, answer) {
            (Some(Ending::Failed(_)), Command::Retry { .. }, Ok(Reply::Reopened)) => Ok(()),
            (Some(ending), _, _) => self.demand(p::ENDED_STAYS, status == Some(Status::Ended(ending))),
            (None, _, _) => Ok(()),
        }
    }

    /// Every answer can be read off the rows.
    fn judge_rows(&self, message: &Message, reply: &Reply) -> Result<(), Defect> {
        let Some(execution) = self.store.execution else { return self.fail(p::TRUE_ANSWERS) };
        let state = self.store.steps.get(&message.step).map(|row| row.state);
        let attempt = self.store.steps.get(&message.step).map(|row| row.attempt);
        let leased_for = |lease| execution.status == Status::Leased { due_at: self.now + lease };
        let holds = match *reply {
            Reply::Started | Reply::AlreadyStarted => true,
            Reply::Claimed { epoch, lease } => execution.epoch == epoch && leased_for(lease),
            Reply::Renewed { lease } => leased_for(lease),
            Reply::Run { attempt: told } => state == Some(StepState::Running) && attempt == Some(told),
            Reply::Settled { order, outcome } => state == Some(StepState::Settled { order, outcome }),
            Reply::Waiting { due_at } => state == Some(StepState::Waiting { due_at }),
            Reply::Sleeping { due_at } => state == Some(StepState::Sleeping { due_at }),
            Reply::Released { due_at } => execution.status == Status::Ready { due_at },
            Reply::Reopened => execution.status == Status::Ready { due_at: self.now },
            Reply::Ended(ending) => execution.status == Status::Ended(ending),
            Reply::Resolved(outcome) => state.is_some_and(
                |state| matches!(state, StepState::Settled { outcome: recorded, .. } if recorded == outcome),
            ),
        };
        self.demand(p::TRUE_ANSWERS, holds)
    }

    fn judge_execution(&mut self, message: &Message, changed: bool, reply: &Reply) -> Result<(), Defect> {
        let past_deadline = self.deadline.is_some_and(|deadline| deadline <= self.now);
        let in_force = self.held.is_some_and(|(_, until)| self.now < until);
        match (message.command, *reply) {
            (Command::Start { due_at, deadline, replays_max }, Reply::Started) => {
                self.demand(p::START_ONCE, !self.started)?;
                self.started = true;
                self.not_before = deadline.map_or(due_at, |deadline| due_at.min(deadline));
                self.deadline = deadline;
                self.replays_max = replays_max.max(1);
            }
            (Command::Start { .. }, _) => {
                self.demand(p::START_ONCE, self.started && self.store.input == Some(message.input) && !changed)?;
            }
            (Command::Claim { knows, .. }, _) => {
                self.demand(p::ONE_LEASE, !in_force)?;
                self.demand(p::NOT_BEFORE_DUE, self.not_before <= self.now)?;
                match *reply {
                    Reply::Claimed { epoch, lease } => {
                        self.demand(p::DEADLINE, !past_deadline)?;
                        self.demand(p::DEADLINE, self.deadline.is_none_or(|deadline| self.now + lease <= deadline))?;
                        self.demand(p::REPLAYS, self.replays < self.replays_max && knows)?;
                        self.demand(p::EPOCHS_RISE, self.grants.iter().all(|granted| *granted < epoch))?;
                        self.replays += 1;
                        self.held = Some((self.grants.len(), self.now + lease));
                        self.grants.push(epoch);
                    }
                    Reply::Ended(ending) => {
                        let due = match ending {
                            Ending::Failed(Failure::DeadlineExceeded) => past_deadline,
                            Ending::Failed(Failure::ReplaysExhausted) => self.replays == self.replays_max && knows,
                            _ => false,
                        };
                        self.demand(p::REPLAYS, due)?;
                        self.end(ending);
                    }
                    _ => return self.fail(p::TRUE_ANSWERS),
                }
            }
            (Command::Heartbeat { lease: asked, .. }, Reply::Renewed { lease }) => {
                let Some((holder, until)) = self.held else { return self.fail(p::RENEWAL) };
                let renewed = self.now + lease;
                let wanted = self.now + asked;
                let wanted = self.deadline.map_or(wanted, |deadline| wanted.min(deadline));
                self.demand(p::RENEWAL, in_force && renewed >= until && renewed == wanted.max(until))?;
                self.held = Some((holder, renewed));
            }
            (Command::Release { release, .. }, Reply::Released { due_at }) if changed => {
                let wanted = match release {
                    hydra_protocol::Release::Shutdown => self.now,
                    hydra_protocol::Release::Parked { wake } => wake,
                };
                let wanted = self.deadline.map_or(wanted, |deadline| wanted.min(deadline));
                self.demand(p::RECORDED, due_at == wanted)?;
                self.held = None;
                self.replays = 0;
                self.not_before = due_at;
            }
            (Command::Finish { ending, .. }, Reply::Ended(told)) => {
                self.demand(p::RECORDED, ending == told)?;
                self.end(told);
            }
            (Command::Cancel, _) => {
                self.demand(p::CANCEL, *reply == Reply::Ended(Ending::Cancelled))?;
                self.end(Ending::Cancelled);
            }
            (Command::Retry { attempts }, Reply::Reopened) => {
                self.demand(p::ENDED_STAYS, matches!(self.ended, Some(Ending::Failed(_))))?;
                self.reopen(attempts.max(1))?;
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, ending: Ending) {
        self.ended = Some(ending);
        self.held = None;
    }

    fn reopen(&mut self, attempts: u32) -> Result<(), Defect> {
        let last = self.steps.iter().filter_map(|(number, ghost)| Some((ghost.outcome?.0, *number))).max();
        let last = last.map(|(_, number)| number);
        if let Some(number) = last {
            let ghost = self.steps.get_mut(&number).expect("found above");
            match ghost.outcome {
                Some((_, Outcome::Failed(_))) => {
                    ghost.outcome = None;
                    ghost.granted = ghost.begun.saturating_add(attempts);
                }
                Some((_, Outcome::InDoubt | Outcome::Unencodable)) => return self.fail(p::RESOLVED),
                Some((_, Outcome::Succeeded | Outcome::Fired)) | None => {}
            }
        }
        // An operator's retry means now: whatever waited when the execution ended waits no more.
        self.steps.values_mut().for_each(|ghost| ghost.waits_until = None);
        self.ended = None;
        self.deadline = None;
        self.replays = 0;
        self.not_before = self.now;
        Ok(())
    }

    fn judge_step(&mut self, message: &Message, by: Option<usize>, changed: bool, reply: &Reply) -> Result<(), Defect> {
        let now = self.now;
        let mut ghost = self.steps.get(&message.step).copied().unwrap_or_default();
        match (message.command, *reply) {
            (Command::Begin { kind, attempts_max, .. }, Reply::Run { attempt }) => {
                ghost.running = by.map(|by| (by, attempt));
                self.demand(p::SETTLED_STAYS, ghost.outcome.is_none())?;
                self.demand(p::BACKOFFS, ghost.waits_until.is_none_or(|until| until <= now))?;
                if changed {
                    if ghost.begun == 0 {
                        ghost.granted = if kind == Kind::AtMostOnce { 1 } else { attempts_max.max(1) };
                    }
                    ghost.begun += 1;
                    ghost.waits_until = None;
                }
                self.demand(p::ATTEMPTS, ghost.begun <= ghost.granted)?;
            }
            (Command::Settle { settlement, attempt, .. }, _) if changed => {
                self.demand(p::STALE_REPORT, ghost.running == by.map(|by| (by, attempt)))?;
                ghost.running = None;
                let kind = STEPS[message.step as usize - 1];
                let last = ghost.begun >= ghost.granted || kind == Kind::AtMostOnce;
                let recorded = match (settlement, *reply) {
                    (Settlement::Succeeded, Reply::Settled { outcome, .. }) => outcome == Outcome::Succeeded,
                    (Settlement::Unencodable, Reply::Settled { outcome, .. }) => outcome == Outcome::Unencodable,
                    (Settlement::InDoubt, Reply::Settled { outcome, .. }) => outcome == Outcome::InDoubt,
                    (Settlement::Failed { retryable, .. }, Reply::Settled { outcome, .. }) => {
                        matches!(outcome, Outcome::Failed(_)) && (last || !retryable)
                    }
                    (Settlement::Failed { retryable, .. }, Reply::Waiting { .. }) => retryable && !last,
                    _ => false,
                };
                self.demand(p::RECORDED, recorded)?;
                if let (Settlement::Failed { backoff, .. }, Reply::Waiting { due_at }) = (settlement, *reply) {
                    let wait = due_at.since(now).as_millis();
                    self.demand(p::BACKOFFS, wait >= ghost.last_wait && wait <= backoff.cap.as_millis() && wait > 0)?;
                    ghost.last_wait = wait;
                    ghost.waits_until = Some(due_at);
                }
            }
            (Command::Sleep { wake, .. }, Reply::Sleeping { due_at }) => {
                let wanted = match wake {
                    Wake::After(span) => now + span,
                    Wake::At(at) => at,
                };
                self.demand(p::TIMERS, due_at == *ghost.fires_at.get_or_insert(wanted))?;
            }
            (Command::Fire { .. }, Reply::Settled { .. }) => {
                self.demand(p::TIMERS, ghost.fires_at.is_some_and(|at| at <= now))?;
            }
            (Command::Resolve { .. }, Reply::Resolved(outcome)) => {
                let last = self.steps.values().filter_map(|ghost| ghost.outcome).map(|(order, _)| order).max();
                let Some((order, Outcome::InDoubt | Outcome::Unencodable)) = ghost.outcome else {
                    return self.fail(p::RESOLVED);
                };
                self.demand(p::RESOLVED, last == Some(order))?;
                ghost.outcome = Some((order, outcome));
            }
            _ => {}
        }
        if let Reply::Settled { order, outcome } = *reply {
            self.demand(p::SETTLED_STAYS, ghost.outcome.is_none_or(|told| told == (order, outcome)))?;
            ghost.outcome = Some((order, outcome));
            if changed {
                self.replays = 0;
            }
        }
        if message.step > 0 && self.store.steps.contains_key(&message.step) {
            self.steps.insert(message.step, ghost);
        }
        Ok(())
    }

    /// The exceptions by name: a start is told that it had started, an operator that there is nothing left to do, and
    /// a claim is another claim.
    fn judge_repeated(&self, message: &Message, reply: &Reply) -> Result<(), Defect> {
        let mut copy = self.store.clone();
        let again = copy.send(self.rules, message, self.now)?;
        let same = match (message.command, again) {
            (Command::Claim { .. }, _) => return Ok(()),
            (Command::Start { .. }, Ok(Reply::AlreadyStarted)) => true,
            (Command::Retry { .. }, Err(Rejection::NotFailed)) => true,
            (Command::Resolve { .. }, Err(Rejection::NotInDoubt)) => true,
            (_, Ok(told)) => told == *reply,
            (_, Err(_)) => false,
        };
        self.demand(p::IDEMPOTENT, same && copy == self.store)
    }
}
