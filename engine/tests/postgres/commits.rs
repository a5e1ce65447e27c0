//! Commits that fail, or of which nobody knows; locks that others hold.

use hydra_engine::store::{PostgresOptions, PostgresStore, Store, StoreError, StoreOptions};
use hydra_protocol::{Kind, Rejection, Reply};
use std::time::Duration;

use crate::harness::server::{Server, database, sql};
use crate::harness::{begin, claim, client, failed, finish, id, settle, start};
use crate::proxy::{Cut, Proxy};

#[tokio::test]
async fn a_connection_lost_around_the_commit_is_unknown_and_before_it_unavailable() {
    let server = Server::start(&["fsync=off"]);
    let proxy = Proxy::to(server.folder().join(".s.PGSQL.5432"));
    let mut options = PostgresOptions::at(format!("host=127.0.0.1 port={} user=postgres dbname=postgres", proxy.port));
    (options.writers, options.listen) = (1, false);
    let store = options.open(StoreOptions::default()).unwrap();
    store.command(start("o-0")).await.unwrap().decision.unwrap();
    for (cut, name, committed) in [
        (Cut::AfterBegin, "o-1", false),
        (Cut::BeforeCommit, "o-2", false),
        (Cut::AfterCommit, "o-3", true),
        (Cut::AfterCommitInWords, "o-4", true),
    ] {
        proxy.cut(cut);
        let answer = store.command(start(name)).await;
        match answer {
            Err(StoreError::Unavailable(_)) => assert_eq!(cut, Cut::AfterBegin),
            Err(StoreError::Unknown(_)) => assert_ne!(cut, Cut::AfterBegin),
            other => panic!("{cut:?}: {other:?}"),
        }
        assert!(proxy.has_cut());
        // Asked again, it is answered whatever happened.
        let expected = if committed { Reply::AlreadyStarted } else { Reply::Started };
        assert_eq!(store.command(start(name)).await.unwrap().decision, Ok(expected), "{cut:?}");
    }
    store.close().await;
    let closed = store.command(start("late")).await;
    assert!(matches!(&closed, Err(StoreError::Refused(why)) if why.contains("closed")), "{closed:?}");
}

#[tokio::test]
async fn a_write_that_the_database_refuses_fails_alone() {
    let url = database();
    let store = PostgresStore::open(&url).unwrap();
    // The database refuses this one name; nothing in the engine knows of it.
    sql(
        &url,
        &[
            "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN IF new.id = 'cursed' THEN RAISE 'no such luck'; END IF; RETURN new; END $$",
            "CREATE TRIGGER no BEFORE INSERT ON hydra.executions FOR EACH ROW EXECUTE FUNCTION no()",
        ],
    );
    let names: Vec<_> = (0..200).map(|at| if at == 117 { "cursed".into() } else { format!("o-{at}") }).collect();
    let answers = futures::future::join_all(names.iter().map(|name| store.command(start(name)))).await;
    for (name, answer) in names.iter().zip(answers) {
        match answer {
            Ok(answer) => assert!(name != "cursed" && answer.decision == Ok(Reply::Started)),
            Err(StoreError::Refused(why)) => assert!(name == "cursed" && why.contains("no such luck"), "{name}: {why}"),
            Err(other) => panic!("{name}: {other}"),
        }
    }
}

/// The COMMIT is sent behind the writes without waiting for them.
#[tokio::test]
async fn a_write_that_finds_too_few_rows_leaves_nothing_behind() {
    let url = database();
    let store = PostgresStore::open(&url).unwrap();
    store.command(start("o-1")).await.unwrap().decision.unwrap();
    let one = store.claim(claim("a")).await.unwrap().claimed.remove(0);
    store.command(begin(one.key, one.epoch, 1, Kind::Keyed, 1)).await.unwrap().decision.unwrap();
    let rows = || sql(&url, &["SELECT e.settled, s.state FROM hydra.executions e, hydra.steps s"]);
    // As if the row were gone by the time it is written: nothing in the engine knows of it.
    sql(
        &url,
        &[
            "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
            "CREATE TRIGGER no BEFORE UPDATE ON hydra.steps FOR EACH ROW EXECUTE FUNCTION no()",
        ],
    );
    let succeeded = hydra_protocol::Settlement::Succeeded;
    let refused = store.command(settle(one.key, one.epoch, 1, 1, succeeded)).await;
    assert!(matches!(&refused, Err(StoreError::Refused(why)) if why.contains("1 rows instead of 2")), "{refused:?}");
    assert_eq!(rows(), "0|running");
    sql(&url, &["DROP TRIGGER no ON hydra.steps"]);
    store.command(settle(one.key, one.epoch, 1, 1, succeeded)).await.unwrap().decision.unwrap();
    assert_eq!(rows(), "1|succeeded");
}

#[tokio::test]
async fn starts_of_one_id_at_once_start_it_once() {
    let url = database();
    let stores = [PostgresStore::open(&url).unwrap(), PostgresStore::open(&url).unwrap()];
    for round in 0..5 {
        let names: Vec<_> = (0..40).map(|at| format!("o-{round}-{at}")).collect();
        // In opposite orders, so that they would wait for each other crosswise.
        let one = names.iter().map(|name| stores[0].command(start(name)));
        let two = names.iter().rev().map(|name| stores[1].command(start(name)));
        let (one, two) = tokio::join!(futures::future::join_all(one), futures::future::join_all(two));
        let mut decisions: Vec<_> =
            one.into_iter().chain(two).map(|answer| answer.unwrap().decision.unwrap()).collect();
        decisions.retain(|decision| *decision == Reply::Started);
        assert_eq!(decisions.len(), names.len());
    }
    assert_eq!(sql(&url, &["SELECT count(*), count(DISTINCT id) FROM hydra.executions"]), "200|200");
}

#[tokio::test]
async fn a_lock_held_for_long_is_unavailable_and_passes() {
    let url = database();
    let mut options = PostgresOptions::at(&url);
    options.lock_timeout = Duration::from_millis(100);
    let store = options.open(StoreOptions::default()).unwrap();
    store.command(start("o-1")).await.unwrap().decision.unwrap();
    let holder = PostgresStore::open(&url).unwrap();
    holder.execute(&["CREATE TABLE theirs (x int)"]).await.unwrap();
    // Somebody at a prompt, who has locked the row and gone for coffee.
    let mut prompt = std::process::Command::new("psql")
        .args(["-X", "-q", "-d", &url, "-c", "BEGIN; SELECT 1 FROM hydra.executions FOR UPDATE; SELECT pg_sleep(600)"])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while sql(&url, &["SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"]) != "1" {}
    let cancel = || store.command(client("o-1", None, hydra_protocol::Command::Cancel));
    let held = cancel().await;
    assert!(matches!(&held, Err(StoreError::Unavailable(why)) if why.contains("lock_timeout")), "{held:?}");
    assert!(store.execution(&id("o-1")).await.unwrap().is_some(), "reads do not wait");
    let claims = store.claim(claim("w")).await.unwrap();
    assert_eq!(claims.claimed.len(), 0, "claims do not wait");
    let again = claims.next_due.expect("it is due, and locked: look again soon");
    assert!(again.since(claims.now).as_millis() <= 100);
    sql(&url, &["SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"]);
    prompt.wait().unwrap();
    assert!(cancel().await.unwrap().decision.is_ok(), "nothing was written");
}

#[tokio::test]
async fn a_corrupt_row_is_named_and_stands_in_nobodys_way() {
    let url = database();
    let store = PostgresStore::open(&url).unwrap();
    for name in ["corrupt", "sound", "of a corrupt step"] {
        store.command(start(name)).await.unwrap().decision.unwrap();
    }
    let claims = store.claim(claim("a")).await.unwrap().claimed;
    let (corrupt, epoch) = (claims[0].key, claims[0].epoch);
    store.command(begin(claims[2].key, epoch, 1, Kind::Keyed, 1)).await.unwrap().decision.unwrap();
    sql(
        &url,
        &[
            "DO $$ DECLARE c record; BEGIN FOR c IN SELECT conname, conrelid::regclass AS t FROM pg_constraint \
                 WHERE contype = 'c' AND connamespace = 'hydra'::regnamespace LOOP \
                 EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', c.t, c.conname); END LOOP; END $$",
            "UPDATE hydra.executions SET settled = -1 WHERE id = 'corrupt'",
            "UPDATE hydra.executions SET due_at = 0",
            "UPDATE hydra.steps SET state = 'gone'",
        ],
    );
    for request in [start("corrupt"), finish(corrupt, epoch, hydra_protocol::Ending::Succeeded)] {
        // Beside a sound one, in the same transaction perhaps.
        let (answer, sound) = tokio::join!(store.command(request), store.command(start("sound")));
        match answer {
            Err(StoreError::Corrupt { row, what }) => {
                assert!(row.contains("hydra.executions.seq = 1") && what.contains("settled"), "{row}: {what}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(sound.unwrap().decision, Ok(Reply::AlreadyStarted));
    }
    assert!(matches!(store.execution(&id("corrupt")).await, Err(StoreError::Corrupt { .. })));
    assert!(matches!(store.history(claims[2].key).await, Err(StoreError::Corrupt { .. })));
    let one = store.claim(claim("b")).await.unwrap();
    assert_eq!(one.claimed.iter().map(|claimed| &*claimed.id.id).collect::<Vec<_>>(), ["sound"]);
    let none = store.claim(claim("b")).await.unwrap();
    assert_eq!(none.claimed.len(), 0);
    assert!(none.next_due.unwrap() > none.now, "an idle worker is not sent round and round");
    let unknown = store.command(client("nobody", None, hydra_protocol::Command::Cancel)).await.unwrap();
    assert_eq!(unknown.decision, Err(Rejection::UnknownExecution));
}

#[tokio::test]
async fn an_error_text_that_no_column_takes_is_made_one() {
    let store = PostgresStore::open(database()).unwrap();
    store.command(start("o-1")).await.unwrap().decision.unwrap();
    let claimed = store.claim(claim("a")).await.unwrap().claimed.remove(0);
    store.command(begin(claimed.key, claimed.epoch, 1, Kind::Keyed, 1)).await.unwrap().decision.unwrap();
    let mut request = settle(claimed.key, claimed.epoch, 1, 1, failed());
    request.payload.error = Some("nul\0".into());
    assert!(matches!(store.command(request).await.unwrap().decision, Ok(Reply::Waiting { .. })));
    let history = store.history(claimed.key).await.unwrap();
    assert_eq!(history.steps[0].step.error.as_deref(), Some("nul\u{FFFD}"));
}
