//! One workflow that interprets every program of a workload through the engine's public interface, and its bodies.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{join_all, select_all};
use hydra_engine::{Attempt, BoxError, Context, StepError, StepFailure, Tx};
use hydra_schedule::Name;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use super::site::Site;
use crate::cluster::{Place, goal};
use crate::history::{Effect, Entered, Gave, Seen, What};
use crate::workload::{BodyEnd, Item, Step, StepKind};

/// The input of an execution.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Input {
    /// Which program.
    pub program: usize,
    /// Whether this is the input of a start that should have been refused.
    pub other: bool,
}

/// What a workflow had of each step; what it returns.
pub(super) type Saw = BTreeMap<Name, Seen>;

/// What a body returns: a value that no other body does, or something that has no encoding.
pub(super) struct Value(Option<String>);

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(value) => serializer.serialize_str(value),
            None => Err(ser::Error::custom("made to have no encoding")),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|value| Value(Some(value))).map_err(de::Error::custom)
    }
}

/// The value of a body, as the history has it.
pub(super) fn value_of(body: u64) -> String {
    format!("v{body}")
}

/// A transactional body holds the whole store, so that a program's long bodies must not be in one.
const IN_TRANSACTION_MS_MAX: u64 = 50;
/// Where transactional bodies have their effect.
pub(super) const CREATE: &str = "CREATE TABLE effects (body INTEGER NOT NULL)";
const INSERT: &str = "INSERT INTO effects (body) VALUES ($1)";
pub(super) const EFFECTS: &str = "SELECT body FROM effects ORDER BY rowid";

/// One run of a workflow's code.
#[derive(Clone)]
struct Run {
    site: Site,
    input: Input,
    saw: Arc<Mutex<Saw>>,
}

/// The workflow.
pub(super) async fn interpret(site: Site, context: Context, input: Input) -> Result<Saw, BoxError> {
    let plan = site.world(|world| world.plan.clone());
    let run = Run { site: site.clone(), input, saw: Arc::default() };
    let mut next = plan.first_step(input.program);
    for item in &plan.workload.programs[input.program].body {
        let steps = item.steps();
        let failed = match item {
            Item::Sleep(sleep) => {
                context.sleep(Duration::from_millis(sleep.ms)).await;
                next += 1;
                false
            }
            Item::Step(step) => run.step(&context, step, next).await,
            Item::Parallel(steps) => {
                let all = steps.iter().enumerate().map(|(at, step)| run.step(&context, step, next + at));
                join_all(all).await.into_iter().any(|failed| failed)
            }
            Item::Race(race) => {
                let all = race.steps.iter().enumerate().map(|(at, step)| run.step(&context, step, next + at).boxed());
                let sleep = race.sleep.iter().map(|sleep| {
                    let timer = context.sleep(Duration::from_millis(sleep.ms));
                    timer.map(|()| false).boxed()
                });
                let (failed, _, _) = select_all(all.chain(sleep)).await;
                site.world(|world| world.tally.path(goal!("race-won")));
                next += race.sleep.iter().count();
                failed
            }
        };
        next += steps.len();
        if failed {
            return Err("a step failed and was not caught".into());
        }
    }
    Ok(run.saw())
}

impl Run {
    fn saw(&self) -> Saw {
        self.saw.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Runs a step; whether the workflow fails by it. The step is numbered when this is called, not when it is awaited.
    fn step<'a>(&'a self, context: &Context, step: &'a Step, index: usize) -> impl Future<Output = bool> + Send + 'a {
        let retry = self.site.world(|world| world.plan.retry(step));
        let builder = context.step(step.id.as_str()).retry(retry);
        let run = self.clone();
        let kind = step.kind;
        let body = move |attempt: Option<Attempt>, tx: Option<Tx>| run.clone().body(index, kind, attempt, tx);
        let result = match kind {
            StepKind::Keyed => futures::future::Either::Left(futures::future::Either::Left(
                builder.run(move |attempt| body(Some(attempt), None)),
            )),
            StepKind::AtMostOnce => futures::future::Either::Left(futures::future::Either::Right(
                builder.run_at_most_once(move |attempt| body(Some(attempt), None)),
            )),
            StepKind::Transactional => {
                futures::future::Either::Right(builder.run_transactional(move |tx| body(None, Some(tx))))
            }
        };
        async move {
            let seen = match result.await {
                Ok(Value(value)) => Seen::Value(value.unwrap_or_default()),
                Err(StepError::InDoubt { .. }) => Seen::InDoubt,
                Err(StepError::Failed { .. } | StepError::Unencodable { .. }) => Seen::Failed,
            };
            let failed = !matches!(seen, Seen::Value(_)) && !step.caught;
            self.saw.lock().unwrap_or_else(PoisonError::into_inner).insert(step.id.clone(), seen);
            failed
        }
    }

    async fn body(
        self,
        step: usize,
        kind: StepKind,
        attempt: Option<Attempt>,
        tx: Option<Tx>,
    ) -> Result<Value, StepFailure> {
        let site = &self.site;
        let (body, ends, early, more_ms, lasts_ms) = site.world(|world| {
            let (body, ends) = world.enter(step);
            let lasts_ms = world.plan.steps[step].step.as_ref().map_or(0, |step| step.lasts_ms);
            (body, ends, world.random.percent(50), world.random.below(3), lasts_ms)
        });
        let inside = Inside { site, step, body, left: false };
        let name = site.world(|world| world.plan.steps[step].name.clone());
        site.observe(What::Entered(Entered {
            step: name.clone(),
            body,
            attempt: attempt.as_ref().map(|attempt| attempt.number),
            other_input: self.input.other,
            saw: self.saw(),
        }));
        site.pass(Place::Body).await;
        let effect = || {
            site.observe(What::Effect(Effect {
                step: name.clone(),
                body,
                key: attempt
                    .as_ref()
                    .filter(|_| kind == StepKind::Keyed)
                    .map(|attempt| attempt.idempotency_key.clone()),
                epoch: attempt.as_ref().map(|attempt| u64::from(attempt.epoch)),
                // Whether the receiver had seen the key is looked up when all is told in the order of time.
                applied: true,
            }));
        };
        // The effect happens at the beginning of a body or at its end: both sides of a cancellation.
        let happens = tx.is_none() && matches!(ends, BodyEnd::Returns | BodyEnd::Unencodable);
        if happens && early {
            effect();
        }
        let lasts_ms = if tx.is_some() { lasts_ms.min(IN_TRANSACTION_MS_MAX) } else { lasts_ms };
        let wait = Duration::from_millis(lasts_ms + more_ms);
        if let Some(tx) = &tx {
            if !early {
                tokio::time::sleep(wait).await;
            }
            // Also one that is going to fail writes: what it wrote must be undone.
            if let Err(error) = tx.execute(INSERT, &[hydra_engine::store::Value::Integer(body as i64)]).await {
                // Where its transaction was lost under it, it leaves no trace, and is begun again within the same attempt.
                inside.leave(if error.is_passing() { Gave::Cancelled } else { Gave::Failure });
                return Err(StepFailure::retryable(error));
            }
            if early {
                tokio::time::sleep(wait).await;
            }
        } else if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        let ends = site.world(|world| world.unless_it_cannot_be_encoded(step, ends));
        let happens = tx.is_none() && matches!(ends, BodyEnd::Returns | BodyEnd::Unencodable);
        if happens && !early {
            effect();
        }
        match (ends, &tx) {
            (BodyEnd::Returns, None) => inside.leave(Gave::Value(value_of(body))),
            // Whether it was left with its value turns out when its transaction commits.
            (BodyEnd::Returns, Some(_)) => inside.stay_open(),
            (BodyEnd::Fails, _) => inside.leave(Gave::Failure),
            // What cannot be encoded cannot be committed either: rolled back, it has not happened.
            (BodyEnd::FailsFinally, _) | (BodyEnd::Unencodable, Some(_)) => inside.leave(Gave::FinalFailure),
            (BodyEnd::Unencodable, None) => inside.leave(Gave::Unencodable),
        }
        site.pass(Place::Left).await;
        match ends {
            BodyEnd::Returns => Ok(Value(Some(value_of(body)))),
            BodyEnd::Unencodable => Ok(Value(None)),
            BodyEnd::Fails => Err(StepFailure::retryable("made to fail")),
            BodyEnd::FailsFinally => Err(StepFailure::fatal("made to fail for good")),
        }
    }
}

/// A body that runs. Dropped before it was left, it was cancelled; or its process has ended, and nobody knows.
struct Inside<'a> {
    site: &'a Site,
    step: usize,
    body: u64,
    left: bool,
}

impl Inside<'_> {
    fn leave(mut self, gave: Gave) {
        self.left = true;
        self.tell(gave);
    }

    fn stay_open(mut self) {
        self.left = true;
    }

    fn tell(&self, gave: Gave) {
        let (step, first) =
            self.site.world(|world| (world.plan.steps[self.step].name.clone(), world.leaves(self.body)));
        if first {
            self.site.observe(What::Left { step, body: self.body, gave });
        }
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        if !self.left {
            let local_ms = self.site.local_ms();
            self.site.world(|world| world.cancelled(self.site.asker, local_ms));
            self.tell(Gave::Cancelled);
        }
    }
}
