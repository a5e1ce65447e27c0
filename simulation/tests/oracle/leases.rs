//! Two workers: exclusion, fences, robbery.

use hydra_schedule::Property::*;
use hydra_schedule::{Name, StepName};
use hydra_simulation::history::{Journal, Status};

use crate::story::{Story, seen, value_of};
use crate::{KEYED, TWO_KEYED};

fn two_inside(fault: &str) -> Story {
    let story = Story::of(KEYED).enters("A", "1").at(31_000);
    let story = if fault.is_empty() { story } else { story.fault(fault) };
    story.enters("B", "1").at(40_000).leaves_body("A", "1", 1, value_of("v1")).leaves_body("B", "1", 2, value_of("v2"))
}

#[test]
fn two_healthy_workers_inside_one_step() {
    two_inside("")
        .breaks(LeaseExclusive, &["A was inside the body of W1/1 from 0 ms to 40,000 ms", "B entered it at 31,000 ms"]);
    two_inside("pause A 60000").keeps(LeaseExclusive);
    Story::of(KEYED).runs("A", "1", "v1").at(1).runs("B", "1", "v2").keeps(LeaseExclusive);
}

#[test]
fn two_claims_under_one_epoch() {
    Story::of(KEYED).claims("A", 1).at(9).claims("B", 1).enters("B", "1").breaks(LeaseExclusive, &["under epoch 1"]);
    Story::of(KEYED).claims("A", 1).at(9).claims("B", 2).enters("B", "1").keeps(LeaseExclusive);
}

#[test]
fn a_healthy_worker_is_robbed() {
    two_inside("").breaks(LeaseKept, &["A was up, connected", "B took W1 over at 31,000 ms"]);
    two_inside("partition A").leaves_open(LeaseKept, "no healthy worker");
    Story::of(KEYED).enters("A", "1").at(90_000).leaves("A", "1", value_of("v1")).keeps(LeaseKept);
}

#[test]
fn the_value_of_a_zombie_is_taken() {
    let story = |adopted: &str| {
        Story::of(TWO_KEYED)
            .enters("A", "1")
            .fault("pause A 60000")
            .at(40_000)
            .enters("B", "1")
            .at(60_000)
            .leaves_body("A", "1", 1, value_of("of-A"))
            .leaves_body("B", "1", 2, value_of("of-B"))
            .at(61_000)
            .enters_seeing("B", "2", &[("1", seen(adopted))])
    };
    story("of-A").breaks(EpochFenced, &["B took W1/1 over from A at 40,000 ms", "A left its body only at 60,000 ms"]);
    story("of-B").keeps(EpochFenced);
}

#[test]
fn a_write_after_a_takeover() {
    let story = |writer: &str| {
        Story::of(KEYED).claims("A", 1).runs("A", "1", "v1").at(500).claims("B", 2).at(600).checkpoints(
            writer,
            "1",
            seen("v1"),
        )
    };
    story("A").breaks(EpochFenced, &["A wrote to W1 at 600 ms", "B had claimed it at 500 ms"]);
    story("B").keeps(EpochFenced);
}

#[test]
fn a_late_status_of_a_stale_owner() {
    let name = Name::new("W1").unwrap();
    let status = |status| Journal::Status { execution: name.clone(), status };
    Story::of(KEYED)
        .claims("A", 1)
        .claims("B", 2)
        .journal("B", status(Status::Succeeded))
        .at(10)
        .journal("A", status(Status::Failed))
        .breaks(EpochFenced, &["A wrote to W1 at 10 ms"]);
}

#[test]
fn an_epoch_that_does_not_rise() {
    Story::of(KEYED).claims("A", 4).at(7).claims("A", 4).breaks(EpochFenced, &["the epoch did not rise"]);
    Story::of(KEYED).claims("A", 4).at(7).claims("A", 5).keeps(EpochFenced);
}

#[test]
fn rows_that_contradict_one_another() {
    Story::of(KEYED).rows(1, 0, Some("leased without an owner")).breaks(RowsConsistent, &["leased without an owner"]);
    Story::of(KEYED).rows(1, 1, None).keeps(RowsConsistent);
    Story::of(KEYED).rows(2, 0, None).breaks(StepUnique, &["has 2 rows"]);
    Story::of(KEYED).rows(1, 0, None).keeps(StepUnique);
    Story::of(KEYED).leaves_open(StepUnique, "not read");
}

#[test]
fn the_step_is_named_in_a_finding() {
    let (_, judgements) = two_inside("").judged();
    let finding = judgements.broken().find(|finding| finding.property == LeaseKept).unwrap();
    assert_eq!(finding.step, Some(StepName::new("W1", "1").unwrap()));
}
