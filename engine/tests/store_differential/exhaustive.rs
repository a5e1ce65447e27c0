//! Every edge of a small graph: from each state of the rows that commands can reach within bounds, each command, to the
//! core over plain rows, to the store in memory and to an SQLite file by two connections. Answers and rows are equal
//! after every one.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use hydra_engine::store::backend::{Backend, ExecutionUpdate, Field, NewExecution, NewStep, StepUpdate};
use hydra_engine::store::{
    ClaimRequest, CommandRequest, ExecutionId, ExecutionKey, Inline, ManualClock, MemoryBackend, Payload, Rules,
    SqliteBackend, SqliteOptions, StepRef, Store, StoreError, StoreOptions, Synchronous, Target,
};
use hydra_protocol::{
    Backoff, Command, Ending, Epoch, Execution, Failure, Kind, Outcome, Rejection, Release, Reply, Settlement, Span,
    Status, Step, StepNo, StepState, Time, Verdict, Wake,
};

use super::harness::at;
use super::model::Model;

/// What is explored: one execution of two steps of these kinds, of two attempts each, within two epochs.
type Scope = [Kind; 2];

const LEASE: Span = Span::from_millis(10);
/// One tick ends every lease and backoff.
const TICK_MS: u64 = 10;
const EPOCHS_MAX: Epoch = Epoch(2);
const ATTEMPTS_MAX: u32 = 2;

/// A state of the rows, and the time.
#[derive(Clone)]
struct State {
    model: Model,
    now: Time,
}

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Act {
    Tick,
    Claim,
    Command { step: Option<u32>, command: Command },
}

/// Two states that differ by a shift of the clock, or by when long ago something was due, are one.
type Shape = (Option<Execution>, Vec<(u32, Step)>);

impl State {
    fn execution(&self) -> Option<Execution> {
        self.model.row(self.model.key(0))
    }

    fn steps(&self) -> Vec<(u32, Step)> {
        self.model.steps.iter().map(|((_, no), step)| (*no, *step)).collect()
    }

    fn shape(&self) -> Shape {
        let left = |due_at: Time| Time::default() + due_at.since(self.now);
        let execution = self.execution().map(|row| Execution {
            status: match row.status {
                Status::Ready { due_at } => Status::Ready { due_at: left(due_at) },
                Status::Leased { due_at } => Status::Leased { due_at: left(due_at) },
                ended => ended,
            },
            deadline: row.deadline.map(left),
            ..row
        });
        let step = |step: Step| Step {
            state: match step.state {
                StepState::Waiting { due_at } => StepState::Waiting { due_at: left(due_at) },
                StepState::Sleeping { due_at } => StepState::Sleeping { due_at: left(due_at) },
                StepState::Abandoned { due_at } => StepState::Abandoned { due_at: due_at.map(left) },
                state => state,
            },
            ..step
        };
        (execution, self.steps().into_iter().map(|(no, row)| (no, step(row))).collect())
    }

    fn acts(&self, scope: Scope) -> Vec<Act> {
        let of = |step, command| Act::Command { step, command };
        let start = |deadline| of(None, Command::Start { due_at: self.now, deadline, replays_max: 2 });
        let Some(row) = self.execution() else {
            // Its deadline comes in the middle of the second lease.
            return vec![start(None), start(Some(self.now + Span::from_millis(15)))];
        };
        let mut acts =
            vec![Act::Tick, start(None), of(None, Command::Cancel), of(None, Command::Retry { attempts: 1 })];
        if row.epoch < EPOCHS_MAX {
            acts.push(Act::Claim);
        }
        for epoch in [Some(row.epoch), row.epoch.0.checked_sub(1).map(Epoch)].into_iter().flatten() {
            let wake = self.now + Span::from_millis(TICK_MS);
            acts.push(of(None, Command::Heartbeat { epoch, lease: LEASE }));
            acts.push(of(None, Command::Release { epoch, release: Release::Parked { wake } }));
            acts.push(of(None, Command::Release { epoch, release: Release::Shutdown }));
            acts.push(of(None, Command::Finish { epoch, ending: Ending::Succeeded }));
            acts.push(of(None, Command::Finish { epoch, ending: Ending::Failed(Failure::Workflow) }));
            for (step, kind) in (1..).zip(scope) {
                acts.extend(of_step(epoch, kind).into_iter().map(|command| of(Some(step), command)));
            }
        }
        for step in 1..=2 {
            let verdicts = [Verdict::Succeeded, Verdict::Failed];
            acts.extend(verdicts.map(|verdict| of(Some(step), Command::Resolve { verdict })));
        }
        acts
    }

    /// The state after it, with the answer.
    fn after(&self, act: Act) -> (State, Option<Result<Reply, Rejection>>) {
        let mut next = self.clone();
        let answer = match act {
            Act::Tick => {
                next.now = next.now + Span::from_millis(TICK_MS);
                None
            }
            Act::Claim => Some(next.model.command(0, None, 0, &Command::Claim { lease: LEASE, knows: true }, self.now)),
            Act::Command { step, command } => Some(next.model.command(0, step, 0, &command, self.now)),
        };
        (next, answer)
    }
}

fn of_step(epoch: Epoch, kind: Kind) -> Vec<Command> {
    if kind == Kind::Timer {
        return vec![Command::Sleep { epoch, wake: Wake::After(Span::from_millis(TICK_MS)) }, Command::Fire { epoch }];
    }
    let wait = Span::from_millis(TICK_MS);
    let backoff = Backoff { initial: wait, cap: wait, factor_percent: 100, jitter_percent: 0 };
    let failed = |retryable| Settlement::Failed { retryable, backoff, salt: 0 };
    let settlements =
        [Settlement::Succeeded, failed(true), failed(false), Settlement::Unencodable, Settlement::InDoubt];
    let attempts = 1..=ATTEMPTS_MAX;
    let begins = attempts.clone().map(|attempt| Command::Begin { epoch, kind, attempt, attempts_max: ATTEMPTS_MAX });
    let settles =
        attempts.flat_map(|attempt| settlements.map(|settlement| Command::Settle { epoch, attempt, settlement }));
    begins.chain(settles).collect()
}

/// The stores, with every state that is looked at in a namespace of its own.
struct Stores {
    memory: Inline<MemoryBackend>,
    /// Two connections to one file.
    files: [Inline<SqliteBackend>; 2],
    clock: ManualClock,
    namespaces: u32,
    _folder: tempfile::TempDir,
}

impl Stores {
    fn new(rules: Rules) -> Self {
        let (clock, folder) = (ManualClock::at(at(0)), tempfile::tempdir().unwrap());
        let options = || StoreOptions { rules, clock: Arc::new(clock.clone()), ..StoreOptions::default() };
        let mut file = SqliteOptions::at(folder.path().join("store.db"));
        (file.synchronous, file.busy_timeout) = (Synchronous::Normal, Duration::ZERO);
        let open = || Inline::over(file.open_backend().unwrap(), options());
        let memory = Inline::over(MemoryBackend::default(), options());
        Stores { memory, files: [open(), open()], clock, namespaces: 0, _folder: folder }
    }

    /// Brings the stores into this state, under a name that no state had before.
    async fn load(&mut self, state: &State) -> ExecutionId {
        self.namespaces += 1;
        let id = ExecutionId { namespace: format!("n{}", self.namespaces), id: "e-0".into() };
        self.clock.set(state.now);
        let Some(row) = state.execution() else { return id };
        let steps = state.steps();
        self.memory.with_backend(|backend| write(backend, &id, &row, &steps, state.now)).await.unwrap();
        self.files[0].with_backend(|backend| write(backend, &id, &row, &steps, state.now)).await.unwrap();
        id
    }

    /// Asks all of them, and compares the answers with the one that is right.
    async fn ask(&self, id: &ExecutionId, act: Act, right: Result<Reply, Rejection>) -> Result<(), String> {
        let file = &self.files[self.namespaces as usize % 2];
        let stores: [(&str, &dyn Store); 2] = [("memory", &self.memory), ("SQLite", file)];
        let mut answers = Vec::new();
        for (name, store) in stores {
            let answer = match act {
                Act::Tick => return Ok(()),
                Act::Claim => claim(store, id, right).await,
                Act::Command { step, command } => command_of(store, id, step, command).await,
            };
            let (decision, payload) = answer.map_err(|error| format!("{name}: {error}"))?;
            if decision != right {
                return Err(format!("{name} answers {decision:?}, and {right:?} is right"));
            }
            answers.push(payload);
        }
        if answers[0] == answers[1] { Ok(()) } else { Err(format!("memory, then SQLite: {answers:#?}")) }
    }

    /// Compares all rows.
    async fn compare(&self, id: &ExecutionId, state: &State) -> Result<(), String> {
        let (mut views, mut histories) = (Vec::new(), Vec::new());
        // Read by the connection that did not write.
        let stores: [&dyn Store; 2] = [&self.memory, &self.files[(self.namespaces as usize + 1) % 2]];
        for store in stores {
            let view = store.execution(id).await.map_err(|error| error.to_string())?;
            if view.as_ref().map(|view| view.row) != state.execution() {
                return Err(format!("{view:?}, and {:?} is right", state.execution()));
            }
            let Some(mut view) = view else { continue };
            let history = store.history(view.key).await.map_err(|error| error.to_string())?;
            let steps: Vec<_> = history.steps.iter().map(|view| (view.step.no.0, view.step.row)).collect();
            if steps != state.steps() {
                return Err(format!("{steps:?}, and {:?} is right", state.steps()));
            }
            view.key = ExecutionKey(0);
            views.push(view);
            histories.push(history);
        }
        match (views.as_slice(), histories.as_slice()) {
            ([memory, file], _) if memory != file => Err(format!("{memory:?}\n{file:?}")),
            (_, [memory, file]) if memory != file => Err(format!("{memory:?}\n{file:?}")),
            _ => Ok(()),
        }
    }
}

/// A claim of this execution alone, as the core would answer it.
async fn claim(store: &dyn Store, id: &ExecutionId, right: Result<Reply, Rejection>) -> Answered {
    let request = ClaimRequest {
        worker: "w".into(),
        namespace: id.namespace.as_str().into(),
        workflows: Arc::from(["order".to_owned()]),
        limit: 2,
        lease: LEASE,
    };
    let claims = store.claim(request).await?;
    let decision = match (claims.claimed.as_slice(), claims.ended) {
        ([claimed], 0) => Ok(Reply::Claimed { epoch: claimed.epoch, lease: claimed.lease }),
        // Why it ended is in its row, which is compared.
        ([], 1) if matches!(right, Ok(Reply::Ended(_))) => right,
        // Nor is it said why nothing could be claimed.
        ([], 0) if right.is_err() => right,
        (claimed, ended) => return Err(StoreError::Refused(format!("{ended} ended, {claimed:?}"))),
    };
    let journal = claims.claimed.into_iter().map(|claimed| format!("{:?}", claimed.journal)).collect();
    Ok((decision, journal))
}

async fn command_of(store: &dyn Store, id: &ExecutionId, step: Option<u32>, command: Command) -> Answered {
    let step = step.map(|no| StepRef { no: StepNo(no), name: "step".into() });
    let payload = Payload { workflow: Some("order".into()), value: Some(b"7".to_vec()), error: Some("why".into()) };
    let answer = store.command(CommandRequest { target: Target::Id(id.clone()), step, command, payload }).await?;
    Ok((answer.decision, format!("{:?} {:?}", answer.value, answer.error)))
}

type Answered = Result<(Result<Reply, Rejection>, String), StoreError>;

/// Writes rows past the core: a state that commands have reached somewhere else.
fn write<B: Backend>(
    backend: &mut B,
    id: &ExecutionId,
    row: &Execution,
    steps: &[(u32, Step)],
    now: Time,
) -> Result<(), StoreError> {
    backend.begin()?;
    let ready = Execution {
        status: Status::Ready { due_at: now },
        epoch: Epoch(0),
        settled: 0,
        replays: 0,
        replays_max: row.replays_max,
        deadline: None,
    };
    let new = NewExecution { id, workflow: "order", input: b"7", row: &ready, started_at: now };
    let key = backend.insert_execution(new)?;
    let (ended_at, result) = (row.is_ended().then_some(now), Field::Keep);
    backend.update_execution(ExecutionUpdate { key, before: &ready, row, worker: None, ended_at, result })?;
    for epoch in 1..=row.epoch.0 {
        backend.insert_lease(key, Epoch(epoch), "w", now)?;
    }
    let name = "step".into();
    for (no, step) in steps {
        let (key, no) = (key, StepNo(*no));
        let open = match step.kind {
            Kind::Timer => StepState::Sleeping { due_at: now },
            _ => StepState::Running,
        };
        let begun = Step { state: open, ..*step };
        backend.insert_step(NewStep { key, no, name: &name, row: &begun, input: None, begun_at: now })?;
        let succeeded = matches!(step.settled(), Some((_, Outcome::Succeeded)));
        let (output, settled_at) = (succeeded.then_some(&b"7"[..]), step.settled().map(|_| now));
        backend.update_step(StepUpdate {
            key,
            no,
            before: &begun,
            row: step,
            output,
            error: Field::Set(None),
            settled_at,
        })?;
    }
    backend.commit()
}

/// How much there is: states, edges.
type Size = (usize, usize);

/// Walks every edge; stops at the first at which the stores are not what the core says.
fn explore(scope: Scope, rules: Rules) -> Result<Size, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let mut stores = Stores::new(rules);
        let first = State { model: Model::default(), now: at(0) };
        let (mut seen, mut queue) = (BTreeSet::from([key(&first)]), VecDeque::from([first]));
        let mut edges = 0;
        while let Some(state) = queue.pop_front() {
            // What was refused or only answered left the rows as they were, and they serve for the next command.
            let mut loaded = None;
            for act in state.acts(scope) {
                edges += 1;
                let (next, answer) = state.after(act);
                if let Some(right) = answer {
                    let id = match loaded.take() {
                        Some(id) => id,
                        None => stores.load(&state).await,
                    };
                    let asked = stores.ask(&id, act, right).await;
                    let same = match asked {
                        Ok(()) => stores.compare(&id, &next).await,
                        Err(difference) => Err(difference),
                    };
                    same.map_err(|difference| format!("{difference}\nat {act:?}\nfrom {:#?}", state.shape()))?;
                    let unchanged = state.execution() == next.execution() && state.steps() == next.steps();
                    loaded = unchanged.then_some(id);
                }
                if seen.insert(key(&next)) {
                    queue.push_back(next);
                }
            }
        }
        Ok((seen.len(), edges))
    })
}

fn key(state: &State) -> String {
    format!("{:?}", state.shape())
}

/// Pinned: a graph that shrinks unnoticed proves less than it seems to.
fn is_the_same_everywhere(scope: Scope, size: Size) {
    match explore(scope, &hydra_protocol::Reference) {
        Ok(explored) => assert_eq!(explored, size, "states and edges"),
        Err(difference) => panic!("{difference}"),
    }
}

#[test]
fn every_edge_of_a_keyed_and_an_at_most_once_step_is_the_same_everywhere() {
    is_the_same_everywhere([Kind::Keyed, Kind::AtMostOnce], (11_105, 734_730));
}

#[test]
fn every_edge_of_a_transactional_step_and_a_timer_is_the_same_everywhere() {
    is_the_same_everywhere([Kind::Transactional, Kind::Timer], (4_215, 194_552));
}

#[test]
fn an_edge_that_differs_is_found() {
    for rules in [&super::wrong::Unfenced as Rules, &super::wrong::Tireless, &super::wrong::Stuck] {
        assert!(explore([Kind::Keyed, Kind::AtMostOnce], rules).is_err());
    }
}
