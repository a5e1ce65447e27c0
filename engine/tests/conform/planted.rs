//! What departs from the rules is named: wrong rules, edited rows, a journal that was tampered with, a torn transaction.

use std::path::Path;

use hydra_engine::Client;
use hydra_engine::conform::{Entry, Report, Verdict};
use hydra_engine::protocol::{
    Backoff, Commit, Ending, Epoch, Execution, Kind, Protocol, Reference, Rejection, Rows, Span, Time,
};
use hydra_engine::store::{ExecutionKey, Rules, SqliteEvidence, StoreError};

use crate::world::{File, file, in_virtual_time, judge, run, sqlite};

fn ran(rules: Rules) -> File {
    let file = file();
    in_virtual_time(async { run(&sqlite(&file.path, rules, true), rules).await });
    file
}

/// The file after somebody has changed it behind the engine's back.
fn edited(sql: &str) -> Report {
    let file = ran(&Reference);
    edit(&file.path, sql);
    judge(&file.path)
}

fn edit(path: &Path, sql: &str) {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.pragma_update(None, "ignore_check_constraints", true).unwrap();
    assert!(connection.execute(sql, []).unwrap() > 0, "{sql}");
}

#[track_caller]
fn departs(report: &Report, says: &str) {
    assert_eq!(report.verdict(), Verdict::Departs, "{report:?}");
    let said: Vec<_> = report.departures.iter().map(ToString::to_string).collect();
    assert!(said.iter().any(|line| line.contains(says)), "{said:#?}");
}

macro_rules! wrong_rules {
    ($($name:ident says $says:literal: $method:item)*) => {$(
        mod $name {
            use super::*;
            struct Wrong;
            impl Protocol for Wrong { $method }

            #[test]
            fn is_named() {
                let report = judge(&ran(&Wrong).path);
                departs(&report, $says);
            }
        }
    )*};
}

wrong_rules! {
    a_lease_of_another_length says "the store answered: claimed under epoch 1 for 12000 ms":
    fn lease_end(&self, execution: &Execution, lease: Span, now: Time) -> Time {
        execution.not_after_deadline(now + lease + lease)
    }

    a_start_that_is_not_compared says "the rules say: refused (an execution with this id exists":
    fn start(&self, rows: &Rows, due_at: Time, deadline: Option<Time>, replays_max: u32) -> Result<Commit, Rejection> {
        Reference.start(&Rows { same_input: true, ..*rows }, due_at, deadline, replays_max)
    }

    a_retry_too_many says "on record is attempts_max":
    fn attempts_granted(&self, kind: Kind, asked: u32) -> u32 {
        match kind {
            Kind::Keyed => asked + 1,
            _ => Reference.attempts_granted(kind, asked),
        }
    }

    a_retry_at_once says "the store answered: waiting until":
    fn backoff(&self, _: &Backoff, _: u32, _: u64) -> Span {
        Span::ZERO
    }

    an_ending_that_leaves_steps_open says "a step is open though its execution has ended":
    fn cancel(&self, rows: &Rows) -> Result<Commit, Rejection> {
        Reference.cancel(rows).map(|commit| Commit { abandon_open: false, ..commit })
    }

    a_finish_by_anybody says "the store answered: ended as succeeded; the rules say: ended as failed":
    fn finish(&self, rows: &Rows, epoch: Epoch, _: Ending) -> Result<Commit, Rejection> {
        Reference.finish(rows, epoch, Ending::Succeeded)
    }
}

#[test]
fn an_edited_status() {
    let report = edited(
        "UPDATE hydra_executions SET status = 'succeeded', failure = NULL WHERE seq = \
         (SELECT min(seq) FROM hydra_executions WHERE status = 'cancelled' AND epoch > 0)",
    );
    departs(&report, "on record is status succeeded, and not cancelled");
}

#[test]
fn an_edited_epoch() {
    let report = edited("UPDATE hydra_executions SET epoch = epoch + 1 WHERE id = 'w5'");
    departs(&report, "default/w5: on record is epoch");
}

#[test]
fn an_edited_output() {
    let report = edited("UPDATE hydra_steps SET output = x'3939' WHERE execution = 6 AND name = 'side'");
    departs(&report, "its output is not the one that it was settled with");
}

#[test]
fn orders_that_were_swapped() {
    let file = ran(&Reference);
    edit(&file.path, "UPDATE hydra_steps SET ord = ord + 1000 WHERE execution = 6 AND ord IN (1, 2)");
    edit(&file.path, "UPDATE hydra_steps SET ord = 1003 - ord WHERE execution = 6 AND ord > 1000");
    departs(&judge(&file.path), "default/w5, step 1: on record is order");
}

#[test]
fn a_step_that_was_removed() {
    let report = edited("DELETE FROM hydra_steps WHERE execution = 6 AND step = 1");
    departs(&report, "commands of the journal lead to this step, and no row of it is on record");
}

#[test]
fn an_execution_that_was_removed() {
    let report = edited("DELETE FROM hydra_executions WHERE id = 'w5'");
    departs(&report, "default/w5: commands of the journal lead to it, and no row of it is on record");
}

/// A store that deletes what has not ended, and says so in good faith.
#[test]
fn an_open_execution_that_was_deleted() {
    let file = file();
    in_virtual_time(async { Client::new(sqlite(&file.path, &Reference, true)).start("w", "a", &1).await.unwrap() });
    edit(&file.path, "DELETE FROM hydra_executions");
    let entry = Entry::Deleted(ExecutionKey(1)).encode();
    let connection = rusqlite::Connection::open(&file.path).unwrap();
    connection.execute("INSERT INTO hydra_journal VALUES (3, ?1)", [entry]).unwrap();
    departs(&judge(&file.path), "default/a: it was deleted before it had ended");
}

#[test]
fn a_row_that_cannot_be() {
    let report = edited("UPDATE hydra_executions SET replays_max = 0 WHERE id = 'w5'");
    departs(&report, "its row is corrupt: allows no replays at all");
}

#[test]
fn an_entry_that_was_removed() {
    departs(&edited("DELETE FROM hydra_journal WHERE number = 40"), "entry 40 is missing from the journal");
}

#[test]
fn the_last_entry_that_was_removed() {
    let file = ran(&Reference);
    edit(&file.path, "DELETE FROM hydra_journal WHERE number > (SELECT max(number) - 30 FROM hydra_journal)");
    departs(&judge(&file.path), "which the commands lead to");
}

#[test]
fn entries_that_were_removed_without_a_trace() {
    let file = ran(&Reference);
    edit(&file.path, "DELETE FROM hydra_journal WHERE number BETWEEN 40 AND 60");
    edit(&file.path, "UPDATE hydra_journal SET number = number - 21 WHERE number > 60");
    departs(&judge(&file.path), "the store answered");
}

#[test]
fn a_beginning_that_was_removed() {
    let report = edited("DELETE FROM hydra_journal WHERE number < 5");
    assert_eq!(report.verdict(), Verdict::NotJudged);
    assert!(report.unreadable.unwrap().contains("what came before is missing"));
}

#[test]
fn a_journal_that_was_emptied() {
    let report = edited("DELETE FROM hydra_journal");
    assert_eq!(report.verdict(), Verdict::NotJudged);
    assert_eq!(report.unreadable.unwrap(), "it is empty, without even its beginning");
}

/// An execution that was there before the journal, taken out of it and out of the rows, with no gap left behind.
#[test]
fn a_base_that_was_removed_without_a_trace() {
    let file = file();
    in_virtual_time(async {
        let client = Client::new(sqlite(&file.path, &Reference, false));
        client.start("w", "a", &1).await.unwrap();
        client.start("w", "b", &1).await.unwrap();
    });
    in_virtual_time(async { drop(sqlite(&file.path, &Reference, true)) });
    assert_eq!(judge(&file.path).verdict(), Verdict::Conforms);
    edit(&file.path, "DELETE FROM hydra_journal WHERE number = 3");
    edit(&file.path, "DELETE FROM hydra_executions WHERE id = 'b'");
    departs(&judge(&file.path), "the journal began with 2 executions, and holds 1");
}

#[test]
fn an_entry_that_was_garbled() {
    departs(&edited("UPDATE hydra_journal SET entry = x'0102ff' WHERE number = 7"), "entry 7: it cannot be read");
}

#[test]
fn an_entry_of_a_newer_version() {
    let report = edited("UPDATE hydra_journal SET entry = x'63' WHERE number = 7");
    assert_eq!(report.verdict(), Verdict::NotJudged);
    assert!(report.unreadable.unwrap().contains("entry 7 is of version 99"));
}

/// A journal that is trimmed begins anew from the rows: with one that cannot be read it would begin without it, and every
/// command on it that comes later would be called a departure.
#[test]
fn what_cannot_be_read_is_not_left_out_of_a_beginning() {
    let file = ran(&Reference);
    edit(&file.path, "UPDATE hydra_steps SET state = 'of no kind' WHERE execution = 6 AND step = 1");
    let before = judge(&file.path).journal;
    let refused = SqliteEvidence::lock(&file.path).unwrap().trim();
    assert!(matches!(&refused, Err(StoreError::Corrupt { row, .. }) if row.contains("step 1")), "{refused:?}");
    assert_eq!(judge(&file.path).journal, before, "left as it was");
}

/// Half of a transaction reached the file: the row, and not the steps that it abandons.
#[test]
fn a_torn_transaction() {
    let report = edited(
        "UPDATE hydra_steps SET state = 'running', due_at = NULL, ord = NULL, cause = NULL, settled_at = NULL, \
         output = NULL WHERE execution = 6 AND step = 1",
    );
    departs(&report, "default/w5, step 1");
    departs(&report, "default/w5");
}

/// Without a journal the rows are looked at all the same.
#[test]
fn rows_without_a_journal() {
    let file = file();
    in_virtual_time(async { run(&sqlite(&file.path, &Reference, false), &Reference).await });
    assert_eq!(judge(&file.path).verdict(), Verdict::NotJudged);
    edit(&file.path, "UPDATE hydra_executions SET settled = settled + 1 WHERE id = 'w5'");
    departs(&judge(&file.path), "the orders of the settled steps are not consecutive");
}
