//! Two connections to one file: what one knows, the other changes.

use hydra_protocol::{Command, Ending, Kind, Outcome, Rejection, Release, Reply, Settlement, Span, StepNo, Time};

use super::Known;
use crate::store::apply::Tx;
use crate::store::backend::{Backend, Reads};
use crate::store::signals::Effects;
use crate::store::sqlite::{SqliteBackend, SqliteOptions};
use crate::store::{
    ClaimRequest, CommandRequest, ExecutionId, ExecutionKey, Payload, StepRef, StoreError, StoreOptions, Target,
};

type Decision = Result<Reply, Rejection>;

struct Scene {
    a: SqliteBackend,
    b: SqliteBackend,
    key: ExecutionKey,
    _folder: tempfile::TempDir,
}

fn tx(backend: &mut SqliteBackend) -> Tx<'_, SqliteBackend> {
    let (rules, effects) = (StoreOptions::default().rules, Box::leak(Box::default()) as &mut Effects);
    Tx { backend, rules, now: Time::from_millis(1_000), effects }
}

fn command(target: Target, step: u32, command: Command) -> CommandRequest {
    let step = (step > 0).then(|| StepRef { no: StepNo(step), name: "charge".into() });
    CommandRequest { target, step, command, payload: Payload { value: Some(b"1".to_vec()), ..Payload::default() } }
}

fn id() -> Target {
    Target::Id(ExecutionId { namespace: "default".into(), id: "order".into() })
}

/// A has claimed an execution under epoch 1 and begun its first step.
fn scene() -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let open = || SqliteOptions::at(folder.path().join("store.db")).open_backend().unwrap();
    let (mut a, b) = (open(), open());
    a.begin().unwrap();
    let mut start = command(id(), 0, Command::Start { due_at: Time::default(), deadline: None, replays_max: 3 });
    start.payload.workflow = Some("shop".into());
    tx(&mut a).command(&start).unwrap().decision.unwrap();
    let request = ClaimRequest {
        worker: "a".into(),
        namespace: "default".into(),
        workflows: ["shop".to_owned()].into(),
        limit: 1,
        lease: Span::from_millis(10_000),
    };
    let key = tx(&mut a).claim(&request).unwrap().claimed[0].key;
    a.commit().unwrap();
    let mut scene = Scene { a, b, key, _folder: folder };
    assert!(matches!(scene.asked(begin(1)), Ok(Reply::Run { .. })));
    scene
}

fn begin(step: u32) -> (u32, Command) {
    let epoch = hydra_protocol::Epoch(1);
    (step, Command::Begin { epoch, kind: Kind::Keyed, attempt: 1, attempts_max: 3 })
}

fn settle(step: u32) -> (u32, Command) {
    let epoch = hydra_protocol::Epoch(1);
    (step, Command::Settle { epoch, attempt: 1, settlement: Settlement::Succeeded })
}

impl Scene {
    /// A command of A's, in an open transaction.
    fn ask(&mut self, (step, asked): (u32, Command)) -> Result<Decision, StoreError> {
        let request = command(Target::Key(self.key), step, asked);
        tx(&mut self.a).command(&request).map(|answer| answer.decision)
    }

    /// A command of A's, committed.
    fn asked(&mut self, asked: (u32, Command)) -> Decision {
        self.a.begin().unwrap();
        let decision = self.ask(asked).unwrap();
        self.a.commit().unwrap();
        decision
    }

    /// The client cancels it, through the other connection.
    fn cancelled_by_b(&mut self) {
        self.b.begin().unwrap();
        tx(&mut self.b).command(&command(id(), 0, Command::Cancel)).unwrap().decision.unwrap();
        self.b.commit().unwrap();
    }
}

#[test]
fn what_another_connection_has_done_is_seen() {
    let mut scene = scene();
    assert!(scene.a.known.with_step(scene.key, StepNo(1)).is_some(), "or this test shows nothing");
    scene.cancelled_by_b();
    assert_eq!(scene.asked(settle(1)), Err(Rejection::Ended(Ending::Cancelled)));
}

/// The check checked: with the file's version not looked at, a row is decided upon that is not so any more.
#[test]
#[should_panic(expected = "what is known is not what is there")]
fn without_the_files_version_it_is_not_seen() {
    let mut scene = scene();
    let stale: Known = scene.a.known.clone();
    scene.cancelled_by_b();
    scene.a.begin().unwrap();
    scene.a.known = stale;
    let _ = scene.ask(settle(1));
}

/// Found by the fuzzer of hostile files: what contradicts what is known need not be a defect of the engine.
#[test]
fn a_damaged_file_contradicts_nobody() {
    let mut scene = scene();
    let stale: Known = scene.a.known.clone();
    scene.cancelled_by_b();
    let forge = "PRAGMA ignore_check_constraints = ON; UPDATE hydra_leases SET epoch = -1";
    scene.b.sql.connection().execute_batch(forge).unwrap();
    scene.a.begin().unwrap();
    scene.a.known = stale;
    // Whatever the answer is: nothing panics.
    let _ = scene.ask(settle(1));
}

#[test]
fn what_was_undone_is_forgotten() {
    let mut scene = scene();
    scene.a.begin().unwrap();
    assert!(matches!(scene.ask(begin(2)).unwrap(), Ok(Reply::Run { .. })));
    scene.a.rollback();
    assert!(matches!(scene.asked(begin(2)), Ok(Reply::Run { .. })));
    assert_eq!(scene.a.steps(scene.key).unwrap().len(), 2, "begun, and not on record");

    scene.a.begin().unwrap();
    scene.a.savepoint().unwrap();
    assert!(matches!(scene.ask(begin(3)).unwrap(), Ok(Reply::Run { .. })));
    scene.a.rollback_to().unwrap();
    assert!(matches!(scene.ask(begin(3)).unwrap(), Ok(Reply::Run { .. })));
    scene.a.commit().unwrap();
    assert_eq!(scene.a.steps(scene.key).unwrap().len(), 3, "begun, and not on record");
}

/// The check checked: with what was undone still known, the next command rests on a row that is not there.
#[test]
#[should_panic(expected = "what is known is not what is there")]
fn not_forgotten_it_is_rested_upon() {
    let mut scene = scene();
    scene.a.begin().unwrap();
    scene.ask(begin(2)).unwrap().unwrap();
    let undone = scene.a.known.clone();
    scene.a.rollback();
    scene.a.begin().unwrap();
    scene.a.known = undone;
    let _ = scene.ask(begin(2));
}

/// A transaction that the database ended by itself, or whose commit failed, without anybody having said so.
#[test]
fn only_what_was_committed_is_known_on() {
    let mut scene = scene();
    scene.a.begin().unwrap();
    scene.ask(begin(2)).unwrap().unwrap();
    scene.a.sql.control("ROLLBACK").unwrap();
    assert!(matches!(scene.asked(begin(2)), Ok(Reply::Run { .. })));
    assert_eq!(scene.a.steps(scene.key).unwrap().len(), 2, "begun, and not on record");
}

#[test]
fn an_execution_that_is_driven_no_more_is_let_go() {
    let epoch = hydra_protocol::Epoch(1);
    for last in
        [Command::Finish { epoch, ending: Ending::Succeeded }, Command::Release { epoch, release: Release::Shutdown }]
    {
        let mut scene = scene();
        scene.asked(settle(1)).unwrap();
        assert_eq!(scene.a.known.executions.len(), 1);
        scene.asked((0, last)).unwrap();
        assert!(scene.a.known.executions.is_empty());
    }
}

/// What is known spares the reads: of the steps that are open, and of one that nobody has begun.
#[test]
fn the_steps_that_commands_ask_for_are_known() {
    let mut scene = scene();
    scene.asked(begin(2)).unwrap();
    let of = |step: u32, known: &Known| known.with_step(scene.key, StepNo(step)).map(|(_, step)| step.is_some());
    let open = |known: &Known| known.open_steps(scene.key).map(|open| open.into_iter().map(|(no, _)| no.0).collect());
    let asked: [Option<bool>; 3] = [1, 2, 3].map(|step| of(step, &scene.a.known));
    assert_eq!((asked, open(&scene.a.known)), ([Some(true), Some(true), Some(false)], Some(vec![1, 2])));
    // Another worker in another process reads the steps when it claims, and knows them from then on.
    let mut all = Known::default();
    let (row, step) = scene.a.known.with_step(scene.key, StepNo(2)).unwrap();
    all.read(scene.key, &row);
    assert_eq!((of(2, &all), open(&all)), (None, None));
    all.read_steps(scene.key, [(StepNo(2), step.unwrap())].into_iter());
    assert_eq!((of(2, &all), of(3, &all), open(&all)), (Some(true), Some(false), Some(vec![2])));
}

/// A step that has settled is not among the open ones, and yet it was begun: it is read again.
#[test]
fn a_settled_step_is_not_taken_for_one_that_nobody_has_begun() {
    let mut scene = scene();
    scene.asked(settle(1)).unwrap();
    scene.asked(begin(2)).unwrap();
    assert_eq!(scene.a.known.with_step(scene.key, StepNo(1)), None);
    let settled = Reply::Settled { order: 1, outcome: Outcome::Succeeded };
    assert_eq!(scene.asked(begin(1)), Ok(settled));
}

#[test]
fn it_knows_so_many_and_no_more() {
    let mut known = Known::default();
    let row = scene().a.known.executions.into_values().next().unwrap().execution;
    for key in 0..3 * super::EXECUTIONS_MAX as i64 {
        known.read(ExecutionKey(key), &row);
        assert!(known.executions.len() <= super::EXECUTIONS_MAX);
        assert_eq!(known.execution(ExecutionKey(key)), Some(row));
        assert!(key == 0 || key % super::EXECUTIONS_MAX as i64 == 0 || known.executions.len() > 1, "too few");
    }
}
