//! Drives an engine for the auditor. Fill in the places marked ENGINE; `hydra adapter check` lists them. The protocol: adapters/README.md.

use std::collections::BTreeMap;
use std::io::{BufRead, Read, Write};
use std::net::TcpStream;

use serde_json::{json, Value};

const VERSION: &str = "0.0.0"; // ENGINE: the version that is built in (adapters/duroxide/main.rs reads it from Cargo.lock)

type Saw = BTreeMap<String, Value>;

/// Asks the auditor what this body does: a value, or why it fails. It blocks, for as long as the body is held: in an async
/// engine give it a thread of its own (`tokio::task::spawn_blocking`).
#[allow(dead_code)]
fn ask(execution: &str, step: &str, saw: &Saw, other_input: bool) -> Result<String, String> {
    let door = std::env::var("HYDRA_DOOR").map_err(|error| error.to_string())?;
    let (host, path) = door.strip_prefix("http://").and_then(|rest| rest.split_once('/')).ok_or("no HYDRA_DOOR")?;
    let body = json!({"execution": execution, "step": step, "saw": saw, "other_input": other_input}).to_string();
    let length = body.len();
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(host)?;
        write!(stream, "POST /{path}/effect HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply)?;
        Ok(reply)
    };
    let reply = ask().map_err(|error| error.to_string())?;
    let body = reply.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let told: Value = serde_json::from_str(body).map_err(|error| format!("{error}: {reply}"))?;
    match told["do"].as_str() {
        Some("return") => Ok(told["value"].as_str().unwrap_or_default().to_owned()),
        Some("unencodable") => Err("ENGINE: return something that cannot be encoded".to_owned()),
        // "fail", and "fail-finally": an error that no retry can mend, if the engine can be told so.
        _ => Err(told["message"].as_str().unwrap_or("told to fail").to_owned()),
    }
}

/// The one workflow: interprets every program. ENGINE: register it; `run_step` is the engine's step.
///
/// An item is `{"step": {"id", "kind", "attempts_max"}}`; with sleeps = true in adapter.toml also `{"sleep": {"id", "ms"}}`,
/// with parallel = true also `{"parallel": [STEP, ...]}`. What a body fails with is for the engine to retry: let it through.
#[allow(dead_code)]
fn program(input: &Value, run_step: impl Fn(&str, &dyn Fn() -> Result<String, String>) -> Result<String, String>) -> Result<Saw, String> {
    let execution = input["program"]["id"].as_str().unwrap_or_default();
    let mut saw = Saw::new();
    for item in input["program"]["body"].as_array().into_iter().flatten() {
        let step = item["step"]["id"].as_str().unwrap_or_default();
        let value = run_step(step, &|| ask(execution, step, &saw, input["other_input"] == json!(true)))?;
        saw.insert(step.to_owned(), json!({ "value": value }));
    }
    Ok(saw)
}

fn answer(asked: &Value) -> Value {
    match asked["op"].as_str() {
        Some("start") => json!({"error": "ENGINE: start the workflow under this id"}),
        _ => json!({"error": "ENGINE: status (pending, running, succeeded, failed, cancelled, missing) and saw"}),
    }
}

fn main() {
    println!("{}", json!({"ready": true, "version": VERSION}));
    if std::env::args().nth(1).as_deref() == Some("worker") {
        // ENGINE: start a worker on HYDRA_STORE before the line above, and work here.
        loop {
            std::thread::park();
        }
    }
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let asked: Value = serde_json::from_str(&line).unwrap_or_default();
        let mut answer = answer(&asked);
        answer["id"] = asked["id"].clone();
        println!("{answer}");
    }
}
