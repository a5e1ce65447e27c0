//! Attempts, budgets, delays.

use hydra_schedule::Property::*;
use hydra_simulation::history::Status;

use crate::story::Story;

const THREE: &str = r#"{"step":{"id":"1","kind":"keyed","ends":"fails-for-ever","attempts_max":3}}"#;

fn fails(times: u64) -> Story {
    (0..times).fold(Story::of(THREE), |story, index| story.at(index * 1_000).fails("A", "1"))
}

#[test]
fn attempts_beyond_the_maximum() {
    fails(4).breaks(AttemptsBounded, &["at most 3 attempts", "entered 4 times", "by A at 3,000 ms"]);
    fails(3).keeps(AttemptsBounded);
}

#[test]
fn attempts_that_end_by_a_crash_count() {
    let crash = |story: Story| story.enters("A", "1").fault("crash A").fault("restart A");
    let three = (0..3).fold(Story::of(THREE), |story, _| crash(story));
    three.keeps(AttemptsBounded);
    (0..4).fold(Story::of(THREE), |story, _| crash(story)).breaks(AttemptsBounded, &["entered 4 times"]);
}

#[test]
fn given_up_before_the_last_attempt() {
    fails(2).status(Status::Failed).breaks(BudgetHonest, &["failed 2 of 3 times", "without a further attempt"]);
    fails(3).status(Status::Failed).keeps(BudgetHonest);
    // A crash may have used up an attempt that nobody saw.
    fails(2).fault("crash A").status(Status::Failed).leaves_open(BudgetHonest, "no failing step");
}

#[test]
fn delays_that_fall_or_leave_their_bounds() {
    let story = |first: u64, second: u64| {
        Story::of(THREE).fails("A", "1").at(first).fails("A", "1").at(first + second).fails("A", "1").with(|settings| {
            settings.backoff_initial_ms = Some(1_000);
            settings.backoff_cap_ms = Some(8_000);
            settings.backoff_jitter_percent = 10;
        })
    };
    story(2_000, 1_000).breaks(BackoffBounded, &["a delay of 1,000 ms", "after one of 2,000 ms: the delay fell"]);
    story(800, 2_000).breaks(BackoffBounded, &["where the least is 900 ms"]);
    story(1_000, 9_000).breaks(BackoffBounded, &["where the most is 8,100 ms"]);
    // Jitter of a tenth and a poll of 100 ms explain 2,000 and then 1,750.
    story(2_000, 1_750).keeps(BackoffBounded);
}

#[test]
fn a_delay_under_faults_is_not_judged() {
    Story::of(THREE)
        .fails("A", "1")
        .fault("partition A")
        .at(90_000)
        .fails("B", "1")
        .leaves_open(BackoffBounded, "without faults");
}
