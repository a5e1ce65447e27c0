//! The model as a state machine: what may happen next, and what the rows are after it.

use std::collections::BTreeSet;

use hydra_engine::protocol::{
    Backoff, Command, Ending, Epoch, Failure, Kind, Outcome, Rejection, Release, Reply, Settlement, Span, StepState,
    Time, Verdict, Wake,
};
use hydra_fuzz_targets::differential::harness::at;
use hydra_fuzz_targets::differential::model::Model;
use proptest::prelude::*;
use proptest::sample::select;
use proptest_state_machine::ReferenceStateMachine;

/// What the store must be equal to.
#[derive(Clone, Debug)]
pub struct Program {
    pub model: Model,
    pub now: Time,
    /// What each delivery of the last transition must be answered.
    pub expected: Vec<Result<Reply, Rejection>>,
    /// What the last claim must give: keys, and how many were ended instead.
    pub claimed: (Vec<i64>, usize),
    /// Transactional bodies that are committed: execution and step.
    pub effects: BTreeSet<(i64, u32)>,
    /// What was sent so far: any of it may arrive again, however late.
    sent: Vec<Sent>,
}

/// One thing that happens.
#[derive(Clone, Debug)]
pub enum Transition {
    /// Time passes, in milliseconds.
    Passes(u64),
    /// A worker asks for work.
    Claims { limit: usize, lease_ms: u64 },
    /// A command is sent.
    Sends { sent: Sent, fate: Fate },
    /// Something that was sent before arrives now.
    Late(Sent),
    /// The store is closed and opened again.
    Restarts,
}

/// A command on its way.
#[derive(Clone, Debug)]
pub struct Sent {
    pub execution: u8,
    pub step: Option<u32>,
    pub command: Command,
    pub input: u8,
    /// Whether it opens a transactional body.
    pub body: bool,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Answered,
    /// It never arrives.
    RequestLost,
    /// It is done, its answer is lost, and its sender asks again.
    ReplyLost,
    /// It arrives twice. Of a body: another one comes after it.
    Twice,
    /// The worker dies in the body: nothing of it stays.
    BodyDropped,
}

impl Fate {
    /// How often the store carries it out.
    pub fn deliveries(self) -> usize {
        match self {
            Fate::RequestLost | Fate::BodyDropped => 0,
            Fate::Answered => 1,
            Fate::ReplyLost | Fate::Twice => 2,
        }
    }
}

const KINDS: [Kind; 4] = [Kind::Keyed, Kind::Transactional, Kind::AtMostOnce, Kind::Timer];
const LEASE: Span = Span::from_millis(1_000);

impl ReferenceStateMachine for Program {
    type State = Program;
    type Transition = Transition;

    fn init_state() -> BoxedStrategy<Self> {
        Just(Program {
            model: Model::default(),
            now: at(0),
            expected: Vec::new(),
            claimed: (Vec::new(), 0),
            effects: BTreeSet::new(),
            sent: Vec::new(),
        })
        .boxed()
    }

    fn transitions(state: &Self) -> BoxedStrategy<Transition> {
        let fate = select(vec![
            Fate::Answered,
            Fate::Answered,
            Fate::Answered,
            Fate::Answered,
            Fate::ReplyLost,
            Fate::RequestLost,
            Fate::Twice,
            Fate::BodyDropped,
        ]);
        let sends = (select(state.sensible()), fate).prop_map(|(sent, fate)| Transition::Sends {
            // Only a body can be dropped.
            fate: if fate == Fate::BodyDropped && !sent.body { Fate::Answered } else { fate },
            sent,
        });
        let late = if state.sent.is_empty() {
            Just(Transition::Passes(1)).boxed()
        } else {
            select(state.sent.clone()).prop_map(Transition::Late).boxed()
        };
        prop_oneof![
            24 => sends,
            3 => select(vec![1_u64, 10, 30, 60, 1_500]).prop_map(Transition::Passes),
            3 => (0..3_usize, select(vec![50_u64, 1_000])).prop_map(|(limit, lease_ms)| Transition::Claims { limit, lease_ms }),
            2 => late,
            1 => Just(Transition::Restarts),
        ]
        .boxed()
    }

    fn apply(mut state: Self, transition: &Transition) -> Self {
        match transition {
            Transition::Passes(ms) => state.now = state.now + Span::from_millis(*ms),
            Transition::Claims { limit, lease_ms } => {
                state.claimed = state.model.claim(*limit, Span::from_millis(*lease_ms), state.now);
            }
            Transition::Sends { sent, fate } => {
                state.expected = (0..fate.deliveries()).map(|_| state.deliver(sent)).collect();
                state.sent.push(sent.clone());
            }
            Transition::Late(sent) => state.expected = vec![state.deliver(sent)],
            Transition::Restarts => {}
        }
        state
    }
}

impl Program {
    fn deliver(&mut self, sent: &Sent) -> Result<Reply, Rejection> {
        let at = self.model.key(sent.execution).zip(sent.step);
        let before = at.and_then(|at| self.model.steps.get(&at).copied());
        let answer = self.model.command(sent.execution, sent.step, sent.input, &sent.command, self.now);
        let after = at.and_then(|at| self.model.steps.get(&at).copied());
        if sent.body
            && before != after
            && let Some(at) = at
        {
            self.effects.insert(at);
        }
        answer
    }

    /// Commands that mean something to the rows as they are, some of a worker that was overtaken, and some nonsense.
    fn sensible(&self) -> Vec<Sent> {
        let mut all = Vec::new();
        for execution in [0, 0, 1] {
            let to = |step, command| Sent { execution, step, command, input: 0, body: false };
            let start = Command::Start { due_at: self.now, deadline: None, replays_max: 3 };
            let Some(row) = self.model.row(self.model.key(execution)) else {
                let soon = Some(self.now + Span::from_millis(40));
                all.push(to(None, start));
                all.push(to(None, Command::Start { due_at: self.now, deadline: soon, replays_max: 2 }));
                continue;
            };
            all.extend([to(None, start), Sent { input: 1, ..to(None, start) }, to(None, Command::Cancel)]);
            all.push(to(None, Command::Retry { attempts: 1 }));
            let stale = row.epoch.0.checked_sub(1).map(Epoch);
            for epoch in [Some(row.epoch), Some(row.epoch), Some(row.epoch), stale].into_iter().flatten() {
                self.of_a_worker(execution, epoch, &mut all);
            }
            for step in 1..=3 {
                let verdicts = [Verdict::Succeeded, Verdict::Failed];
                all.extend(verdicts.map(|verdict| to(Some(step), Command::Resolve { verdict })));
            }
        }
        all
    }

    fn of_a_worker(&self, execution: u8, epoch: Epoch, all: &mut Vec<Sent>) {
        let to = |step, command| Sent { execution, step, command, input: 0, body: false };
        let wake = self.now + Span::from_millis(30);
        all.push(to(None, Command::Heartbeat { epoch, lease: LEASE }));
        all.push(to(None, Command::Release { epoch, release: Release::Parked { wake } }));
        for ending in [Ending::Succeeded, Ending::Failed(Failure::Workflow), Ending::Cancelled] {
            all.push(to(None, Command::Finish { epoch, ending }));
        }
        let Some(key) = self.model.key(execution) else { return };
        for (step, kind) in (1..).zip(KINDS) {
            let row = self.model.steps.get(&(key, step));
            let attempt = row.map_or(0, |row| row.attempt);
            let settle = |settlement| to(Some(step), Command::Settle { epoch, attempt, settlement });
            let begin = Command::Begin { epoch, kind, attempt: attempt + 1, attempts_max: 2 };
            match row.map(|row| row.state) {
                _ if kind == Kind::Timer => {
                    all.push(to(Some(step), Command::Sleep { epoch, wake: Wake::After(Span::from_millis(30)) }));
                    all.push(to(Some(step), Command::Fire { epoch }));
                }
                Some(StepState::Running) => {
                    let succeeded = settle(Settlement::Succeeded);
                    all.push(Sent { body: kind == Kind::Transactional, ..succeeded.clone() });
                    all.extend([succeeded.clone(), Sent { body: true, ..succeeded }]);
                    all.extend([failed(true), failed(false), Settlement::Unencodable, Settlement::InDoubt].map(settle));
                    // The next attempt, if this one was orphaned; and the same, if its answer was lost.
                    all.push(to(Some(step), begin));
                    all.push(to(Some(step), Command::Begin { epoch, kind, attempt, attempts_max: 2 }));
                }
                Some(StepState::Settled { outcome, .. }) => {
                    let same = if outcome == Outcome::Succeeded { Settlement::Succeeded } else { failed(true) };
                    all.extend([to(Some(step), begin), settle(same)]);
                }
                None | Some(_) => all.push(to(Some(step), begin)),
            }
        }
        // One that never began.
        all.push(to(Some(9), Command::Settle { epoch, attempt: 1, settlement: Settlement::Succeeded }));
    }
}

fn failed(retryable: bool) -> Settlement {
    let (initial, cap) = (Span::from_millis(20), Span::from_millis(50));
    let backoff = Backoff { initial, cap, factor_percent: 200, jitter_percent: 50 };
    Settlement::Failed { retryable, backoff, salt: 7 << 60 }
}
