//! Random commands, sent to the core over rows in a map, to the store in memory and to the one in SQLite: answers and
//! rows must be equal after each of them.

#[path = "store_conformance/harness.rs"]
#[expect(dead_code, reason = "only part of it is needed here")]
mod harness;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use harness::{at, id};
use hydra_engine::store::{
    ClaimRequest, CommandRequest, ExecutionKey, HeartbeatRequest, Inline, ListFilter, ManualClock, MemoryBackend,
    Payload, Rules, SqliteOptions, StepRef, Store, StoreOptions, Synchronous, Target, Transact,
};
use hydra_protocol::{
    Backoff, Command, Ending, Epoch, Execution, Failure, Kind, Protocol, Reference, Rejection, Release, Reply, Rows,
    Settlement, Span, Step, StepNo, StepState, StepWrite, Time, Verdict, Wake, decide, invariants,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

/// What is done next. Small numbers, so that commands meet; epochs and attempts are relative to the rows, so that most
/// are right and some are stale.
#[derive(Clone, Debug)]
enum Op {
    Advance(u64),
    Start { execution: u8, due_in_ms: u64, deadline_in_ms: Option<u64>, input: u8 },
    Claim { limit: usize, lease_ms: u64 },
    Heartbeat { epochs_back: Vec<u32> },
    Command { execution: u8, step: u32, epochs_back: u32, attempt: u32, what: What },
}

#[derive(Clone, Copy, Debug)]
enum What {
    Begin(Option<Kind>, u32),
    Settle(Settlement),
    Body { commit: bool },
    Sleep(u64),
    Fire,
    Release(Option<u64>),
    Finish(Ending),
    Cancel,
    Retry,
    Resolve(Verdict),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let kind = prop_oneof![Just(Kind::Keyed), Just(Kind::Transactional), Just(Kind::AtMostOnce), Just(Kind::Timer)];
    let (initial, cap) = (Span::from_millis(20), Span::from_millis(50));
    let backoff = Backoff { initial, cap, factor_percent: 200, jitter_percent: 50 };
    let settlement = prop_oneof![
        3 => Just(Settlement::Succeeded),
        3 => any::<(bool, u64)>().prop_map(move |(retryable, salt)| Settlement::Failed { retryable, backoff, salt }),
        1 => Just(Settlement::Unencodable),
        1 => Just(Settlement::InDoubt),
    ];
    let ending = prop_oneof![
        Just(Ending::Succeeded),
        Just(Ending::Failed(Failure::Workflow)),
        Just(Ending::Failed(Failure::Nondeterministic)),
        Just(Ending::Cancelled),
    ];
    // Which kind a step is depends on its number, mostly.
    let begin = (prop::option::weighted(0.1, kind), 0..3_u32).prop_map(|(kind, max)| What::Begin(kind, max));
    let what = prop_oneof![
        24 => begin,
        24 => settlement.prop_map(What::Settle),
        8 => any::<bool>().prop_map(|commit| What::Body { commit }),
        6 => (0..40_u64).prop_map(What::Sleep),
        6 => Just(What::Fire),
        3 => prop::option::of(0..60_u64).prop_map(What::Release),
        3 => ending.prop_map(What::Finish),
        1 => Just(What::Cancel),
        4 => Just(What::Retry),
        4 => prop_oneof![Just(Verdict::Succeeded), Just(Verdict::Failed)].prop_map(What::Resolve),
    ];
    let rarely = || prop_oneof![19 => Just(0_u32), 1 => Just(1_u32)];
    let execution = || prop_oneof![4 => Just(0_u8), 1 => 1..3_u8];
    let attempt = prop_oneof![12 => Just(1_u32), 1 => Just(0), 1 => Just(2)];
    let command =
        (execution(), 1..5_u32, rarely(), attempt, what).prop_map(|(execution, step, epochs_back, attempt, what)| {
            Op::Command { execution, step, epochs_back, attempt, what }
        });
    let lease_ms = prop_oneof![3 => 500..2_000_u64, 1 => 1..60_u64];
    let due_in_ms = prop_oneof![2 => Just(0), 1 => 0..30_u64];
    let start = (execution(), due_in_ms, prop::option::weighted(0.2, 0..900_u64), 0..8_u8).prop_map(
        |(execution, due_in_ms, deadline_in_ms, input)| Op::Start {
            execution,
            due_in_ms,
            deadline_in_ms,
            input: input / 7,
        },
    );
    let op = prop_oneof![
        6 => (0..50_u64).prop_map(Op::Advance),
        1 => (500..2_500_u64).prop_map(Op::Advance),
        3 => start,
        5 => (0..3_usize, lease_ms).prop_map(|(limit, lease_ms)| Op::Claim { limit, lease_ms }),
        1 => prop::collection::vec(rarely(), 0..3).prop_map(|epochs_back| Op::Heartbeat { epochs_back }),
        40 => command,
    ];
    let beginning = [
        Op::Start { execution: 0, due_in_ms: 0, deadline_in_ms: None, input: 0 },
        Op::Claim { limit: 1, lease_ms: 1_000 },
    ];
    // An execution that fails after a step nobody can vouch for: rarely met by chance.
    let doubt = (2..5_u32, any::<(bool, bool, bool)>()).prop_map(|(step, (in_doubt, later, success))| {
        let settlement = if in_doubt { Settlement::InDoubt } else { Settlement::Unencodable };
        let verdict = if success { Verdict::Succeeded } else { Verdict::Failed };
        let command = |step, what| Op::Command { execution: 0, step, epochs_back: 0, attempt: 1, what };
        let mut ops = vec![command(step, What::Begin(None, 1)), command(step, What::Settle(settlement))];
        if later {
            ops.extend([command(1, What::Begin(None, 1)), command(1, What::Settle(Settlement::Succeeded))]);
        }
        let failed = What::Finish(Ending::Failed(Failure::Workflow));
        ops.extend([failed, What::Retry, What::Resolve(verdict), What::Retry].map(|what| command(step, what)));
        ops
    });
    let some = prop_oneof![40 => op.prop_map(|op| vec![op]), 1 => doubt.clone()];
    let (early, later) = (prop::option::weighted(0.2, doubt), prop::collection::vec(some, 1..100));
    (early, later).prop_map(move |(early, later)| {
        beginning.iter().cloned().chain(early.into_iter().chain(later).flatten()).collect()
    })
}

/// The core over rows in maps: what every store must be equal to.
#[derive(Default)]
struct Model {
    executions: BTreeMap<i64, (u8, u8, Execution)>,
    steps: BTreeMap<(i64, u32), Step>,
}

impl Model {
    fn key(&self, execution: u8) -> Option<i64> {
        self.executions.iter().find(|(_, (there, _, _))| *there == execution).map(|(key, _)| *key)
    }

    fn row(&self, key: Option<i64>) -> Option<Execution> {
        key.and_then(|key| self.executions.get(&key)).map(|(_, _, row)| *row)
    }

    fn command(
        &mut self,
        execution: u8,
        step: Option<u32>,
        input: u8,
        command: &Command,
        now: Time,
    ) -> Result<Reply, Rejection> {
        let key = self.key(execution);
        let row = self.row(key);
        let settled = |(_, step): &(&(i64, u32), &Step)| step.settled().map(|(order, _)| order);
        let last = self.steps.iter().filter(|(pair, _)| Some(pair.0) == key).max_by_key(settled);
        let no = match command {
            Command::Retry { .. } => last.filter(|last| settled(last).is_some()).map(|((_, no), _)| *no),
            _ => step,
        };
        let rows = Rows {
            execution: row,
            step: key.zip(no).and_then(|pair| self.steps.get(&pair)).copied(),
            same_input: key.is_some_and(|key| self.executions[&key].1 == input),
        };
        invariants::check_rows(&rows).unwrap();
        let commit = decide(&Reference, &rows, command, now)?;
        invariants::check_commit(&rows, &commit).unwrap();
        let next = self.executions.last_key_value().map_or(1, |(key, _)| key + 1);
        let key = key.unwrap_or(next);
        if let Some(after) = commit.execution {
            self.executions.entry(key).or_insert((execution, input, after)).2 = after;
        }
        if let (Some(StepWrite::Insert(after) | StepWrite::Update(after)), Some(no)) = (commit.step, no) {
            self.steps.insert((key, no), after);
        }
        if commit.abandon_open {
            self.steps.iter_mut().filter(|(pair, _)| pair.0 == key).for_each(|(_, step)| *step = step.abandoned());
        }
        Ok(commit.reply)
    }

    /// The claims of one request: due time (or passed deadline), then age.
    fn claim(&mut self, limit: usize, lease: Span, now: Time) -> (Vec<i64>, usize) {
        let mut due: Vec<_> = self
            .executions
            .iter()
            .flat_map(|(key, (_, _, row))| {
                let deadline = row.deadline.filter(|_| !row.is_ended());
                [row.due_at(), deadline].into_iter().flatten().filter(|due| *due <= now).map(|due| (due, *key))
            })
            .collect();
        due.sort_unstable();
        let (mut claimed, mut ended) = (Vec::new(), 0);
        for (_, key) in due {
            if claimed.len() == limit {
                break;
            }
            let execution = self.executions[&key].0;
            match self.command(execution, None, 0, &Command::Claim { lease, knows: true }, now) {
                Ok(Reply::Claimed { .. }) => claimed.push(key),
                Ok(_) => ended += 1,
                Err(_) => {}
            }
        }
        (claimed, ended)
    }
}

/// Two stores beside the model.
struct Beside {
    model: Model,
    memory: Inline<MemoryBackend>,
    sqlite: Box<dyn Store>,
    clock: ManualClock,
    _folder: tempfile::TempDir,
}

macro_rules! same {
    ($left:expr, $right:expr, $($about:tt)*) => {{
        let (left, right) = (&$left, &$right);
        if left != right {
            return Err(format!("{}: {left:?} and {right:?}", format!($($about)*)));
        }
    }};
}

impl Beside {
    fn new(rules: Rules) -> Self {
        let clock = ManualClock::at(at(0));
        let folder = tempfile::tempdir().unwrap();
        let options = || StoreOptions { rules, clock: Arc::new(clock.clone()), ..StoreOptions::default() };
        let mut file = SqliteOptions::at(folder.path().join("store.db"));
        file.synchronous = Synchronous::Normal;
        Beside {
            model: Model::default(),
            memory: Inline::over(MemoryBackend::default(), options()),
            sqlite: Box::new(Inline::over(file.open_backend().unwrap(), options())),
            clock,
            _folder: folder,
        }
    }

    async fn apply(&mut self, op: &Op) -> Result<(), String> {
        let now = self.clock.now_ms();
        match op {
            Op::Advance(ms) => self.clock.advance_ms(*ms),
            Op::Start { execution, due_in_ms, deadline_in_ms, input } => {
                let deadline = deadline_in_ms.map(|ms| now + Span::from_millis(ms));
                let command = Command::Start { due_at: now + Span::from_millis(*due_in_ms), deadline, replays_max: 2 };
                let mut request = self.request(*execution, None, command);
                request.payload.workflow = Some("order".into());
                request.payload.value = Some(vec![*input]);
                self.command(*execution, None, *input, request).await?;
            }
            Op::Claim { limit, lease_ms } => {
                let lease = Span::from_millis(*lease_ms);
                let request = ClaimRequest { limit: *limit, lease, ..harness::claim("w") };
                let memory = self.memory.claim(request.clone()).await.map_err(|error| error.to_string())?;
                let sqlite = self.sqlite.claim(request).await.map_err(|error| error.to_string())?;
                same!(memory, sqlite, "claims of memory and sqlite");
                let (claimed, ended) = self.model.claim(*limit, lease, now);
                let keys: Vec<_> = sqlite.claimed.iter().map(|claimed| claimed.key.0).collect();
                same!((claimed, ended), (keys, sqlite.ended), "claims of the model and the stores");
                for claimed in &sqlite.claimed {
                    note(format!("Claimed, journal of {}", claimed.journal.len().min(2)));
                    let row = self.model.row(Some(claimed.key.0)).unwrap();
                    same!(claimed.epoch, row.epoch, "epoch");
                    let journal: Vec<_> = claimed.journal.iter().map(|step| (step.no.0, step.row)).collect();
                    same!(journal, self.steps(claimed.key.0), "journal");
                }
            }
            Op::Heartbeat { epochs_back } => {
                let lease = Span::from_millis(50);
                let mut leases = Vec::new();
                let mut expected = Vec::new();
                for (execution, back) in (0..).zip(epochs_back) {
                    let key = self.model.key(execution);
                    let epoch = self.epoch(execution, *back);
                    leases.push((ExecutionKey(key.unwrap_or(99)), epoch));
                    expected.push(self.model.command(execution, None, 0, &Command::Heartbeat { epoch, lease }, now));
                }
                let request = HeartbeatRequest { leases, lease };
                let memory = self.memory.heartbeat(request.clone()).await.unwrap();
                let sqlite = self.sqlite.heartbeat(request).await.unwrap();
                expected.iter().for_each(|decision| note(kind_of(decision)));
                same!(memory, sqlite, "heartbeats of memory and sqlite");
                same!(expected, sqlite.decisions, "heartbeats of the model and the stores");
            }
            Op::Command { execution, step, epochs_back, attempt, what } => {
                let epoch = self.epoch(*execution, *epochs_back);
                let there = self.model.key(*execution).and_then(|key| self.model.steps.get(&(key, *step)));
                let begun = there.map_or(0, |step| step.attempt);
                let settled_attempt = begun.saturating_add(*attempt).saturating_sub(1);
                let command = match *what {
                    What::Begin(kind, attempts_max) => {
                        let usual = [Kind::Keyed, Kind::Transactional, Kind::AtMostOnce, Kind::Keyed];
                        let kind = kind.unwrap_or(usual[*step as usize - 1]);
                        Command::Begin { epoch, kind, attempt: begun + attempt, attempts_max }
                    }
                    What::Settle(settlement) => Command::Settle { epoch, attempt: settled_attempt, settlement },
                    What::Body { .. } => {
                        Command::Settle { epoch, attempt: settled_attempt, settlement: Settlement::Succeeded }
                    }
                    What::Sleep(ms) => Command::Sleep { epoch, wake: Wake::After(Span::from_millis(ms)) },
                    What::Fire => Command::Fire { epoch },
                    What::Release(wake_ms) => {
                        let wake = wake_ms.map(|ms| Release::Parked { wake: now + Span::from_millis(ms) });
                        Command::Release { epoch, release: wake.unwrap_or(Release::Shutdown) }
                    }
                    What::Finish(ending) => Command::Finish { epoch, ending },
                    What::Cancel => Command::Cancel,
                    What::Retry => Command::Retry { attempts: 1 },
                    What::Resolve(verdict) => Command::Resolve { verdict },
                };
                let mut request = self.request(*execution, Some(*step), command);
                // No two commands write the same value.
                request.payload.value = Some(now.as_millis().to_be_bytes().to_vec());
                request.payload.error = Some(format!("error of {what:?}"));
                if let What::Body { commit } = what {
                    self.body(*execution, *step, *commit, request).await?;
                } else {
                    self.command(*execution, Some(*step), 0, request).await?;
                }
            }
        }
        self.compare().await
    }

    async fn command(
        &mut self,
        execution: u8,
        step: Option<u32>,
        input: u8,
        request: CommandRequest,
    ) -> Result<(), String> {
        let expected = self.model.command(execution, step, input, &request.command, self.clock.now_ms());
        note(kind_of(&expected));
        let memory = self.memory.command(request.clone()).await.map_err(|error| format!("memory: {error}"))?;
        let sqlite = self.sqlite.command(request).await.map_err(|error| format!("sqlite: {error}"))?;
        same!(memory, sqlite, "answers of memory and sqlite");
        same!(expected, sqlite.decision, "answers of the model and the stores");
        Ok(())
    }

    /// A body that commits or is dropped. If it is dropped, nothing has happened.
    async fn body(&mut self, execution: u8, step: u32, commit: bool, request: CommandRequest) -> Result<(), String> {
        let value = request.payload.value.clone().unwrap_or_default();
        let stores: [&dyn Store; 2] = [&self.memory, &*self.sqlite];
        let mut answers = Vec::new();
        for store in stores {
            answers.push(match store.transact(request.clone()).await.map_err(|error| error.to_string())? {
                Transact::Answered(answer) => Some(answer),
                Transact::Open(body) if commit => Some(body.commit(value.clone()).await.map_err(|e| e.to_string())?),
                Transact::Open(_) => None,
            });
        }
        same!(answers[0], answers[1], "bodies of memory and sqlite");
        let dropped = answers[1].is_none();
        note(if dropped { "body dropped".into() } else { "body answered".into() });
        if !dropped {
            let now = self.clock.now_ms();
            let expected = self.model.command(execution, Some(step), 0, &request.command, now);
            let decision = answers[1].as_ref().map(|answer| answer.decision);
            same!(Some(expected), decision, "bodies of the model and the stores");
        }
        Ok(())
    }

    /// All that can be read is equal: rows with the model's, and everything between the stores.
    async fn compare(&self) -> Result<(), String> {
        let all = ListFilter::default();
        let memory = self.memory.list(all.clone()).await.map_err(|error| error.to_string())?;
        let sqlite = self.sqlite.list(all).await.map_err(|error| error.to_string())?;
        same!(memory, sqlite, "executions of memory and sqlite");
        let rows: Vec<_> = sqlite.iter().rev().map(|view| (view.key.0, view.row)).collect();
        let expected: Vec<_> = self.model.executions.iter().map(|(key, (_, _, row))| (*key, *row)).collect();
        same!(expected, rows, "executions of the model and the stores");
        for (key, row) in rows {
            let memory = self.memory.history(ExecutionKey(key)).await.map_err(|error| error.to_string())?;
            let sqlite = self.sqlite.history(ExecutionKey(key)).await.map_err(|error| error.to_string())?;
            same!(memory, sqlite, "histories of memory and sqlite");
            let steps: Vec<_> = sqlite.steps.iter().map(|view| (view.step.no.0, view.step.row)).collect();
            same!(self.steps(key), steps, "steps of the model and the stores");
            let mut orders: Vec<_> = steps.iter().filter_map(|(_, step)| step.settled()).map(|(at, _)| at).collect();
            orders.sort_unstable();
            invariants::check_orders(&row, orders.into_iter()).map_err(|broken| broken.to_string())?;
            let leases = sqlite.leases.iter().map(|lease| lease.epoch.0);
            same!(leases.collect::<Vec<_>>(), (1..=row.epoch.0).collect::<Vec<_>>(), "leases");
        }
        Ok(())
    }

    fn steps(&self, key: i64) -> Vec<(u32, Step)> {
        self.model.steps.iter().filter(|(pair, _)| pair.0 == key).map(|((_, no), step)| (*no, *step)).collect()
    }

    fn epoch(&self, execution: u8, back: u32) -> Epoch {
        Epoch(self.model.row(self.model.key(execution)).map_or(1, |row| row.epoch.0.saturating_sub(back)))
    }

    fn request(&self, execution: u8, step: Option<u32>, command: Command) -> CommandRequest {
        let step = step.map(|no| StepRef { no: StepNo(no), name: "step".into() });
        CommandRequest { target: Target::Id(id(&format!("e-{execution}"))), step, command, payload: Payload::default() }
    }
}

trait NowMs {
    fn now_ms(&self) -> Time;
}

impl NowMs for ManualClock {
    fn now_ms(&self) -> Time {
        hydra_engine::store::Clock::now(self)
    }
}

thread_local! {
    static SEEN: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
}

fn note(what: String) {
    SEEN.with_borrow_mut(|seen| seen.insert(what));
}

/// The kind of an answer, without its numbers.
fn kind_of(decision: &Result<Reply, Rejection>) -> String {
    let text = match decision {
        Ok(Reply::Settled { outcome, .. }) => format!("Settled({outcome:?}"),
        Ok(reply) => format!("{reply:?}"),
        Err(rejection) => format!("{rejection:?}"),
    };
    text.split([' ', '{']).next().unwrap_or_default().to_owned()
}

/// Runs random sequences against stores that go by `rules`, and answers with what was seen, or the first difference.
fn compare(rules: Rules, cases: u32) -> Result<BTreeSet<String>, String> {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 300, ..Config::default() };
    // The same sequences every time: a difference found once is found by everybody.
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    SEEN.take();
    let run = runner.run(&ops(), |ops| {
        let mut beside = Beside::new(rules);
        runtime.block_on(async {
            for op in &ops {
                beside.apply(op).await.map_err(|difference| TestCaseError::fail(format!("at {op:?}: {difference}")))?;
            }
            Ok(())
        })
    });
    run.map_err(|error| error.to_string()).map(|()| SEEN.take())
}

#[test]
fn every_store_is_equal_to_the_core_over_plain_rows() {
    let seen = compare(&Reference, 200).unwrap_or_else(|difference| panic!("{difference}"));
    // The sequences go everywhere: otherwise equality means little.
    for goal in [
        "Started",
        "AlreadyStarted",
        "Conflict",
        "Claimed, journal of 0",
        "Claimed, journal of 2",
        "Renewed",
        "Run",
        "Settled(Succeeded",
        "Settled(Failed(Final)",
        "Settled(Failed(Exhausted)",
        "Settled(Failed(Crashed)",
        "Settled(InDoubt",
        "Settled(Unencodable",
        "Settled(Fired",
        "Waiting",
        "Sleeping",
        "Released",
        "Ended(Succeeded)",
        "Ended(Cancelled)",
        "Reopened",
        "Resolved(Succeeded)",
        "Resolved(Failed(Final))",
        "NotDue",
        "NotLeased",
        "StaleEpoch",
        "LeaseExpired",
        "UnknownExecution",
        "UnknownStep",
        "KindMismatch",
        "AttemptMismatch",
        "StepSettled(Succeeded)",
        "NotRunning",
        "NotFailed",
        "Unresolved(InDoubt)",
        "NotInDoubt",
        "Superseded",
        "IllegalSettlement(Keyed)",
        "IllegalEnding(Cancelled)",
        "body dropped",
        "body answered",
    ] {
        assert!(seen.contains(goal), "never seen: {goal}; seen: {seen:?}");
    }
}

/// Known-wrong rules, to see that the comparison sees.
mod wrong {
    use super::*;

    /// Writes of a lost lease are taken.
    pub struct Unfenced;
    impl Protocol for Unfenced {
        fn fence(&self, _: &Execution, _: Epoch) -> Result<(), Rejection> {
            Ok(())
        }
    }

    /// A failed attempt is always tried again, at most as often as the invariants let it.
    pub struct Tireless;
    impl Protocol for Tireless {
        fn settled_state(&self, step: &Step, settlement: Settlement, order: u32, now: Time) -> StepState {
            match settlement {
                Settlement::Failed { .. } if step.attempt < step.attempts_max => StepState::Waiting { due_at: now },
                _ => Reference.settled_state(step, settlement, order, now),
            }
        }
    }

    /// A lease that ended is for nobody.
    pub struct Stuck;
    impl Protocol for Stuck {
        fn claimable(&self, execution: &Execution, now: Time) -> Result<(), Rejection> {
            match execution.status {
                hydra_protocol::Status::Leased { due_at } => Err(Rejection::NotDue { due_at, now }),
                _ => Reference.claimable(execution, now),
            }
        }
    }
}

#[test]
fn a_store_with_wrong_rules_is_told_apart() {
    for rules in [&wrong::Unfenced as Rules, &wrong::Tireless, &wrong::Stuck] {
        assert!(compare(rules, 200).is_err());
    }
}
