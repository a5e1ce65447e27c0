//! Claims, heartbeats, releases.

use std::sync::Arc;

use futures::FutureExt;
use hydra_engine::store::{ClaimRequest, ExecutionKey, HeartbeatRequest, Target};
use hydra_protocol::{
    Ending, Epoch, Failure, Kind, Outcome, Rejection, Release, Reply, Settlement, Span, Status, StepState,
};

use crate::harness::*;

pub async fn claims_take_the_longest_due_first(which: Which) {
    let store = Fixture::new(which);
    for (name, due_ms) in [("late", 30), ("first", 10), ("second", 20)] {
        store.decision(start_at(name, at(due_ms), None)).await.unwrap();
    }
    let mut refund = start_at("between", at(15), None);
    refund.payload.workflow = Some("refund".into());
    store.decision(refund).await.unwrap();
    store.clock.set(at(40));
    let workflows = Arc::from(["order".to_owned(), "refund".to_owned()]);
    let claims = store.a.claim(ClaimRequest { limit: 3, workflows, ..claim("w") }).await.unwrap();
    let names: Vec<_> = claims.claimed.iter().map(|claimed| claimed.id.id.as_str()).collect();
    assert_eq!(names, ["first", "between", "second"]);
    assert_eq!((claims.claimed[1].workflow.as_str(), claims.claimed[1].input.as_slice()), ("refund", &b"input"[..]));
    assert_eq!((claims.claimed[0].epoch, claims.claimed[0].lease), (Epoch(1), LEASE));
    let view = store.view("first").await;
    assert_eq!((view.worker.as_deref(), view.row.status), (Some("w"), Status::Leased { due_at: at(10_040) }));
}

pub async fn claims_leave_what_is_not_due_or_not_known(which: Which) {
    let store = Fixture::new(which);
    store.decision(start_at("later", at(1), None)).await.unwrap();
    let mut unknown = start("unknown");
    unknown.payload.workflow = Some("refund".into());
    store.decision(unknown).await.unwrap();
    let mut elsewhere = start("elsewhere");
    elsewhere.target = Target::Id(hydra_engine::store::ExecutionId { namespace: "tenant".into(), ..id("elsewhere") });
    store.decision(elsewhere).await.unwrap();
    let claims = store.claim("w").await;
    assert_eq!((claims.claimed.len(), claims.ended, claims.next_due), (0, 0, Some(at(1))));
    assert_eq!(store.view("unknown").await.row.status, Status::Ready { due_at: at(0) - Span::from_millis(T0) });
    // Nobody asks for anything: zero concurrency, no workflows.
    let nothing = store.a.claim(ClaimRequest { limit: 0, ..claim("w") }).await.unwrap();
    assert_eq!(nothing.claimed, []);
    let nothing = store.a.claim(ClaimRequest { workflows: Arc::from([]), ..claim("w") }).await.unwrap();
    assert_eq!((nothing.claimed.len(), nothing.next_due), (0, None));
}

pub async fn one_execution_is_claimed_by_one_worker(which: Which) {
    let store = Fixture::new(which);
    for number in 0..40 {
        store.start(&format!("o-{number}")).await;
    }
    let few = |worker: &str| ClaimRequest { limit: 3, ..claim(worker) };
    let mut claimed = Vec::new();
    loop {
        let (a, b, c) = tokio::join!(store.a.claim(few("a")), store.b.claim(few("b")), store.a.claim(few("c")));
        let round: Vec<_> = [a, b, c].into_iter().flat_map(|claims| claims.unwrap().claimed).collect();
        if round.is_empty() {
            break;
        }
        claimed.extend(round.into_iter().map(|claimed| (claimed.key, claimed.epoch)));
    }
    claimed.sort_unstable();
    claimed.dedup_by_key(|(key, _)| *key);
    assert_eq!(claimed.len(), 40);
    assert!(claimed.iter().all(|(_, epoch)| *epoch == Epoch(1)));
}

pub async fn a_claim_reads_the_journal(which: Which) {
    let store = Fixture::new(which);
    store.start("o-1").await;
    let first = store.claim_one("a").await;
    assert_eq!(first.journal, []);
    let (key, epoch) = (first.key, first.epoch);
    store.decision(begin(key, epoch, 2, Kind::Keyed, 1)).await.unwrap();
    store.decision(begin(key, epoch, 1, Kind::Keyed, 1)).await.unwrap();
    store.decision(settle(key, epoch, 1, 1, Settlement::Succeeded)).await.unwrap();
    store.decision(settle(key, epoch, 2, 1, failed())).await.unwrap();
    store.clock.advance_ms(LEASE.as_millis());
    let second = store.claim_one("b").await;
    assert_eq!(second.epoch, Epoch(2));
    let journal: Vec<_> = second.journal.iter().map(|step| (step.no.0, &*step.name, step.row.state)).collect();
    let settled = StepState::Settled { order: 1, outcome: Outcome::Succeeded };
    assert_eq!(journal, [(1, "step-1", settled), (2, "step-2", StepState::Waiting { due_at: at(500) })]);
    assert_eq!(second.journal[0].value.as_deref(), Some(&b"output"[..]));
    assert_eq!(second.journal[1].error.as_deref(), Some("card declined"));
}

pub async fn a_claim_ends_what_is_past_its_deadline(which: Which) {
    let store = Fixture::new(which);
    store.decision(start_at("waiting", at(1_000), Some(at(100)))).await.unwrap();
    let mut unknown = start_at("unknown", at(0), Some(at(100)));
    unknown.payload.workflow = Some("refund".into());
    store.decision(unknown).await.unwrap();
    store.clock.set(at(99));
    assert_eq!(store.claim("w").await.ended, 0);
    store.clock.set(at(100));
    let watch = store.a.watch_ending(store.view("waiting").await.key);
    assert_eq!(store.claim("w").await.ended, 2, "whether its code is known or not");
    assert!(watch.ended().now_or_never().is_some());
    for name in ["waiting", "unknown"] {
        let view = store.view(name).await;
        assert_eq!(view.row.status, Status::Ended(Ending::Failed(Failure::DeadlineExceeded)));
        assert_eq!(view.ended_at, Some(at(100)));
    }
    assert_eq!(store.claim("w").await.ended, 0);
}

pub async fn a_claim_ends_what_was_replayed_too_often(which: Which) {
    let store = Fixture::new(which);
    store.start("o-1").await;
    for epoch in 1..=3 {
        assert_eq!(store.claim_one("w").await.epoch, Epoch(epoch));
        store.clock.advance_ms(LEASE.as_millis());
    }
    assert_eq!(store.claim("w").await.ended, 1);
    let ending = Ending::Failed(Failure::ReplaysExhausted);
    let view = store.view("o-1").await;
    assert_eq!(view.row.status, Status::Ended(ending));
    let leases = store.history(view.key).await.leases;
    let ends: Vec<_> = leases.iter().map(|lease| lease.ended_at).collect();
    assert_eq!(ends, [Some(at(10_000)), Some(at(20_000)), Some(at(30_000))], "each was over when it expired");
}

pub async fn the_next_due_time_is_told(which: Which) {
    let store = Fixture::new(which);
    assert_eq!(store.claim("w").await.next_due, None);
    store.start("o-1").await;
    store.decision(start_at("o-2", at(400), None)).await.unwrap();
    assert_eq!(store.claim("w").await.next_due, Some(at(400)));
    store.clock.set(at(400));
    assert_eq!(store.claim("w").await.next_due, Some(at(10_000)), "the end of the first lease");
    store.start("o-3").await;
    store.start("o-4").await;
    let claims = store.a.claim(ClaimRequest { limit: 1, ..claim("w") }).await.unwrap();
    assert!(claims.next_due.unwrap() <= at(400), "at its limit: more is due");
}

pub async fn a_stale_epoch_writes_nothing(which: Which) {
    let store = Fixture::new(which);
    let (key, epoch) = store.claimed("o-1").await;
    store.decision(begin(key, epoch, 1, Kind::Keyed, 1)).await.unwrap();
    store.clock.advance_ms(LEASE.as_millis());
    let taken_over = store.b.claim(claim("b")).await.unwrap().claimed.remove(0);
    let (view, history) = (store.view("o-1").await, store.history(key).await);
    let stale = Err(Rejection::StaleEpoch { held: epoch, latest: taken_over.epoch });
    for request in [
        settle(key, epoch, 1, 1, Settlement::Succeeded),
        begin(key, epoch, 2, Kind::Keyed, 1),
        sleep(key, epoch, 3, 5),
        fire(key, epoch, 3),
        release(key, epoch, Release::Shutdown),
        finish(key, epoch, Ending::Failed(Failure::Workflow)),
    ] {
        assert_eq!(store.decision(request).await, stale);
    }
    assert_eq!((store.view("o-1").await, store.history(key).await), (view, history));
}

pub async fn heartbeats_are_decided_one_by_one_in_order(which: Which) {
    let store = Fixture::new(which);
    let (one, epoch) = store.claimed("o-1").await;
    let (two, _) = store.claimed("o-2").await;
    let (three, _) = store.claimed("o-3").await;
    store.decision(finish(three, epoch, Ending::Succeeded)).await.unwrap();
    store.clock.advance_ms(4_000);
    let leases = vec![(two, Epoch(9)), (one, epoch), (ExecutionKey(99), epoch), (three, epoch), (two, epoch)];
    let beats = store.a.heartbeat(HeartbeatRequest { leases, lease: LEASE }).await.unwrap();
    let renewed = Ok(Reply::Renewed { lease: LEASE });
    assert_eq!(
        beats.decisions,
        [
            Err(Rejection::StaleEpoch { held: Epoch(9), latest: epoch }),
            renewed,
            Err(Rejection::UnknownExecution),
            Err(Rejection::Ended(Ending::Succeeded)),
            renewed,
        ]
    );
    assert_eq!(beats.now, at(4_000));
    assert_eq!(store.view("o-1").await.row.status, Status::Leased { due_at: at(14_000) });
    assert_eq!(store.history(one).await.leases.len(), 1, "the same lease");
}

pub async fn a_release_makes_it_due_and_says_so(which: Which) {
    let store = Fixture::new(which);
    let (key, epoch) = store.claimed("o-1").await;
    let due = store.a.due_changed();
    let before = due.rings();
    let parked = release(key, epoch, Release::Parked { wake: at(700) });
    assert_eq!(store.decision(parked.clone()).await, Ok(Reply::Released { due_at: at(700) }));
    assert!(due.rung_since(before).now_or_never().is_some());
    assert_eq!(store.decision(parked).await, Ok(Reply::Released { due_at: at(700) }), "asked again");
    let late = settle(key, epoch, 1, 1, Settlement::Succeeded);
    assert_eq!(store.decision(late).await, Err(Rejection::NotLeased { latest: epoch }));
    assert_eq!(store.claim("w").await.next_due, Some(at(700)));
    store.clock.set(at(700));
    assert_eq!(store.claim_one("w").await.epoch, Epoch(2));
}

pub async fn the_history_says_who_held_it_and_when(which: Which) {
    let store = Fixture::new(which);
    let (key, epoch) = store.claimed("o-1").await;
    store.clock.set(at(50));
    store.decision(release(key, epoch, Release::Shutdown)).await.unwrap();
    store.clock.set(at(60));
    store.claim_one("b").await;
    store.clock.set(at(20_000));
    store.claim_one("c").await;
    let leases = store.history(key).await.leases;
    let leases: Vec<_> =
        leases.iter().map(|lease| (lease.epoch.0, lease.worker.as_str(), lease.claimed_at, lease.ended_at)).collect();
    assert_eq!(
        leases,
        [
            (1, "a", at(0), Some(at(50))),
            (2, "b", at(60), Some(at(10_060))), // It expired then, though nobody came before 20,000.
            (3, "c", at(20_000), None),
        ]
    );
    assert_eq!(store.history(ExecutionKey(99)).await, Default::default());
}
