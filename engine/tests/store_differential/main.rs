//! Random commands, sent to the core over rows in a map, to the store in memory and to one in a database: answers and
//! rows must be equal after each of them.

#[path = "../store_conformance/harness.rs"]
#[expect(dead_code, reason = "only part of it is needed here")]
mod harness;
mod model;
mod ops;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use harness::{at, id};
use hydra_engine::store::{
    ClaimRequest, CommandRequest, ExecutionKey, HeartbeatRequest, Inline, ListFilter, ManualClock, MemoryBackend,
    Payload, Rules, SqliteOptions, StepRef, Store, StoreOptions, Synchronous, Target, Transact,
};
use hydra_protocol::{
    Command, Epoch, Execution, Kind, Protocol, Reference, Rejection, Release, Reply, Settlement, Span, Step, StepNo,
    StepState, Time, Wake, invariants,
};
use model::Model;
use ops::{Op, What, ops};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

/// Which database is compared.
#[derive(Clone, Copy)]
enum Database {
    Sqlite,
    #[cfg(feature = "postgres")]
    Postgres,
}

/// A store in the one database of this test, emptied.
#[cfg(feature = "postgres")]
fn postgres(clock: &ManualClock, options: StoreOptions) -> Box<dyn Store> {
    // One for each test: they run side by side.
    thread_local!(static URL: String = harness::server::database());
    let url = &URL.with(String::clone);
    let mut server = hydra_engine::store::PostgresOptions::at(url);
    server.clock = Some(Arc::new(clock.clone()));
    let store = server.open(options).unwrap();
    harness::server::sql(url, &["TRUNCATE hydra.executions RESTART IDENTITY CASCADE"]);
    Box::new(store)
}

/// Two stores beside the model.
struct Beside {
    model: Model,
    memory: Inline<MemoryBackend>,
    database: Box<dyn Store>,
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
    fn new(rules: Rules, which: Database) -> Self {
        let clock = ManualClock::at(at(0));
        let folder = tempfile::tempdir().unwrap();
        let options = || StoreOptions { rules, clock: Arc::new(clock.clone()), ..StoreOptions::default() };
        let mut file = SqliteOptions::at(folder.path().join("store.db"));
        file.synchronous = Synchronous::Normal;
        Beside {
            model: Model::default(),
            memory: Inline::over(MemoryBackend::default(), options()),
            database: match which {
                Database::Sqlite => Box::new(Inline::over(file.open_backend().unwrap(), options())),
                #[cfg(feature = "postgres")]
                Database::Postgres => postgres(&clock, options()),
            },
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
                let database = self.database.claim(request).await.map_err(|error| error.to_string())?;
                same!(memory, database, "claims of memory and the database");
                let (claimed, ended) = self.model.claim(*limit, lease, now);
                let keys: Vec<_> = database.claimed.iter().map(|claimed| claimed.key.0).collect();
                same!((claimed, ended), (keys, database.ended), "claims of the model and the stores");
                for claimed in &database.claimed {
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
                let database = self.database.heartbeat(request).await.unwrap();
                expected.iter().for_each(|decision| note(kind_of(decision)));
                same!(memory, database, "heartbeats of memory and the database");
                same!(expected, database.decisions, "heartbeats of the model and the stores");
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
        let database = self.database.command(request).await.map_err(|error| format!("database: {error}"))?;
        same!(memory, database, "answers of memory and the database");
        same!(expected, database.decision, "answers of the model and the stores");
        Ok(())
    }

    /// A body that commits or is dropped. If it is dropped, nothing has happened.
    async fn body(&mut self, execution: u8, step: u32, commit: bool, request: CommandRequest) -> Result<(), String> {
        let value = request.payload.value.clone().unwrap_or_default();
        let stores: [&dyn Store; 2] = [&self.memory, &*self.database];
        let mut answers = Vec::new();
        for store in stores {
            answers.push(match store.transact(request.clone()).await.map_err(|error| error.to_string())? {
                Transact::Answered(answer) => Some(answer),
                Transact::Open(body) if commit => Some(body.commit(value.clone()).await.map_err(|e| e.to_string())?),
                Transact::Open(_) => None,
            });
        }
        same!(answers[0], answers[1], "bodies of memory and the database");
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
        let database = self.database.list(all).await.map_err(|error| error.to_string())?;
        same!(memory, database, "executions of memory and the database");
        let rows: Vec<_> = database.iter().rev().map(|view| (view.key.0, view.row)).collect();
        let expected: Vec<_> = self.model.executions.iter().map(|(key, (_, _, row))| (*key, *row)).collect();
        same!(expected, rows, "executions of the model and the stores");
        for (key, row) in rows {
            let memory = self.memory.history(ExecutionKey(key)).await.map_err(|error| error.to_string())?;
            let database = self.database.history(ExecutionKey(key)).await.map_err(|error| error.to_string())?;
            same!(memory, database, "histories of memory and the database");
            let steps: Vec<_> = database.steps.iter().map(|view| (view.step.no.0, view.step.row)).collect();
            same!(self.steps(key), steps, "steps of the model and the stores");
            let mut orders: Vec<_> = steps.iter().filter_map(|(_, step)| step.settled()).map(|(at, _)| at).collect();
            orders.sort_unstable();
            invariants::check_orders(&row, orders.into_iter()).map_err(|broken| broken.to_string())?;
            let leases = database.leases.iter().map(|lease| lease.epoch.0);
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
fn compare(rules: Rules, cases: u32, which: Database) -> Result<BTreeSet<String>, String> {
    // Fewer cases, and less shrinking, where each command is several round trips to a server.
    let max_shrink_iters = if cases < 200 { 20 } else { 300 };
    let config = Config { cases, failure_persistence: None, max_shrink_iters, ..Config::default() };
    // The same sequences every time: a difference found once is found by everybody.
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    SEEN.take();
    let run = runner.run(&ops(), |ops| {
        let mut beside = Beside::new(rules, which);
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
    let seen = compare(&Reference, 200, Database::Sqlite).unwrap_or_else(|difference| panic!("{difference}"));
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

#[cfg(feature = "postgres")]
#[test]
fn postgresql_is_equal_to_the_core_over_plain_rows() {
    let seen = compare(&Reference, 40, Database::Postgres).unwrap_or_else(|difference| panic!("{difference}"));
    assert!(seen.contains("Reopened") && seen.contains("body answered"), "{seen:?}");
}

#[cfg(feature = "postgres")]
#[test]
fn postgresql_with_wrong_rules_is_told_apart() {
    assert!(compare(&wrong::Unfenced, 20, Database::Postgres).is_err());
}

#[test]
fn a_store_with_wrong_rules_is_told_apart() {
    for rules in [&wrong::Unfenced as Rules, &wrong::Tireless, &wrong::Stuck] {
        assert!(compare(rules, 200, Database::Sqlite).is_err());
    }
}
