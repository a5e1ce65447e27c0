//! "No race conditions between workers": one that was cut off, and overtaken, reports after all.

use hydra_engine::protocol::{Command, Reply, Settlement};
use hydra_engine::store::{ClaimRequest, CommandRequest, Payload, StepRef, Target};
use hydra_engine::{BoxError, Context};
use hydra_protocol::{Kind, Span, StepNo};

use crate::stage::{LEASE, Stage, Verdict, expect, holds, ms, notices};

/// A claims, begins and is paused past its lease; B claims, begins the same step, and finishes. Then A goes on as if
/// nothing had happened: it settles, heartbeats, finishes.
async fn scenario(stage: Stage) -> Verdict {
    let client = stage.client();
    client.start("w", "w", &()).await.map_err(|error| error.to_string())?;
    let store = &stage.store;
    let claim = |worker: &'static str| ClaimRequest {
        worker: worker.into(),
        namespace: "default".into(),
        workflows: vec!["w".to_owned()].into(),
        limit: 1,
        lease: Span::from_millis(LEASE.as_millis() as u64),
    };
    let claims = store.claim(claim("A")).await.map_err(|error| error.to_string())?;
    let (key, epoch) = (claims.claimed[0].key, claims.claimed[0].epoch);
    let ask = |command, value: Option<Vec<u8>>| CommandRequest {
        target: Target::Key(key),
        step: Some(StepRef { no: StepNo(1), name: "s".into() }),
        command,
        payload: Payload { value, ..Payload::default() },
    };
    let begin = Command::Begin { epoch, kind: Kind::Keyed, attempt: 1, attempts_max: 3 };
    let begun = store.command(ask(begin, None)).await.map_err(|error| error.to_string())?;
    expect("A began", begun.decision, Ok(Reply::Run { attempt: 1 }))?;

    tokio::time::sleep(LEASE + ms(1_000)).await;
    let receiver = stage.receiver.clone();
    let workflow = move |ctx: Context, (): ()| {
        let receiver = receiver.clone();
        async move {
            let by: String = ctx
                .step("s")
                .run(|attempt| {
                    receiver.effect("s", &attempt);
                    async {
                        tokio::time::sleep(ms(2_000)).await;
                        Ok("B".to_owned())
                    }
                })
                .await?;
            ctx.sleep(ms(500)).await;
            Ok::<_, BoxError>(by)
        }
    };
    let _worker = stage.worker().workflow("w", workflow).start().unwrap();
    tokio::time::sleep(ms(1_000)).await;

    // A goes on.
    let stale = [
        ask(Command::Settle { epoch, attempt: 1, settlement: Settlement::Succeeded }, Some(b"\"A\"".to_vec())),
        ask(Command::Finish { epoch, ending: hydra_protocol::Ending::Failed(hydra_protocol::Failure::Workflow) }, None),
    ];
    for request in stale {
        let answer = store.command(request.clone()).await.map_err(|error| error.to_string())?;
        if let Ok(reply) = answer.decision {
            return Err(format!("A, overtaken, was told {reply:?} to {:?}", request.command));
        }
    }
    let result: String = client.result("w").await.map_err(|error| error.to_string())?;
    expect("the value that counts", result.as_str(), "B")?;
    expect("bodies that B ran", stage.receiver.bodies("s"), 1)?;
    let history = client.history("w").await.map_err(|error| error.to_string())?;
    expect("leases", history.leases.len(), 2)
}

#[test]
fn holds_on_every_store() {
    holds(scenario);
}

#[test]
fn notices_what_breaks_it() {
    notices(&["zombie-settles", "epoch-never-raised", "status-outside-the-lease"], scenario);
}
