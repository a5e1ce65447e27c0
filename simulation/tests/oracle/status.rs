//! Status: final, true, and nothing after the end.

use hydra_schedule::Name;
use hydra_schedule::Property::*;
use hydra_simulation::history::{Call, Gave, Op, Phase, Seen, Status, What};

use crate::story::Story;
use crate::{KEYED, ONCE, TWO_KEYED};

#[test]
fn a_terminal_status_that_changes() {
    let ended = || Story::of(KEYED).runs("A", "1", "v1").status(Status::Succeeded).at(50);
    ended().status(Status::Failed).breaks(StatusLegal, &["W1 was succeeded at 0 ms and failed at 50 ms"]);
    ended().status(Status::Succeeded).keeps(StatusLegal);
    let failed = || Story::of(KEYED).status(Status::Failed).at(1);
    failed().status(Status::Running).breaks(StatusLegal, &["running"]);
    failed().call(Op::Retry, Phase::Ok, None).status(Status::Running).keeps(StatusLegal);
}

#[test]
fn reads_that_overlap_may_be_told_in_either_order() {
    let late = Call::invoked(99, Op::Status, &Name::new("W1").unwrap());
    let answer = Call { status: Some(Status::Running), ..late.answered(Phase::Ok) };
    Story::of(KEYED)
        .push("client", What::Call(late))
        .status(Status::Succeeded)
        .push("client", What::Call(answer))
        .leaves_open(StatusLegal, "no status was seen after a terminal one");
}

#[test]
fn failed_although_everything_succeeded() {
    let all = || Story::of(KEYED).runs("A", "1", "v1").at(20);
    all().status(Status::Failed).breaks(OutcomeTrue, &["failed at 20 ms", "every one of its steps succeeded"]);
    all().status(Status::Succeeded).keeps(OutcomeTrue);
    all().call(Op::Cancel, Phase::Ok, None).status(Status::Failed).keeps(OutcomeTrue);
    Story::of(KEYED).enters("A", "1").leaves("A", "1", Gave::Unencodable).status(Status::Failed).keeps(OutcomeTrue);
    // Nobody knows whether it happened: it may be failed as in doubt.
    Story::of(ONCE).runs("A", "1", "v1").fault("crash A").status(Status::Failed).keeps(OutcomeTrue);
}

#[test]
fn succeeded_although_a_step_was_not_run() {
    let one = || Story::of(TWO_KEYED).runs("A", "1", "v1").at(20);
    one().status(Status::Succeeded).breaks(OutcomeTrue, &["although W1/2 was never run"]);
    one().runs("A", "2", "v2").status(Status::Succeeded).keeps(OutcomeTrue);
    one().fails("A", "2").status(Status::Succeeded).breaks(OutcomeTrue, &["W1/2 never succeeded"]);
}

#[test]
fn starting_twice() {
    let started = || Story::of(KEYED).at(5);
    started().start_other(Phase::Ok).breaks(StartIdempotent, &["another input, and was accepted"]);
    started().start_other(Phase::Failed).keeps(StartIdempotent);
    started().call(Op::Start, Phase::Failed, None).breaks(StartIdempotent, &["same input, and was refused"]);
    started().call(Op::Start, Phase::Ok, None).keeps(StartIdempotent);
    started().call(Op::Start, Phase::Unknown, None).keeps(StartIdempotent);
    started()
        .enters("A", "1")
        .enters_for_other_input("B", "1")
        .breaks(StartIdempotent, &["ran with one input", "with another"]);
}

#[test]
fn working_on_after_the_end() {
    let cancelled = || Story::of(TWO_KEYED).runs("A", "1", "v1").at(100).call(Op::Cancel, Phase::Ok, None);
    cancelled().at(90_000).enters("A", "2").breaks(CancelClean, &["had ended at 100 ms", "at 90,000 ms"]);
    // It was on its way.
    cancelled().at(150).enters("A", "2").keeps(CancelClean);
    // It was paused on its way.
    cancelled().fault("pause A 80000").at(90_000).enters("A", "2").keeps(CancelClean);
    let ended = || cancelled().status(Status::Cancelled).at(200);
    ended().checkpoints("A", "2", Seen::Failed).breaks(CancelClean, &["settled W1/2 at 200 ms"]);
    ended().rows(1, 1, None).breaks(CancelClean, &["still had 1 open steps"]);
    ended().rows(1, 0, None).keeps(CancelClean);
}
