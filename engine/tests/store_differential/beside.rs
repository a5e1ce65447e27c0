//! The stores beside the model: each command goes to all of them, and all that can be seen must be equal after it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hydra_engine::store::{
    ClaimRequest, CommandRequest, ExecutionKey, HeartbeatRequest, Inline, ListFilter, ManualClock, MemoryBackend,
    Payload, Rules, SqliteOptions, StepRef, Store, StoreError, StoreOptions, Synchronous, Target, Transact,
};
use hydra_protocol::{
    Command, Epoch, Kind, Rejection, Release, Reply, Settlement, Span, Step, StepNo, Time, Wake, invariants,
};

use super::harness::{self, at, id};
use super::model::Model;
use super::ops::{Op, What};

/// Two stores beside the model.
pub struct Beside {
    model: Model,
    memory: Inline<MemoryBackend>,
    /// One database, by one connection or two that take turns.
    databases: Vec<Box<dyn Store>>,
    /// Whether a body that is open keeps the other connection from writing anything.
    body_excludes: bool,
    clock: ManualClock,
    turn: u32,
    _folder: Option<tempfile::TempDir>,
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
    /// A new SQLite file in a folder of its own, by two connections.
    pub fn sqlite(rules: Rules) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut beside = Self::sqlite_at(rules, &folder.path().join("store.db"));
        beside._folder = Some(folder);
        beside
    }

    /// The SQLite file there, which holds no execution, by two connections.
    pub fn sqlite_at(rules: Rules, path: &Path) -> Self {
        let mut file = SqliteOptions::at(path);
        file.synchronous = Synchronous::Normal;
        // A body of one connection keeps the other from writing, on the same thread: to wait would be in vain.
        file.busy_timeout = Duration::ZERO;
        let open = |options| Box::new(Inline::over(file.open_backend().unwrap(), options)) as Box<dyn Store>;
        let mut beside = Self::over(rules, |_, options| vec![open(options()), open(options())]);
        beside.body_excludes = true;
        beside
    }

    /// The model and the store in memory, beside this database, which holds no execution.
    pub fn over(
        rules: Rules,
        databases: impl FnOnce(&ManualClock, &dyn Fn() -> StoreOptions) -> Vec<Box<dyn Store>>,
    ) -> Self {
        let clock = ManualClock::at(at(0));
        let options = || options(rules, &clock);
        Beside {
            model: Model::default(),
            memory: Inline::over(MemoryBackend::default(), options()),
            databases: databases(&clock, &options),
            body_excludes: false,
            clock: clock.clone(),
            turn: 0,
            _folder: None,
        }
    }

    /// All as at first. For a database that somebody has emptied: opening one takes longer than most of what is done
    /// with it.
    #[allow(
        dead_code,
        reason = "the fuzzer of stores includes this file and begins again; its tests open a new one each"
    )]
    pub fn begin_again(&mut self, rules: Rules) {
        self.clock.set(at(0));
        self.model = Model::default();
        self.memory = Inline::over(MemoryBackend::default(), options(rules, &self.clock));
        self.turn = 0;
    }

    /// The connection whose turn it is.
    fn database(&self) -> &dyn Store {
        // The sequence of Thue and Morse: both connections alike, the same one twice now and then, and no pattern.
        &*self.databases[self.turn.count_ones() as usize % 2 % self.databases.len()]
    }

    /// The connection whose turn it is not, if there are two.
    fn other(&self) -> Option<&dyn Store> {
        let at = 1 - self.turn.count_ones() as usize % 2;
        self.databases.get(at).filter(|_| self.databases.len() == 2).map(|store| &**store)
    }

    /// Does one thing everywhere, and compares.
    pub async fn apply(&mut self, op: &Op) -> Result<(), String> {
        self.turn += 1;
        self.act(op).await?;
        self.compare().await
    }

    async fn act(&mut self, op: &Op) -> Result<(), String> {
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
                let database = self.database().claim(request).await.map_err(|error| error.to_string())?;
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
                let database = self.database().heartbeat(request).await.unwrap();
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
        Ok(())
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
        let database = self.database().command(request).await.map_err(|error| format!("database: {error}"))?;
        same!(memory, database, "answers of memory and the database");
        same!(expected, database.decision, "answers of the model and the stores");
        Ok(())
    }

    /// A body that commits or is dropped. If it is dropped, nothing has happened.
    async fn body(&mut self, execution: u8, step: u32, commit: bool, request: CommandRequest) -> Result<(), String> {
        let value = request.payload.value.clone().unwrap_or_default();
        let stores: [&dyn Store; 2] = [&self.memory, self.database()];
        let mut answers = Vec::new();
        for store in stores {
            answers.push(match store.transact(request.clone()).await.map_err(|error| error.to_string())? {
                Transact::Answered(answer) => Some(answer),
                Transact::Open(body) => {
                    self.ask_beside_the_body(answers.len(), &request).await?;
                    if commit { Some(body.commit(value.clone()).await.map_err(|e| e.to_string())?) } else { None }
                }
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

    /// While a body of the database (the second store) is open, the other connection is told to come back, and reads
    /// what was committed before.
    async fn ask_beside_the_body(&self, store: usize, request: &CommandRequest) -> Result<(), String> {
        let Some(other) = self.other().filter(|_| self.body_excludes && store == 1) else { return Ok(()) };
        match other.command(request.clone()).await {
            Err(StoreError::Unavailable(_)) => note("body kept the other connection out".into()),
            answer => return Err(format!("beside an open body the other connection got {answer:?}")),
        }
        let seen = other.list(ListFilter::default()).await.map_err(|error| error.to_string())?;
        let rows: Vec<_> = seen.iter().rev().map(|view| view.row).collect();
        same!(rows, self.model.executions.values().map(|(_, _, row)| *row).collect::<Vec<_>>(), "rows beside a body");
        Ok(())
    }

    /// All that can be read is equal: rows with the model's, and everything between the stores.
    async fn compare(&self) -> Result<(), String> {
        let all = ListFilter::default();
        let memory = self.memory.list(all.clone()).await.map_err(|error| error.to_string())?;
        let database = self.database().list(all).await.map_err(|error| error.to_string())?;
        same!(memory, database, "executions of memory and the database");
        let rows: Vec<_> = database.iter().rev().map(|view| (view.key.0, view.row)).collect();
        let expected: Vec<_> = self.model.executions.iter().map(|(key, (_, _, row))| (*key, *row)).collect();
        same!(expected, rows, "executions of the model and the stores");
        for (key, row) in rows {
            let memory = self.memory.history(ExecutionKey(key)).await.map_err(|error| error.to_string())?;
            let database = self.database().history(ExecutionKey(key)).await.map_err(|error| error.to_string())?;
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

fn options(rules: Rules, clock: &ManualClock) -> StoreOptions {
    StoreOptions { rules, clock: Arc::new(clock.clone()), ..StoreOptions::default() }
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

/// What was seen on this thread since it was asked last: kinds of answers, without their numbers.
pub fn seen() -> BTreeSet<String> {
    SEEN.take()
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
