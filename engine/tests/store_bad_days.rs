//! Files that are no store, disks that are full, locks that are held, rows that are corrupt, writers that die: each is
//! a typed error that says what to do, and nothing is lost.

#[path = "store_conformance/harness.rs"]
#[expect(dead_code, reason = "only part of it is needed here")]
mod harness;

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::*;
use hydra_engine::store::{
    ClaimRequest, CommandRequest, GroupCommit, HeartbeatRequest, ManualClock, MemoryBackend, SqliteOptions,
    SqliteStore, Store, StoreError, StoreOptions, Target,
};
use hydra_protocol::{Command, Ending, Epoch, Kind, Protocol, Rejection, Reply, Settlement, Status};
use rusqlite::Connection;

struct File {
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl File {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        File { path: folder.path().join("store.db"), _folder: folder }
    }

    fn sql(&self, sql: &str) {
        Connection::open(&self.path).unwrap().execute_batch(sql).unwrap();
    }

    fn options(&self) -> SqliteOptions {
        let mut options = SqliteOptions::at(&self.path);
        options.busy_timeout = Duration::from_millis(100);
        options
    }

    fn open(&self) -> Result<SqliteStore, StoreError> {
        self.options().open(StoreOptions { clock: Arc::new(ManualClock::at(at(0))), ..StoreOptions::default() })
    }
}

fn not_a_store(path: &Path, says: &str) {
    match SqliteStore::open(path).map(drop) {
        Err(StoreError::NotAStore(why)) if why.contains(says) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let file = File::new();
    drop(file.open().unwrap());
    file.sql("PRAGMA user_version = 99");
    not_a_store(&file.path, "schema version 99");
    let version: i64 =
        Connection::open(&file.path).unwrap().query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    assert_eq!(version, 99);
}

#[test]
fn a_file_of_another_application_is_refused_and_left_alone() {
    let with_tables = File::new();
    with_tables.sql("CREATE TABLE theirs (x)");
    let with_an_id = File::new();
    with_an_id.sql("PRAGMA application_id = 7");
    for file in [with_tables, with_an_id] {
        let before = std::fs::read(&file.path).unwrap();
        not_a_store(&file.path, "another application");
        assert_eq!(std::fs::read(&file.path).unwrap(), before);
    }
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let file = File::new();
    let text = b"my diary, which is long enough to be looked at as a header of a database, or so one would think\n";
    std::fs::write(&file.path, text.repeat(20)).unwrap();
    not_a_store(&file.path, "no SQLite database");
    assert_eq!(std::fs::read(&file.path).unwrap(), text.repeat(20));
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let error = SqliteStore::open("/no/such/folder/store.db").map(drop).unwrap_err();
    assert!(error.to_string().contains("/no/such/folder/store.db"), "{error}");
}

#[test]
fn a_read_only_file_is_refused() {
    let file = File::new();
    drop(file.open().unwrap());
    // Permissions do not bind root, under which tests may run; this mode of SQLite's does.
    let read_only = format!("file:{}?mode=ro", file.path.display());
    match SqliteStore::open(read_only).map(drop) {
        Err(StoreError::Refused(why)) => assert!(why.contains("cannot be written"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_was_answered_is_there_when_the_file_is_opened_again() {
    let file = File::new();
    let store = file.open().unwrap();
    store.command(start("o-1")).await.unwrap().decision.unwrap();
    store.close().await;
    let store = file.open().unwrap();
    assert_eq!(store.command(start("o-1")).await.unwrap().decision, Ok(Reply::AlreadyStarted));
}

#[tokio::test]
async fn a_lock_held_for_long_is_unavailable_and_passes() {
    let file = File::new();
    let store = file.open().unwrap();
    store.command(start("o-1")).await.unwrap().decision.unwrap();
    let other = Connection::open(&file.path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let asked = Instant::now();
    // Several, to see that they do not wait one after the other.
    let names: Vec<_> = (0..20).map(|number| format!("late-{number}")).collect();
    let answers = futures::future::join_all(names.iter().map(|name| store.command(start(name)))).await;
    for answer in answers {
        match answer {
            Err(error @ StoreError::Unavailable(_)) => {
                assert!(error.is_passing() && error.to_string().contains("holds the lock"), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(asked.elapsed() < Duration::from_secs(2));
    assert!(store.execution(&id("o-1")).await.unwrap().is_some(), "reads do not wait");
    let body = store.transact(CommandRequest {
        payload: Default::default(),
        ..settle(hydra_engine::store::ExecutionKey(1), hydra_protocol::Epoch(1), 1, 1, Settlement::Succeeded)
    });
    assert!(matches!(body.await.map(drop), Err(StoreError::Unavailable(_))));
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(store.command(start("late-1")).await.unwrap().decision, Ok(Reply::Started), "nothing was written");
}

#[tokio::test]
async fn a_full_disk_is_unavailable_and_loses_nothing() {
    let file = File::new();
    let mut options = file.options();
    options.pages_max = Some(60);
    let store = options.open(StoreOptions::default()).unwrap();
    let large = |name: &str| {
        let mut request = start(name);
        request.payload.value = Some(vec![7; 20_000]);
        request
    };
    let mut started = 0;
    let error = loop {
        match store.command(large(&format!("o-{started}"))).await {
            Ok(answer) => assert_eq!(answer.decision, Ok(Reply::Started)),
            Err(error) => break error,
        }
        started += 1;
        assert!(started < 100, "the disk never gets full");
    };
    assert!(matches!(&error, StoreError::Unavailable(why) if why.contains("disk is full")), "{error:?}");
    for number in 0..started {
        assert_eq!(store.command(large(&format!("o-{number}"))).await.unwrap().decision, Ok(Reply::AlreadyStarted));
    }
    // Together with ones that fit, only the ones that do not fit fail.
    let (too_large, small) = tokio::join!(store.command(large("too large")), store.command(start("small")));
    assert!(matches!(too_large, Err(StoreError::Unavailable(_))));
    assert_eq!(small.unwrap().decision, Ok(Reply::Started));
    assert_eq!(store.execution(&id("too large")).await.unwrap(), None);
}

#[tokio::test]
async fn a_write_that_the_database_refuses_fails_alone() {
    let file = File::new();
    let store = Arc::new(file.open().unwrap());
    // The database refuses this one name; nothing in the engine knows of it.
    file.sql(
        "CREATE TRIGGER no BEFORE INSERT ON hydra_executions WHEN new.id = 'cursed' \
              BEGIN SELECT raise(ABORT, 'no such luck'); END",
    );
    let names: Vec<_> =
        (0..30).map(|number| if number == 17 { "cursed".into() } else { format!("o-{number}") }).collect();
    let answers = futures::future::join_all(names.iter().map(|name| store.command(start(name)))).await;
    for (name, answer) in names.iter().zip(answers) {
        match answer {
            Ok(answer) => assert!(name != "cursed" && answer.decision == Ok(Reply::Started)),
            Err(StoreError::Refused(why)) => assert!(name == "cursed" && why.contains("no such luck"), "{name}: {why}"),
            Err(other) => panic!("{name}: {other}"),
        }
    }
}

/// (1) a claim writes the execution's row; (2) the page that its lease belongs on cannot be read; (3) passed over like a
/// corrupt row, the execution would be committed as leased, to nobody.
#[tokio::test]
async fn a_page_that_cannot_be_read_undoes_what_was_written_before() {
    let file = File::new();
    let store = file.open().unwrap();
    store.command(start("o-1")).await.unwrap().decision.unwrap();
    store.close().await;
    drop(store);
    file.sql("PRAGMA wal_checkpoint(TRUNCATE)");
    let (page, bytes): (u32, u32) = Connection::open(&file.path)
        .unwrap()
        .query_row(
            "SELECT rootpage, page_size FROM sqlite_schema, pragma_page_size WHERE name = 'hydra_leases'",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    let disk = std::fs::OpenOptions::new().write(true).open(&file.path).unwrap();
    disk.write_all_at(&vec![0xff; bytes as usize], u64::from(page - 1) * u64::from(bytes)).unwrap();

    let store = file.open().unwrap();
    match store.claim(claim("w")).await {
        Err(StoreError::Unreadable(why)) => assert!(why.contains("malformed"), "{why}"),
        other => panic!("{other:?}"),
    }
    let view = store.execution(&id("o-1")).await.unwrap().unwrap();
    assert!(matches!(view.row.status, Status::Ready { .. }) && view.row.epoch == Epoch(0), "{:?}", view.row);
    assert_eq!(store.command(start("o-2")).await.unwrap().decision, Ok(Reply::Started), "what can be done is done");
}

#[tokio::test]
async fn a_corrupt_row_is_named_and_stands_in_nobodys_way() {
    let file = File::new();
    let store = file.open().unwrap();
    for name in ["corrupt", "sound", "of a corrupt step"] {
        store.command(start(name)).await.unwrap().decision.unwrap();
    }
    let claims = store.claim(claim("a")).await.unwrap().claimed;
    let (corrupt, sound, epoch) = (claims[0].key, claims[1].key, claims[0].epoch);
    store.command(begin(claims[2].key, epoch, 1, Kind::Keyed, 1)).await.unwrap().decision.unwrap();
    file.sql(
        "PRAGMA ignore_check_constraints = ON; \
              UPDATE hydra_executions SET settled = -1 WHERE id = 'corrupt'; \
              UPDATE hydra_executions SET due_at = 0; \
              UPDATE hydra_steps SET state = 'gone'",
    );
    for request in
        [start("corrupt"), finish(corrupt, epoch, Ending::Succeeded), client("corrupt", None, Command::Cancel)]
    {
        match store.command(request).await {
            Err(StoreError::Corrupt { row, what }) => {
                assert!(row.contains("hydra_executions.seq = 1") && what.contains("settled"), "{row}: {what}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(store.execution(&id("corrupt")).await, Err(StoreError::Corrupt { .. })));
    assert!(matches!(store.history(claims[2].key).await, Err(StoreError::Corrupt { .. })));
    assert!(matches!(store.list(Default::default()).await, Err(StoreError::Corrupt { .. })));
    // Those in front are passed over, even where only one is asked for, and an idle worker is not sent round and round.
    let one = store.claim(ClaimRequest { limit: 1, ..claim("b") }).await.unwrap();
    assert_eq!(one.claimed.iter().map(|claimed| claimed.key).collect::<Vec<_>>(), [sound]);
    let none = store.claim(claim("b")).await.unwrap();
    assert_eq!((none.claimed.len(), none.next_due), (0, Some(at(10_000))));
    let epoch = one.claimed[0].epoch;
    let leases = vec![(corrupt, epoch), (sound, epoch)];
    let beats = store.heartbeat(HeartbeatRequest { leases, lease: LEASE }).await.unwrap();
    assert_eq!(beats.decisions, [Err(Rejection::UnknownExecution), Ok(Reply::Renewed { lease: LEASE })]);
}

#[tokio::test]
async fn a_checkpoint_that_is_missing_is_noticed_before_its_body_runs_again() {
    let file = File::new();
    let store = file.open().unwrap();
    for name in ["sound", "robbed"] {
        store.command(start(name)).await.unwrap().decision.unwrap();
    }
    for claimed in store.claim(claim("a")).await.unwrap().claimed {
        let (key, epoch) = (claimed.key, claimed.epoch);
        for step in [1, 2] {
            store.command(begin(key, epoch, step, Kind::Keyed, 1)).await.unwrap().decision.unwrap();
            store.command(settle(key, epoch, step, 1, Settlement::Succeeded)).await.unwrap().decision.unwrap();
        }
        let release = hydra_protocol::Release::Shutdown;
        store.command(harness::release(key, epoch, release)).await.unwrap().decision.unwrap();
    }
    file.sql(
        "DELETE FROM hydra_steps WHERE step = 1 AND execution = (SELECT seq FROM hydra_executions WHERE id = 'robbed')",
    );
    let claimed = store.claim(claim("b")).await.unwrap().claimed;
    assert_eq!(claimed.iter().map(|claimed| claimed.id.id.as_str()).collect::<Vec<_>>(), ["sound"]);
}

/// Rules that panic, for the writer to die of.
struct Explosive;
impl Protocol for Explosive {
    fn cancel(&self, _: &hydra_protocol::Rows) -> Result<hydra_protocol::Commit, Rejection> {
        panic!("planted")
    }
}

#[tokio::test]
async fn a_writer_that_dies_says_so_to_everybody() {
    let options = StoreOptions { rules: &Explosive, ..StoreOptions::default() };
    let store = GroupCommit::over(MemoryBackend::default(), options).unwrap();
    store.command(start("o-1")).await.unwrap().decision.unwrap();
    let answers = tokio::join!(store.command(client("o-1", None, Command::Cancel)), store.command(start("o-2")));
    assert!(matches!(answers.0, Err(StoreError::Unknown(_))), "{:?}", answers.0);
    assert!(answers.1.is_err(), "of the same batch, or of the queue behind it");
    // Nobody has closed the store, and nobody is left to take this.
    let later = tokio::time::timeout(Duration::from_secs(60), store.command(start("o-3"))).await;
    assert!(later.expect("it waits for ever").is_err());
    store.close().await;
    assert!(matches!(store.command(start("o-3")).await, Err(StoreError::Refused(_))));
    assert!(matches!(store.execution(&id("o-1")).await, Err(StoreError::Refused(_))));
}

#[tokio::test]
async fn a_closed_store_answers_what_it_has_and_takes_no_more() {
    let store = GroupCommit::over(MemoryBackend::default(), StoreOptions::default()).unwrap();
    let names: Vec<_> = (0..50).map(|number| format!("o-{number}")).collect();
    let asked = names.iter().map(|name| store.command(start(name)));
    let (answers, ()) = tokio::join!(futures::future::join_all(asked), store.close());
    for answer in answers {
        assert_eq!(answer.unwrap().decision, Ok(Reply::Started));
    }
    match store.command(start("late")).await {
        Err(error @ StoreError::Refused(_)) => assert!(error.to_string().contains("closed")),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_does_no_harm() {
    let store = GroupCommit::over(MemoryBackend::default(), StoreOptions::default()).unwrap();
    for number in 0..50 {
        let name = format!("o-{number}");
        let (command, claims) = (store.command(start(&name)), store.claim(claim("gone")));
        // Asked once, and dropped before the answer.
        tokio::select! { biased; _ = command => {}, _ = claims => {}, _ = std::future::ready(()) => {} }
    }
    assert_eq!(store.command(start("o-here")).await.unwrap().decision, Ok(Reply::Started));
}

#[tokio::test]
async fn a_small_queue_only_makes_its_callers_wait() {
    let options = StoreOptions { queue_commands_max: 2, batch_commands_max: 3, ..StoreOptions::default() };
    let store = GroupCommit::over(MemoryBackend::default(), options).unwrap();
    let names: Vec<_> = (0..500).map(|number| format!("o-{number}")).collect();
    let answers = futures::future::join_all(names.iter().map(|name| store.command(start(name)))).await;
    assert!(answers.into_iter().all(|answer| answer.unwrap().decision == Ok(Reply::Started)));
}

#[tokio::test]
async fn two_handles_on_one_file_take_turns() {
    let file = File::new();
    let (mut options, clock) = (file.options(), ManualClock::at(at(0)));
    options.busy_timeout = Duration::from_secs(5);
    let open =
        || Arc::new(options.open(StoreOptions { clock: Arc::new(clock.clone()), ..StoreOptions::default() }).unwrap());
    let (one, two) = (open(), open());
    for number in 0..60 {
        one.command(start(&format!("o-{number}"))).await.unwrap().decision.unwrap();
    }
    // Both drive executions to their ends, as fast as they can.
    let work = async |store: Arc<SqliteStore>, worker: &'static str| {
        let mut ended = 0;
        loop {
            let claims = store.claim(ClaimRequest { limit: 4, ..claim(worker) }).await.unwrap();
            if claims.claimed.is_empty() {
                return ended;
            }
            for claimed in claims.claimed {
                let (key, epoch) = (claimed.key, claimed.epoch);
                assert_eq!(claimed.journal, []);
                let run = store.command(begin(key, epoch, 1, Kind::Keyed, 1)).await.unwrap();
                assert_eq!(run.decision, Ok(Reply::Run { attempt: 1 }));
                store.command(settle(key, epoch, 1, 1, Settlement::Succeeded)).await.unwrap().decision.unwrap();
                store.command(finish(key, epoch, Ending::Succeeded)).await.unwrap().decision.unwrap();
                ended += 1;
            }
        }
    };
    let (by_one, by_two) = tokio::join!(work(Arc::clone(&one), "one"), work(Arc::clone(&two), "two"));
    assert_eq!(by_one + by_two, 60);
    let wrong = CommandRequest { target: Target::Id(id("o-0")), ..client("o-0", None, Command::Cancel) };
    assert_eq!(two.command(wrong).await.unwrap().decision, Err(Rejection::Ended(Ending::Succeeded)));
}
