//! The client side: one JSON object a line, each answered by one.

use std::collections::BTreeMap;

use hydra_engine::protocol::{Ending, Status};
use hydra_engine::{Client, ClientError};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::store::Opened;
use crate::workflow::Input;

#[derive(Deserialize)]
struct Ask {
    id: u64,
    op: String,
    execution: String,
    #[serde(default)]
    program: Option<hydra_simulation::workload::Program>,
    #[serde(default)]
    other_input: bool,
}

/// Answers until its input ends.
pub async fn serve(opened: Opened) -> anyhow::Result<()> {
    let client = Client::new(opened.store.clone());
    println!("{}", json!({"ready": true, "version": env!("CARGO_PKG_VERSION")}));
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let ask: Ask = serde_json::from_str(&line)?;
        let id = ask.id;
        let mut answer = match answer(&client, &opened, ask).await {
            Ok(answer) => answer,
            Err(ClientError::Store(error)) if error.is_passing() => {
                json!({"unknown": error.to_string()})
            }
            Err(error) => json!({"error": error.to_string()}),
        };
        answer["id"] = id.into();
        println!("{answer}");
    }
    Ok(())
}

async fn answer(client: &Client, opened: &Opened, ask: Ask) -> Result<Value, ClientError> {
    match ask.op.as_str() {
        "start" => {
            let Some(program) = ask.program else { return Ok(json!({"error": "a start needs a program"})) };
            client.start("program", &ask.execution, &Input { program, other_input: ask.other_input }).await?;
            Ok(json!({"ok": true}))
        }
        "cancel" => client.cancel(&ask.execution).await.map(|()| json!({"ok": true})),
        "status" | "result" => {
            let Some(view) = client.get(&ask.execution).await? else { return Ok(json!({"status": "missing"})) };
            let status = match view.row.status {
                Status::Ready { .. } => "pending",
                Status::Leased { .. } => "running",
                Status::Ended(Ending::Succeeded) => "succeeded",
                Status::Ended(Ending::Failed(_)) => "failed",
                Status::Ended(Ending::Cancelled) => "cancelled",
            };
            let saw: Option<BTreeMap<String, Value>> =
                view.output.and_then(|output| serde_json::from_slice(&output).ok());
            let committed = opened.committed(&ask.execution).await?;
            Ok(json!({
                "status": status, "saw": saw.unwrap_or_default(), "reason": view.error, "committed": committed,
            }))
        }
        other => Ok(json!({"error": format!("no such operation: {other}")})),
    }
}
