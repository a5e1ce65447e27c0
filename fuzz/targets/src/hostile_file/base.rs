//! A sound store: executions at every stage of one workflow, by the engine's own hand.

use std::sync::{Arc, LazyLock};

use hydra_engine::store::{
    ClaimRequest, CommandRequest, ExecutionId, ExecutionKey, Inline, ManualClock, Payload, SqliteBackend,
    SqliteOptions, StepRef, Store, StoreOptions, Target, Transact,
};
use hydra_protocol::{Backoff, Command, Ending, Epoch, Failure, Kind, Release, Settlement, Span, StepNo, Time, Wake};

/// The sound store.
pub struct Base {
    /// Its file.
    pub file: Vec<u8>,
    /// Its executions.
    pub executions: Vec<(ExecutionId, ExecutionKey)>,
}

/// When it was written.
const WRITTEN: Time = Time::from_millis(1_000_000);
/// When it is opened again: leases have ended and timers are due.
pub const OPENED_AGAIN: Time = Time::from_millis(2_000_000);

/// The steps of the workflow, from 1; see `work.rs`.
const STEPS: [(&str, Kind, &str); 5] = [
    ("charge", Kind::Keyed, "\"receipt\""),
    ("book", Kind::Transactional, "1"),
    ("mail", Kind::AtMostOnce, "null"),
    ("sleep", Kind::Timer, ""),
    ("ship", Kind::Keyed, "7"),
];

/// How far an execution got.
#[derive(Clone, Copy)]
enum Stage {
    /// This many steps are done, then nothing.
    Done(usize),
    /// This many steps are done, and the next has begun.
    Begun(usize),
    /// This many steps are done, and the first attempt of the next failed.
    Waiting(usize),
    /// This many steps are done, then it failed.
    Failed(usize),
    /// The third step is in doubt, then it failed.
    InDoubt,
    /// All is done, and it succeeded.
    Ended,
}

const STAGES: [Stage; 14] = [
    Stage::Done(0),
    Stage::Begun(0),
    Stage::Waiting(0),
    Stage::Done(1),
    Stage::Begun(1),
    Stage::Done(2),
    Stage::Begun(2),
    Stage::Done(3),
    Stage::Begun(3),
    Stage::Done(4),
    Stage::Waiting(4),
    Stage::Failed(2),
    Stage::InDoubt,
    Stage::Ended,
];

pub static BASE: LazyLock<Base> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let folder = tempfile::tempdir_in(crate::stores::memory()).expect("a folder");
    let path = folder.path().join("store.db");
    let executions = runtime.block_on(async {
        let options = StoreOptions { clock: Arc::new(ManualClock::at(WRITTEN)), ..StoreOptions::default() };
        let backend = SqliteOptions::at(&path).open_backend().expect("a new store");
        let writer = Writer { store: Inline::over(backend, options) };
        writer.store.execute(&["CREATE TABLE bookings (execution TEXT) STRICT"]).await.expect("a table");
        let mut executions = Vec::new();
        for (index, stage) in STAGES.into_iter().enumerate() {
            let id = ExecutionId { namespace: "default".into(), id: format!("order-{index}") };
            let key = writer.write(&id, stage).await;
            executions.push((id, key));
        }
        executions
    });
    Base { file: std::fs::read(&path).expect("the store"), executions }
});

struct Writer {
    store: Inline<SqliteBackend>,
}

impl Writer {
    async fn write(&self, id: &ExecutionId, stage: Stage) -> ExecutionKey {
        let command = Command::Start { due_at: WRITTEN, deadline: None, replays_max: 3 };
        let payload = Payload { workflow: Some("order".into()), value: Some(b"42".to_vec()), error: None };
        self.ask(CommandRequest { target: Target::Id(id.clone()), step: None, command, payload }).await;
        let request = ClaimRequest {
            worker: "writer".into(),
            namespace: "default".into(),
            workflows: Arc::from(["order".to_owned()]),
            limit: 1,
            lease: Span::from_millis(10_000),
        };
        let claimed = self.store.claim(request).await.expect("a claim").claimed.remove(0);
        let (key, epoch) = (claimed.key, claimed.epoch);
        let done = match stage {
            Stage::Done(done) | Stage::Begun(done) | Stage::Waiting(done) | Stage::Failed(done) => done,
            Stage::InDoubt => 2,
            Stage::Ended => STEPS.len(),
        };
        for step in 1..=done {
            self.begin(key, epoch, step).await;
            self.succeed(key, epoch, step).await;
        }
        match stage {
            Stage::Done(0) => self.ask(of(key, None, Command::Release { epoch, release: Release::Shutdown })).await,
            Stage::Done(_) => {}
            Stage::Begun(_) => self.begin(key, epoch, done + 1).await,
            Stage::Waiting(_) => {
                self.begin(key, epoch, done + 1).await;
                let (initial, cap) = (Span::from_millis(500), Span::from_millis(60_000));
                let backoff = Backoff { initial, cap, factor_percent: 200, jitter_percent: 0 };
                let failed = Settlement::Failed { retryable: true, backoff, salt: 0 };
                self.settle(key, epoch, done + 1, failed).await;
            }
            Stage::Failed(_) => {
                self.ask(of(key, None, Command::Finish { epoch, ending: Ending::Failed(Failure::Workflow) })).await;
            }
            Stage::InDoubt => {
                self.begin(key, epoch, 3).await;
                self.settle(key, epoch, 3, Settlement::InDoubt).await;
                self.ask(of(key, None, Command::Finish { epoch, ending: Ending::Failed(Failure::Workflow) })).await;
            }
            Stage::Ended => {
                let mut finish = of(key, None, Command::Finish { epoch, ending: Ending::Succeeded });
                finish.payload.value = Some(b"\"done\"".to_vec());
                self.ask(finish).await;
            }
        }
        key
    }

    async fn begin(&self, key: ExecutionKey, epoch: Epoch, step: usize) {
        let kind = STEPS[step - 1].1;
        let command = match kind {
            Kind::Timer => Command::Sleep { epoch, wake: Wake::After(Span::ZERO) },
            // One that has not begun has no row: its first attempt is begun and settled in one transaction.
            _ => Command::Begin { epoch, kind, attempt: 1, attempts_max: 3 },
        };
        self.ask(of(key, Some(step), command)).await;
    }

    async fn succeed(&self, key: ExecutionKey, epoch: Epoch, step: usize) {
        match STEPS[step - 1].1 {
            Kind::Timer => self.ask(of(key, Some(step), Command::Fire { epoch })).await,
            Kind::Transactional => {
                let settle = Command::Settle { epoch, attempt: 1, settlement: Settlement::Succeeded };
                match self.store.transact(of(key, Some(step), settle)).await.expect("a transaction") {
                    Transact::Open(body) => {
                        let answer = body.commit(STEPS[step - 1].2.into()).await.expect("a commit");
                        answer.decision.expect("settled");
                    }
                    Transact::Answered(answer) => panic!("no body: {answer:?}"),
                }
            }
            Kind::Keyed | Kind::AtMostOnce => self.settle(key, epoch, step, Settlement::Succeeded).await,
        }
    }

    async fn settle(&self, key: ExecutionKey, epoch: Epoch, step: usize, settlement: Settlement) {
        let mut request = of(key, Some(step), Command::Settle { epoch, attempt: 1, settlement });
        match settlement {
            Settlement::Succeeded => request.payload.value = Some(STEPS[step - 1].2.into()),
            _ => request.payload.error = Some("no answer".into()),
        }
        self.ask(request).await;
    }

    async fn ask(&self, request: CommandRequest) {
        self.store.command(request).await.expect("an answer").decision.expect("accepted");
    }
}

fn of(key: ExecutionKey, step: Option<usize>, command: Command) -> CommandRequest {
    let step = step.map(|step| StepRef { no: StepNo(step as u32), name: STEPS[step - 1].0.into() });
    CommandRequest { target: Target::Key(key), step, command, payload: Payload::default() }
}
