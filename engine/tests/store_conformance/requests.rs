//! Requests that no store takes.

use hydra_engine::store::{ClaimRequest, CommandRequest, ListFilter, StoreError, StoreOptions, Target};
use hydra_protocol::{Command, Ending, Kind, Settlement, Span};

use crate::harness::*;

fn refused<T: std::fmt::Debug>(answer: Result<T, StoreError>, because: &str) {
    match answer {
        Err(StoreError::Refused(why)) if why.contains(because) => {}
        other => panic!("not refused because of {because:?}: {other:?}"),
    }
}

pub async fn odd_names_are_refused(which: Which) {
    let store = Fixture::new(which);
    refused(store.a.command(start("")).await, "execution id is empty");
    refused(store.a.command(start("a\nb")).await, "control character");
    refused(store.a.command(start("a\0b")).await, "control character");
    refused(store.a.command(start(&"x".repeat(513))).await, "513 bytes");
    let mut nameless = start("o-1");
    nameless.payload.workflow = Some(String::new());
    refused(store.a.command(nameless).await, "workflow name is empty");
    refused(store.a.claim(ClaimRequest { worker: "".into(), ..claim("w") }).await, "worker name is empty");
    refused(store.a.claim(ClaimRequest { namespace: "".into(), ..claim("w") }).await, "namespace is empty");
    // Odd to a person, and no harm: quotes, percent signs, other scripts.
    for name in ["it's; DROP TABLE x --", "100%_", "Bestellung №7 \u{1F40D}", " "] {
        store.start(name).await;
        assert_eq!(store.view(name).await.id, id(name));
        let filter = ListFilter { id_prefix: Some(name.into()), ..ListFilter::default() };
        assert_eq!(store.b.list(filter).await.unwrap().len(), 1, "{name}");
    }
}

pub async fn a_request_that_lacks_something_is_refused(which: Which) {
    let store = Fixture::new(which);
    let (key, epoch) = store.claimed("o-1").await;
    let mut request = start("o-2");
    request.payload.workflow = None;
    refused(store.a.command(request).await, "lacks the workflow");
    let mut request = start("o-2");
    request.payload.value = None;
    refused(store.a.command(request).await, "lacks the input");
    refused(store.a.command(CommandRequest { target: Target::Key(key), ..start("o-2") }).await, "lacks the execution");
    let mut request = begin(key, epoch, 1, Kind::Keyed, 1);
    request.step = None;
    refused(store.a.command(request).await, "lacks the step");
    let mut request = settle(key, epoch, 1, 1, Settlement::Succeeded);
    request.payload.value = None;
    refused(store.a.command(request).await, "lacks the output");
    let mut request = finish(key, epoch, Ending::Succeeded);
    request.payload.value = None;
    refused(store.a.command(request).await, "lacks the output");
    let lease = Span::from_millis(1);
    refused(store.a.command(client("o-1", None, Command::Claim { lease, knows: true })).await, "Store::claim");
}

pub async fn a_payload_too_large_is_refused_and_nothing_is_written(which: Which) {
    let store = Fixture::with(which, |options| StoreOptions { payload_bytes_max: 8, ..options });
    let mut request = start("o-1");
    request.payload.value = Some(vec![0; 9]);
    refused(store.a.command(request).await, "9 bytes");
    assert_eq!(store.b.execution(&id("o-1")).await.unwrap(), None);
    let (key, epoch) = store.claimed("o-2").await;
    let mut request = finish(key, epoch, Ending::Failed(hydra_protocol::Failure::Workflow));
    request.payload.error = Some("nine byte".into());
    refused(store.a.command(request).await, "error text has 9 bytes");
    assert_eq!(store.view("o-2").await.ended_at, None);
}

pub async fn an_answer_tells_the_time_of_its_transaction(which: Which) {
    let store = Fixture::new(which);
    assert_eq!(store.a.now(), at(0));
    assert_eq!(store.ask(start("o-1")).await.now, at(0));
    store.clock.set(at(9));
    assert_eq!(store.ask(start("o-1")).await.now, at(9));
    assert_eq!(store.claim("w").await.now, at(9));
    // Set back, for a clock may be wrong: it is believed, and nothing breaks.
    store.clock.set(at(3));
    assert_eq!(store.claim("w").await.now, at(3));
}
