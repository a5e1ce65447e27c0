//! Values of steps: a workflow sees of a step what every later replay sees, or a typed error; and whatever bytes a
//! checkpoint holds, its body does not run again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hydra_engine::protocol::Time;
use hydra_engine::store::{Inline, SqliteOptions, StoreOptions, Synchronous, TokioClock};
use hydra_engine::{Client, StepError, Worker};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What users return from bodies, with all that JSON is bad at.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Shape {
    Nothing,
    Whole(i64),
    Wide(u128),
    Real(f64),
    Short(f32),
    Text(String),
    Letter(char),
    Bytes(Vec<u8>),
    /// JSON writes `Some(None)` as it writes `None`.
    Maybe(Option<Option<u8>>),
    /// Keys that are no text are turned into text.
    ByNumber(BTreeMap<i32, bool>),
    /// Keys that have no text at all.
    ByPair(BTreeMap<(u8, u8), bool>),
    Many(Vec<Shape>),
    Named {
        left: Box<Shape>,
        right: Box<Shape>,
    },
}

fn shapes() -> impl Strategy<Value = Shape> {
    let leaf = prop_oneof![
        Just(Shape::Nothing),
        any::<i64>().prop_map(Shape::Whole),
        any::<u128>().prop_map(Shape::Wide),
        // Infinities and what is no number among them.
        proptest::num::f64::ANY.prop_map(Shape::Real),
        proptest::num::f32::ANY.prop_map(Shape::Short),
        any::<String>().prop_map(Shape::Text),
        any::<char>().prop_map(Shape::Letter),
        any::<Vec<u8>>().prop_map(Shape::Bytes),
        any::<Option<Option<u8>>>().prop_map(Shape::Maybe),
        prop::collection::btree_map(any::<i32>(), any::<bool>(), 0..4).prop_map(Shape::ByNumber),
        prop::collection::btree_map(any::<(u8, u8)>(), any::<bool>(), 0..3).prop_map(Shape::ByPair),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Shape::Many),
            (inner.clone(), inner).prop_map(|(left, right)| Shape::Named { left: left.into(), right: right.into() }),
        ]
    })
}

/// What came of a step whose body returned a value, and of its replay.
#[derive(Debug, PartialEq)]
struct Seen {
    /// What the workflow saw, each time that it ran.
    by_the_workflow: Vec<String>,
    bodies: usize,
    status: String,
}

/// Runs a workflow with one such step, that parks and is replayed; before the replay the checkpoint is overwritten, if
/// it is to be.
fn run<T>(value: T, overwrite: Option<&[u8]>) -> Seen
where
    T: Serialize + for<'a> Deserialize<'a> + Clone + std::fmt::Debug + Send + Sync + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let file = SqliteOptions { synchronous: Synchronous::Normal, ..SqliteOptions::at(&path) };
        let clock = Arc::new(TokioClock::starting_at(Time::from_millis(1_000_000)));
        let options = StoreOptions { clock, ..StoreOptions::default() };
        let store = Arc::new(Inline::over(file.open_backend().unwrap(), options));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let bodies = Arc::new(AtomicUsize::new(0));
        let (saw, ran) = (seen.clone(), bodies.clone());
        let worker = Worker::builder(store.clone())
            .workflow("returns", move |ctx, _: ()| {
                let (value, saw, ran) = (value.clone(), saw.clone(), ran.clone());
                async move {
                    let step = ctx.step("value").run(async |_| {
                        ran.fetch_add(1, Ordering::SeqCst);
                        Ok(value.clone())
                    });
                    let value: Result<T, StepError> = step.await;
                    saw.lock().unwrap().push(format!("{value:?}"));
                    ctx.sleep(Duration::from_secs(60)).await;
                    Ok::<_, StepError>(())
                }
            })
            .poll_interval(Duration::from_secs(1))
            .start()
            .unwrap();
        let client = Client::new(store.clone());
        client.start("returns", "w", &()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(20)).await;
        if let Some(bytes) = overwrite {
            let other = rusqlite::Connection::open(&path).unwrap();
            let written = other.execute("UPDATE hydra_steps SET output = ?1 WHERE output IS NOT NULL", [bytes]);
            written.unwrap();
        }
        tokio::time::sleep(Duration::from_secs(100)).await;
        worker.shutdown(Duration::from_secs(1)).await;
        let views = hydra_engine::store::Store::list(&*store, Default::default()).await.unwrap();
        let by_the_workflow = std::mem::take(&mut *seen.lock().unwrap());
        Seen { by_the_workflow, bodies: bodies.load(Ordering::SeqCst), status: format!("{:?}", views[0].row.status) }
    })
}

/// Live as in replay.
fn holds(seen: &Seen) -> Result<(), String> {
    let same = seen.by_the_workflow.windows(2).all(|pair| pair[0] == pair[1]);
    let replayed = seen.by_the_workflow.len() == 2 && seen.status.contains("Succeeded");
    if seen.bodies == 1 && same && replayed { Ok(()) } else { Err(format!("{seen:#?}")) }
}

fn runner(cases: u32) -> TestRunner {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

#[test]
fn a_replay_sees_what_the_live_run_saw() {
    let run = runner(200).run(&shapes(), |shape| holds(&run(shape, None)).map_err(TestCaseError::fail));
    run.unwrap_or_else(|broken| panic!("{broken}"));
}

/// Reads back as another value each time: a type whose decoding is not what it should be.
#[derive(Clone, Debug)]
struct Fickle(usize);

impl Serialize for Fickle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0 as u64)
    }
}

impl<'de> Deserialize<'de> for Fickle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        static READ: AtomicUsize = AtomicUsize::new(0);
        usize::deserialize(deserializer).map(|number| Fickle(number + READ.fetch_add(1, Ordering::SeqCst)))
    }
}

#[test]
fn a_value_that_reads_back_otherwise_is_told_apart() {
    assert!(holds(&run(Fickle(7), None)).is_err());
}

/// What may come of a checkpoint with these bytes: the value they are, or the execution ends as undecodable. The body
/// ran once, before.
fn survives(bytes: &[u8]) -> Result<(), String> {
    let seen = run(Shape::Whole(7), Some(bytes));
    let live = "Ok(Whole(7))".to_owned();
    let right = match serde_json::from_slice::<Shape>(bytes) {
        Ok(value) => seen.by_the_workflow == [live, format!("Ok({value:?})")] && seen.status.contains("Succeeded"),
        Err(_) => seen.by_the_workflow == [live] && seen.status.contains("Undecodable"),
    };
    if right && seen.bodies == 1 { Ok(()) } else { Err(format!("{bytes:?}: {seen:#?}")) }
}

#[test]
fn garbage_in_a_checkpoint_is_no_reason_to_run_its_body_again() {
    let sound = serde_json::to_vec(&Shape::Text("a".into())).unwrap();
    let broken = (Just(sound), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(mut bytes, at, with)| {
        let at = at.index(bytes.len());
        bytes[at] = with;
        bytes
    });
    let bytes = prop_oneof![any::<Vec<u8>>(), broken];
    let run = runner(60).run(&bytes, |bytes| survives(&bytes).map_err(TestCaseError::fail));
    run.unwrap_or_else(|broken| panic!("{broken}"));
}
