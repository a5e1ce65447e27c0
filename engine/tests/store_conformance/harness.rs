//! A store under judgement: two handles on the same rows, a clock that stands still, and short words for requests.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use hydra_engine::store::backend::Backend;
use hydra_engine::store::{
    Answer, ClaimRequest, Claimed, Claims, CommandRequest, ExecutionId, ExecutionKey, ExecutionView, GroupCommit,
    HistoryView, Inline, ManualClock, MemoryBackend, Payload, Rules, SqliteOptions, StepRef, Store, StoreError,
    StoreOptions, Target, Transact, Transaction, Value,
};
use hydra_protocol::{
    Backoff, Command, Ending, Epoch, Kind, Reference, Rejection, Release, Reply, Settlement, Span, StepNo, Time, Wake,
};

#[cfg(feature = "postgres-tests")]
#[allow(dead_code, reason = "each test binary needs another part of it")]
#[path = "../postgres/server.rs"]
pub mod server;

/// What a store must offer to be judged: the contract, and a way to look at the user's own tables.
pub trait Subject: Store {
    fn run<'a>(&'a self, statements: &'a [&'a str]) -> BoxFuture<'a, Result<(), StoreError>>;
    fn look<'a>(&'a self, sql: &'a str) -> BoxFuture<'a, Result<Vec<Vec<Value>>, StoreError>>;
}

impl<B: Backend> Subject for Inline<B> {
    fn run<'a>(&'a self, statements: &'a [&'a str]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.execute(statements))
    }
    fn look<'a>(&'a self, sql: &'a str) -> BoxFuture<'a, Result<Vec<Vec<Value>>, StoreError>> {
        Box::pin(self.query(sql, &[]))
    }
}

impl<B: Backend> Subject for GroupCommit<B> {
    fn run<'a>(&'a self, statements: &'a [&'a str]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.execute(statements))
    }
    fn look<'a>(&'a self, sql: &'a str) -> BoxFuture<'a, Result<Vec<Vec<Value>>, StoreError>> {
        Box::pin(self.query(sql, &[]))
    }
}

#[cfg(feature = "postgres-tests")]
impl Subject for hydra_engine::store::PostgresStore {
    fn run<'a>(&'a self, statements: &'a [&'a str]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.execute(statements))
    }
    fn look<'a>(&'a self, sql: &'a str) -> BoxFuture<'a, Result<Vec<Vec<Value>>, StoreError>> {
        Box::pin(self.query(sql, &[]))
    }
}

/// The stores that are judged.
#[derive(Clone, Copy)]
pub enum Which {
    /// In memory, by rules that are known to be wrong.
    Wrong(Rules),
    MemoryInline,
    MemoryGroupCommit,
    SqliteInline,
    SqliteGroupCommit,
    #[cfg(feature = "postgres-tests")]
    Postgres,
}

impl Which {
    /// Whether the user's tables are PostgreSQL's: their SQL is another.
    pub fn is_postgres(self) -> bool {
        #[cfg(feature = "postgres-tests")]
        return matches!(self, Which::Postgres);
        #[cfg(not(feature = "postgres-tests"))]
        false
    }
}

/// One store, by two handles. In memory both are the same one.
pub struct Fixture {
    pub a: Arc<dyn Subject>,
    pub b: Arc<dyn Subject>,
    pub clock: ManualClock,
    _folder: Option<tempfile::TempDir>,
}

/// What the clock shows at first.
pub const T0: u64 = 1_000_000;
pub const LEASE: Span = Span::from_millis(10_000);

pub fn at(ms: u64) -> Time {
    Time::from_millis(T0 + ms)
}

impl Fixture {
    pub fn new(which: Which) -> Self {
        Self::with(which, |options| options)
    }

    pub fn with(which: Which, change: impl Fn(StoreOptions) -> StoreOptions) -> Self {
        let clock = ManualClock::at(at(0));
        let rules = if let Which::Wrong(rules) = which { rules } else { &Reference };
        let options = || change(StoreOptions { rules, clock: Arc::new(clock.clone()), ..StoreOptions::default() });
        let folder = tempfile::tempdir().unwrap();
        let file = || {
            let mut file = SqliteOptions::at(folder.path().join("store.db"));
            // Two handles that do everything on the calling task would wait for each other.
            file.busy_timeout = Duration::from_millis(300);
            file.open_backend().unwrap()
        };
        let (a, b): (Arc<dyn Subject>, Arc<dyn Subject>) = match which {
            Which::MemoryInline | Which::Wrong(_) => {
                let store = Arc::new(Inline::over(MemoryBackend::default(), options()));
                (store.clone(), store)
            }
            Which::MemoryGroupCommit => {
                let store = Arc::new(GroupCommit::over(MemoryBackend::default(), options()).unwrap());
                (store.clone(), store)
            }
            Which::SqliteInline => {
                (Arc::new(Inline::over(file(), options())), Arc::new(Inline::over(file(), options())))
            }
            Which::SqliteGroupCommit => (
                Arc::new(GroupCommit::over(file(), options()).unwrap()),
                Arc::new(GroupCommit::over(file(), options()).unwrap()),
            ),
            #[cfg(feature = "postgres-tests")]
            Which::Postgres => {
                let mut server = hydra_engine::store::PostgresOptions::at(server::database());
                server.clock = Some(Arc::new(clock.clone()));
                (Arc::new(server.open(options()).unwrap()), Arc::new(server.open(options()).unwrap()))
            }
        };
        Fixture { a, b, clock, _folder: Some(folder) }
    }

    pub async fn ask(&self, request: CommandRequest) -> Answer {
        self.a.command(request).await.unwrap()
    }

    pub async fn decision(&self, request: CommandRequest) -> Result<Reply, Rejection> {
        self.ask(request).await.decision
    }

    /// Starts an execution of workflow `order`, due at once.
    pub async fn start(&self, name: &str) {
        assert_eq!(self.decision(start(name)).await, Ok(Reply::Started));
    }

    /// Claims everything that is due of workflow `order`.
    pub async fn claim(&self, worker: &str) -> Claims {
        self.a.claim(claim(worker)).await.unwrap()
    }

    /// Claims the only execution that is due.
    pub async fn claim_one(&self, worker: &str) -> Claimed {
        let mut claims = self.claim(worker).await;
        assert_eq!(claims.claimed.len(), 1);
        claims.claimed.remove(0)
    }

    /// A claimed execution.
    pub async fn claimed(&self, name: &str) -> (ExecutionKey, Epoch) {
        self.start(name).await;
        let claimed = self.claim_one("a").await;
        (claimed.key, claimed.epoch)
    }

    pub async fn view(&self, name: &str) -> ExecutionView {
        self.b.execution(&id(name)).await.unwrap().unwrap()
    }

    pub async fn history(&self, key: ExecutionKey) -> HistoryView {
        self.b.history(key).await.unwrap()
    }

    /// Opens a body's transaction.
    pub async fn open(&self, request: CommandRequest) -> Box<dyn Transaction> {
        match self.a.transact(request).await.unwrap() {
            Transact::Open(body) => body,
            Transact::Answered(answer) => panic!("answered without a body: {answer:?}"),
        }
    }
}

pub fn id(name: &str) -> ExecutionId {
    ExecutionId { namespace: "default".into(), id: name.into() }
}

pub fn claim(worker: &str) -> ClaimRequest {
    ClaimRequest {
        worker: worker.into(),
        namespace: "default".into(),
        workflows: Arc::from(["order".to_owned()]),
        limit: 100,
        lease: LEASE,
    }
}

pub fn start(name: &str) -> CommandRequest {
    start_at(name, Time::default(), None)
}

pub fn start_at(name: &str, due_at: Time, deadline: Option<Time>) -> CommandRequest {
    CommandRequest {
        target: Target::Id(id(name)),
        step: None,
        command: Command::Start { due_at, deadline, replays_max: 3 },
        payload: Payload { workflow: Some("order".into()), value: Some(b"input".to_vec()), error: None },
    }
}

fn of(key: ExecutionKey, step: Option<u32>, command: Command) -> CommandRequest {
    let step = step.map(|no| StepRef { no: StepNo(no), name: format!("step-{no}").into() });
    CommandRequest { target: Target::Key(key), step, command, payload: Payload::default() }
}

pub fn begin(key: ExecutionKey, epoch: Epoch, step: u32, kind: Kind, attempt: u32) -> CommandRequest {
    let mut request = of(key, Some(step), Command::Begin { epoch, kind, attempt, attempts_max: 2 });
    request.payload.value = Some(b"step input".to_vec());
    request
}

pub fn settle(key: ExecutionKey, epoch: Epoch, step: u32, attempt: u32, settlement: Settlement) -> CommandRequest {
    let mut request = of(key, Some(step), Command::Settle { epoch, attempt, settlement });
    match settlement {
        Settlement::Succeeded => request.payload.value = Some(b"output".to_vec()),
        _ => request.payload.error = Some("card declined".into()),
    }
    request
}

pub fn failed() -> Settlement {
    let (initial, cap) = (Span::from_millis(500), Span::from_millis(60_000));
    let backoff = Backoff { initial, cap, factor_percent: 200, jitter_percent: 0 };
    Settlement::Failed { retryable: true, backoff, salt: 0 }
}

pub fn sleep(key: ExecutionKey, epoch: Epoch, step: u32, ms: u64) -> CommandRequest {
    of(key, Some(step), Command::Sleep { epoch, wake: Wake::After(Span::from_millis(ms)) })
}

pub fn fire(key: ExecutionKey, epoch: Epoch, step: u32) -> CommandRequest {
    of(key, Some(step), Command::Fire { epoch })
}

pub fn release(key: ExecutionKey, epoch: Epoch, release: Release) -> CommandRequest {
    of(key, None, Command::Release { epoch, release })
}

pub fn finish(key: ExecutionKey, epoch: Epoch, ending: Ending) -> CommandRequest {
    let mut request = of(key, None, Command::Finish { epoch, ending });
    match ending {
        Ending::Succeeded => request.payload.value = Some(b"result".to_vec()),
        _ => request.payload.error = Some("out of stock".into()),
    }
    request
}

pub fn client(name: &str, step: Option<u32>, command: Command) -> CommandRequest {
    CommandRequest { target: Target::Id(id(name)), ..of(ExecutionKey(0), step, command) }
}
