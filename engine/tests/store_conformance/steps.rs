//! Steps and their checkpoints.

use hydra_protocol::{Cause, Kind, Outcome, Rejection, Reply, Settlement, StepState};

use crate::harness::*;

pub async fn a_settled_step_is_answered_with_its_checkpoint(which: Which) {
    let store = Fixture::new(which);
    let (key, epoch) = store.claimed("o-1").await;
    assert_eq!(store.decision(begin(key, epoch, 1, Kind::Keyed, 1)).await, Ok(Reply::Run { attempt: 1 }));
    assert_eq!(store.decision(begin(key, epoch, 1, Kind::Keyed, 1)).await, Ok(Reply::Run { attempt: 1 }));
    let settled = Ok(Reply::Settled { order: 1, outcome: Outcome::Succeeded });
    let first = store.ask(settle(key, epoch, 1, 1, Settlement::Succeeded)).await;
    assert_eq!((first.decision, first.value), (settled, None), "its sender has the value");
    // Asked again with another value: the first stands.
    let mut again = settle(key, epoch, 1, 1, Settlement::Succeeded);
    again.payload.value = Some(b"another".to_vec());
    for request in [again, begin(key, epoch, 1, Kind::Keyed, 2)] {
        let answer = store.ask(request).await;
        assert_eq!((answer.decision, answer.value.as_deref()), (settled, Some(&b"output"[..])));
    }
    let contrary = settle(key, epoch, 1, 1, failed());
    assert_eq!(store.decision(contrary).await, Err(Rejection::StepSettled(Outcome::Succeeded)));
    assert_eq!(store.view("o-1").await.row.settled, 1);
}

pub async fn a_failed_attempt_waits_and_keeps_its_error(which: Which) {
    let store = Fixture::new(which);
    let (key, epoch) = store.claimed("o-1").await;
    store.decision(begin(key, epoch, 1, Kind::Keyed, 1)).await.unwrap();
    assert_eq!(store.decision(settle(key, epoch, 1, 1, failed())).await, Ok(Reply::Waiting { due_at: at(500) }));
    let error = async || store.history(key).await.steps[0].step.error.clone();
    assert_eq!(error().await.as_deref(), Some("card declined"));
    let second = begin(key, epoch, 1, Kind::Keyed, 2);
    assert_eq!(store.decision(second.clone()).await, Err(Rejection::NotDue { due_at: at(500), now: at(0) }));
    store.clock.set(at(500));
    assert_eq!(store.decision(second).await, Ok(Reply::Run { attempt: 2 }));
    assert_eq!(error().await.as_deref(), Some("card declined"), "of the attempt before");
    let exhausted = Reply::Settled { order: 1, outcome: Outcome::Failed(Cause::Exhausted) };
    let mut last = settle(key, epoch, 1, 2, failed());
    last.payload.error = Some("card expired".into());
    assert_eq!(store.decision(last).await, Ok(exhausted));
    let answer = store.ask(begin(key, epoch, 1, Kind::Keyed, 3)).await;
    assert_eq!((answer.decision, answer.error.as_deref()), (Ok(exhausted), Some("card expired")));
}

pub async fn an_orphaned_attempt_is_recovered_by_its_kind(which: Which) {
    let store = Fixture::new(which);
    let (key, epoch) = store.claimed("o-1").await;
    store.decision(begin(key, epoch, 1, Kind::Keyed, 1)).await.unwrap();
    store.decision(begin(key, epoch, 2, Kind::AtMostOnce, 1)).await.unwrap();
    store.clock.advance_ms(LEASE.as_millis());
    let epoch = store.claim_one("b").await.epoch;
    assert_eq!(store.decision(begin(key, epoch, 1, Kind::Keyed, 2)).await, Ok(Reply::Run { attempt: 2 }));
    let in_doubt = store.ask(begin(key, epoch, 2, Kind::AtMostOnce, 1)).await;
    assert_eq!(in_doubt.decision, Ok(Reply::Settled { order: 1, outcome: Outcome::InDoubt }));
    store.clock.advance_ms(LEASE.as_millis());
    let epoch = store.claim_one("c").await.epoch;
    let crashed = Reply::Settled { order: 2, outcome: Outcome::Failed(Cause::Crashed) };
    assert_eq!(store.decision(begin(key, epoch, 1, Kind::Keyed, 3)).await, Ok(crashed));
    let steps = store.history(key).await.steps;
    assert!(steps.iter().all(|view| view.step.value.is_none()), "the input of a begin is no output");
    assert!(steps.iter().all(|view| view.settled_at.is_some()));
}

pub async fn an_unencodable_result_is_an_outcome(which: Which) {
    let store = Fixture::new(which);
    let (key, epoch) = store.claimed("o-1").await;
    store.decision(begin(key, epoch, 1, Kind::Keyed, 1)).await.unwrap();
    let outcome = Reply::Settled { order: 1, outcome: Outcome::Unencodable };
    assert_eq!(store.decision(settle(key, epoch, 1, 1, Settlement::Unencodable)).await, Ok(outcome));
    let answer = store.ask(begin(key, epoch, 1, Kind::Keyed, 2)).await;
    assert_eq!((answer.decision, answer.value), (Ok(outcome), None), "its body does not run again");
}

pub async fn a_timer_sleeps_and_fires_by_the_clock_of_the_store(which: Which) {
    let store = Fixture::new(which);
    let (key, epoch) = store.claimed("o-1").await;
    let sleeping = Ok(Reply::Sleeping { due_at: at(300) });
    assert_eq!(store.decision(sleep(key, epoch, 1, 300)).await, sleeping);
    store.clock.set(at(299));
    assert_eq!(store.decision(sleep(key, epoch, 1, 300)).await, sleeping, "written once");
    assert_eq!(store.decision(fire(key, epoch, 1)).await, Err(Rejection::NotDue { due_at: at(300), now: at(299) }));
    store.clock.set(at(300));
    let fired = Ok(Reply::Settled { order: 1, outcome: Outcome::Fired });
    assert_eq!(store.decision(fire(key, epoch, 1)).await, fired);
    assert_eq!(store.decision(fire(key, epoch, 1)).await, fired);
    assert_eq!(store.decision(sleep(key, epoch, 1, 300)).await, fired);
    assert_eq!(store.decision(fire(key, epoch, 2)).await, Err(Rejection::UnknownStep));
}

pub async fn steps_keep_their_inputs_and_times(which: Which) {
    let store = Fixture::new(which);
    let (key, epoch) = store.claimed("o-1").await;
    store.decision(begin(key, epoch, 1, Kind::Keyed, 1)).await.unwrap();
    store.clock.set(at(40));
    store.decision(settle(key, epoch, 1, 1, Settlement::Succeeded)).await.unwrap();
    let mut without = begin(key, epoch, 2, Kind::Keyed, 1);
    without.payload.value = None;
    store.decision(without).await.unwrap();
    let steps = store.history(key).await.steps;
    assert_eq!((steps[0].input.as_deref(), steps[1].input.as_deref()), (Some(&b"step input"[..]), None));
    assert_eq!((steps[0].begun_at, steps[0].settled_at), (at(0), Some(at(40))));
    assert_eq!((steps[1].begun_at, steps[1].settled_at), (at(40), None));
    assert_eq!((steps[0].step.row.kind, steps[0].step.row.attempts_max), (Kind::Keyed, 2));
    assert_eq!(steps[1].step.row.state, StepState::Running);
}
