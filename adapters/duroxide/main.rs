//! Drives duroxide on SQLite for the live auditor: one orchestration that interprets every program, one activity for
//! every step. The protocol: adapters/README.md.

mod client;
mod door;

use std::sync::Arc;
use std::time::Duration;

use duroxide::providers::sqlite::SqliteProvider;
use duroxide::runtime::registry::ActivityRegistry;
use duroxide::runtime::{Runtime, RuntimeOptions};
use duroxide::{BackoffStrategy, OrchestrationContext, OrchestrationRegistry, RetryPolicy};
use serde_json::{Map, Value, json};

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Error> {
    let store = SqliteProvider::new(&format!("sqlite:{}?mode=rwc", std::env::var("HYDRA_STORE")?), None).await?;
    match std::env::args().nth(1).as_deref() {
        Some("worker") => worker(Arc::new(store)).await,
        Some("client") => client::serve(duroxide::Client::new(Arc::new(store))).await,
        _ => Err("say worker or client".into()),
    }
}

/// The version that was built in: the lock file's.
fn version() -> &'static str {
    let after = include_str!("Cargo.lock").split_once("name = \"duroxide\"\nversion = \"").map_or("", |(_, rest)| rest);
    after.split_once('"').map_or("", |(version, _)| version)
}

fn knob(name: &str) -> Result<Duration, Error> {
    Ok(Duration::from_millis(std::env::var(name)?.parse()?))
}

async fn worker(store: Arc<SqliteProvider>) -> Result<(), Error> {
    let activities = ActivityRegistry::builder().register_typed("effect", |_, question| door::ask(question)).build();
    let orchestrations = OrchestrationRegistry::builder().register_typed("program", program).build();
    let options = RuntimeOptions {
        worker_lock_timeout: knob("WORKER_LOCK_MS")?,
        orchestrator_lock_timeout: knob("ORCHESTRATOR_LOCK_MS")?,
        ..RuntimeOptions::default()
    };
    let _runtime = Runtime::start_with_options(store, activities, orchestrations, options).await;
    println!("{}", json!({"ready": true, "version": version()}));
    std::future::pending().await
}

async fn program(ctx: OrchestrationContext, input: Value) -> Result<Value, String> {
    let mut saw = Map::new();
    for item in input["program"]["body"].as_array().into_iter().flatten() {
        if let Some(ms) = item["sleep"]["ms"].as_u64() {
            ctx.schedule_timer(Duration::from_millis(ms)).await;
            continue;
        }
        let steps = item["parallel"].as_array().cloned().unwrap_or_else(|| vec![item["step"].clone()]);
        let values = ctx.join(steps.iter().map(|step| run(&ctx, &input, step, &saw)).collect()).await;
        for (step, value) in steps.iter().zip(values) {
            saw.insert(step["id"].as_str().unwrap_or_default().to_owned(), json!({"value": value?}));
        }
    }
    Ok(Value::Object(saw))
}

fn run(
    ctx: &OrchestrationContext,
    input: &Value,
    step: &Value,
    saw: &Map<String, Value>,
) -> impl Future<Output = Result<Value, String>> {
    let question = json!({
        "execution": input["program"]["id"], "step": step["id"], "saw": saw, "other_input": input["other_input"],
    });
    let attempts = step["attempts_max"].as_u64().unwrap_or(3);
    let policy = RetryPolicy::new(attempts as u32).with_backoff(BackoffStrategy::Exponential {
        base: Duration::from_millis(50),
        multiplier: 2.0,
        max: Duration::from_millis(200),
    });
    let ctx = ctx.clone();
    async move { ctx.schedule_activity_with_retry_typed("effect", &question, policy).await }
}
