//! `hydra conform FILE`: what it says, and its exit status, of a file that conforms, of one that was edited, and of one that
//! keeps no journal.

use std::path::Path;
use std::process::{Command, Output};

fn hydra(arguments: &[&str], file: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hydra"));
    command.args(&arguments[..1]).arg(file).args(&arguments[1..]).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[track_caller]
fn is(output: &Output, status: i32, says: &str) {
    assert_eq!(output.status.code(), Some(status), "{}", said(output));
    assert!(said(output).contains(says), "{}", said(output));
}

#[test]
fn what_it_says_and_its_exit_status() {
    let folder = tempfile::tempdir().unwrap();
    let demo = hydra(&["demo", "--orders", "2", "--pace", "1"], folder.path());
    assert!(demo.status.success(), "{}", said(&demo));
    let file = folder.path().join("orders.sqlite");

    is(&hydra(&["conform"], &file), 0, "CONFORMS: every answer is the one that the rules give");
    let json: serde_json::Value = serde_json::from_slice(&hydra(&["conform", "--json"], &file).stdout).unwrap();
    assert_eq!((&json["verdict"], &json["executions"]), (&"conforms".into(), &2.into()));
    assert!(json["journal"]["commands"].as_u64().unwrap() > 10, "{json}");
    is(&hydra(&["conform", "--trim"], &file), 0, "The journal begins anew from these rows.");
    is(&hydra(&["conform"], &file), 0, "0 commands");

    let edit = |sql: &str| {
        let connection = rusqlite::Connection::open(&file).unwrap();
        assert!(connection.execute(sql, []).unwrap() > 0);
    };
    edit("UPDATE hydra_steps SET output = x'39' WHERE execution = 1 AND step = 1");
    let departs = hydra(&["conform"], &file);
    is(&departs, 1, "default/order-1, step 1: its output is not the one that it was settled with");
    is(&departs, 1, "DEPARTS from the rules");
    is(&hydra(&["conform", "--trim"], &file), 1, "DEPARTS");
    let json: serde_json::Value = serde_json::from_slice(&hydra(&["conform", "--json"], &file).stdout).unwrap();
    assert_eq!((&json["verdict"], &json["departures"][0]["step"]), (&"departs".into(), &1.into()));

    let connection = rusqlite::Connection::open(&file).unwrap();
    connection.execute_batch("DROP TABLE hydra_journal").unwrap();
    is(&hydra(&["conform"], &file), 2, "To have it recorded from now on, open the store with");
    is(&hydra(&["conform"], &folder.path().join("none.sqlite")), 2, "there is no file");
    is(&hydra(&["conform"], &folder.path().join("world.sqlite")), 2, "is not a file of this engine");
}
