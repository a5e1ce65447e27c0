//! A request to the auditor's door, as plain HTTP over a connection of its own.

use std::collections::BTreeMap;

use hydra_engine::{Attempt, BoxError};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What the auditor tells a body to do.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Told {
    Return { value: String },
    Fail { message: String },
    FailFinally { message: String },
    Unencodable,
}

#[derive(Serialize)]
struct Ask<'a> {
    execution: &'a str,
    step: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<u32>,
    other_input: bool,
    saw: &'a BTreeMap<String, serde_json::Value>,
}

/// Asks what to do. Cancelled, it breaks the connection off, and the auditor sees that.
pub async fn ask(
    execution: &str,
    step: &str,
    attempt: Option<&Attempt>,
    other_input: bool,
    saw: &BTreeMap<String, serde_json::Value>,
) -> Result<Told, BoxError> {
    if std::env::var_os("HYDRA_NO_DOOR").is_some() {
        // A benchmark: bodies that do nothing.
        return Ok(Told::Return { value: format!("{execution}-{step}") });
    }
    let door = std::env::var("HYDRA_DOOR")?;
    let (host, path) = door.strip_prefix("http://").and_then(|rest| rest.split_once('/')).ok_or("no HYDRA_DOOR")?;
    let body = serde_json::to_string(&Ask {
        execution,
        step,
        attempt: attempt.map(|attempt| attempt.number),
        key: attempt.map(|attempt| attempt.idempotency_key.as_str()),
        epoch: attempt.map(|attempt| attempt.epoch),
        other_input,
        saw,
    })?;
    let mut stream = TcpStream::connect(host).await?;
    let head = format!(
        "POST /{path}/effect HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await?;
    let (head, body) = reply.split_once("\r\n\r\n").ok_or("the door closed without a reply")?;
    if !head.starts_with("HTTP/1.1 200") {
        return Err(format!("the door refused: {body}").into());
    }
    Ok(serde_json::from_str(body)?)
}
