//! Sleeps: not early, not lost.

use hydra_schedule::Property::*;
use hydra_schedule::StepName;
use hydra_simulation::history::{Journal, Status};

use crate::story::Story;

const SLEEP: &str =
    r#"{"step":{"id":"1","kind":"keyed"}},{"sleep":{"id":"2","ms":5000}},{"step":{"id":"3","kind":"keyed"}}"#;

#[test]
fn a_sleep_that_ends_too_early() {
    let story = |woke: u64| Story::of(SLEEP).at(1_000).runs("A", "1", "v1").at(woke).enters("A", "3");
    story(5_999).breaks(TimerNotEarly, &["The sleep W1/2 of 5,000 ms", "it lasted 4,999 ms at the most"]);
    story(6_000).keeps(TimerNotEarly);
}

#[test]
fn a_step_that_ran_twice_before_the_sleep_does_not_make_it_early() {
    // The first run may have been checkpointed: its timer counts from there.
    Story::of(SLEEP)
        .runs("A", "1", "v1")
        .fault("crash A")
        .at(3_000)
        .runs("B", "1", "v2")
        .at(5_000)
        .enters("B", "3")
        .keeps(TimerNotEarly);
}

#[test]
fn a_timer_that_fires_before_it_is_due() {
    let step = StepName::new("W1", "2").unwrap();
    let story = |at: u64| {
        Story::of(SLEEP)
            .journal("A", Journal::TimerSet { step: step.clone(), due_ms: 700 })
            .at(at)
            .journal("A", Journal::TimerFired { step: step.clone() })
    };
    story(699).breaks(TimerNotEarly, &["set at 0 ms for 700 ms and fired at 699 ms"]);
    story(700).keeps(TimerNotEarly);
}

#[test]
fn a_sleep_that_never_ends() {
    let asleep = || Story::of(SLEEP).runs("A", "1", "v1").fault("crash A").at(10_000).healed();
    // Due at 15,000, 60,000 to recover, 100 for the poll.
    asleep().at(75_100).status(Status::Running).breaks(TimerNotLost, &["due at 15,000 ms at the latest"]);
    asleep().at(75_099).status(Status::Running).leaves_open(TimerNotLost, "incomplete: W1/2 was watched");
    asleep().at(75_000).enters("B", "3").keeps(TimerNotLost);
    asleep()
        .with(|settings| settings.recovery_ms = None)
        .at(999_000)
        .status(Status::Running)
        .leaves_open(TimerNotLost, "no recovery time is declared");
}
