//! Executions as clients see them.

use futures::FutureExt;
use hydra_engine::store::{ExecutionKey, ListFilter, Target};
use hydra_protocol::{
    Command, Ending, Failure, Kind, Outcome, Rejection, Reply, Settlement, Status, StepState, Verdict,
};

use crate::harness::*;

pub async fn a_start_writes_once_and_is_answered_again(which: Which) {
    let store = Fixture::new(which);
    let due = store.a.due_changed();
    let before = due.rings();
    assert_eq!(store.decision(start("o-1")).await, Ok(Reply::Started));
    assert!(due.rings() > before, "workers are told");
    assert_eq!(store.decision(start("o-1")).await, Ok(Reply::AlreadyStarted));
    assert_eq!(store.b.command(start("o-1")).await.unwrap().decision, Ok(Reply::AlreadyStarted));
    assert_eq!(store.b.list(ListFilter::default()).await.unwrap().len(), 1);
}

pub async fn another_input_or_workflow_is_a_conflict(which: Which) {
    let store = Fixture::new(which);
    store.start("o-1").await;
    let mut other = start("o-1");
    other.payload.value = Some(b"other".to_vec());
    assert_eq!(store.decision(other).await, Err(Rejection::Conflict));
    let mut other = start("o-1");
    other.payload.workflow = Some("refund".into());
    assert_eq!(store.decision(other).await, Err(Rejection::Conflict));
    // In another namespace it is another execution.
    let mut other = start("o-1");
    let mut elsewhere = id("o-1");
    elsewhere.namespace = "tenant".into();
    other.target = Target::Id(elsewhere.clone());
    other.payload.value = Some(b"other".to_vec());
    assert_eq!(store.decision(other).await, Ok(Reply::Started));
    assert_eq!(store.b.execution(&elsewhere).await.unwrap().unwrap().input, b"other");
    assert_eq!(store.view("o-1").await.input, b"input");
}

pub async fn what_was_started_can_be_looked_at(which: Which) {
    let store = Fixture::new(which);
    assert_eq!(store.b.execution(&id("o-1")).await.unwrap(), None);
    store.decision(start_at("o-1", at(5), Some(at(50)))).await.unwrap();
    let view = store.view("o-1").await;
    assert_eq!((view.id, view.workflow.as_str(), view.input.as_slice()), (id("o-1"), "order", &b"input"[..]));
    assert_eq!((view.worker, view.output, view.error), (None, None, None));
    assert_eq!((view.started_at, view.ended_at), (at(0), None));
    assert_eq!(view.row.status, Status::Ready { due_at: at(5) });
    assert_eq!((view.row.deadline, view.row.epoch.0), (Some(at(50)), 0));
    assert_eq!(store.history(view.key).await.leases.len(), 0);
}

pub async fn an_ending_writes_what_came_of_it(which: Which) {
    let store = Fixture::new(which);
    let (key, epoch) = store.claimed("o-1").await;
    store.clock.advance_ms(7);
    assert_eq!(store.decision(finish(key, epoch, Ending::Succeeded)).await, Ok(Reply::Ended(Ending::Succeeded)));
    let view = store.view("o-1").await;
    assert_eq!((view.output.as_deref(), view.error), (Some(&b"result"[..]), None));
    assert_eq!((view.ended_at, view.worker.as_deref()), (Some(at(7)), Some("a")));
    // Asked again: the same answer, and the first time stands.
    store.clock.advance_ms(7);
    assert_eq!(store.decision(finish(key, epoch, Ending::Succeeded)).await, Ok(Reply::Ended(Ending::Succeeded)));
    assert_eq!(store.view("o-1").await.ended_at, Some(at(7)));

    let (key, epoch) = store.claimed("o-2").await;
    let ending = Ending::Failed(Failure::Workflow);
    assert_eq!(store.decision(finish(key, epoch, ending)).await, Ok(Reply::Ended(ending)));
    let view = store.view("o-2").await;
    assert_eq!((view.output, view.error.as_deref()), (None, Some("out of stock")));
    assert_eq!(store.history(key).await.leases[0].ended_at, Some(at(14)));
}

pub async fn an_ending_wakes_those_who_wait_for_it(which: Which) {
    let store = Fixture::new(which);
    let (key, epoch) = store.claimed("o-1").await;
    let (other, _) = store.claimed("o-2").await;
    let mark = store.a.ending_mark().expect("else whoever waits looks for what it could be told");
    let (watch, watch_too, watch_other) =
        (store.a.watch_ending(key), store.a.watch_ending(key), store.a.watch_ending(other));
    let ended = store.a.ended();
    let before = ended.rings();
    store.decision(finish(key, epoch, Ending::Succeeded)).await.unwrap();
    assert!(ended.rung_since(before).now_or_never().is_some());
    assert!(watch.ended().now_or_never().is_some());
    assert!(watch_too.ended().now_or_never().is_some(), "each of those who wait");
    assert!(watch_other.ended().now_or_never().is_none());
    let late = |key| store.a.watch_ending_since(key, mark).ended().now_or_never();
    assert!(late(key).is_some(), "and those who come late");
    assert!(late(other).is_none());
}

pub async fn those_that_are_not_open_are_told_at_one_go(which: Which) {
    let store = Fixture::new(which);
    let (driven, epoch) = store.claimed("driven").await;
    let (ended, its) = store.claimed("ended").await;
    store.decision(finish(ended, its, Ending::Failed(Failure::Workflow))).await.unwrap();
    let mut open = Vec::new();
    for number in 0..70 {
        store.start(&format!("open-{number}")).await;
        open.push(store.view(&format!("open-{number}")).await.key);
    }
    store.start("cancelled").await;
    let cancelled = store.view("cancelled").await.key;
    store.decision(client("cancelled", None, Command::Cancel)).await.unwrap();
    let unknown = ExecutionKey(i64::MAX);
    let told = async |of: &[ExecutionKey]| {
        let mut told = store.b.ended_of(of.to_vec()).await.unwrap();
        told.sort_unstable();
        told
    };
    assert_eq!(told(&[]).await, []);
    assert_eq!(told(&open).await, []);
    let all = [&[unknown, cancelled, driven], &*open, &[ended]].concat();
    assert_eq!(told(&all).await, [ended, cancelled, unknown]);
    store.decision(client("ended", None, Command::Retry { attempts: 1 })).await.unwrap();
    store.decision(finish(driven, epoch, Ending::Succeeded)).await.unwrap();
    assert_eq!(told(&all).await, [driven, cancelled, unknown], "as it is now");
}

pub async fn an_ending_abandons_what_is_open(which: Which) {
    let store = Fixture::new(which);
    let (key, epoch) = store.claimed("o-1").await;
    store.decision(begin(key, epoch, 1, Kind::Keyed, 1)).await.unwrap();
    store.decision(settle(key, epoch, 1, 1, Settlement::Succeeded)).await.unwrap();
    store.decision(begin(key, epoch, 2, Kind::Keyed, 1)).await.unwrap();
    store.decision(sleep(key, epoch, 3, 9_000)).await.unwrap();
    store.decision(begin(key, epoch, 4, Kind::Keyed, 1)).await.unwrap();
    store.decision(settle(key, epoch, 4, 1, failed())).await.unwrap();
    store.decision(finish(key, epoch, Ending::Succeeded)).await.unwrap();
    let steps = store.history(key).await.steps;
    let states: Vec<_> = steps.iter().map(|view| view.step.row.state).collect();
    let settled = StepState::Settled { order: 1, outcome: Outcome::Succeeded };
    let (abandoned, timer) = (StepState::Abandoned { due_at: None }, StepState::Abandoned { due_at: Some(at(9_000)) });
    assert_eq!(states, [settled, abandoned, timer, abandoned]);
    assert_eq!(steps[3].step.error.as_deref(), Some("card declined"), "the last error stays");
}

pub async fn a_cancelled_execution_takes_nothing_from_its_worker(which: Which) {
    let store = Fixture::new(which);
    let (key, epoch) = store.claimed("o-1").await;
    store.decision(begin(key, epoch, 1, Kind::Keyed, 1)).await.unwrap();
    let cancelled = store.b.command(client("o-1", None, Command::Cancel)).await.unwrap();
    assert_eq!(cancelled.decision, Ok(Reply::Ended(Ending::Cancelled)));
    let refused = Err(Rejection::Ended(Ending::Cancelled));
    assert_eq!(store.decision(settle(key, epoch, 1, 1, Settlement::Succeeded)).await, refused);
    assert_eq!(store.decision(finish(key, epoch, Ending::Succeeded)).await, refused);
    let history = store.history(key).await;
    assert_eq!(history.steps[0].step.row.state, StepState::Abandoned { due_at: None });
    assert_eq!((history.steps[0].step.value.clone(), history.leases[0].ended_at), (None, Some(at(0))));
    assert_eq!(store.claim("b").await.claimed, []);
    assert_eq!(store.decision(client("o-9", None, Command::Cancel)).await, Err(Rejection::UnknownExecution));
}

pub async fn a_failed_execution_can_be_retried(which: Which) {
    let store = Fixture::new(which);
    let (key, epoch) = store.claimed("o-1").await;
    store.decision(begin(key, epoch, 1, Kind::Keyed, 1)).await.unwrap();
    store.decision(settle(key, epoch, 1, 1, Settlement::Succeeded)).await.unwrap();
    store.decision(begin(key, epoch, 2, Kind::AtMostOnce, 1)).await.unwrap();
    store.decision(settle(key, epoch, 2, 1, failed())).await.unwrap();
    let retry = client("o-1", None, Command::Retry { attempts: 2 });
    assert_eq!(store.decision(retry.clone()).await, Err(Rejection::NotFailed));
    store.decision(finish(key, epoch, Ending::Failed(Failure::Workflow))).await.unwrap();
    assert_eq!(store.decision(retry).await, Ok(Reply::Reopened));
    let view = store.view("o-1").await;
    assert_eq!(view.row.status, Status::Ready { due_at: at(0) });
    assert_eq!((view.error, view.ended_at, view.row.settled), (None, None, 1));
    let claimed = store.claim_one("b").await;
    assert_eq!(claimed.journal[1].row.state, StepState::Waiting { due_at: at(0) }, "the step that settled last");
    assert_eq!(claimed.journal[1].error.as_deref(), Some("card declined"), "why it was retried is still to be seen");
    assert_eq!(claimed.journal[0].value.as_deref(), Some(&b"output"[..]), "and no other");
    let again = begin(key, claimed.epoch, 2, Kind::AtMostOnce, 2);
    assert_eq!(store.decision(again).await, Ok(Reply::Run { attempt: 2 }));
}

pub async fn a_step_in_doubt_is_resolved_first(which: Which) {
    let store = Fixture::new(which);
    let (key, epoch) = store.claimed("o-1").await;
    store.decision(begin(key, epoch, 1, Kind::AtMostOnce, 1)).await.unwrap();
    store.decision(settle(key, epoch, 1, 1, Settlement::InDoubt)).await.unwrap();
    store.decision(finish(key, epoch, Ending::Failed(Failure::Workflow))).await.unwrap();
    let retry = client("o-1", None, Command::Retry { attempts: 1 });
    assert_eq!(store.decision(retry.clone()).await, Err(Rejection::Unresolved(Outcome::InDoubt)));
    let mut resolve = client("o-1", Some(1), Command::Resolve { verdict: Verdict::Succeeded });
    resolve.payload.value = Some(b"found out".to_vec());
    assert_eq!(store.decision(resolve).await, Ok(Reply::Resolved(Outcome::Succeeded)));
    assert_eq!(store.decision(retry).await, Ok(Reply::Reopened));
    let step = store.claim_one("b").await.journal.remove(0);
    assert_eq!((step.value.as_deref(), step.error), (Some(&b"found out"[..]), None));
}

pub async fn lists_are_filtered_and_newest_first(which: Which) {
    let store = Fixture::new(which);
    for name in ["a-1", "a-2", "b-1", "b-2"] {
        store.start(name).await;
    }
    let mut other = start("a-3");
    other.payload.workflow = Some("refund".into());
    store.decision(other).await.unwrap();
    let claimed = store.claim("w").await.claimed;
    store.decision(finish(claimed[3].key, claimed[3].epoch, Ending::Succeeded)).await.unwrap();
    let list = async |filter: ListFilter| {
        let views = store.b.list(filter).await.unwrap();
        views.into_iter().map(|view| view.id.id).collect::<Vec<_>>()
    };
    let all = ListFilter::default;
    assert_eq!(list(all()).await, ["a-3", "b-2", "b-1", "a-2", "a-1"]);
    assert_eq!(list(ListFilter { workflow: Some("refund".into()), ..all() }).await, ["a-3"]);
    assert_eq!(list(ListFilter { status: Some("succeeded".into()), ..all() }).await, ["b-2"]);
    assert_eq!(list(ListFilter { status: Some("leased".into()), limit: 2, ..all() }).await, ["b-1", "a-2"]);
    assert_eq!(list(ListFilter { id_prefix: Some("a-".into()), ..all() }).await, ["a-3", "a-2", "a-1"]);
    assert_eq!(list(ListFilter { namespace: Some("nobody's".into()), ..all() }).await, [] as [&str; 0]);
    let before = Some(claimed[1].key);
    assert_eq!(list(ListFilter { before, ..all() }).await, ["a-1"], "the next page");
}
