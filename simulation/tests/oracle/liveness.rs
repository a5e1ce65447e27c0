//! Stuck, orphaned, endless; and a wait that was too short for saying so.

use hydra_schedule::Property::*;
use hydra_simulation::history::{Gave, Status};
use hydra_simulation::oracle::{Anomaly, falls, findings};

use crate::story::{Story, value_of};
use crate::{KEYED, TWO_KEYED};

const THREE: &str = r#"{"step":{"id":"1","kind":"keyed","attempts_max":3}}"#;

#[test]
fn standing_still_for_ever() {
    let story = || Story::of(THREE).enters("A", "1").fault("crash A").at(1_000).healed();
    story().at(61_100).status(Status::Running).breaks(NothingStuck, &["W1 has not ended", "its last sign was at 0 ms"]);
    story().at(61_000).status(Status::Running).leaves_open(NothingStuck, "incomplete: W1 was quiet");
    // Nor will it end; that need not be watched for as long as all its attempts could take.
    story().at(61_100).status(Status::Running).breaks(Terminates, &["nothing works on it any more"]);
    story().at(61_000).status(Status::Running).leaves_open(Terminates, "incomplete");
    story().at(40_000).runs("B", "1", "v1").status(Status::Succeeded).keeps(NothingStuck);
    // Without a healed phase no wait is long enough.
    let never_healed = Story::of(THREE).enters("A", "1").fault("crash A").at(9_000_000).status(Status::Running);
    never_healed.leaves_open(NothingStuck, "incomplete");
}

#[test]
fn coming_to_no_end() {
    // Three attempts at 100 ms of slack and one recovery: 60,400 ms.
    let busy = |until: u64| {
        let story = Story::of(THREE);
        (1..=until / 1_000).fold(story, |story, second| story.at(second * 1_000).fails("A", "1"))
    };
    busy(61_000).breaks(Terminates, &["it is still at work and comes to no end"]);
    busy(60_000).leaves_open(Terminates, "incomplete");
    busy(3_000).status(Status::Failed).keeps(Terminates);
    let (_, judgements) = busy(61_000).judged();
    assert!(judgements.anomalies().iter().any(|(anomaly, _)| *anomaly == Anomaly::UnboundedRetry));
}

#[test]
fn an_orphan_nobody_takes() {
    let died = || Story::of(KEYED).at(500).enters("A", "1").at(1_000).fault("crash A");
    died().at(61_200).status(Status::Running).breaks(
        OrphansRecovered,
        &["A died at 1,000 ms inside W1/1", "B was up and connected", "not taken up again until 61,200 ms"],
    );
    died().at(61_000).status(Status::Running).leaves_open(OrphansRecovered, "incomplete");
    died().at(61_100).enters("B", "1").keeps(OrphansRecovered);
    died().at(61_101).enters("B", "1").breaks(OrphansRecovered, &["was taken up again only at 61,101 ms"]);
}

#[test]
fn an_orphan_while_everyone_is_down_waits_for_the_healed_phase() {
    let all_down = || Story::of(KEYED).enters("A", "1").fault("crash A").fault("crash B").at(300_000);
    all_down().status(Status::Running).leaves_open(OrphansRecovered, "incomplete");
    all_down().healed().at(350_000).enters("B", "1").keeps(OrphansRecovered);
}

#[test]
fn recovery_time_is_measured() {
    let (_, judgements) = Story::of(TWO_KEYED)
        .enters("A", "1")
        .at(1_000)
        .fault("crash A")
        .at(33_000)
        .enters("B", "1")
        .leaves("B", "1", value_of("v1"))
        .judged();
    assert_eq!((judgements.recovery.count, judgements.recovery.max_ms), (1, 32_000));
}

#[test]
fn the_predicate_of_a_shrinker_agrees_with_the_verdict() {
    let story = Story::of(KEYED).enters("A", "1").leaves("A", "1", Gave::Unencodable).at(9).enters("A", "1");
    let settings = story.settings.clone();
    let (history, _) = story.judged();
    assert!(falls(&history, &settings, SuccessNeverRerun));
    assert!(!falls(&history, &settings, EffectOnceKeyed));
    let all: Vec<_> = findings(&history, &settings).iter().map(|finding| finding.property).collect();
    assert_eq!(all, [SuccessNeverRerun]);
}

#[test]
fn what_no_history_can_show_is_said_to_be_untested() {
    Story::of(KEYED).leaves_open(CanComplete, "the model checker explores it");
}
