//! The stores under test, right ones and wrong ones.

use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;

use hydra_engine::protocol::{Epoch, Execution, Protocol, Reference, Rejection, StepNo};
use hydra_engine::store::{
    ClaimRequest, CommandRequest, ExecutionKey, GroupCommit, Inline, ListFilter, ManualClock, MemoryBackend, Payload,
    Rules, SqliteOptions, StepRef, StoreOptions, Synchronous, Target, Transact, Value,
};
use hydra_fuzz_targets::differential::harness::{self, Subject, at, id};
use proptest_state_machine::StateMachineTest;
use tokio::runtime::Runtime;

use super::program::{Fate, Program, Sent, Transition};

/// A kind of store.
pub trait Kind: 'static {
    /// Whether what was answered is there when it is opened again.
    const KEEPS: bool;
    /// Whether what a body wrote is written once more when the body is dropped: a planted defect.
    const TORN: bool = false;
    /// Its rules.
    fn rules() -> Rules {
        &Reference
    }
    /// Opens it.
    fn open(path: &Path, options: StoreOptions) -> Box<dyn Subject>;
}

fn file(path: &Path) -> SqliteOptions {
    SqliteOptions { synchronous: Synchronous::Normal, ..SqliteOptions::at(path) }
}

pub struct MemoryInline;
impl Kind for MemoryInline {
    const KEEPS: bool = false;
    fn open(_: &Path, options: StoreOptions) -> Box<dyn Subject> {
        Box::new(Inline::over(MemoryBackend::default(), options))
    }
}

pub struct MemoryGroupCommit;
impl Kind for MemoryGroupCommit {
    const KEEPS: bool = false;
    fn open(_: &Path, options: StoreOptions) -> Box<dyn Subject> {
        Box::new(GroupCommit::over(MemoryBackend::default(), options).unwrap())
    }
}

pub struct SqliteInline;
impl Kind for SqliteInline {
    const KEEPS: bool = true;
    fn open(path: &Path, options: StoreOptions) -> Box<dyn Subject> {
        Box::new(Inline::over(file(path).open_backend().unwrap(), options))
    }
}

pub struct SqliteGroupCommit;
impl Kind for SqliteGroupCommit {
    const KEEPS: bool = true;
    fn open(path: &Path, options: StoreOptions) -> Box<dyn Subject> {
        Box::new(file(path).open(options).unwrap())
    }
}

/// Rules that are wrong.
pub trait Wrong: 'static {
    const RULES: Rules;
}

/// A store that goes by them.
pub struct Under<W>(PhantomData<W>);
impl<W: Wrong> Kind for Under<W> {
    const KEEPS: bool = false;
    fn rules() -> Rules {
        W::RULES
    }
    fn open(path: &Path, options: StoreOptions) -> Box<dyn Subject> {
        MemoryInline::open(path, options)
    }
}

/// Writes of a lost lease are taken.
pub struct Zombie;
impl Protocol for Zombie {
    fn fence(&self, _: &Execution, _: Epoch) -> Result<(), Rejection> {
        Ok(())
    }
}
impl Wrong for Zombie {
    const RULES: Rules = &Zombie;
}

/// Says that it keeps what it answers, and does not.
pub struct Lost;
impl Kind for Lost {
    const KEEPS: bool = true;
    fn open(path: &Path, options: StoreOptions) -> Box<dyn Subject> {
        MemoryInline::open(path, options)
    }
}

/// Effect and checkpoint are two transactions.
pub struct Torn;
impl Kind for Torn {
    const KEEPS: bool = false;
    const TORN: bool = true;
    fn open(path: &Path, options: StoreOptions) -> Box<dyn Subject> {
        MemoryInline::open(path, options)
    }
}

/// The same without the defect.
pub type Kept = MemoryInline;

/// One store under test.
pub struct Test<K> {
    store: Box<dyn Subject>,
    clock: ManualClock,
    runtime: Runtime,
    folder: tempfile::TempDir,
    kind: PhantomData<K>,
}

impl<K: Kind> Test<K> {
    fn open(&self) -> Box<dyn Subject> {
        open::<K>(self.folder.path(), &self.clock)
    }

    async fn claim(&self, limit: usize, lease_ms: u64, program: &Program) {
        let lease = hydra_engine::protocol::Span::from_millis(lease_ms);
        let claims = self.store.claim(ClaimRequest { limit, lease, ..harness::claim("w") }).await.unwrap();
        let keys: Vec<_> = claims.claimed.iter().map(|claimed| claimed.key.0).collect();
        assert_eq!((keys, claims.ended), program.claimed);
        for claimed in claims.claimed {
            let journal: Vec<_> = claimed.journal.iter().map(|step| (step.no.0, step.row)).collect();
            assert_eq!(journal, steps(program, claimed.key.0));
        }
    }

    async fn send(&self, sent: &Sent, fate: Fate, program: &Program) {
        match fate {
            Fate::RequestLost => {}
            Fate::BodyDropped => {
                if let Transact::Open(mut body) = self.store.transact(request(sent)).await.unwrap() {
                    body.execute(EFFECT, &effect(sent)).await.unwrap();
                    drop(body);
                    if K::TORN {
                        self.store.run(&["insert into effects values ('torn', 0)"]).await.unwrap();
                    }
                }
            }
            // The first answer of two is lost to its sender, and must be right all the same.
            Fate::Answered | Fate::ReplyLost | Fate::Twice => {
                for expected in &program.expected {
                    assert_eq!(&self.deliver(sent).await, expected, "{sent:?}");
                }
            }
        }
    }

    async fn deliver(&self, sent: &Sent) -> Result<hydra_engine::protocol::Reply, Rejection> {
        let request = request(sent);
        if !sent.body {
            return self.store.command(request).await.unwrap().decision;
        }
        match self.store.transact(request).await.unwrap() {
            Transact::Answered(answer) => answer.decision,
            Transact::Open(mut body) => {
                body.execute(EFFECT, &effect(sent)).await.unwrap();
                body.commit(b"output".to_vec()).await.unwrap().decision
            }
        }
    }

    /// All rows are the model's, and so are the effects of bodies.
    async fn compare(&self, program: &Program) {
        let views = self.store.list(ListFilter::default()).await.unwrap();
        let rows: Vec<_> = views.iter().rev().map(|view| (view.key.0, view.row)).collect();
        let expected: Vec<_> = program.model.executions.iter().map(|(key, (_, _, row))| (*key, *row)).collect();
        assert_eq!(rows, expected);
        for (key, _) in rows {
            let history = self.store.history(ExecutionKey(key)).await.unwrap();
            let rows: Vec<_> = history.steps.iter().map(|view| (view.step.no.0, view.step.row)).collect();
            assert_eq!(rows, steps(program, key));
        }
        let seen = self.store.look("select count(*) from effects").await.unwrap();
        assert_eq!(seen, [[Value::Integer(program.effects.len() as i64)]], "effects of bodies");
    }
}

const EFFECT: &str = "insert into effects values ($1, $2)";

fn effect(sent: &Sent) -> [Value; 2] {
    [Value::Text(name(sent.execution)), Value::Integer(sent.step.unwrap_or(0).into())]
}

fn open<K: Kind>(folder: &Path, clock: &ManualClock) -> Box<dyn Subject> {
    let options = StoreOptions { rules: K::rules(), clock: Arc::new(clock.clone()), ..StoreOptions::default() };
    K::open(&folder.join("store.db"), options)
}

fn name(execution: u8) -> String {
    format!("e-{execution}")
}

fn request(sent: &Sent) -> CommandRequest {
    let step = sent.step.map(|no| StepRef { no: StepNo(no), name: "step".into() });
    let payload =
        Payload { workflow: Some("order".into()), value: Some(vec![sent.input]), error: Some("declined".into()) };
    CommandRequest { target: Target::Id(id(&name(sent.execution))), step, command: sent.command, payload }
}

fn steps(program: &Program, key: i64) -> Vec<(u32, hydra_engine::protocol::Step)> {
    program.model.steps.iter().filter(|(at, _)| at.0 == key).map(|((_, no), step)| (*no, *step)).collect()
}

impl<K: Kind> StateMachineTest for Test<K> {
    type SystemUnderTest = Self;
    type Reference = Program;

    fn init_test(_: &Program) -> Self {
        let (clock, folder) = (ManualClock::at(at(0)), tempfile::tempdir().unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let store = open::<K>(folder.path(), &clock);
        runtime.block_on(store.run(&["create table effects (execution text, step integer)"])).unwrap();
        Test { store, clock, runtime, folder, kind: PhantomData }
    }

    fn apply(mut test: Self, program: &Program, transition: Transition) -> Self {
        match transition {
            Transition::Passes(ms) => test.clock.advance_ms(ms),
            Transition::Claims { limit, lease_ms } => test.runtime.block_on(test.claim(limit, lease_ms, program)),
            Transition::Sends { sent, fate } => test.runtime.block_on(test.send(&sent, fate, program)),
            Transition::Late(sent) => test.runtime.block_on(test.send(&sent, Fate::Answered, program)),
            Transition::Restarts if K::KEEPS => test.store = test.open(),
            Transition::Restarts => {}
        }
        test
    }

    fn check_invariants(test: &Self, program: &Program) {
        test.runtime.block_on(test.compare(program));
    }
}
