//! The client side: one JSON object a line, each answered by one.

use std::collections::BTreeMap;

use duroxide::{AppErrorKind, Client, ClientError, ErrorDetails, EventKind, OrchestrationStatus};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

/// Answers until its input ends.
pub async fn serve(client: Client) -> Result<(), crate::Error> {
    println!("{}", json!({"ready": true, "version": crate::version()}));
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let asked: Value = serde_json::from_str(&line)?;
        let mut answer = match answer(&client, &asked).await {
            Ok(answer) => answer,
            Err(error) => json!({"error": error.to_string()}),
        };
        answer["id"] = asked["id"].clone();
        println!("{answer}");
    }
    Ok(())
}

async fn answer(client: &Client, asked: &Value) -> Result<Value, ClientError> {
    let execution = asked["execution"].as_str().unwrap_or_default();
    match asked["op"].as_str() {
        Some("start") => {
            let input = json!({"program": asked["program"], "other_input": asked["other_input"] == json!(true)});
            client.start_orchestration_typed(execution, "program", input).await?;
            Ok(json!({"ok": true}))
        }
        Some("cancel") => client.cancel_instance(execution, "the auditor").await.map(|()| json!({"ok": true})),
        _ => result(client, execution).await,
    }
}

async fn result(client: &Client, execution: &str) -> Result<Value, ClientError> {
    let (status, saw, reason) = match client.get_orchestration_status(execution).await? {
        OrchestrationStatus::NotFound => ("missing", json!({}), String::new()),
        OrchestrationStatus::Running { .. } => ("running", json!({}), String::new()),
        OrchestrationStatus::Completed { output, .. } => {
            ("succeeded", serde_json::from_str(&output).unwrap_or_default(), String::new())
        }
        OrchestrationStatus::Failed { details, .. } => match &details {
            ErrorDetails::Application { kind: AppErrorKind::Cancelled { .. }, .. } => {
                ("cancelled", json!({}), details.display_message())
            }
            _ => ("failed", json!({}), details.display_message()),
        },
    };
    let mut answer = json!({"status": status, "saw": saw, "reason": reason});
    if !matches!(status, "missing" | "running") {
        // Completions are recorded under the activity that they complete; the end is an event of its own.
        let (mut completions, mut ends) = (BTreeMap::<_, u32>::new(), Vec::new());
        for event in client.read_execution_history(execution, duroxide::INITIAL_EXECUTION_ID).await? {
            if matches!(event.kind, EventKind::ActivityCompleted { .. }) {
                *completions.entry(event.source_event_id()).or_default() += 1;
            }
            if event.is_terminal() {
                ends.push(format!("event {} at {}", event.event_id(), event.timestamp_ms));
            }
        }
        answer["rows"] = completions.values().max().copied().unwrap_or(0).into();
        answer["stamp"] = ends.join(", ").into();
    }
    Ok(answer)
}
