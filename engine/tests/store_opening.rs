//! What a file is opened as, and what cannot be opened.

use std::path::Path;
use std::time::Duration;

use hydra_engine::store::{SqliteBackend, SqliteOptions, StoreError};
use rusqlite::Connection;

#[test]
fn a_path_that_begins_with_file_is_a_uri() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.db");
    SqliteOptions::at(format!("file:{}?cache=private", file.display())).open_backend().unwrap();
    assert!(file.exists());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "it is closed, and nothing lies beside it");
}

/// Its readers would each have a database of their own.
#[test]
fn a_database_in_memory_is_no_file() {
    match SqliteOptions::at(":memory:").open_backend().map(drop) {
        Err(StoreError::Refused(why)) => assert!(why.contains(":memory: stays in journal mode `memory`"), "{why}"),
        other => panic!("{other:?}"),
    }
}

/// One that is about to write the file, in the mode in which SQLite makes it: who turns the file to write-ahead logging
/// meanwhile is told at once that it is locked, whatever its busy timeout.
fn writer(file: &Path) -> Connection {
    let writer = Connection::open(file).unwrap();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    writer
}

fn open(file: &Path, busy_timeout: Duration) -> Result<SqliteBackend, StoreError> {
    SqliteOptions { busy_timeout, ..SqliteOptions::at(file) }.open_backend()
}

#[test]
fn opening_waits_for_who_holds_the_file_but_not_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.db");
    let writing = writer(&file);
    let refused = open(&file, Duration::ZERO).map(drop);
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    let opening = std::thread::spawn({
        let file = file.clone();
        move || open(&file, Duration::from_secs(60)).map(drop)
    });
    // SQLite's own lock: no clock of ours leads it. Too short a time only makes this show less.
    std::thread::sleep(Duration::from_millis(50));
    drop(writing);
    assert_eq!(opening.join().unwrap(), Ok(()));
}
