//! What the activity does: asks the auditor, over a connection of its own, and does as it is told.

use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A result: text, or something that has no encoding.
pub enum Given {
    Value(Value),
    Unencodable,
}

impl Serialize for Given {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Given::Value(value) => value.serialize(serializer),
            Given::Unencodable => Err(S::Error::custom("told to return something that cannot be encoded")),
        }
    }
}

pub async fn ask(question: Value) -> Result<Given, String> {
    let told = post(question.to_string()).await.map_err(|error| error.to_string())?;
    match told["do"].as_str() {
        Some("return") => Ok(Given::Value(told["value"].clone())),
        Some("unencodable") => Ok(Given::Unencodable),
        // An activity cannot say that a retry is of no use.
        _ => Err(told["message"].as_str().unwrap_or("told to fail").to_owned()),
    }
}

async fn post(body: String) -> Result<Value, crate::Error> {
    let door = std::env::var("HYDRA_DOOR")?;
    let (host, path) = door.strip_prefix("http://").and_then(|rest| rest.split_once('/')).ok_or("no HYDRA_DOOR")?;
    let length = body.len();
    let head = format!("POST /{path}/effect HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {length}");
    let mut stream = TcpStream::connect(host).await?;
    stream.write_all(format!("{head}\r\ncontent-type: application/json\r\n\r\n{body}").as_bytes()).await?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await?;
    let (head, body) = reply.split_once("\r\n\r\n").ok_or("the door closed without a reply")?;
    if !head.starts_with("HTTP/1.1 200") {
        return Err(format!("the door refused: {body}").into());
    }
    Ok(serde_json::from_str(body)?)
}
