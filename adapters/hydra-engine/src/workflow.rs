//! The workflow: interprets a program through the engine's API.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{join_all, select_all};
use hydra_engine::{BoxError, Context, RetryPolicy, StepError, StepFailure, Tx};
use hydra_simulation::workload::{Item, Program, Step, StepKind};
use serde::ser::Error as _;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

use crate::door::{self, Told};
use crate::store;

/// What an execution is started with.
#[derive(Serialize, Deserialize)]
pub struct Input {
    pub program: Program,
    #[serde(default)]
    pub other_input: bool,
}

/// A step's result: text, or something that has no encoding.
#[derive(Deserialize)]
pub struct Result_(String, #[serde(default)] bool);

impl Serialize for Result_ {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.1 {
            false => (&self.0, false).serialize(serializer),
            true => Err(S::Error::custom("told to return something that cannot be encoded")),
        }
    }
}

type Saw = BTreeMap<String, Value>;

/// Does what the program says; answers what it had of each step.
pub async fn interpret(ctx: Context, input: Input) -> Result<Saw, BoxError> {
    let mut saw = Saw::new();
    for item in &input.program.body {
        match item {
            Item::Sleep(sleep) => ctx.sleep(Duration::from_millis(sleep.ms)).await,
            Item::Step(_) | Item::Parallel(_) => {
                let steps = item.steps().iter().map(|step| run(&ctx, step, &input, saw.clone()));
                // All are made before any is awaited, so that they are numbered in the order of the program.
                for (step, outcome) in item.steps().iter().zip(join_all(steps.collect::<Vec<_>>()).await) {
                    saw.insert(step.id.to_string(), seen(step, outcome)?);
                }
            }
            Item::Race(race) => {
                let steps = race.steps.iter().map(|step| run(&ctx, step, &input, saw.clone()).map(Some).boxed());
                let sleep = race.sleep.iter().map(|sleep| ctx.sleep(Duration::from_millis(sleep.ms)));
                let (won, at, _) = select_all(steps.chain(sleep.map(|timer| timer.map(|()| None).boxed()))).await;
                if let Some(outcome) = won {
                    saw.insert(race.steps[at].id.to_string(), seen(&race.steps[at], outcome)?);
                }
            }
        }
    }
    Ok(saw)
}

fn seen(step: &Step, outcome: Result<Result_, StepError>) -> Result<Value, BoxError> {
    match outcome {
        Ok(Result_(value, _)) => Ok(json!({ "value": value })),
        Err(StepError::InDoubt { .. }) if step.caught => Ok(json!("in-doubt")),
        Err(_) if step.caught => Ok(json!("failed")),
        Err(error) => Err(error.into()),
    }
}

fn run(
    ctx: &Context,
    step: &Step,
    input: &Input,
    saw: Saw,
) -> impl Future<Output = Result<Result_, StepError>> + Send + use<> {
    let initial = Duration::from_millis(50);
    let policy = RetryPolicy::attempts(step.attempts_max.unwrap_or(3)).initial(initial).cap(4 * initial);
    let builder = ctx.step(step.id.as_str()).retry(policy);
    let (execution, id, other_input) = (input.program.id.to_string(), step.id.to_string(), input.other_input);
    let body = move |attempt: Option<hydra_engine::Attempt>| {
        let (execution, id, saw) = (execution.clone(), id.clone(), saw.clone());
        async move {
            match door::ask(&execution, &id, attempt.as_ref(), other_input, &saw).await? {
                Told::Return { value } => Ok(Result_(value, false)),
                Told::Unencodable => Ok(Result_(String::new(), true)),
                Told::Fail { message } => Err(StepFailure::retryable(message)),
                Told::FailFinally { message } => Err(StepFailure::fatal(message)),
            }
        }
    };
    let kind = step.kind;
    let ids = (input.program.id.to_string(), step.id.to_string());
    async move {
        match kind {
            StepKind::AtMostOnce => builder.run_at_most_once(move |attempt| body(Some(attempt))).await,
            StepKind::Transactional => {
                // Its row first: the value is on record only together with it.
                let commit = |tx: Tx| {
                    let (told, (execution, step)) = (body(None), ids.clone());
                    async move {
                        let result = told.await?;
                        store::write(&tx, &execution, &step, &result.0).await?;
                        Ok(result)
                    }
                };
                builder.run_transactional(commit).await
            }
            StepKind::Keyed => builder.run(move |attempt| body(Some(attempt))).await,
        }
    }
}
