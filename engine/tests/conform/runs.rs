//! Real runs conform.

use std::sync::Arc;

use hydra_engine::Client;
use hydra_engine::conform::{self, Verdict};
use hydra_engine::protocol::Reference;
use hydra_engine::store::{SqliteEvidence, SqliteOptions, Store, StoreError, StoreOptions};

use crate::world::{file, in_virtual_time, judge, memory, ms, run, sqlite};

#[test]
fn a_run_with_faults_conforms_in_memory() {
    in_virtual_time(async {
        let store = memory(&Reference);
        run(&(store.clone() as Arc<dyn Store>), &Reference).await;
        let report = store.with_backend(conform::check).await.unwrap();
        assert_eq!(report.departures, []);
        assert_eq!((report.verdict(), report.executions), (Verdict::Conforms, 16));
        assert!(report.journal.unwrap().commands > 300, "{report:?}");
    });
}

#[test]
fn a_run_with_faults_conforms_in_a_file() {
    let file = file();
    in_virtual_time(async { run(&sqlite(&file.path, &Reference, true), &Reference).await });
    let report = judge(&file.path);
    assert_eq!(report.departures, []);
    assert_eq!((report.verdict(), report.executions), (Verdict::Conforms, 16));
    assert!(report.steps > 60 && report.journal.unwrap().commands > 300, "{report:?}");
}

/// Refusals are in it, and not only what was written.
#[test]
fn every_answer_is_in_the_journal() {
    let file = file();
    in_virtual_time(async {
        let client = Client::new(sqlite(&file.path, &Reference, true));
        client.start("w", "a", &1).await.unwrap();
        client.start("w", "a", &1).await.unwrap();
        client.start("w", "a", &2).await.unwrap_err();
        client.retry("a", 1).await.unwrap_err();
        client.cancel("b").await.unwrap_err();
        client.cancel("a").await.unwrap();
    });
    let report = judge(&file.path);
    assert_eq!((report.verdict(), report.journal.unwrap().commands), (Verdict::Conforms, 6));
}

/// A file that was there before: its rows are the beginning of the journal, and the commands go on from them.
#[test]
fn a_journal_may_begin_later() {
    let file = file();
    in_virtual_time(async {
        let client = Client::new(sqlite(&file.path, &Reference, false));
        client.start("w", "before", &0).await.unwrap();
        client.cancel("before").await.unwrap();
        client.start("w", "w3", &3).await.unwrap();
    });
    let report = judge(&file.path);
    assert_eq!((report.verdict(), report.journal, report.executions), (Verdict::NotJudged, None, 2));
    in_virtual_time(async { run(&sqlite(&file.path, &Reference, true), &Reference).await });
    // Whoever opens it from now on writes it, whether asked to or not.
    in_virtual_time(async { Client::new(sqlite(&file.path, &Reference, false)).cancel("before").await.unwrap() });
    let report = judge(&file.path);
    assert_eq!(report.departures, []);
    assert_eq!((report.verdict(), report.journal.unwrap().bases), (Verdict::Conforms, 2));
}

/// Trimmed, it begins anew from the rows, and goes on.
#[test]
fn a_journal_can_be_trimmed() {
    let file = file();
    in_virtual_time(async { run(&sqlite(&file.path, &Reference, true), &Reference).await });
    let before = judge(&file.path).journal.unwrap();
    let mut evidence = SqliteEvidence::lock(&file.path).unwrap();
    assert_eq!(conform::check(&mut evidence).unwrap().verdict(), Verdict::Conforms);
    evidence.trim().unwrap();
    let after = judge(&file.path);
    let journal = after.journal.unwrap();
    assert_eq!((after.verdict(), journal.commands, journal.bases), (Verdict::Conforms, 0, 16));
    assert_eq!(journal.first, before.last + 1, "numbers go on");
    in_virtual_time(async { Client::new(sqlite(&file.path, &Reference, true)).start("w", "later", &1).await.unwrap() });
    let after = judge(&file.path);
    assert_eq!((after.verdict(), after.executions, after.journal.unwrap().commands), (Verdict::Conforms, 17, 1));
}

/// What was deleted is not missed, and a start under its id begins anew.
#[test]
fn what_ended_long_ago_may_be_deleted() {
    let file = file();
    in_virtual_time(async {
        let store = sqlite(&file.path, &Reference, true);
        run(&store, &Reference).await;
        let client = Client::new(store);
        client.start("w", "open", &1).await.unwrap();
        tokio::time::sleep(ms(60_000)).await;
        assert_eq!(client.prune(ms(30_000)).await.unwrap(), 16);
        client.start("w", "w3", &99).await.unwrap();
    });
    let report = judge(&file.path);
    assert_eq!(report.departures, []);
    assert_eq!((report.verdict(), report.executions), (Verdict::Conforms, 2));
}

#[test]
fn what_is_no_store_is_said_to_be_none() {
    let file = file();
    let open = || SqliteEvidence::open(&file.path).err().unwrap();
    assert!(matches!(open(), StoreError::Unavailable(_)));
    std::fs::File::create(&file.path).unwrap();
    assert!(matches!(open(), StoreError::NotAStore(_)), "the engine would make one of it; as evidence it is none");
    rusqlite::Connection::open(&file.path).unwrap().execute_batch("CREATE TABLE theirs (n)").unwrap();
    assert!(matches!(open(), StoreError::NotAStore(_)));
}

/// One writes while another looks: it sees the rows and the journal of one moment.
#[tokio::test]
async fn a_store_in_use_is_judged_as_of_one_moment() {
    let file = file();
    let options = SqliteOptions { journal: true, ..SqliteOptions::at(&file.path) };
    let store = Arc::new(options.open(StoreOptions::default()).unwrap());
    let client = Client::new(store.clone());
    let writes = async {
        for number in 0..200 {
            client.start("w", &format!("w{number}"), &number).await.unwrap();
        }
    };
    let path = file.path.clone();
    let looks = tokio::task::spawn_blocking(move || {
        for _ in 0..20 {
            let report = judge(&path);
            assert_eq!(report.verdict(), Verdict::Conforms, "{report:?}");
            assert_eq!(report.journal.unwrap().commands, report.executions);
        }
    });
    let ((), looked) = futures::join!(writes, looks);
    looked.unwrap();
}
