//! Clients and operators, through the engine's own client: they start, start again, cancel, look, wait, retry and resolve.

use std::time::Duration;

use hydra_engine::protocol::{Outcome, Rejection, StepState};
use hydra_engine::{Client, ClientError};

use super::journal::status_of;
use super::plan::Plan;
use super::program::{Input, value_of};
use super::site::Site;
use crate::history::{Call, Op, Phase, Status, What};
use crate::workload::Workload;

/// What a client does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Act {
    pub execution: usize,
    pub op: Op,
    pub other_input: bool,
}

/// A client that hears nothing asks again after so long.
const ASK_AGAIN_MS: u64 = 5_000;
/// Of a hundred operators who retry, so many resolve something first that needs no resolving.
const CARELESS_PERCENT: u64 = 30;
/// From so many calls on, operators no longer insist: rules that never let them retry must not keep a run going.
const CALLS_MAX: u64 = 2_000;

/// What the clients of a workload do, and when. One in four also waits for the result from the start.
pub(super) fn acts(workload: &Workload, mut waits: impl FnMut() -> bool) -> Vec<(u64, Act)> {
    let mut acts = Vec::new();
    for (execution, program) in workload.programs.iter().enumerate() {
        let act = |op| Act { execution, op, other_input: false };
        acts.push((program.start_at_ms, act(Op::Start)));
        for again in &program.starts_again {
            acts.push((again.at_ms, Act { other_input: again.other_input, ..act(Op::Start) }));
        }
        if let Some(at_ms) = program.cancel_at_ms {
            acts.push((at_ms, act(Op::Cancel)));
        }
        if waits() {
            acts.push((program.start_at_ms, act(Op::Result)));
        }
    }
    acts
}

/// One call, from its beginning to its end, and what the client means to do after it.
pub(super) async fn perform(site: Site, client: Client, act: Act, number: u64) {
    let plan = site.world(|world| world.plan.clone());
    let Act { execution, op, other_input } = act;
    let id = plan.id(execution);
    let invoked = Call { other_input, ..Call::invoked(number, op, id) };
    site.observe(What::Call(invoked.clone()));
    let mut again = None;
    let answered = match op {
        Op::Start => {
            let input = Input { program: execution, other: other_input };
            let start = client.start(Plan::workflow(execution), id.as_str(), &input);
            let program = &plan.workload.programs[execution];
            let start = start.replays_max(plan.config.replays_max).after(Duration::from_millis(program.delay_ms));
            let started = match program.deadline_ms {
                Some(deadline_ms) => start.deadline(Duration::from_millis(deadline_ms)).await,
                None => start.await,
            };
            let started = started.map(drop);
            again = unheard(&started).then_some((act, ASK_AGAIN_MS));
            ended(&invoked, started)
        }
        Op::Cancel => {
            let cancelled = client.cancel(id.as_str()).await;
            again = unheard(&cancelled).then_some((act, ASK_AGAIN_MS));
            ended(&invoked, cancelled)
        }
        Op::Retry => {
            if site.world(|world| world.random.percent(CARELESS_PERCENT)) {
                resolve_anything(&site, &client, id.as_str(), plan.count(execution)).await;
            }
            let retried = client.retry(id.as_str(), 1).await;
            let unresolved = matches!(&retried, Err(ClientError::Rejected { rejection: Rejection::Unresolved(_), .. }));
            if unresolved && number < CALLS_MAX {
                resolve(&site, &client, &plan, execution).await;
                again = Some((act, 1));
            }
            ended(&invoked, retried)
        }
        Op::Status => match client.get(id.as_str()).await {
            Ok(view) => Call {
                status: Some(view.map_or(Status::Missing, |view| status_of(&view.row))),
                ..invoked.answered(Phase::Ok)
            },
            Err(error) => ended(&invoked, Err(error)),
        },
        // Without what the workflow saw: it may be opened again, and the last look tells that.
        Op::Result => match client.ended(id.as_str()).await {
            Ok(view) => Call { status: Some(status_of(&view.row)), ..invoked.answered(Phase::Ok) },
            Err(ClientError::Unknown(_)) => {
                again = Some((act, ASK_AGAIN_MS));
                invoked.answered(Phase::Failed)
            }
            Err(error) => ended(&invoked, Err(error)),
        },
    };
    site.observe(What::Call(answered));
    site.world(|world| world.client_done.push(again));
    site.out.notify_one();
}

fn unheard<T>(result: &Result<T, ClientError>) -> bool {
    matches!(result, Err(ClientError::Store(error)) if error.is_passing())
}

fn ended(invoked: &Call, result: Result<(), ClientError>) -> Call {
    match result {
        Ok(()) => invoked.answered(Phase::Ok),
        Err(error) => {
            let phase = if unheard::<()>(&Err(error.clone())) { Phase::Unknown } else { Phase::Failed };
            Call { error: Some(error.to_string()), ..invoked.answered(phase) }
        }
    }
}

/// The step that settled last, with how.
async fn last_settled(client: &Client, id: &str) -> Option<(u32, Outcome)> {
    let history = client.history(id).await.ok()?;
    let settled = history.steps.iter().filter_map(|view| match view.step.row.state {
        StepState::Settled { order, outcome } => Some((order, view.step.no.0, outcome)),
        _ => None,
    });
    settled.max_by_key(|(order, _, _)| *order).map(|(_, no, outcome)| (no, outcome))
}

/// An operator finds out at the receiver whether the effect happened, and tells the store.
async fn resolve(site: &Site, client: &Client, plan: &Plan, execution: usize) {
    let id = plan.id(execution).as_str();
    let Some((no, Outcome::InDoubt | Outcome::Unencodable)) = last_settled(client, id).await else { return };
    let Some(step) = plan.step(execution, no) else { return };
    let happened = site.world(|world| {
        world.records.iter().rev().find_map(|record| match &record.what {
            What::Effect(effect) if effect.step == plan.steps[step].name => Some(effect.body),
            _ => None,
        })
    });
    // Refused or not heard of: the operator tries again to retry, and sees.
    let _ = match happened {
        Some(body) => client.resolve_succeeded(id, no, &value_of(body)).await,
        None => client.resolve_failed(id, no, "the receiver has not seen it").await,
    };
}

/// A careless operator resolves whatever step comes to hand. The engine has to refuse what is not in doubt.
async fn resolve_anything(site: &Site, client: &Client, id: &str, count: u32) {
    let no = site.world(|world| world.random.below(u64::from(count))) as u32 + 1;
    if last_settled(client, id).await.is_some_and(|(last, _)| last == no) {
        return;
    }
    let _ = client.resolve_succeeded(id, no, &"made up").await;
}
