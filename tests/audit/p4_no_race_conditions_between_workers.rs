//! "No race conditions between workers": one that was cut off, and overtaken, reports after all.

use hydra_engine::protocol::{Command, Ending, Failure, Kind, Rejection, Reply, Settlement, Span, StepNo};
use hydra_engine::store::{ClaimRequest, CommandRequest, HeartbeatRequest, Payload, StepRef, Target};

use crate::broken::How;
use crate::stage::{LEASE, Stage, Verdict, expect, holds, ms, notices, notices_stores, records};

/// A claims, begins and is paused past its lease; B claims. Then A goes on as if nothing had happened: it settles, beats
/// and finishes. Only then does B get to the step.
async fn scenario(stage: Stage) -> Verdict {
    let client = stage.client();
    client.start("w", "w", &()).await.map_err(|error| error.to_string())?;
    let store = &stage.store;
    let lease = Span::from_millis(LEASE.as_millis() as u64);
    let claim = |worker: &'static str| {
        let (worker, namespace, workflows) = (worker.into(), "default".into(), vec!["w".to_owned()].into());
        store.claim(ClaimRequest { worker, namespace, workflows, limit: 1, lease })
    };
    let ask = |key, command, value: Option<&str>| {
        let step = Some(StepRef { no: StepNo(1), name: "s".into() });
        let payload = Payload { value: value.map(|value| value.as_bytes().to_vec()), ..Payload::default() };
        store.command(CommandRequest { target: Target::Key(key), step, command, payload })
    };
    let begin = |epoch, attempt| Command::Begin { epoch, kind: Kind::Keyed, attempt, attempts_max: 3 };
    let settle = |epoch, attempt| Command::Settle { epoch, attempt, settlement: Settlement::Succeeded };
    let finish = |epoch, ending| Command::Finish { epoch, ending };

    let claims = claim("A").await.map_err(|error| error.to_string())?;
    let (key, a) = (claims.claimed[0].key, claims.claimed[0].epoch);
    let begun = ask(key, begin(a, 1), None).await.map_err(|error| error.to_string())?;
    expect("A begins", begun.decision, Ok(Reply::Run { attempt: 1 }))?;

    tokio::time::sleep(LEASE + ms(1_000)).await;
    let claims = claim("B").await.map_err(|error| error.to_string())?;
    let b = claims.claimed.first().ok_or("B could not claim")?.epoch;

    let gone = Err(Rejection::StaleEpoch { held: a, latest: b });
    let settled = ask(key, settle(a, 1), Some("\"A\"")).await.map_err(|error| error.to_string())?;
    expect("A, overtaken, settles", settled.decision, gone)?;
    let beat = store.heartbeat(HeartbeatRequest { leases: vec![(key, a)], lease }).await;
    expect("A, overtaken, beats", beat.map_err(|error| error.to_string())?.decisions, vec![gone])?;
    let failed = ask(key, finish(a, Ending::Failed(Failure::Workflow)), None).await;
    expect("A, overtaken, ends W as failed", failed.map_err(|error| error.to_string())?.decision, gone)?;

    let begun = ask(key, begin(b, 2), None).await.map_err(|error| error.to_string())?;
    expect("B begins anew", begun.decision, Ok(Reply::Run { attempt: 2 }))?;
    let settled = ask(key, settle(b, 2), Some("\"B\"")).await.map_err(|error| error.to_string())?;
    expect("B settles", settled.decision.is_ok(), true)?;
    let ended = ask(key, finish(b, Ending::Succeeded), Some("\"B\"")).await.map_err(|error| error.to_string())?;
    expect("B ends W", ended.decision, Ok(Reply::Ended(Ending::Succeeded)))?;
    let result: String = client.result("w").await.map_err(|error| error.to_string())?;
    expect("the value that counts", result.as_str(), "B")
}

#[test]
fn holds_on_every_store() {
    holds(scenario);
}

#[test]
fn notices_what_breaks_it() {
    notices(&["zombie-settles", "any-heartbeat-renews", "epoch-never-raised", "status-outside-the-lease"], scenario);
}

#[test]
fn notices_a_store_that_breaks_it() {
    notices_stores(&[How::UnguardedUpdate, How::StaleReads], scenario);
}

#[test]
fn its_journal_shows_it() {
    // An epoch that is never raised gets no row by the invariants, so there is nothing to record.
    records(&["zombie-settles", "any-heartbeat-renews", "status-outside-the-lease"], scenario);
}
