//! `hydra check` as a process: Ctrl-C, the Explorer, and the searches beside each other.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};

fn start(words: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_hydra-check"))
        .args(words.split_whitespace())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn run(words: &str) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = start(words).wait_with_output().unwrap();
    (status.code(), String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr))
}

/// A model that takes minutes is ended within its first seconds: the verdict says so, and what was seen is told.
#[test]
fn ctrl_c_ends_in_incomplete_with_what_was_seen_so_far() {
    let mut child = start("--workers 3 --executions 2 --steps 2 --faults all --attempts 1");
    let mut first = String::new();
    BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut first).unwrap();
    assert!(first.contains("Ctrl-C ends the run"), "{first}");
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let Output { status, stdout, .. } = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&stdout);
    assert_eq!(status.code(), Some(3), "{text}");
    assert!(text.contains("INCOMPLETE (stopped)") && text.contains("not run: the graph is not whole"), "{text}");
}

/// A port alone is bound to loopback, and what is shown there are the model's states.
#[test]
fn the_explorer_answers_on_loopback() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut child = start(&format!("--explore {port}"));
    let mut first = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut first).unwrap();
    assert!(first.contains(&format!("http://127.0.0.1:{port}")), "{first}");
    // The line is printed before the port is bound.
    let mut stream = std::iter::repeat_with(|| TcpStream::connect(("127.0.0.1", port)))
        .inspect(|_| std::thread::yield_now())
        .find_map(Result::ok)
        .unwrap();
    write!(stream, "GET /.states HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(answer.starts_with("HTTP/1") && answer.contains("200") && answer.contains("rows"), "{answer}");
}

#[test]
fn stateright_beside_ours_counts_the_same() {
    let (code, text) = run("--workers 2 --steps 1 --faults crash,reply-lost --beside stateright");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("All counts are equal") && text.contains("custom"), "{text}");
    let (code, text) = run("--beside stateright --mutants");
    assert_eq!(code, Some(2), "{text}");
}

/// Memory that does not suffice is no proof, and says so.
#[test]
fn a_search_that_runs_out_of_memory_is_incomplete() {
    let (code, text) = run("--workers 3 --executions 2 --steps 2 --memory 0.003");
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("INCOMPLETE (the memory limit was reached)"), "{text}");
}
