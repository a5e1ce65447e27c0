//! Duplicates: effects, bodies, checkpoints, replay.

use hydra_schedule::Property::*;
use hydra_simulation::history::{Gave, Op, Phase, Seen, Status, What};

use crate::story::{Story, seen, value_of};
use crate::{KEYED, ONCE, TRANSACTIONAL, TWO_KEYED};

#[test]
fn a_body_that_runs_again_though_its_checkpoint_existed() {
    let story = |again: u64| {
        Story::of(KEYED)
            .at(1_200)
            .runs("A", "1", "v1")
            .at(again)
            .checkpoints("A", "1", seen("v1"))
            .at(9_400)
            .fault("crash A")
            .runs("B", "1", "v2")
    };
    story(1_350).breaks(
        CheckpointImmutable,
        &["B entered the body of W1/1 again at 9,400 ms", "its checkpoint existed at 1,350 ms"],
    );
    Story::of(KEYED)
        .runs("A", "1", "v1")
        .fault("crash A")
        .at(9_400)
        .runs("B", "1", "v2")
        .checkpoints("B", "1", seen("v2"))
        .keeps(CheckpointImmutable);
}

#[test]
fn a_later_step_proves_the_checkpoint_where_the_journal_cannot_be_read() {
    Story::of(TWO_KEYED)
        .runs("A", "1", "v1")
        .at(500)
        .enters_seeing("A", "2", &[("1", seen("v1"))])
        .fault("crash A")
        .at(700)
        .enters("B", "1")
        .breaks(CheckpointImmutable, &["W1/2 had already been given its value at 500 ms"]);
}

#[test]
fn a_zombie_that_enters_after_another_settled_is_told_apart() {
    let story = |pause: &str| {
        let story = Story::of(KEYED).claims("A", 1).at(100);
        let story = if pause.is_empty() { story } else { story.fault(pause) };
        story
            .at(40_000)
            .claims("B", 2)
            .runs("B", "1", "v1")
            .checkpoints("B", "1", seen("v1"))
            .at(50_000)
            .enters("A", "1")
    };
    story("pause A 45000").keeps(CheckpointImmutable);
    story("").breaks(CheckpointImmutable, &["A entered the body of W1/1 again"]);
}

#[test]
fn a_zombie_whose_claim_nobody_could_see_is_told_apart() {
    let story = |paused_ms: u64| {
        let story = Story::of(TWO_KEYED).at(paused_ms);
        let story = if paused_ms > 0 { story.fault("pause A 45000") } else { story };
        story.at(40_000).runs("B", "1", "v1").enters_seeing("B", "2", &[("1", seen("v1"))]).at(50_000).enters("A", "1")
    };
    // It may have claimed it before it was paused, and entered no body of it yet.
    story(100).keeps(CheckpointImmutable);
    story(0).breaks(CheckpointImmutable, &["A entered the body of W1/1 again at 50,000 ms"]);
}

#[test]
fn a_worker_that_is_told_late_is_in_the_place_of_one_that_was_paused() {
    // A asks whether 2 is done, B does it meanwhile, and A is told what was true when it asked.
    let heals = |story: Story, now: bool| if now { story.fault("heal A") } else { story };
    let story = |heals_ms: u64, enters_ms: u64| {
        let story = Story::of(TWO_KEYED).runs("A", "1", "v1").at(100).fault("reply-late A");
        let story = heals(story, heals_ms == 100).at(40_000);
        let story = story.enters_seeing("B", "2", &[("1", seen("v1"))]).leaves("B", "2", value_of("v2"));
        let story = story.checkpoints("B", "2", seen("v2")).at(45_000);
        heals(story, heals_ms == 45_000).at(enters_ms).enters_seeing("A", "2", &[("1", seen("v1"))])
    };
    for property in [CheckpointImmutable, SuccessNeverRerun] {
        story(45_000, 45_001).keeps(property);
        // Within a lease of its answer it could know.
        story(45_000, 80_000).breaks(property, &["at 80,000 ms"]);
        // Its answer was not held back for so long; or nobody says until when.
        story(100, 45_001).breaks(property, &["at 45,001 ms"]);
        story(0, 45_001).breaks(property, &["at 45,001 ms"]);
    }
}

#[test]
fn a_worker_that_died_of_its_connection_reads_anew() {
    let story = |dies: bool| {
        let story = Story::of(TWO_KEYED).runs("A", "1", "v1").at(100).fault("reply-lost A").at(200);
        let story = if dies { story.push("A", What::Worker { up: false }) } else { story };
        let story = story.at(1_000).runs("B", "2", "v2").checkpoints("B", "2", seen("v2")).at(2_000).fault("heal A");
        let story = if dies { story.push("A", What::Worker { up: true }) } else { story };
        story.at(2_100).enters("A", "2")
    };
    story(false).keeps(CheckpointImmutable);
    story(true).breaks(CheckpointImmutable, &["A entered the body of W1/2 again at 2,100 ms"]);
}

#[test]
fn a_checkpoint_that_changes() {
    let story = |second: &str| {
        Story::of(KEYED).runs("A", "1", "v1").checkpoints("A", "1", seen("v1")).at(10).checkpoints(
            "A",
            "1",
            seen(second),
        )
    };
    story("v2").breaks(CheckpointImmutable, &["v1", "v2", "at 10 ms"]);
    story("v1").keeps(CheckpointImmutable);
}

#[test]
fn the_customer_is_charged_twice() {
    let story = |key: &str, applied: bool| {
        Story::of(KEYED)
            .at(1_200)
            .enters("A", "1")
            .effect("A", "1", "W1/1", true)
            .fault("crash A")
            .at(9_400)
            .enters("B", "1")
            .effect("B", "1", key, applied)
    };
    let evidence = ["from A at 1,200 ms", "from B at 9,400 ms", "A never came out of its body", "no checkpoint"];
    story("W1/1/attempt-2", true).breaks(EffectOnceKeyed, &evidence);
    story("W1/1", false).keeps(EffectOnceKeyed);
}

#[test]
fn a_transactional_effect_twice_or_without_its_checkpoint() {
    let story = |second: bool| {
        Story::of(TRANSACTIONAL)
            .enters("A", "1")
            .effect("A", "1", "k", true)
            .fault("crash A")
            .at(90)
            .enters("B", "1")
            .effect("B", "1", "k", second)
    };
    story(true).breaks(EffectOnceTransactional, &["A committed it at 0 ms and B at 90 ms"]);
    story(false).keeps(EffectOnceTransactional);
    Story::of(TRANSACTIONAL)
        .enters("A", "1")
        .leaves("A", "1", value_of("v1"))
        .checkpoints("A", "1", seen("v1"))
        .breaks(EffectOnceTransactional, &["its effect was never committed"]);
    // Seen from outside: a later body has its value, and the store, once read, has no effect of it.
    let later = r#"{"step":{"id":"1","kind":"transactional"}},{"step":{"id":"2","kind":"keyed"}}"#;
    let read = |looked: bool| {
        let story = Story::of(later).enters("A", "1").leaves("A", "1", value_of("v1"));
        let story = if looked { story.effect("store", "1", "k", false) } else { story };
        story.at(50).enters_seeing("A", "2", &[("1", seen("v1"))])
    };
    read(true).breaks(EffectOnceTransactional, &["at 50 ms, and its effect was never committed"]);
    read(false).leaves_open(EffectOnceTransactional, "");
}

#[test]
fn an_at_most_once_body_twice() {
    let crashed = || Story::of(ONCE).enters("A", "1").fault("crash A").at(80);
    crashed().enters("B", "1").breaks(BodyAtMostOnce, &["A entered its body at 0 ms", "B entered it again at 80 ms"]);
    crashed().status(Status::Failed).keeps(BodyAtMostOnce);
}

#[test]
fn what_may_have_happened_is_in_doubt() {
    let caught = r#"{"step":{"id":"1","kind":"at-most-once","caught":true}},{"step":{"id":"2","kind":"keyed"}}"#;
    let story =
        |told: Seen| Story::of(caught).enters("A", "1").fault("crash A").at(80).enters_seeing("B", "2", &[("1", told)]);
    story(Seen::Failed).breaks(InDoubtShown, &["died in it at 0 ms", "At 80 ms it was called failed"]);
    story(Seen::InDoubt).keeps(InDoubtShown);
}

#[test]
fn a_known_success_is_run_again() {
    let story = |gave: Gave| Story::of(KEYED).enters("A", "1").leaves("A", "1", gave).at(5_000).enters("A", "1");
    story(Gave::Unencodable).breaks(SuccessNeverRerun, &["could not be encoded on A at 0 ms", "again at 5,000 ms"]);
    story(value_of("v1")).breaks(SuccessNeverRerun, &["no fault came between"]);
    story(Gave::Failure).leaves_open(SuccessNeverRerun, "no body succeeded");
    // The crash before the checkpoint excuses it.
    let crashed = || Story::of(KEYED).runs("A", "1", "v1").fault("crash A");
    crashed().at(5_000).enters("B", "1").leaves_open(SuccessNeverRerun, "no body succeeded on a healthy worker");
    // A checkpoint that cannot be decoded does not.
    let settled = || Story::of(KEYED).runs("A", "1", "v1").checkpoints("A", "1", seen("v1")).fault("crash A");
    settled().fault("decode W1/1").at(9_000).enters("B", "1").breaks(SuccessNeverRerun, &["no longer be decoded"]);
}

#[test]
fn an_operators_retry_may_run_it_again() {
    Story::of(KEYED)
        .runs("A", "1", "v1")
        .checkpoints("A", "1", Seen::Failed)
        .status(Status::Failed)
        .call(Op::Retry, Phase::Ok, None)
        .at(10)
        .enters("A", "1")
        .keeps(CheckpointImmutable);
}

#[test]
fn a_replay_that_saw_something_else() {
    let story = |again: &str| {
        Story::of(TWO_KEYED)
            .runs("A", "1", "v1")
            .enters_seeing("A", "2", &[("1", seen("v1"))])
            .fault("crash A")
            .at(70)
            .enters_seeing("B", "2", &[("1", seen(again))])
    };
    story("v2").breaks(ReplayFaithful, &["v1", "at 0 ms (on A)", "v2", "at 70 ms (on B)"]);
    story("v1").keeps(ReplayFaithful);
    Story::of(TWO_KEYED)
        .runs("A", "1", "v1")
        .enters_seeing("A", "2", &[("1", seen("null"))])
        .breaks(ReplayFaithful, &["which no body returned"]);
}
