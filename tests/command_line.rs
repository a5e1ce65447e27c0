//! What somebody sees who types something wrong, or stops reading.

use std::process::{Command, Output, Stdio};

fn hydra(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hydra"));
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Exit status 2, nothing on standard output, and a sentence that says what to do.
#[test]
fn wrong_input_is_told_what_is_allowed() {
    let cases: &[(&[&str], &str)] = &[
        (&["audit", "nobody"], "no subject is called \"nobody\""),
        (&["audit", "adapters/nobody", "--quick"], "hydra adapter new adapters/nobody"),
        (&["adapter", "check", "nowhere"], "hydra adapter new nowhere"),
        (&["check", "--workers", "0"], "workers must be from 1 to"),
        (&["check", "--mutant", "nobody"], "the mutants are step-id-mismatch"),
        (&["check", "--scope", "smoke", "--memory", "0"], "memory must be more than 0 GiB"),
        (&["simulate", "--subject", "nobody"], "the subjects are:"),
        (&["simulate", "--seeds", "5..3"], "5..3 holds no seed"),
        (&["simulate", "--shard", "5/3", "--seed", "1"], "there is no part 5 of 3"),
        (&["replay", "no-such-file"], "no-such-file"),
        (&["replay", "README.md"], "the first line \"hydra schedule 1\""),
        (&["report", "no-such-folder"], "no-such-folder"),
        (&["executions", "no-such-file", "list"], "give the engine's SQLite file"),
        (&["executions", "README.md", "list"], "this file is no SQLite database"),
        (&["bench", "engine", "--seconds", "0"], "give between 0.1 and 3600 seconds"),
    ];
    for (arguments, told) in cases {
        let output = hydra(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "hydra {arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(told), "hydra {arguments:?} says {:?}, and not {told:?}", stderr(&output));
        assert!(output.stdout.is_empty(), "hydra {arguments:?} prints its error as if it were a result");
    }
}

#[test]
fn a_reader_that_stops_reading_is_no_panic() {
    let mut child = hydra(&["simulate", "--help"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let help = child.wait_with_output().unwrap();
    let mut child =
        hydra(&["check", "--scope", "smoke"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let check = child.wait_with_output().unwrap();
    for output in [help, check] {
        assert!(!stderr(&output).contains("panicked"), "{}", stderr(&output));
        assert!(matches!(output.status.code(), Some(0 | 141)), "{:?}", output.status);
    }
}
