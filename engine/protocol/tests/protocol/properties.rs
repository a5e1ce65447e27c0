//! The reference keeps every property, over random schedules; and the schedules reach what they are to reach.

use hydra_protocol::{Protocol, Reference, Reply, StepNo};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::coverage::Coverage;
use crate::liveness;
use crate::schedule::{Move, schedules};
use crate::watch;

proptest! {
    #![proptest_config(Config { cases: 3_000, failure_persistence: None, ..Config::default() })]

    #[test]
    fn every_property_holds_of_random_schedules(moves in schedules(120)) {
        if let Err(defect) = watch::run(&Reference, &moves) {
            prop_assert!(false, "{defect:#?}");
        }
    }

    #[test]
    fn the_idempotency_key_is_the_step_and_never_the_attempt(step: u32, other: u32, attempt: u32, later: u32) {
        prop_assert!(keys_name_steps(&Reference, step, other, attempt, later));
    }
}

proptest! {
    #![proptest_config(Config { cases: 60, failure_persistence: None, ..Config::default() })]

    #[test]
    fn a_fair_continuation_ends_it_from_every_state(moves in schedules(200)) {
        if let Err(defect) = liveness::ends_from_every_state(&Reference, &moves) {
            prop_assert!(false, "{defect:#?}");
        }
    }
}

/// Whether the key tells steps apart, and attempts not.
pub fn keys_name_steps<P: Protocol>(rules: &P, step: u32, other: u32, attempt: u32, later: u32) -> bool {
    let key = rules.key(StepNo(step), attempt);
    key == rules.key(StepNo(step), later) && (step == other || key != rules.key(StepNo(other), attempt))
}

/// The same schedules on every run.
pub fn fixed(cases: usize, length: usize) -> impl Iterator<Item = Vec<Move>> {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    (0..cases).map(move |_| schedules(length).new_tree(&mut runner).expect("a schedule").current())
}

#[test]
fn random_schedules_reach_every_reply_and_rejection() {
    let mut seen = Coverage::default();
    for moves in fixed(2_000, 120) {
        let watch = watch::run(&Reference, &moves).expect("the reference keeps its properties");
        for answer in &watch.answers {
            match answer {
                Ok(reply) => seen.saw(reply),
                Err(rejection) => seen.saw(rejection),
            }
            if let Ok(Reply::Settled { outcome, .. }) = answer {
                seen.saw(outcome);
                if let hydra_protocol::Outcome::Failed(cause) = outcome {
                    seen.saw(cause);
                }
            }
            if let Ok(Reply::Ended(ending)) = answer {
                seen.saw(ending);
                if let hydra_protocol::Ending::Failed(failure) = ending {
                    seen.saw(failure);
                }
            }
        }
    }
    let reached = ["Reply::", "Rejection::", "Outcome::", "Cause::", "Ending::", "Failure::"];
    let missing = seen.missing().into_iter().filter(|label| reached.iter().any(|kind| label.starts_with(kind)));
    // No schedule is four thousand million claims or attempts long; the transcripts reach those.
    assert_eq!(missing.collect::<Vec<_>>(), ["Rejection::EpochExhausted", "Rejection::AttemptsExhausted"]);
}
